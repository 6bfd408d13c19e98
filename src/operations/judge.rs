//! What a look means for an operation, and when to look again.

use std::time::Duration;

use metrics::counter;

use super::{
    Sighting, Tracker, pace,
    sources::Meaning,
    transition::{Observation, transition},
};
use crate::{
    error::{Code, Error},
    model::Operation,
    store::operations::Change,
};

/// How long an operation that its upstream does not know may be so young that it is only not there yet.
const GRACE: Duration = Duration::from_secs(60);
/// Answers in a row that cannot be decoded, before an operation is left alone.
const UNDECODABLE_MAX: i32 = 5;
/// Failures in a row that say nothing, before it is told that nothing is known.
const SILENT_MAX: i32 = 5;
/// What became of asking about one operation.
pub(super) enum Looked {
    Saw(Sighting),
    Refused(Error),
    Undecodable(Error),
    /// There was no leave to ask; when there may be.
    Later(Duration),
}

/// Says what becomes of an operation after a look. `random` in 0..1 spreads the next ones.
pub(super) fn judge(
    tracker: &Tracker,
    max_age: Duration,
    operation: &Operation,
    looked: &Looked,
    random: f64,
) -> Change {
    let now = tracker.store().now().as_microsecond();
    let hints = tracker.known().hints(&operation.upstream, &operation.method);
    let age = Duration::from_micros(now.saturating_sub(operation.created_at).max(0).unsigned_abs());
    let spacing = Duration::from_micros(operation.spacing.max(0).unsigned_abs());
    let mut wait = pace::next(&hints, spacing);
    let mut problem = None;
    let mut failures = 0;
    let mut kept_spacing = None;
    let mut least = Duration::ZERO;
    let mut seen = match looked {
        Looked::Saw(sighting) => Some(sighting.clone()),
        Looked::Later(later) => {
            kept_spacing = Some(spacing);
            failures = operation.failures;
            wait = (*later).max(Duration::from_millis(200));
            None
        }
        Looked::Undecodable(error) => {
            failures = operation.failures.saturating_add(1);
            wait = pace::after_failures(failures);
            tracing::warn!(
                operation = operation.name(),
                error = error.told(),
                "an operation cannot be decoded"
            );
            if failures >= UNDECODABLE_MAX {
                counter!("causeway_operations_quarantined_total").increment(1);
                wait = pace::QUARANTINED;
                problem = Some("The upstream's answer about it cannot be decoded.".to_owned());
            }
            None
        }
        Looked::Refused(error) => {
            let meaning = tracker.sources().of(operation.kind).meaning(error);
            failures = operation.failures.saturating_add(1);
            match meaning {
                Meaning::Gone if age < GRACE => {
                    kept_spacing = Some(spacing);
                    Some(Sighting::of(Observation::NotYetThere))
                }
                Meaning::Gone => Some(Sighting::of(Observation::Gone)),
                Meaning::Unsupported => Some(Sighting::of(Observation::Unsupported)),
                Meaning::Denied => {
                    wait = pace::DENIED;
                    problem = Some("The gateway may not look at it.".to_owned());
                    None
                }
                Meaning::TooMuch => {
                    least = retry_info(error).unwrap_or_default();
                    wait = wait.max(least);
                    None
                }
                Meaning::Nothing => {
                    wait = pace::after_failures(failures);
                    problem = (failures >= SILENT_MAX).then(|| nothing_known(error));
                    None
                }
            }
        }
    };
    let ended = seen.as_ref().is_some_and(|seen| transition(operation.state, seen.observation).0.is_final());
    // Whoever was not asked about it may say that it ended.
    let was_asked = !matches!(looked, Looked::Later(wait) if !wait.is_zero());
    if age >= max_age && was_asked && !ended {
        let text = "It is older than operations.max_age, and nobody saw it end.";
        seen = Some(Sighting::of(Observation::TooOld).with_error(2, text));
    }
    let mut change = match seen {
        Some(seen) => tracker.applied(&seen, operation, now),
        None => Change { operation: operation.clone(), visible: false, events: Vec::new() },
    };
    if let Some(problem) = problem
        && change.operation.problem != problem
    {
        change.operation.problem = problem;
        change.operation.updated_at = now;
        change.operation.version = operation.version + 1;
        change.visible = true;
    }
    let jittered = pace::micros(pace::jittered(wait, random).max(least));
    change.operation.poll_at = now.saturating_add(jittered);
    change.operation.spacing = pace::micros(kept_spacing.unwrap_or(wait));
    change.operation.failures = failures;
    if change.operation.state.is_final() && !operation.state.is_final() {
        let (upstream, state) = (operation.upstream.clone(), change.operation.state.name());
        counter!("causeway_operations_ended_total", "upstream" => upstream, "state" => state).increment(1);
    }
    change
}

/// Says why nothing is known. What the upstream says in words may be about the gateway's own account.
fn nothing_known(error: &Error) -> String {
    if error.nothing_sent() || error.reason().is_some() {
        return "The upstream cannot be asked about it now.".to_owned();
    }
    format!("The upstream answers {} when it is asked about it.", error.code().name())
}

/// Whether a refusal says that listing is of no use, rather than that the upstream is in trouble.
pub(super) fn is_about_the_list(error: &Error) -> bool {
    error.reason().is_none()
        && matches!(
            error.code(),
            Code::Unimplemented | Code::InvalidArgument | Code::NotFound | Code::PermissionDenied
        )
}

/// Returns how long the upstream asks us to wait.
pub(super) fn retry_info(error: &Error) -> Option<Duration> {
    use prost::Message as _;
    let detail = error.details().iter().find(|detail| detail.type_url.ends_with("/google.rpc.RetryInfo"))?;
    let info = crate::pb::google::rpc::RetryInfo::decode(&detail.value[..]).ok()?;
    let delay = info.retry_delay?;
    let seconds = u64::try_from(delay.seconds).ok()?;
    Some(Duration::new(seconds.min(3600), u32::try_from(delay.nanos).unwrap_or_default().min(999_999_999)))
}
