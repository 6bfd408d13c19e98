//! How often the same is said in the log: an outage is one thing to know, however many requests it fails.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::error::Reason;

/// Lines of one kind in one [`WINDOW`].
const LINES_MAX: u64 = 10;
/// How long lines are counted together.
const WINDOW: Duration = Duration::from_secs(10);

/// What lines of one kind have in common: status and reason, of which there are few.
type Kind = (u16, Option<Reason>);

/// What was said of late.
#[derive(Debug, Default)]
pub(super) struct Repeats(Mutex<HashMap<Kind, Window>>);

#[derive(Clone, Copy, Debug)]
struct Window {
    ends: Instant,
    lines: u64,
}

impl Repeats {
    /// Asks whether to say something of this kind. Returns how often it was not said since it last was, and `None` if it was said
    /// often enough.
    pub(super) fn may_say(&self, kind: Kind, now: Instant) -> Option<u64> {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let window = windows.entry(kind).or_insert(Window { ends: now + WINDOW, lines: 0 });
        let mut unsaid = 0;
        if now >= window.ends {
            unsaid = window.lines.saturating_sub(LINES_MAX);
            *window = Window { ends: now + WINDOW, lines: 0 };
        }
        window.lines += 1;
        (window.lines <= LINES_MAX).then_some(unsaid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An outage of a minute was tens of thousands of lines.
    #[test]
    fn what_is_said_often_is_counted() {
        let (repeats, begin) = (Repeats::default(), Instant::now());
        let away = (503, Some(Reason::StoreUnavailable));
        let said =
            |kind, times: usize, at| (0..times).filter_map(|_| repeats.may_say(kind, at)).collect::<Vec<_>>();
        assert_eq!(said(away, 1000, begin), [0; 10]);
        assert_eq!(said((500, None), 1, begin), [0], "another kind is said");
        assert_eq!(said(away, 1, begin + WINDOW), [990]);
        assert_eq!(said(away, 1, begin + WINDOW), [0]);
    }
}
