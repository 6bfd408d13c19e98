//! `[webhooks]`: whether and where events are pushed to.

use super::cidr::Cidr;
use super::section::Section;

/// Whether webhooks are called, and which addresses are let through that are refused otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhooks {
    /// `deliver`: whether this process calls webhooks. Default true. Where none does, what is to be delivered waits.
    pub deliver: bool,
    /// `allow_cidrs`: private networks that may be called after all.
    pub allow_cidrs: Vec<Cidr>,
    /// `allow_http`: whether `http://` may be called. Default false.
    pub allow_http: bool,
}

impl Webhooks {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        Self {
            deliver: s.value("deliver", true),
            allow_cidrs: s.value("allow_cidrs", Vec::new()),
            allow_http: s.value("allow_http", false),
        }
    }
}
