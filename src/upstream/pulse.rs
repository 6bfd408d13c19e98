//! What is known of the calls on one connection: how many there are, who waits for one to end, and whether anything was heard.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, futures::Notified};
use tokio::time::Instant;

/// A call that nothing was heard of for so long, nor of any other, and that was then given up, takes nobody else along:
/// the next one is made on another connection.
const UNHEARD_MIN: Duration = Duration::from_secs(5);

/// What the task of a connection knows of the calls on it.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    calls: AtomicUsize,
    /// How many wait for a stream, and what wakes them.
    waiting: AtomicUsize,
    ended: Notify,
    is_over: AtomicBool,
    /// Whether a call was given up of which nothing was heard.
    is_doubtful: AtomicBool,
    /// Whether a call began since it was last looked at.
    is_used: AtomicBool,
    /// Grows with everything that comes for a call.
    heard: AtomicUsize,
    /// Grows with each answer to the question whether it lives.
    pongs: AtomicUsize,
}

impl Pulse {
    /// Whether further calls are better made elsewhere.
    pub(super) fn is_doubtful(&self) -> bool {
        self.is_doubtful.load(Ordering::Relaxed)
    }

    /// Whether the connection has ended, or will with the calls that are on it.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// No further call can begin. Whoever waits for a stream finds out that there will be none.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Release);
        self.wake_all();
    }

    /// Returns how much has come for calls so far.
    pub(super) fn heard(&self) -> usize {
        self.heard.load(Ordering::Relaxed)
    }

    /// Whether there was a call since this was last asked. For one who asks.
    pub(super) fn take_used(&self) -> bool {
        self.is_used.swap(false, Ordering::Relaxed) || self.calls.load(Ordering::Relaxed) > 0
    }

    /// The other side said that it lives.
    pub(super) fn ponged(&self) {
        self.pongs.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether somebody waits for a stream.
    pub(super) fn is_waited_for(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Has one who waits for a stream look whether there is one now.
    pub(super) fn wake_one(&self) {
        self.ended.notify_one();
    }

    /// Has all of them look.
    pub(super) fn wake_all(&self) {
        self.ended.notify_waiters();
    }

    /// Waits until there may be a stream. To be made before it is looked whether there is one.
    pub(super) fn change(&self) -> Notified<'_> {
        self.ended.notified()
    }

    /// Nothing was heard for too long.
    pub(super) fn doubt(&self) {
        self.is_doubtful.store(true, Ordering::Relaxed);
    }

    /// Differs when there was any sign of life in between.
    fn signs(&self) -> usize {
        self.heard.load(Ordering::Relaxed).wrapping_add(self.pongs.load(Ordering::Relaxed))
    }
}

/// One call, for as long as it is under way.
pub(super) struct Beat {
    pulse: Arc<Pulse>,
    began: Instant,
    signs_before: usize,
}

impl Beat {
    /// Begins, if there are fewer than so many.
    pub(super) fn begin(pulse: &Arc<Pulse>, calls_max: usize) -> Option<Self> {
        let one_more = |calls: usize| (calls < calls_max).then_some(calls + 1);
        pulse.calls.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        pulse.is_used.store(true, Ordering::Relaxed);
        Some(Self { pulse: Arc::clone(pulse), began: Instant::now(), signs_before: pulse.signs() })
    }

    /// Something came for it.
    pub(super) fn heard(&self) {
        self.pulse.heard.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        let pulse = &self.pulse;
        if pulse.signs() == self.signs_before && self.began.elapsed() >= UNHEARD_MIN {
            pulse.doubt();
        }
        pulse.calls.fetch_sub(1, Ordering::Relaxed);
        pulse.ended.notify_one();
    }
}

/// One who waits for a stream.
pub(super) struct Waiting<'p>(&'p Pulse);

impl<'p> Waiting<'p> {
    /// Counts as waiting until it is dropped.
    pub(super) fn begin(pulse: &'p Pulse) -> Self {
        pulse.waiting.fetch_add(1, Ordering::Relaxed);
        Self(pulse)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        // It may have been woken for what the next one waits for.
        self.0.ended.notify_one();
    }
}
