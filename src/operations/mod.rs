//! Operations: one record for everything that takes long, whichever system it runs in.
//!
//! - [`transition()`]: how an operation moves; pure. [`Sighting`]: what somebody saw, and what it does to a record.
//! - [`sources`]: a Google LRO, the run of a backfill, a task of Flyte: how each is asked about, listed, stopped and read.
//! - [`Tracker`]: takes note of what passes through the gateway: what starts an operation, and what tells about one.
//! - [`Poller`]: looks after what nobody asks about. `judge` says what a look means, `pace` and `quota` how often to look.
//! - [`Tidier`]: forgets what ended long ago.
//! - [`Recovery`]: finds out what became of calls whose gateway died before their end.
//! - [`Desk`]: what callers do with operations: read, stop, delete, wait. `filter` and `view` are how they are asked for
//!   and shown, `waiting` wakes who waits.
//!
//! What holds: a state changes in [`transition()`] only, and together with its event; what has ended stays as it ended;
//! results are kept as bytes and rendered when they are read; every replica looks after everything, by leases with tokens,
//! and none is special; a look costs the upstream a share of its quota and no more.
//!
//! It deliberately never repeats a mutation, and tells nobody by itself: events lie in the database for whoever does.

mod birth;
mod desk;
mod event;
pub mod filter;
mod judge;
mod known;
mod open;
mod pace;
mod poller;
mod quota;
mod recovery;
mod role;
mod sighting;
pub mod sources;
mod task;
mod tidier;
mod tracker;
mod transition;
pub mod view;
mod waiting;

pub use self::{
    desk::{Desk, WAIT_MAX},
    poller::{Poller, Tick},
    recovery::Recovery,
    role::Role,
    sighting::Sighting,
    sources::Sources,
    sources::TASK_TYPE,
    task::{TaskDraft, task_call},
    tidier::Tidier,
    tracker::{Answered, Tracker},
    transition::{Observation, transition},
    view::View,
    waiting::Waiters,
};
