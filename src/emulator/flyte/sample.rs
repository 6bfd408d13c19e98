//! The queries of Acme's nightly reports.

use std::time::Duration;

use super::setup::{Ending, JobError, Rule, SeedJob, Setup};

/// Queries of the data platform: three that have ended, one of them badly, and one that is under way.
pub(in super::super) fn setup() -> Setup {
    let mut rules = vec![
        Rule::failure(
            "*finance.closed_periods*",
            "Not found: Table acme-data:finance.closed_periods was not found in location EU",
        ),
        Rule::new(
            "*partition_date*unbounded*",
            Ending::Refusal(JobError::new("invalidQuery", "Unrecognized name: partition_date")),
        ),
        Rule::new("*shop.clicks*", Ending::Success).running(Duration::from_secs(30 * 60)),
    ];
    let defaults = Setup::default();
    rules.extend(defaults.rules);
    Setup { rules, jobs: jobs(), denied_projects: vec!["acme-finance".to_owned()], ..defaults }
}

fn jobs() -> Vec<SeedJob> {
    let job = |id: &str, statement: &str, minutes: u64| SeedJob {
        id: id.to_owned(),
        project: "acme-data".to_owned(),
        location: "EU".to_owned(),
        statement: statement.to_owned(),
        ago: Duration::from_secs(minutes * 60),
    };
    vec![
        job(
            "5d0c2f8e-7a41-4c39-9f0b-2f6f5f0e6a11",
            "SELECT country, COUNT(*) AS orders FROM shop.orders GROUP BY country",
            9 * 60,
        ),
        job(
            "b7f1d6c0-19c2-4d8e-8a55-0c9f4be0d7a2",
            "CREATE OR REPLACE TABLE reports.stock AS SELECT * FROM shop.catalogue",
            8 * 60,
        ),
        job("e2a94b36-0d7f-4f6a-b1c8-6b1d3a5f9c43", "SELECT * FROM finance.closed_periods", 8 * 60),
        job(
            "0f3e8d71-5b26-4a90-9d3c-8e7a1c2b4f64",
            "SELECT page, COUNT(*) AS clicks FROM shop.clicks GROUP BY page",
            4,
        ),
    ]
}
