//! One look at everything of a project: what there is in each system, counted by kind or state.
//!
//! - [`overview()`]: all sections at once. [`Section`]: one of them, whatever came of it. [`Status`]: what did.
//! - [`lists`]: sections that count the items of a list, across all that the caller may see of it. [`Counts`]: what a
//!   section is made of, wherever it comes from. [`records`]: sections that count what we have on record.
//!
//! What holds: a section that fails, hangs or may not be seen costs itself and nothing else; nothing is counted that the
//! caller may not read; one deadline is around all of it.

mod lists;
mod records;

use std::collections::BTreeMap;

use jiff::Timestamp;
use tokio::time::timeout_at;

use super::{Gateway, across, metadata::Caller};
use crate::{
    cache::Wish,
    error::{Code, Error, Reason, Result},
};

/// What a project has, section by section.
pub struct Overview {
    /// Name and content of each section.
    pub sections: Vec<(&'static str, Section)>,
}

/// One section.
pub struct Section {
    /// What came of it.
    pub status: Status,
    /// When the oldest of what it says was read.
    pub as_of: Timestamp,
    /// What its counts are by: `type`, `state`, `phase`.
    pub by: &'static str,
    /// What was counted; `None` where nothing could be.
    pub counts: Option<Counts>,
    /// Why not.
    pub error: Option<Error>,
}

/// What became of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Everything was counted.
    Ok,
    /// Something did not answer, or there was too much.
    Partial,
    /// The caller may see nothing of it.
    Denied,
    /// The upstream has no section in the configuration.
    NotConfigured,
    /// It could not be read in time, or at all.
    Unavailable,
}

/// What a section is made of.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Items in all.
    pub total: u64,
    /// Items of each kind.
    pub each: BTreeMap<String, u64>,
    /// What did not answer.
    pub unreachable: Vec<String>,
    /// There are more than were counted.
    pub truncated: bool,
    /// How old the oldest of it is.
    pub age: std::time::Duration,
}

/// Who asks for an overview, and of what.
pub(super) struct Look<'r> {
    gateway: &'r Gateway,
    project: &'r str,
    caller: Caller<'r>,
    wish: Wish,
}

/// Looks at everything of a project.
pub async fn overview(gateway: &Gateway, project: &str, caller: Caller<'_>, wish: Wish) -> Overview {
    let mut sooner = caller;
    sooner.deadline = across::deadline(caller.deadline);
    let look = Look { gateway, project, caller: sooner, wish };
    let (connections, streams, objects, operations, tasks) = tokio::join!(
        section(&look, "type", lists::count(&look, &lists::CONNECTIONS)),
        section(&look, "state", lists::count(&look, &lists::STREAMS)),
        section(&look, "state", lists::count(&look, &lists::STREAM_OBJECTS)),
        section(&look, "state", records::operations(&look)),
        section(&look, "phase", records::tasks(&look)),
    );
    let sections = vec![
        ("connections", connections),
        ("streams", streams),
        ("streamObjects", objects),
        ("operations", operations),
        ("tasks", tasks),
    ];
    Overview { sections }
}

/// Waits for a section as long as there is time.
async fn section(look: &Look<'_>, by: &'static str, counts: impl Future<Output = Result<Counts>>) -> Section {
    let counted = timeout_at(look.caller.deadline, counts).await.unwrap_or_else(|_| Err(too_late()));
    let now = look.gateway.keeping.clock.now();
    match counted {
        Ok(counts) => {
            let whole = counts.unreachable.is_empty() && !counts.truncated;
            let as_of = now.checked_sub(counts.age).unwrap_or(now);
            let status = if whole { Status::Ok } else { Status::Partial };
            Section { status, as_of, by, counts: Some(counts), error: None }
        }
        Err(error) => {
            let status = match (error.reason(), error.code()) {
                (Some(Reason::PermissionDenied), _) => Status::Denied,
                (Some(Reason::UpstreamNotConfigured), _) => Status::NotConfigured,
                _ => Status::Unavailable,
            };
            Section { status, as_of: now, by, counts: None, error: Some(error) }
        }
    }
}

fn too_late() -> Error {
    let text = "It did not answer in the time that the overview has.";
    Error::new(Code::DeadlineExceeded, Reason::UpstreamTimeout, text)
}
