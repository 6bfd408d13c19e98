//! A job of BigQuery, as a function of time.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    exception::repr,
    setup::{Ending, JobError},
};
use crate::emulator::hash;

/// A job. Nothing moves it: what it is at an instant follows from what is here.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) project: String,
    pub(super) location: String,
    pub(super) created: Timestamp,
    /// When it begins to run.
    pub(super) runs: Timestamp,
    /// When it ends unless it is stopped.
    pub(super) ends: Timestamp,
    /// When a wish to stop it takes effect.
    pub(super) stops: Option<Timestamp>,
    pub(super) ending: Ending,
    /// Where its rows go, `{project}:{dataset}.{table}`; a statement that does not read has none.
    pub(super) destination: Option<String>,
}

/// The states of a job, as BigQuery calls them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Pending,
    Running,
    Done,
}

impl Job {
    /// Begins a job.
    pub(super) fn begin(
        project: &str,
        location: &str,
        statement: &str,
        ending: Ending,
        (created, pending, running): (Timestamp, Duration, Duration),
    ) -> Self {
        let runs = after(created, pending);
        let destination = match &ending {
            Ending::Into(table) => Some(table.clone()),
            _ if reads(statement) => Some(anonymous(project, statement, created)),
            _ => None,
        };
        Self {
            project: project.to_owned(),
            location: location.to_owned(),
            created,
            runs,
            ends: after(runs, running),
            stops: None,
            ending,
            destination,
        }
    }

    /// Stops it once `takes` has passed; the first wish counts.
    pub(super) fn stop(&mut self, now: Timestamp, takes: Duration) {
        self.stops.get_or_insert(after(now, takes));
    }

    /// Whether it was stopped before it had ended, as far as `now` can tell.
    pub(super) fn stopped(&self, now: Timestamp) -> bool {
        self.stops.is_some_and(|at| at < self.ends && at <= now)
    }

    pub(super) fn state(&self, now: Timestamp) -> State {
        match now {
            now if self.stopped(now) || now >= self.ends => State::Done,
            now if now >= self.runs => State::Running,
            _ => State::Pending,
        }
    }

    /// Returns what it has to say against itself.
    pub(super) fn errors(&self, now: Timestamp) -> Vec<JobError> {
        if self.stopped(now) {
            let message = "Job execution was cancelled: User requested cancellation";
            return vec![JobError { location: String::new(), ..JobError::new("stopped", message) }];
        }
        match (&self.ending, self.state(now)) {
            (Ending::Failure(error), State::Done)
            | (Ending::Warning(error), State::Running | State::Done) => {
                vec![error.clone()]
            }
            _ => Vec::new(),
        }
    }
}

/// Returns the instant `by` after `at`, at most the last representable one.
fn after(at: Timestamp, by: Duration) -> Timestamp {
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}

/// Shows errors as Python shows a list of dicts.
pub(super) fn shown(errors: &[JobError]) -> String {
    let entry = |error: &JobError| {
        let location = match error.location.as_str() {
            "" => String::new(),
            location => format!("'location': {}, ", repr(location)),
        };
        format!("{{'reason': {}, {location}'message': {}}}", repr(&error.reason), repr(&error.message))
    };
    format!("[{}]", errors.iter().map(entry).collect::<Vec<_>>().join(", "))
}

fn reads(statement: &str) -> bool {
    let first = statement.trim_start_matches(|c: char| c.is_whitespace() || c == '(');
    let first = first.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    ["select", "with", "from"].iter().any(|word| first.eq_ignore_ascii_case(word))
}

/// Names the table that BigQuery keeps rows in for a day when it is not told where.
fn anonymous(project: &str, statement: &str, created: Timestamp) -> String {
    let dataset = hash::of(&[project]);
    let table = hash::of(&[project, statement, &created.to_string()]);
    format!("{project}:_{dataset:016x}.anon{table:016x}")
}
