//! `[cache]`: whether list pages are kept.

use super::section::Section;

/// The page cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// `enabled`: default true.
    pub enabled: bool,
}

impl Cache {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        s.without_effect("enabled");
        Self { enabled: s.value("enabled", true) }
    }
}
