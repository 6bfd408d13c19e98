//! The words of the domain as plain data: no input or output, no SQL, no HTTP.
//!
//! - [`Entry`] and [`Outcome`]: what the audit log keeps of a request, when it begins and when it has ended.
//! - [`Operation`]: what takes long, its [`State`], and what happened to it: [`Event`].
//!
//! Whoever needs behaviour has it elsewhere: what is kept and how is in `store`.

mod audit;
mod operation;

pub use audit::{Ending, Entry, Outcome};
pub use operation::{Event, EventKind, Kind, Operation, OperationId, State};
