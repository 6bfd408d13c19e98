//! Methods that start an operation.

use super::{
    descriptor::{Pool, Rpc},
    service_config::PollHints,
};

/// The type that methods return which take long.
pub(super) const OPERATION: &str = "google.longrunning.Operation";

/// What is known about the operations that a method starts.
#[derive(Clone, Debug, PartialEq)]
pub struct LongRunning {
    /// Full name of the result's type, where the descriptor says.
    pub response_type: Option<String>,
    /// Full name of the metadata's type, where the descriptor says.
    pub metadata_type: Option<String>,
    /// How they are best polled.
    pub hints: PollHints,
}

impl LongRunning {
    /// `None` for a method that answers with something else, and for those of the Operations service itself.
    pub(super) fn of(pool: &Pool, service: &str, rpc: &Rpc, hints: PollHints) -> Option<Self> {
        if *pool.message(rpc.output).full_name != *OPERATION || service == super::builtin::OPERATIONS {
            return None;
        }
        let info = rpc.operation_info.as_ref();
        let resolved = |name: &String| resolve(pool, service, name);
        Some(Self {
            response_type: info.map(|info| &info.response_type).and_then(resolved),
            metadata_type: info.map(|info| &info.metadata_type).and_then(resolved),
            hints,
        })
    }
}

/// Resolves a type name as the annotation writes it: in full, or as seen from the service's package.
fn resolve(pool: &Pool, service: &str, name: &str) -> Option<String> {
    if name.is_empty() {
        return None;
    }
    let mut scope = service;
    while let Some((outer, _)) = scope.rsplit_once('.') {
        let full = format!("{outer}.{name}");
        if pool.find_message(&full).is_some() {
            return Some(full);
        }
        scope = outer;
    }
    Some(name.trim_start_matches('.').to_owned())
}
