//! What the figures ought to be. A missed target is printed and fails nothing: see the notes of the run.

use super::peers::{FLOOR, PROXY};

/// What a request to the gateway may cost at most, as a share of what it costs somebody else in the same run.
pub(crate) struct Target {
    /// Name of the case.
    case: &'static str,
    /// Name of the peer that is the measure.
    pub(crate) of: &'static str,
    /// The most that is accepted.
    at_most: f64,
    /// What we aim for beyond that, where there is such a figure.
    aim: Option<f64>,
}

/// The targets. Creating and refusing have none of their own; they are held to the floor as reading one resource is.
const TARGETS: [Target; 9] = [
    Target { case: "one resource", of: FLOOR, at_most: 1.35, aim: None },
    Target { case: "50 connections", of: FLOOR, at_most: 2.3, aim: Some(2.0) },
    Target { case: "50 connections", of: PROXY, at_most: 0.25, aim: None },
    Target { case: "50 operations", of: FLOOR, at_most: 2.3, aim: Some(2.0) },
    Target { case: "50 operations", of: PROXY, at_most: 0.25, aim: None },
    Target { case: "1000 connections", of: PROXY, at_most: 0.25, aim: None },
    Target { case: "1000 operations", of: PROXY, at_most: 0.25, aim: None },
    Target { case: "create with body", of: FLOOR, at_most: 1.6, aim: None },
    Target { case: "error (404)", of: FLOOR, at_most: 1.6, aim: None },
];

/// Memory of the gateway after a minute without requests, in KiB.
pub(crate) const IDLE_KIB_MAX: u64 = 40 * 1024;
/// Memory of the gateway with ten thousand idle connections, in KiB.
pub(crate) const CONNECTED_KIB_MAX: u64 = 250 * 1024;
/// Time from its start until the gateway answers, in milliseconds.
pub(crate) const READY_MS_MAX: f64 = 300.0;
/// Memory of one request, as a multiple of the message that the upstream sends.
pub(crate) const MESSAGE_COPIES_MAX: f64 = 3.0;
/// Memory of two streams, however long they are, in KiB. One of them is never read.
pub(crate) const STREAMS_KIB_MAX: u64 = 32 * 1024;

/// The targets of a case.
pub(crate) fn of(case: &str) -> impl Iterator<Item = &'static Target> {
    TARGETS.iter().filter(move |target| target.case == case)
}

/// Says whether a limit was kept.
pub(crate) fn verdict(kept: bool) -> &'static str {
    if kept { "met" } else { "MISSED" }
}

impl Target {
    /// Prints the figure of one process beside what was asked for, compared with another.
    pub(crate) fn judge(&self, name: &str, of: &str, ratio: f64) -> String {
        let aim = match self.aim {
            Some(aim) if ratio <= aim => format!(", and the aim of {aim} too"),
            Some(aim) => format!(", the aim is {aim}"),
            None => String::new(),
        };
        format!(
            "    {:<60} {ratio:>6.2}   at most {:.2}: {}{aim}",
            format!("{name} / {of}"),
            self.at_most,
            verdict(ratio <= self.at_most)
        )
    }
}
