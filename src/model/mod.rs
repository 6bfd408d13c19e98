//! The words of the domain as plain data: no input or output, no SQL, no HTTP.
//!
//! - [`Entry`] and [`Outcome`]: what the audit log keeps of a request, when it begins and when it has ended.
//!
//! Whoever needs behaviour has it elsewhere: what is kept and how is in `store`.

mod audit;

pub use audit::{Ending, Entry, Outcome};
