//! Calls that are delayed, refused, or never answered: how an upstream looks on a bad day.
//!
//! Faults are tried in the order they were set. Every delay that matches adds up; the first refusal or silence that
//! matches decides.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{glob, limits::EMULATOR_FAULTS_MAX};
use crate::error::{Code, Detail, Error, Result};

/// What happens to which calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Glob over full rpc names: `*/ListConnections`, `google.cloud.datastream.*`.
    pub rpc: String,
    /// Matching calls that are let through first.
    pub skip: u32,
    /// Calls that are hit after that; `None` is all of them.
    pub times: Option<u32>,
    /// What happens to them.
    pub effect: Effect,
}

/// What happens to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It takes at least this long, plus up to `jitter` more.
    Delay {
        /// The least delay.
        base: Duration,
        /// The most that is added, evenly spread.
        jitter: Duration,
    },
    /// It fails.
    Fail {
        /// The code of the answer.
        code: Code,
        /// The message of the answer.
        message: String,
        /// What goes into `grpc-status-details-bin`; nothing is sent when empty.
        details: Vec<Detail>,
        /// Whether the request took effect all the same.
        moment: Moment,
    },
    /// It is never answered: the caller's deadline has to end it.
    Silence,
}

/// When a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before anything has happened.
    Before,
    /// After the request took effect: the caller cannot know.
    After,
}

impl Fault {
    /// Delays every matching call.
    pub fn delay(rpc: impl Into<String>, base: Duration) -> Self {
        Self { rpc: rpc.into(), skip: 0, times: None, effect: Effect::Delay { base, jitter: Duration::ZERO } }
    }

    /// Refuses every matching call before anything has happened.
    pub fn fail(rpc: impl Into<String>, code: Code, message: impl Into<String>) -> Self {
        let effect =
            Effect::Fail { code, message: message.into(), details: Vec::new(), moment: Moment::Before };
        Self { rpc: rpc.into(), skip: 0, times: None, effect }
    }

    /// Leaves every matching call without an answer.
    pub fn silence(rpc: impl Into<String>) -> Self {
        Self { rpc: rpc.into(), skip: 0, times: None, effect: Effect::Silence }
    }

    /// Hits only so many calls.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Lets so many matching calls through first.
    #[must_use]
    pub fn skip(mut self, skip: u32) -> Self {
        self.skip = skip;
        self
    }

    /// Lets the request take effect before the call fails. Changes nothing for delays and silence.
    #[must_use]
    pub fn after_effect(mut self) -> Self {
        if let Effect::Fail { moment, .. } = &mut self.effect {
            *moment = Moment::After;
        }
        self
    }

    /// Sends details with the failure. Changes nothing for delays and silence.
    #[must_use]
    pub fn with_details(mut self, packed: Vec<Detail>) -> Self {
        if let Effect::Fail { details, .. } = &mut self.effect {
            *details = packed;
        }
        self
    }
}

/// The faults in force.
#[derive(Debug)]
pub struct Faults {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    armed: Vec<Armed>,
    rng: fastrand::Rng,
}

#[derive(Debug)]
struct Armed {
    fault: Fault,
    seen: u32,
    hits: u32,
}

/// What one call has to go through.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) delay: Duration,
    pub(super) end: Option<Effect>,
}

impl Faults {
    pub(super) fn new(seed: u64, faults: Vec<Fault>) -> Result<Self> {
        let state = State { armed: Vec::new(), rng: fastrand::Rng::with_seed(seed) };
        let new = Self { state: Mutex::new(state) };
        new.set(faults)?;
        Ok(new)
    }

    /// Replaces all faults.
    ///
    /// # Errors
    /// When there are more than [`EMULATOR_FAULTS_MAX`]; those in force stay.
    pub fn set(&self, faults: Vec<Fault>) -> Result<()> {
        if faults.len() > EMULATOR_FAULTS_MAX {
            return Err(Error::limit(format!("an emulator takes at most {EMULATOR_FAULTS_MAX} faults")));
        }
        self.lock().armed = faults.into_iter().map(|fault| Armed { fault, seen: 0, hits: 0 }).collect();
        Ok(())
    }

