//! One run of the backfill of a stream object.
//!
//! A run has no id, and an object shows the latest run only. What was seen when it was started, the *baseline*, tells it
//! from the one before: an end counts only for a run that began later than that, or that was seen at work.

use std::ops::RangeInclusive;

use prost::Message as _;
use serde::{Deserialize, Serialize};

use super::{Ask, Listed, Source, decode, micros, pack, path};
use crate::{
    error::Result,
    model::Operation,
    operations::{Observation, Sighting},
    pb::google::{
        cloud::datastream::v1::{
            BackfillJob, GetStreamObjectRequest, ListStreamObjectsRequest, ListStreamObjectsResponse,
            StopBackfillJobRequest, StreamObject, backfill_job::State as Job,
        },
        rpc::Status,
    },
};

/// Objects on one page of a list.
const PAGE_SIZE: i32 = 1000;
/// `google.rpc.Code` for a run that ended with an error: the service gives none.
const FAILED: i32 = 2;

/// Runs of backfills.
#[derive(Clone, Copy, Debug)]
pub struct Backfill;

/// What is remembered of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Run {
    /// When the run before this one began, in microseconds since 1970.
    baseline: Option<i64>,
    /// When this one began, once that is known.
    began: Option<i64>,
    /// Whether it was seen waiting or at work.
    seen: bool,
}

impl Run {
    /// Returns what is to be remembered when an object looks like this at the start of a run.
    pub fn start(object: &StreamObject) -> Self {
        let mut run = Self::default();
        let job = object.backfill_job.clone().unwrap_or_default();
        match Job::try_from(job.state) {
            // What waits or works right behind our call is what we called for.
            Ok(Job::Pending | Job::Active) => {
                run.meet(&job);
            }
            _ => run.baseline = micros(job.last_start_time.as_ref()),
        }
        run
    }

    /// Returns what is to be remembered of the run that an object shows now, whoever started it.
    pub fn adopt(object: &StreamObject) -> Self {
        let mut run = Self::start(object);
        if !run.seen {
            (run.began, run.seen) = (run.baseline, true);
        }
        run
    }

    /// Whether it began in this time, in microseconds since 1970, or waits now and `may_wait`.
    pub fn began_in(&self, time: &RangeInclusive<i64>, may_wait: bool) -> bool {
        match self.began {
            Some(began) => time.contains(&began),
            // It waits: nobody waits behind a run that waits.
            None => self.seen && may_wait,
        }
    }

    /// Prints it for the record.
    pub fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("plain data prints as JSON")
    }

    fn of(operation: &Operation) -> Self {
        serde_json::from_slice(&operation.source).unwrap_or_default()
    }

    /// Takes in what an object shows, and says what that means for this run.
    fn meet(&mut self, job: &BackfillJob) -> Observation {
        let shown = micros(job.last_start_time.as_ref());
        let state = Job::try_from(job.state);
        if shown < self.began {
            // A replica that is behind.
            return Observation::Pending;
        }
        if state == Ok(Job::Pending) {
            // While a run waits, the time is still that of the one before.
            if self.began.is_some() {
                return Observation::Superseded;
            }
            (self.baseline, self.seen) = (shown, true);
            return Observation::Pending;
        }
        if self.began.is_some() && shown > self.began {
            return Observation::Superseded;
        }
        if self.began.is_none() && (shown > self.baseline || state == Ok(Job::Active)) {
            (self.began, self.seen) = (shown, true);
        }
        match state {
            Ok(Job::Active) => Observation::Running,
            Ok(_) if !self.seen => Observation::Pending,
            Ok(Job::Completed) => Observation::Succeeded,
            Ok(Job::Failed) => Observation::Failed,
            Ok(Job::Stopped) => Observation::Cancelled,
            Ok(Job::Unsupported) => Observation::Unsupported,
            Ok(Job::Pending | Job::NotStarted | Job::Unspecified) | Err(_) => Observation::Pending,
        }
    }
}

impl Source for Backfill {
    fn look(&self, operation: &Operation) -> Result<Ask> {
        let name = operation.upstream_name.clone();
        Ok(Ask {
            path: path("/google.cloud.datastream.v1.Datastream/GetStreamObject"),
            message: GetStreamObjectRequest { name: name.clone() }.encode_to_vec().into(),
            routing: Some(("name", name)),
        })
    }

    fn read(&self, before: &Operation, message: &[u8]) -> Result<Sighting> {
        let object: StreamObject = decode(message)?;
        let job = object.backfill_job.clone().unwrap_or_default();
        let mut run = Run::of(before);
        let mut sighting = Sighting::of(run.meet(&job));
        if sighting.observation == Observation::Superseded {
            // What the object shows is another run's.
            return Ok(sighting.with_error(10, "A newer run of this backfill took its place."));
        }
        if run.seen {
            sighting.started_at = run.began;
            sighting.metadata = Some(pack("google.cloud.datastream.v1.BackfillJob", &job));
        }
        sighting.source = Some(run.bytes());
        match sighting.observation {
            Observation::Succeeded => {
                sighting.response = pack("google.cloud.datastream.v1.StreamObject", &object);
            }
            Observation::Failed | Observation::Unsupported | Observation::Cancelled => {
                let told = job.errors.first().map(|error| error.message.clone());
                let message = told.filter(|text| !text.is_empty()).unwrap_or_else(|| {
                    match sighting.observation {
                        Observation::Cancelled => "The backfill was stopped.",
                        Observation::Unsupported => "The structure of this object cannot be backfilled.",
                        _ => "The backfill failed.",
                    }
                    .to_owned()
                });
                sighting.error = Some(Status { code: FAILED, message, details: Vec::new() });
            }
            _ => {}
        }
        Ok(sighting)
    }

