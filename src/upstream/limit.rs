//! How many calls to one upstream run at once, and how many wait for their turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Calls that wait for one upstream; those past it are refused.
pub(super) const WAITING_MAX: usize = 256;

/// The concurrency limit of one upstream.
#[derive(Debug)]
pub(super) struct Limit {
    running_max: usize,
    running: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// A place for one call; free again when dropped.
#[derive(Debug)]
#[must_use]
pub(super) struct Place(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

/// Every place is taken and the queue is full.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Limit {
    /// Creates a limit of `running_max` calls, cut to what a semaphore can count.
    pub(super) fn new(running_max: usize) -> Self {
        let running_max = running_max.min(Semaphore::MAX_PERMITS);
        Self { running_max, running: Arc::new(Semaphore::new(running_max)), waiting: AtomicUsize::new(0) }
    }

    /// Takes a place, waiting in order of arrival. The wait has no end of its own: the caller's deadline is around it.
    pub(super) async fn place(&self) -> Result<Place, Full> {
        if let Ok(permit) = Arc::clone(&self.running).try_acquire_owned() {
            return Ok(Place(permit));
        }
        let _waiting = self.wait()?;
        let permit = Arc::clone(&self.running).acquire_owned().await.expect("the semaphore is never closed");
        Ok(Place(permit))
    }

    /// Returns how many calls run now.
    pub(super) fn running(&self) -> usize {
        self.running_max - self.running.available_permits().min(self.running_max)
    }

    /// Returns how many calls may run at once.
    pub(super) fn running_max(&self) -> usize {
        self.running_max
    }

    fn wait(&self) -> Result<Waiting<'_>, Full> {
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting(&self.waiting);
        if before < WAITING_MAX { Ok(waiting) } else { Err(Full) }
    }
}

/// Counts one waiting call for as long as it waits.
struct Waiting<'l>(&'l AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;

    #[tokio::test]
    async fn calls_wait_in_a_bounded_queue_and_leave_it_when_dropped() {
        let limit = Limit::new(1);
        let place = limit.place().await.expect("free");
        assert_eq!(limit.running(), 1);

        let mut queue = Vec::new();
        for _ in 0..WAITING_MAX {
            let mut waiting = Box::pin(limit.place());
            assert!(std::future::poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx).is_pending())).await);
            queue.push(waiting);
        }
        assert_eq!(limit.place().await.expect_err("full"), Full);

        let first = queue.remove(0);
        drop(place);
        drop(first.await.expect("its turn"));
        drop(queue);
        assert_eq!(limit.running(), 0);
        assert!(limit.place().await.is_ok());
    }
}
