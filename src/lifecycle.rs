//! How the process ends: softly, then hard.
//!
//! Two tokens are handed out before anything starts. The *soft* one says: take no new work, finish what you have. The
//! *hard* one says: stop where you are. The first signal cancels the soft token; a second signal, or the grace period
//! running out, cancels the hard one and aborts every task. A task that ends by itself while nobody asked it to is a
//! fault: it stops the process softly, and the process exits with an error.
//!
//! It deliberately knows nothing of what its tasks do, and only [`signals`] listens to the operating system.

use std::{collections::HashMap, error::Error, fmt, future, io, time::Duration};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// The tasks of the process, and the two ways to end them.
#[derive(Debug)]
pub struct Lifecycle {
    soft: CancellationToken,
    hard: CancellationToken,
    grace: Duration,
    tasks: JoinSet<()>,
    names: HashMap<Id, &'static str>,
}

/// Why a process did not end well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unclean {
    /// A task ended or panicked that should have run until told to stop.
    TaskEnded(&'static str),
    /// These tasks were still at work when they were aborted.
    CutShort(Vec<&'static str>),
}

impl fmt::Display for Unclean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TaskEnded(name) => write!(f, "the task {name} ended unexpectedly"),
            Self::CutShort(names) => write!(f, "still at work when stopped: {}", names.join(", ")),
        }
    }
}

impl Error for Unclean {}

impl Lifecycle {
    /// Creates a lifecycle whose soft stop lasts at most `grace`.
    pub fn new(grace: Duration) -> Self {
        Self {
            soft: CancellationToken::new(),
            hard: CancellationToken::new(),
            grace,
            tasks: JoinSet::new(),
            names: HashMap::new(),
        }
    }

    /// Returns the token that says: take no new work.
    pub fn soft(&self) -> CancellationToken {
        self.soft.clone()
    }

    /// Returns the token that says: stop where you are.
    pub fn hard(&self) -> CancellationToken {
        self.hard.clone()
    }

    /// Runs `task` until it ends; it is expected to end after the soft token is cancelled, and not before.
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let handle = self.tasks.spawn(task);
        self.names.insert(handle.id(), name);
    }

    /// Runs until every task has ended. `next_signal` waits for the next wish to stop and names it.
    pub async fn run(mut self, mut next_signal: impl AsyncFnMut() -> &'static str) -> Result<(), Unclean> {
        let mut fault = None;
        while !self.tasks.is_empty() && !self.soft.is_cancelled() {
            tokio::select! {
                name = next_signal() => {
                    tracing::info!(signal = name, grace_secs = self.grace.as_secs(), "stopping: finishing what is under way");
                    self.soft.cancel();
                }
                () = self.soft.cancelled() => {}
                Some(ended) = self.tasks.join_next_with_id() => {
                    let name = self.note(&ended);
                    if !self.soft.is_cancelled() {
                        tracing::error!(task = name, "a task ended unexpectedly; stopping");
                        fault = Some(Unclean::TaskEnded(name));
                        self.soft.cancel();
                    }
                }
            }
        }
        self.soft.cancel();
        let cut_short = self.drain(next_signal).await;
        match fault.or(cut_short) {
            Some(unclean) => Err(unclean),
            None => Ok(()),
        }
    }

    /// Waits for the tasks to finish, until a signal or the grace period says that is enough.
    async fn drain(&mut self, mut next_signal: impl AsyncFnMut() -> &'static str) -> Option<Unclean> {
        let grace = tokio::time::sleep(self.grace);
        tokio::pin!(grace);
        loop {
            tokio::select! {
                biased;
                ended = self.tasks.join_next_with_id() => match ended {
                    Some(ended) => { self.note(&ended); }
                    None => return None,
                },
                name = next_signal() => {
                    tracing::warn!(signal = name, "stopping at once");
                    break;
                }
                () = &mut grace => {
                    tracing::warn!("the grace period is over; stopping at once");
                    break;
                }
            }
        }
        self.hard.cancel();
        let mut left: Vec<_> = self.names.values().copied().collect();
        left.sort_unstable();
        self.tasks.shutdown().await;
        Some(Unclean::CutShort(left))
    }

    /// Forgets a task that ended, and logs its panic if that is how.
    fn note(&mut self, ended: &Result<(Id, ()), JoinError>) -> &'static str {
        let id = match ended {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        };
        let name = self.names.remove(&id).unwrap_or("unnamed");
        if let Err(error) = ended {
            tracing::error!(task = name, %error, "a task failed");
        }
        name
    }
}

