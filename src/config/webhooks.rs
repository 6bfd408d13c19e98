//! `[webhooks]`: where events may be pushed to.

use super::cidr::Cidr;
use super::section::Section;

/// What webhook addresses are let through that are refused otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Webhooks {
    /// `allow_cidrs`: private networks that may be called after all.
    pub allow_cidrs: Vec<Cidr>,
    /// `allow_http`: whether `http://` may be called. Default false.
    pub allow_http: bool,
}

impl Webhooks {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        Self { allow_cidrs: s.value("allow_cidrs", Vec::new()), allow_http: s.value("allow_http", false) }
    }
}
