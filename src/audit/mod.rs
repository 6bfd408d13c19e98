//! Who did what: what is kept of every request, and how it is made hard to deny.
//!
//! - [`Recorder`]: chains requests that changed nothing, in batches, and refusals, without letting whoever is refused fill
//!   the disk. What changes something goes through the journal instead.
//! - [`Sealer`]: moves what has ended in the journal into the signed chain.
//! - [`Keeper`]: says that this process lives, closes what dead ones left, and forgets what is old.
//! - [`verify()`]: names the first entry that is not as it was sealed.
//! - [`filter`]: which entries somebody wants to see.
//!
//! What holds: a request waits for its entry only where it changed something; at most [`recorder::ROWS_MAX`] reads or
//! [`recorder::FLUSH_EVERY`] of them are lost when the process dies, and what is lost otherwise is counted.
//!
//! It deliberately does not decide what may be kept of a request: whoever makes the entry has left out what is secret.

pub mod filter;
mod keeper;
pub mod recorder;
mod sealer;
mod verify;

pub use self::{
    keeper::Keeper,
    recorder::Recorder,
    sealer::Sealer,
    verify::{Altered, Verified, verify},
};
