//! How often the same is said in the log: an outage is one thing to know, however many requests it fails.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Lines of one kind in one [`WINDOW`].
const LINES_MAX: u64 = 10;
/// How long lines are counted together.
const WINDOW: Duration = Duration::from_secs(10);

/// Kinds that are told apart in one [`WINDOW`]; all others are one more.
const KINDS_MAX: usize = 64;

/// What lines of one kind have in common: a digest of their words. What a caller is told to look for in the log is there.
type Kind = u64;
const OTHER: Kind = 0;

/// What was said of late.
#[derive(Debug, Default)]
pub(super) struct Repeats(Mutex<HashMap<Kind, Window>>);

#[derive(Clone, Copy, Debug)]
struct Window {
    ends: Instant,
    lines: u64,
}

impl Repeats {
    /// Asks whether to say these words. Returns how often it was not said since it last was, and `None` if it was said
    /// often enough.
    pub(super) fn may_say(&self, words: &str, now: Instant) -> Option<u64> {
        let mut hasher = DefaultHasher::new();
        words.hash(&mut hasher);
        let mut kind = hasher.finish();
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() >= KINDS_MAX && !windows.contains_key(&kind) {
            windows.retain(|_, window| now < window.ends + WINDOW);
            if windows.len() >= KINDS_MAX {
                kind = OTHER;
            }
        }
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
        let away = "the database is away";
        let said = |words, times: usize, at| {
            (0..times).filter_map(|_| repeats.may_say(words, at)).collect::<Vec<_>>()
        };
        assert_eq!(said(away, 1000, begin), [0; 10]);
        assert_eq!(said("a trace", 1, begin), [0], "others are said");
        assert_eq!(said(away, 1, begin + WINDOW), [990]);
        assert_eq!(said(away, 1, begin + WINDOW), [0]);
        let all: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
        let lines: usize = all.iter().map(|words| said(words, 1, begin + WINDOW).len()).sum();
        assert!(lines <= KINDS_MAX + 10, "{lines}");
    }
}