    /// Adds one fault behind the others.
    ///
    /// # Errors
    /// When there are [`EMULATOR_FAULTS_MAX`] already.
    pub fn add(&self, fault: Fault) -> Result<()> {
        let mut state = self.lock();
        if state.armed.len() == EMULATOR_FAULTS_MAX {
            return Err(Error::limit(format!("an emulator takes at most {EMULATOR_FAULTS_MAX} faults")));
        }
        state.armed.push(Armed { fault, seen: 0, hits: 0 });
        Ok(())
    }

    /// Removes all faults.
    pub fn clear(&self) {
        self.lock().armed.clear();
    }

    /// Returns the faults in force and how many calls each has hit.
    pub fn list(&self) -> Vec<(Fault, u32)> {
        self.lock().armed.iter().map(|armed| (armed.fault.clone(), armed.hits)).collect()
    }

    /// Decides what happens to a call, and counts it.
    pub(super) fn decide(&self, rpc: &str) -> Fate {
        let mut state = self.lock();
        let State { armed, rng } = &mut *state;
        let mut fate = Fate::default();
        for armed in armed {
            if fate.end.is_some() || !armed.strikes(rpc) {
                continue;
            }
            match &armed.fault.effect {
                Effect::Delay { base, jitter } => fate.delay += *base + jitter.mul_f64(rng.f64()),
                end => fate.end = Some(end.clone()),
            }
        }
        fate
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Armed {
    fn strikes(&mut self, rpc: &str) -> bool {
        if !glob::matches(&self.fault.rpc, rpc) || self.fault.times.is_some_and(|times| self.hits >= times) {
            return false;
        }
        if self.seen < self.fault.skip {
            self.seen += 1;
            return false;
        }
        self.hits = self.hits.saturating_add(1);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(list: Vec<Fault>) -> Faults {
        Faults::new(1, list).expect("few faults")
    }

    fn code(fate: &Fate) -> Option<Code> {
        match &fate.end {
            Some(Effect::Fail { code, .. }) => Some(*code),
            _ => None,
        }
    }

    #[test]
    fn a_fault_lets_some_through_hits_some_and_is_over() {
        let faults = faults(vec![Fault::fail("*/Get*", Code::Unavailable, "later").skip(1).times(2)]);
        let ends: Vec<_> = (0..5).map(|_| code(&faults.decide("p.S/GetThing"))).collect();
        assert_eq!(ends, [None, Some(Code::Unavailable), Some(Code::Unavailable), None, None]);
        assert_eq!(faults.list()[0].1, 2);
        assert_eq!(faults.decide("p.S/ListThings"), Fate::default());
    }

    #[test]
    fn delays_add_up_and_the_first_refusal_decides() {
        let faults = faults(vec![
            Fault::delay("*", Duration::from_millis(10)),
            Fault::fail("*", Code::Aborted, "first"),
            Fault::fail("*", Code::Internal, "second"),
        ]);
        let fate = faults.decide("p.S/M");
        assert_eq!((fate.delay, code(&fate)), (Duration::from_millis(10), Some(Code::Aborted)));
        assert_eq!(faults.list()[2].1, 0, "the second refusal was not used up");
    }

    #[test]
    fn jitter_comes_from_the_seed() {
        let jittery = || Fault {
            effect: Effect::Delay { base: Duration::from_millis(5), jitter: Duration::from_millis(5) },
            ..Fault::silence("*")
        };
        let delays = || {
            let faults = faults(vec![jittery()]);
            (0..4).map(|_| faults.decide("p.S/M").delay).collect::<Vec<_>>()
        };
        assert_eq!(delays(), delays());
        assert!(delays().iter().all(|delay| (5..=10).contains(&delay.as_millis())));
    }

    #[test]
    fn too_many_faults_are_refused_and_change_nothing() {
        let faults = faults(vec![Fault::silence("*")]);
        assert!(faults.set(vec![Fault::silence("x"); EMULATOR_FAULTS_MAX + 1]).is_err());
        assert_eq!(faults.list().len(), 1);
    }
}
