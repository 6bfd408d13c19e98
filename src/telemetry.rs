//! What the process says about itself: a log on standard error, and metrics in the Prometheus text format.
//!
//! Both are process-wide by the nature of their crates (`tracing`, `metrics`), so each is set up once and a second
//! set-up changes nothing. Logs never carry tokens, bodies or personal data; whoever logs sees to that.
//!
//! It deliberately opens no port: `/metrics` is served by `http` with what [`Metrics::render`] prints.

use std::{
    io::{self, IsTerminal as _},
    sync::OnceLock,
    time::Duration,
};

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::{
    EnvFilter, fmt::time::SystemTime, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::config::{Log, LogFormat};

/// Bounds of every histogram that measures seconds: a call over loopback takes 0.3 ms, a patient one a minute.
const SECONDS: [f64; 16] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// How often samples are moved into their histograms; between two renderings they would pile up.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Starts the log. Later calls in the same process change nothing.
pub fn start_log(log: &Log) {
    let filter = EnvFilter::new(&log.filter);
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_timer(SystemTime);
    let started = match log.format {
        LogFormat::Text => registry.with(lines.with_ansi(io::stderr().is_terminal())).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
    if started.is_err() {
        tracing::debug!("the log was started before");
    }
}

/// The metrics of this process.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

/// Starts recording what the `metrics` macros count, and returns what renders it. Later calls return the same.
#[expect(clippy::disallowed_methods, reason = "this is where metrics are set up")]
pub fn start_metrics() -> Metrics {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    let handle = HANDLE.get_or_init(|| {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
            .expect("the list of bounds is not empty")
            .build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("another recorder of metrics was there first; /metrics stays empty");
        }
        describe();
        handle
    });
    Metrics(handle.clone())
}

/// Says what the numbers mean that are counted in passing: nothing that is made at the start would say it. Counters
/// without labels are there from then on, at 0: a change from nothing to 1 is none to `increase()`.
fn describe() {
    describe_counter!("causeway_upstream_retries_total", "Calls that were tried once more, by upstream.");
    describe_counter!("causeway_audit_lost_total", "Requests that should be in the audit log and are not.");
    describe_counter!("causeway_audit_sealed_total", "Entries that were chained into the audit log.");
    describe_counter!(
        "causeway_audit_seal_failures_total",
        "Times that nothing could be added to the audit log."
    );
    describe_histogram!("causeway_journal_batch_rows", "Rows of the journal that are committed together.");
    describe_histogram!(
        "causeway_journal_commit_seconds",
        Unit::Seconds,
        "Time until such rows are committed, and so what the journal adds to a request."
    );
    describe_counter!(
        "causeway_journal_deferred_total",
        "Outcomes that were answered before they were written, because the database was away."
    );
    describe_gauge!("causeway_journal_backlog_rows", "Rows that wait in memory for the database to be back.");
    describe_counter!("causeway_operations_polls_total", "Calls that ask for one operation, by upstream.");
    describe_counter!("causeway_operations_lists_total", "Calls that list operations, by upstream.");
    describe_histogram!(
        "causeway_operations_claimed",
        "Operations that this process takes at once to look after them."
    );
    describe_counter!(
        "causeway_operations_fenced_writes_total",
        "Sightings of operations that were dropped, because another process looks after them by now."
    );
    describe_gauge!(
        "causeway_operations_oldest_due_seconds",
        "How long the oldest due operation has been waiting to be looked at, by upstream."
    );
    describe_counter!("causeway_operations_events_total", "Events about operations that were recorded.");
    describe_counter!(
        "causeway_operations_quarantined_total",
        "Times that an operation was put off for long, because the answer about it cannot be decoded."
    );
    describe_counter!(
        "causeway_operations_ended_total",
        "Operations that were seen to end, by upstream and final state."
    );
    let without_labels = [
        counter!("causeway_audit_lost_total"),
        counter!("causeway_audit_sealed_total"),
        counter!("causeway_audit_seal_failures_total"),
        counter!("causeway_journal_deferred_total"),
        counter!("causeway_operations_fenced_writes_total"),
        counter!("causeway_operations_events_total"),
        counter!("causeway_operations_quarantined_total"),
    ];
    without_labels.iter().for_each(|counter| counter.increment(0));
}

impl Metrics {
    /// Prints all metrics in the Prometheus text format.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Keeps histograms small until `stop` is cancelled.
    pub async fn upkeep(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(UPKEEP_EVERY);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            self.0.run_upkeep();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_rendered_as_a_histogram_and_starting_twice_is_harmless() {
        let (first, second) = (start_metrics(), start_metrics());
        metrics::counter!("causeway_test_total").increment(3);
        metrics::histogram!("causeway_test_seconds").record(0.004);
        for metrics in [first, second] {
            let text = metrics.render();
            assert!(text.contains("causeway_test_total 3"), "{text}");
            assert!(text.contains(r#"causeway_test_seconds_bucket{le="0.005"} 1"#), "{text}");
        }
    }

    #[test]
    fn counters_without_labels_are_there_before_they_count() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, describe);
        let text = handle.render();
        assert!(text.contains("# HELP causeway_audit_lost_total Requests"), "{text}");
        assert!(text.contains("\ncauseway_audit_lost_total 0\n"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn upkeep_ends_when_told() {
        let stop = CancellationToken::new();
        let upkeep = start_metrics().upkeep(stop.clone());
        stop.cancel();
        upkeep.await;
    }
}
