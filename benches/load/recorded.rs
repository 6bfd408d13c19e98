//! What it costs to know who did what: a request that is read through the gateway with authentication and the audit log
//! on, beside the same with both off. The log is in Postgres, whose own cost of an entry is told apart.
//!
//! Metrics cannot be turned off, so both have them.

use std::time::Duration;

use super::{
    cached::{ask, keyed, median},
    client::drive,
    payload::{Outcome, Payload},
    peers,
    targets::verdict,
};

#[path = "../shared/postgres.rs"]
mod postgres;
use postgres::Postgres;

/// The case that is asked for.
const CASE: &str = "one resource";
/// How long each gateway is driven before a slice counts, and how long a slice is.
const WARM_UP: Duration = Duration::from_millis(500);
const SLICE: Duration = Duration::from_secs(2);
/// How long the log may take to be written once nobody asks any more.
const SETTLE: Duration = Duration::from_millis(500);
/// What a request may cost, as a multiple of one of which nobody takes note.
const RATIO_MAX: f64 = 1.35;

/// Measures and prints, with the log in the Postgres at `url`.
pub(crate) async fn run(slices: usize, url: &str, say: impl Fn(&str)) -> Outcome {
    let server = Postgres::find(url).await?;
    let payload = Payload::load()?;
    let case = payload.cases.iter().find(|case| case.name == CASE).ok_or("no such case")?;
    let upstream = peers::upstream().await?;
    let database = format!("database.url={url}");
    let off = ["http.worker_threads=1", "audit.reads=false", &database];
    let gateways = [
        (peers::gateway("nothing recorded", &off, upstream.address).await?, None),
        keyed("keys and audit log", &database, &["cache.enabled=false"], upstream.address).await?,
    ];
    let mut costs = [Vec::new(), Vec::new()];
    let mut of_server = [Vec::new(), Vec::new()];
    for _ in 0..slices {
        for (at, (gateway, key)) in gateways.iter().enumerate() {
            let ask = ask(gateway, key.as_ref(), case)?;
            drive(&ask, WARM_UP).await?;
            tokio::time::sleep(SETTLE).await;
            let before = (gateway.process.cpu()?, server.processor_time());
            let took = drive(&ask, SLICE).await?;
            // What the log still has to write belongs to these requests.
            tokio::time::sleep(SETTLE).await;
            let each = |time: Duration| time.as_secs_f64() * 1e6 / took.len() as f64;
            costs[at].push(each(gateway.process.cpu()? - before.0));
            of_server[at].push(each(server.processor_time() - before.1));
        }
    }
    say(&format!("{:<27} {:>14} {:>15}", CASE, "CPU µs/request", "Postgres µs/row"));
    for (at, (gateway, _)) in gateways.iter().enumerate() {
        say(&format!("  {:<25} {:>14.1} {:>15.1}", gateway.name, median(&costs[at]), median(&of_server[at])));
    }
    let ratio = median(&costs[1]) / median(&costs[0]);
    say(&format!("    on / off {ratio:>22.2}   at most {RATIO_MAX}: {}", verdict(ratio <= RATIO_MAX)));
    Ok(())
}
