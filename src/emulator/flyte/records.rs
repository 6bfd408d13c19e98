//! Logs and metrics of a job, for the connectors that have them.

use std::time::Duration;

use jiff::Timestamp;
use prost_types::{ListValue, Struct, Value, value::Kind};

use super::job::{Job, State};
use crate::pb::flyteidl::{
    admin::{
        GetTaskLogsRequest, GetTaskLogsResponse, GetTaskLogsResponseBody, GetTaskLogsResponseHeader,
        GetTaskMetricsRequest, LogLine, LogLineOriginator, get_task_logs_response::Part,
    },
    core::ExecutionMetricResult,
};

/// A job that runs says something this often.
const STEP: Duration = Duration::from_secs(1);
/// Lines of one log.
const LINES_MAX: usize = 1000;
/// Lines of one message.
const LINES_PER_MESSAGE: usize = 10;
/// Metrics answered at once.
const METRICS_MAX: usize = 100;

/// Returns the messages of a log: a header that says where to go on, then lines.
pub(super) fn logs(job: &Job, request: &GetTaskLogsRequest, now: Timestamp) -> Vec<GetTaskLogsResponse> {
    let lines = lines(job, now);
    let from = request.token.parse::<usize>().unwrap_or_default().min(lines.len());
    let asked = usize::try_from(request.lines).unwrap_or(LINES_MAX);
    let to = if asked == 0 { lines.len() } else { lines.len().min(from.saturating_add(asked)) };
    let done = to == lines.len() && job.state(now) == State::Done;
    let token = if done { String::new() } else { to.to_string() };
    let header = Part::Header(GetTaskLogsResponseHeader { token });
    let bodies = lines[from..to].chunks(LINES_PER_MESSAGE).map(body);
    std::iter::once(header).chain(bodies).map(|part| GetTaskLogsResponse { part: Some(part) }).collect()
}

#[expect(deprecated, reason = "the old field is left empty")]
fn body(lines: &[LogLine]) -> Part {
    Part::Body(GetTaskLogsResponseBody { results: Vec::new(), structured_lines: lines.to_vec() })
}

/// Everything the log has at an instant.
fn lines(job: &Job, now: Timestamp) -> Vec<LogLine> {
    let line = |at, originator: LogLineOriginator, message: String| LogLine {
        timestamp: Some(wire(at)),
        message,
        originator: originator.into(),
    };
    let mut lines =
        vec![line(job.created, LogLineOriginator::System, format!("created in {}", job.location))];
    let end = job.stops.filter(|_| job.stopped(now)).unwrap_or(job.ends);
    let steps = std::iter::successors(Some(job.runs), |at| at.saturating_add(STEP).ok());
    let steps = steps.take_while(|at| *at <= now && *at < end).take(LINES_MAX);
    lines.extend(
        steps.enumerate().map(|(step, at)| line(at, LogLineOriginator::User, format!("step {step}"))),
    );
    if job.state(now) == State::Done {
        let errors = job.errors(now);
        let how = errors.first().map_or("done".to_owned(), |error| format!("failed: {}", error.message));
        lines.push(line(end, LogLineOriginator::System, how));
    }
    lines
}

/// Answers every metric that is asked for with the time spent so far, as a Prometheus range query would.
pub(super) fn metrics(
    job: &Job,
    request: &GetTaskMetricsRequest,
    now: Timestamp,
) -> Vec<ExecutionMetricResult> {
    let spent = now.min(job.ends).duration_since(job.created.min(now)).as_secs_f64();
    let number = |number| Value { kind: Some(Kind::NumberValue(number)) };
    let text = |text: &str| Value { kind: Some(Kind::StringValue(text.to_owned())) };
    let list = |values| Value { kind: Some(Kind::ListValue(ListValue { values })) };
    let object = |fields: Vec<(&str, Value)>| Struct {
        fields: fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
    };
    let one = |metric: &String| {
        let sample = list(vec![number(now.as_second() as f64), text(&format!("{spent:.3}"))]);
        let series = object(vec![
            ("metric", Value { kind: Some(Kind::StructValue(Struct::default())) }),
            ("values", list(vec![sample])),
        ]);
        let result = list(vec![Value { kind: Some(Kind::StructValue(series)) }]);
        let data = object(vec![("resultType", text("matrix")), ("result", result)]);
        ExecutionMetricResult { metric: metric.clone(), data: Some(data) }
    };
    request.queries.iter().take(METRICS_MAX).map(one).collect()
}

fn wire(at: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: at.as_second(), nanos: at.subsec_nanosecond() }
}