/// SIGTERM and SIGINT of this process.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Waits for the next signal and names it.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            Some(()) = self.terminate.recv() => "SIGTERM",
            Some(()) = self.interrupt.recv() => "SIGINT",
            else => future::pending().await,
        }
    }
}

/// Starts listening for signals. From here on they no longer end the process by themselves.
pub fn signals() -> io::Result<Signals> {
    Ok(Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
}

#[cfg(test)]
mod tests {
    use super::*;

    use tokio::sync::mpsc;

    const GRACE: Duration = Duration::from_secs(30);

    /// A signal source that is driven by hand.
    fn by_hand() -> (mpsc::Sender<()>, impl AsyncFnMut() -> &'static str) {
        let (sender, mut receiver) = mpsc::channel(4);
        let next = async move || match receiver.recv().await {
            Some(()) => "SIGTERM",
            None => future::pending().await,
        };
        (sender, next)
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_signal_lets_work_finish() {
        let mut lifecycle = Lifecycle::new(GRACE);
        let soft = lifecycle.soft();
        lifecycle.spawn("worker", async move {
            soft.cancelled().await;
            tokio::time::sleep(Duration::from_secs(20)).await;
        });
        let (signal, next) = by_hand();
        signal.send(()).await.unwrap();
        assert_eq!(lifecycle.run(next).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_second_signal_does_not_wait() {
        let mut lifecycle = Lifecycle::new(GRACE);
        let hard = lifecycle.hard();
        lifecycle.spawn("stuck", future::pending());
        let (signal, next) = by_hand();
        signal.send(()).await.unwrap();
        signal.send(()).await.unwrap();
        let started = tokio::time::Instant::now();
        assert_eq!(lifecycle.run(next).await, Err(Unclean::CutShort(vec!["stuck"])));
        assert_eq!(started.elapsed(), Duration::ZERO);
        assert!(hard.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn the_grace_period_ends_what_does_not_end() {
        let mut lifecycle = Lifecycle::new(GRACE);
        lifecycle.spawn("stuck", future::pending());
        let (signal, next) = by_hand();
        signal.send(()).await.unwrap();
        let started = tokio::time::Instant::now();
        assert_eq!(lifecycle.run(next).await, Err(Unclean::CutShort(vec!["stuck"])));
        assert_eq!(started.elapsed(), GRACE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_dies_takes_the_process_down_softly() {
        let mut lifecycle = Lifecycle::new(GRACE);
        let soft = lifecycle.soft();
        lifecycle.spawn("listener", async move { soft.cancelled().await });
        lifecycle.spawn("poller", async { panic!("out of luck") });
        let (_signal, next) = by_hand();
        assert_eq!(lifecycle.run(next).await, Err(Unclean::TaskEnded("poller")));
    }

    #[tokio::test(start_paused = true)]
    async fn cancelling_the_soft_token_from_outside_ends_everything() {
        let mut lifecycle = Lifecycle::new(GRACE);
        let (soft, stop) = (lifecycle.soft(), lifecycle.soft());
        lifecycle.spawn("listener", async move { soft.cancelled().await });
        let (_signal, next) = by_hand();
        stop.cancel();
        assert_eq!(lifecycle.run(next).await, Ok(()));
    }
}
