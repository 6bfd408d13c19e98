//! One run of a backfill, as a function of time.
//!
//! A run is what was asked for and when; how far it is follows from the clock alone, so nothing ticks in the background.
//! While a run waits for its turn it still shows the times of the run before it, as the real service does: a client
//! that takes those for its own run is wrong there too.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;

use super::pace::{Pace, after, wire};
use crate::pb::google::cloud::datastream::v1::{
    BackfillJob, Error, EventFilter,
    backfill_job::{State, Trigger},
};

/// A backfill that was asked for.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) trigger: Trigger,
    pub(super) asked: Timestamp,
    pub(super) pending: Duration,
    pub(super) active: Duration,
    /// Whether it ends in an error, half-way.
    pub(super) fails: bool,
    /// When a request to stop takes effect, unless the run has ended by then.
    pub(super) stops: Option<Timestamp>,
    pub(super) event_filter: Option<EventFilter>,
    /// Begin and end of the run before.
    pub(super) previous: Times,
    /// Table, for the error of a run that fails.
    pub(super) table: String,
}

/// Begin and end of a run, as far as it has come.
pub(super) type Times = (Option<Timestamp>, Option<Timestamp>);

impl Run {
    /// Starts a run now. Tables with `fail` in their name fail.
    pub(super) fn start(trigger: Trigger, table: &str, pace: &Pace, now: Timestamp) -> Self {
        Self {
            trigger,
            asked: now,
            pending: pace.backfill_pending,
            active: pace.backfill_active,
            fails: table.contains("fail"),
            stops: None,
            event_filter: None,
            previous: (None, None),
            table: table.to_owned(),
        }
    }

    /// Tells how far the run is.
    pub(super) fn state(&self, now: Timestamp) -> State {
        if self.stopped_at().is_some_and(|at| at <= now) {
            State::Stopped
        } else if now < self.begins() {
            State::Pending
        } else if now < self.ends() {
            State::Active
        } else if self.fails {
            State::Failed
        } else {
            State::Completed
        }
    }

    /// Whether the run still waits or copies.
    pub(super) fn is_in_progress(&self, now: Timestamp) -> bool {
        matches!(self.state(now), State::Pending | State::Active)
    }

    /// Returns begin and end as a caller sees them now.
    pub(super) fn times(&self, now: Timestamp) -> Times {
        let stopped = self.stopped_at();
        let begun =
            if stopped.is_some_and(|at| at < self.begins()) { self.previous.0 } else { Some(self.begins()) };
        match self.state(now) {
            State::Pending => self.previous,
            State::Active => (begun, None),
            State::Stopped => (begun, stopped),
            _ => (begun, Some(self.ends())),
        }
    }

    /// Renders the job as the service shows it now.
    pub(super) fn job(&self, now: Timestamp) -> BackfillJob {
        let state = self.state(now);
        let (begin, end) = self.times(now);
        BackfillJob {
            state: state.into(),
            trigger: self.trigger.into(),
            last_start_time: begin.map(wire),
            last_end_time: end.map(wire),
            errors: if state == State::Failed { vec![self.failure()] } else { Vec::new() },
            event_filter: self.event_filter.clone(),
        }
    }

    fn begins(&self) -> Timestamp {
        after(self.asked, self.pending)
    }

    fn ends(&self) -> Timestamp {
        after(self.begins(), if self.fails { self.active / 2 } else { self.active })
    }

    fn stopped_at(&self) -> Option<Timestamp> {
        self.stops.filter(|at| *at < self.ends())
    }

    fn failure(&self) -> Error {
        let at = self.ends();
        Error {
            reason: "BACKFILL_FAILED".to_owned(),
            error_uuid: occurrence(&self.table, at),
            message: format!(
                "The rows of {} could not be read: permission denied for the replication user.",
                self.table
            ),
            error_time: Some(wire(at)),
            details: HashMap::from([("table".to_owned(), self.table.clone())]),
        }
    }
}

/// Derives the id of an error from what happened and when, so that reading twice shows the same id.
pub(super) fn occurrence(what: &str, at: Timestamp) -> String {
    let seed = what.bytes().fold(at.as_microsecond().cast_unsigned(), |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let bits =
        fastrand::Rng::with_seed(seed).u128(..) & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).expect("a plain second")
    }

    fn run(table: &str) -> Run {
        let pace = Pace {
            backfill_pending: Duration::from_secs(10),
            backfill_active: Duration::from_secs(60),
            ..Pace::default()
        };
        Run::start(Trigger::Manual, table, &pace, at(0))
    }

    #[test]
    fn a_run_waits_copies_and_completes() {
        let run = run("public.orders");
        assert_eq!(run.state(at(9)), State::Pending);
        assert_eq!(run.times(at(9)), (None, None));
        assert_eq!(run.state(at(10)), State::Active);
        assert_eq!(run.times(at(69)), (Some(at(10)), None));
        assert_eq!(run.state(at(70)), State::Completed);
        assert_eq!(run.times(at(500)), (Some(at(10)), Some(at(70))));
        assert!(run.job(at(500)).errors.is_empty());
    }

    #[test]
    fn a_failing_table_fails_half_way_and_says_why_the_same_way_each_time() {
        let run = run("public.failed_charges");
        assert_eq!(run.state(at(39)), State::Active);
        let job = run.job(at(40));
        assert_eq!(job.state(), State::Failed);
        assert_eq!(job.errors, run.job(at(4000)).errors);
        assert_eq!(job.errors[0].details["table"], "public.failed_charges");
        assert_eq!(job.errors[0].error_uuid.len(), 36);
    }

    #[test]
    fn a_stop_ends_a_run_and_one_that_comes_too_late_changes_nothing() {
        let mut early = run("public.orders");
        early.stops = Some(at(5));
        assert_eq!(early.state(at(4)), State::Pending);
        assert_eq!((early.state(at(5)), early.times(at(5))), (State::Stopped, (None, Some(at(5)))));

        let mut midway = run("public.orders");
        midway.stops = Some(at(30));
        assert_eq!(midway.state(at(29)), State::Active);
        assert_eq!(
            (midway.state(at(90)), midway.times(at(90))),
            (State::Stopped, (Some(at(10)), Some(at(30))))
        );

        let mut late = run("public.orders");
        late.stops = Some(at(70));
        assert_eq!(late.state(at(70)), State::Completed);
    }

    #[test]
    fn a_waiting_run_shows_the_times_of_the_run_before() {
        let mut second = run("public.orders");
        second.previous = (Some(at(-90)), Some(at(-30)));
        assert_eq!(second.times(at(1)), (Some(at(-90)), Some(at(-30))));
        assert_eq!(second.times(at(11)), (Some(at(10)), None));
    }
}