    fn list(&self, parent: &str, token: &str) -> Option<Ask> {
        let request = ListStreamObjectsRequest {
            parent: parent.to_owned(),
            page_size: PAGE_SIZE,
            page_token: token.to_owned(),
        };
        Some(Ask {
            path: path("/google.cloud.datastream.v1.Datastream/ListStreamObjects"),
            message: request.encode_to_vec().into(),
            routing: Some(("parent", parent.to_owned())),
        })
    }

    fn read_page(&self, message: &[u8]) -> Result<Listed> {
        let page: ListStreamObjectsResponse = decode(message)?;
        let items = page.stream_objects.into_iter().map(|it| (it.name.clone(), it.encode_to_vec())).collect();
        Ok(Listed { items, next: page.next_page_token })
    }

    fn cancel(&self, operation: &Operation) -> Result<Ask> {
        let object = operation.upstream_name.clone();
        Ok(Ask {
            path: path("/google.cloud.datastream.v1.Datastream/StopBackfillJob"),
            message: StopBackfillJobRequest { object: object.clone() }.encode_to_vec().into(),
            routing: Some(("object", object)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(state: Job, began: i64) -> StreamObject {
        let last_start_time = (began > 0).then_some(prost_types::Timestamp { seconds: began, nanos: 0 });
        let job = BackfillJob { state: state.into(), last_start_time, ..BackfillJob::default() };
        StreamObject { backfill_job: Some(job), ..StreamObject::default() }
    }

    fn job(state: Job, began: i64) -> BackfillJob {
        object(state, began).backfill_job.unwrap_or_default()
    }

    #[test]
    fn the_end_of_the_run_before_is_not_the_end_of_this_one() {
        let mut run = Run::start(&object(Job::Completed, 10));
        assert_eq!(run.meet(&job(Job::Completed, 10)), Observation::Pending);
        assert_eq!(run.meet(&job(Job::Pending, 10)), Observation::Pending);
        assert_eq!(run.meet(&job(Job::Active, 20)), Observation::Running);
        assert_eq!(run.meet(&job(Job::Completed, 20)), Observation::Succeeded);
        let mut run = Run::start(&object(Job::Failed, 10));
        assert_eq!(run.meet(&job(Job::Completed, 20)), Observation::Succeeded, "it was quick");
        let mut run = Run::start(&object(Job::NotStarted, 0));
        assert_eq!(run.meet(&job(Job::NotStarted, 0)), Observation::Pending);
        assert_eq!(run.meet(&job(Job::Unsupported, 5)), Observation::Unsupported);
        let mut run = Run::start(&object(Job::Pending, 10));
        assert_eq!(run.meet(&job(Job::Stopped, 10)), Observation::Cancelled, "stopped before its turn");
    }

    #[test]
    fn a_newer_run_takes_the_place() {
        let mut run = Run::start(&object(Job::Active, 10));
        assert_eq!(run.meet(&job(Job::Completed, 9)), Observation::Pending, "a replica that is behind");
        assert_eq!(run.clone().meet(&job(Job::Stopped, 10)), Observation::Cancelled);
        assert_eq!(run.clone().meet(&job(Job::Pending, 10)), Observation::Superseded, "the next one waits");
        assert_eq!(run.meet(&job(Job::Active, 30)), Observation::Superseded);
    }

    #[test]
    fn states_that_are_not_listed_go_on() {
        let mut run = Run::start(&object(Job::Active, 10));
        let unlisted = BackfillJob { state: 99, ..job(Job::Active, 10) };
        assert_eq!(run.meet(&unlisted), Observation::Pending);
    }

    /// A run that somebody started hours after a call that never left was taken for what came of it.
    #[test]
    fn a_run_of_later_is_not_that_of_a_call() {
        let time = 8_000_000..=30_000_000;
        let of = |state, began, may_wait| Run::adopt(&object(state, began)).began_in(&time, may_wait);
        assert_eq!([7, 8, 30, 31].map(|began| of(Job::Active, began, true)), [false, true, true, false]);
        assert_eq!([true, false].map(|may_wait| of(Job::Pending, 5, may_wait)), [true, false]);
    }

    #[test]
    fn what_is_tracked_is_the_run_that_is_shown() {
        let mut run = Run::adopt(&object(Job::Completed, 10));
        assert_eq!(run.meet(&job(Job::Completed, 10)), Observation::Succeeded);
        let mut run = Run::adopt(&object(Job::Pending, 10));
        assert_eq!(run.meet(&job(Job::Active, 20)), Observation::Running);
    }
}
