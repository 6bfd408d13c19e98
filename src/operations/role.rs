//! What the methods of a catalog have to do with operations.

use crate::{model::Kind, schema::Method};

/// What a method has to do with operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It answers with a new operation.
    StartsLro,
    /// It starts the run of a backfill, and answers with the object.
    StartsBackfill,
    /// It stops a backfill, and answers with the object.
    StopsBackfill,
    /// It answers with an operation.
    GetsLro,
    /// It answers with a page of operations.
    ListsLros,
    /// It asks an operation to stop.
    CancelsLro,
    /// It makes the upstream forget an operation.
    DeletesLro,
    /// It answers with an object.
    GetsObject,
    /// It answers with a page of objects.
    ListsObjects,
}

/// The service of operations.
const OPERATIONS: &str = "google.longrunning.Operations.";
/// The service with objects.
const DATASTREAM: &str = "google.cloud.datastream.v1.Datastream.";

impl Role {
    /// Tells what a method has to do with operations; `None` for nothing.
    pub fn of(method: &Method) -> Option<Self> {
        if let Some(name) = method.full_name.strip_prefix(OPERATIONS) {
            return match name {
                "GetOperation" | "WaitOperation" => Some(Self::GetsLro),
                "ListOperations" => Some(Self::ListsLros),
                "CancelOperation" => Some(Self::CancelsLro),
                "DeleteOperation" => Some(Self::DeletesLro),
                _ => None,
            };
        }
        if method.starts.as_deref() == Some(Kind::DatastreamBackfill.name()) {
            return Some(Self::StartsBackfill);
        }
        match method.full_name.strip_prefix(DATASTREAM) {
            Some("StopBackfillJob") => return Some(Self::StopsBackfill),
            Some("GetStreamObject") => return Some(Self::GetsObject),
            Some("ListStreamObjects") => return Some(Self::ListsObjects),
            _ => {}
        }
        method.long_running.is_some().then_some(Self::StartsLro)
    }
}
