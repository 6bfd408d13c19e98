//! Counts a request from its head to the last byte of its answer, and the bytes of answers that nobody has taken yet.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use metrics::Gauge;

use super::{limits::PIECE_BYTES_MAX, watch::Activity};

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

    /// Counts so many bytes until they are taken or the request has ended. What leaves in one piece is not worth it.
    pub(super) fn weigh(&mut self, bytes: usize, unread: &Arc<Unread>) {
        if bytes > PIECE_BYTES_MAX && self.unread.is_none() {
            unread.bytes.fetch_add(bytes, Ordering::Relaxed);
            self.unread = Some((unread.clone(), bytes));
        }
    }

    /// So many bytes were taken.
    pub(super) fn took(&mut self, bytes: usize) {
        if let Some((unread, left)) = &mut self.unread {
            let bytes = bytes.min(*left);
            unread.bytes.fetch_sub(bytes, Ordering::Relaxed);
            *left -= bytes;
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.gauge.decrement(1);
        self.activity.end();
        self.took(usize::MAX);
    }
}

/// Bytes of answers whose readers have not taken them yet. One that several read is counted for each.
#[derive(Debug)]
pub(super) struct Unread {
    bytes: AtomicUsize,
    bytes_max: usize,
}

impl Unread {
    pub(super) fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { bytes: AtomicUsize::new(0), bytes_max })
    }

    /// Whether there are more than there may be: who takes nothing can ask for much, and it is kept for a minute.
    pub(super) fn is_too_much(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) > self.bytes_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pages of a megabyte that nobody took filled the memory, while hardly a request was worked on.
    #[test]
    fn what_nobody_takes_is_counted_until_it_is_taken_or_given_up() {
        const MIB: usize = 1 << 20;
        let (unread, activity) = (Unread::new(10 * MIB), Arc::<Activity>::default());
        let of = |bytes| {
            let mut request = InFlight::new(Gauge::noop(), activity.clone());
            request.weigh(bytes, &unread);
            request
        };
        let _small: Vec<_> = (0..1000).map(|_| of(PIECE_BYTES_MAX)).collect();
        let mut large: Vec<_> = (0..11).map(|_| of(MIB)).collect();
        assert!(unread.is_too_much());
        large[0].took(MIB / 2);
        large[1].took(MIB / 2);
        assert!(!unread.is_too_much());
        large.push(of(1));
        large.push(of(MIB));
        assert!(unread.is_too_much());
        drop(large);
        assert_eq!(unread.bytes.load(Ordering::Relaxed), 0);
    }
}
