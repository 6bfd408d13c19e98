//! The time that all replicas of one database agree on: the local clock plus a measured offset.
//!
//! A constant offset is harmless. One that jumps means that somebody's clock is wrong right now; until two measurements
//! in a row agree, the store is not healthy and the old offset stays.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{Backend, Store, instance::LEASE, postgres, sqlite};

/// Two measurements that differ by more than this do not agree.
const JUMP_MAX: SignedDuration = SignedDuration::from_secs(2);
/// An answer that took longer says too little about the time.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(1);
/// How often the database is asked, when all is well and when not.
const MEASURE_EVERY: [Duration; 2] = [Duration::from_secs(2), Duration::from_millis(500)];

/// Whether the store can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It can.
    Ready,
    /// The database does not answer.
    Away,
    /// Its clock jumped against ours.
    ClockJumped,
}

impl Health {
    /// Returns the name that operators read.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ready => "READY",
            Self::Away => "AWAY",
            Self::ClockJumped => "CLOCK_JUMPED",
        }
    }
}

/// What is known of the database's clock.
#[derive(Default)]
pub(super) struct Offset(Mutex<State>);

#[derive(Clone, Copy, Debug, Default)]
struct State {
    offset: SignedDuration,
    measured: bool,
    /// A measurement that does not agree with `offset`.
    doubt: Option<SignedDuration>,
    away: bool,
    /// When it was heard of again after it had been away.
    back_since: Option<Instant>,
}

impl State {
    fn take(&mut self, offset: SignedDuration) {
        let agree = |other: SignedDuration| (offset - other).abs() <= JUMP_MAX;
        let settled = !self.measured || agree(self.offset) || self.doubt.is_some_and(agree);
        self.answered();
        if settled {
            *self = Self { offset, measured: true, doubt: None, ..*self };
        } else {
            self.doubt = Some(offset);
        }
    }

    fn answered(&mut self) {
        if self.away {
            self.back_since = Some(Instant::now());
        }
        self.away = false;
    }

    fn health(&self) -> Health {
        match self {
            Self { away: true, .. } => Health::Away,
            Self { doubt: Some(_), .. } => Health::ClockJumped,
            _ => Health::Ready,
        }
    }
}

impl Offset {
    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Store {
    /// Returns the time: of this machine, corrected to that of the database.
    pub fn now(&self) -> Timestamp {
        let offset = self.0.offset.with(|state| state.offset);
        let local = self.0.clock.now();
        // Whole microseconds, as they are kept.
        let micros = local.saturating_add(offset).unwrap_or(local).as_microsecond();
        Timestamp::from_microsecond(micros).unwrap_or(local)
    }

    /// Tells whether the database answered when it was last asked, and whether its clock can be trusted.
    pub fn health(&self) -> Health {
        self.0.offset.with(|state| state.health())
    }

    /// Notes that the database did not do what it was asked, until it is heard of again.
    pub(super) fn note_away(&self) {
        self.0.offset.with(|state| state.away = true);
    }

    /// Notes that the database did what it was asked.
    pub(super) fn note_answered(&self) {
        self.0.offset.with(State::answered);
    }

    /// Whether gateways that live may not have been able to say so: the database was away until a moment ago.
    pub(super) fn is_just_back(&self) -> bool {
        self.0.offset.with(|state| state.back_since.is_some_and(|since| since.elapsed() < LEASE))
    }

    /// Moves the time, as if the database's clock were another.
    #[cfg(test)]
    pub(super) fn shift_clock(&self, by: SignedDuration) {
        self.0.offset.with(|state| state.offset += by);
    }

    /// Asks the database for the time, now and then, until `stop` is cancelled.
    pub async fn watch_clock(self, stop: CancellationToken) {
        let mut before = self.health();
        loop {
            let wait = MEASURE_EVERY[usize::from(before != Health::Ready)];
            if stop.run_until_cancelled(sleep(wait)).await.is_none() {
                return;
            }
            self.measure_clock().await;
            let health = self.health();
            if health != before {
                tracing::warn!(from = before.name(), to = health.name(), "the database's health changed");
                before = health;
            }
        }
    }

    pub(super) async fn measure_clock(&self) {
        let (sent, local) = (Instant::now(), self.0.clock.now());
        let answer = match &self.0.backend {
            Backend::Postgres(pool) => postgres::time(pool).await,
            // The file has no clock but ours; what is measured is that it can be read.
            Backend::Sqlite(files) => sqlite::probe(files).await.map(|()| local.as_microsecond()),
        };
        let took = sent.elapsed();
        let there = answer.ok().and_then(|micros| Timestamp::from_microsecond(micros).ok());
        self.0.offset.with(|state| match there {
            None => state.away = true,
            Some(_) if took > ROUND_TRIP_MAX => state.answered(),
            Some(there) => {
                let halfway = SignedDuration::try_from(took / 2).unwrap_or_default();
                state.take(there.duration_since(local) - halfway);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_offset_is_harmless_and_a_jump_needs_a_second_opinion() {
        let seconds = SignedDuration::from_secs;
        let mut state = State::default();
        state.take(seconds(90));
        assert_eq!((state.offset, state.health()), (seconds(90), Health::Ready));
        state.take(seconds(91));
        assert_eq!((state.offset, state.health()), (seconds(91), Health::Ready));
        state.take(seconds(10));
        assert_eq!((state.offset, state.health()), (seconds(91), Health::ClockJumped));
        state.take(seconds(50));
        assert_eq!(state.health(), Health::ClockJumped);
        state.take(seconds(51));
        assert_eq!((state.offset, state.health()), (seconds(51), Health::Ready));
        state.take(seconds(10));
        state.take(seconds(51));
        assert_eq!(state.health(), Health::Ready, "the jump was a slip");
    }
}
