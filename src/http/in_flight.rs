//! Counts a request from its head to the last byte of its answer, and the bytes of answers that nobody has taken yet.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use metrics::Gauge;

use super::{
    limits::{PIECE_BYTES_MAX, UNREAD_BYTES_MAX},
    watch::Activity,
};

/// The place of one request among those in flight; given back when dropped, whichever way the request ends.
pub(super) struct InFlight {
    gauge: Gauge,
    activity: Arc<Activity>,
    /// What of its answer is counted, and where.
    unread: Option<(Arc<Unread>, usize)>,
}

impl InFlight {
    pub(super) fn new(gauge: Gauge, activity: Arc<Activity>) -> Self {
        activity.begin();
        gauge.increment(1);
        Self { gauge, activity, unread: None }
    }

    /// Counts so many bytes until the request has ended. What leaves in one piece is not worth it.
    pub(super) fn weigh(&mut self, bytes: usize, unread: &Arc<Unread>) {
        if bytes > PIECE_BYTES_MAX && self.unread.is_none() {
            unread.0.fetch_add(bytes, Ordering::Relaxed);
            self.unread = Some((unread.clone(), bytes));
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.gauge.decrement(1);
        self.activity.end();
        if let Some((unread, bytes)) = self.unread.take() {
            unread.0.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}

/// Bytes of all answers whose readers have not taken them yet. One that several read is counted for each.
#[derive(Debug, Default)]
pub(super) struct Unread(AtomicUsize);

impl Unread {
    /// Whether there are more than [`UNREAD_BYTES_MAX`]: who takes nothing can ask for much, and it is kept for a minute.
    pub(super) fn is_too_much(&self) -> bool {
        self.0.load(Ordering::Relaxed) > UNREAD_BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pages of a megabyte that nobody took filled the memory, while hardly a request was worked on.
    #[test]
    fn what_nobody_takes_is_counted_until_it_is_given_up() {
        let (unread, activity) = (Arc::<Unread>::default(), Arc::<Activity>::default());
        let of = |bytes| {
            let mut request = InFlight::new(Gauge::noop(), activity.clone());
            request.weigh(bytes, &unread);
            request
        };
        let _small: Vec<_> = (0..100_000).map(|_| of(PIECE_BYTES_MAX)).collect();
        let mut large: Vec<_> = (0..=UNREAD_BYTES_MAX >> 20).map(|_| of(1 << 20)).collect();
        assert!(unread.is_too_much());
        large.pop();
        assert!(!unread.is_too_much());
        drop(large);
        assert_eq!(unread.0.load(Ordering::Relaxed), 0);
    }
}
