//! What exists behind an emulated connector at start, and what becomes of queries. Plain data.

use std::time::Duration;

/// One world for a connector to start with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// How long jobs take.
    pub pace: Pace,
    /// What becomes of queries: the first rule that fits decides. Without one a query succeeds.
    pub rules: Vec<Rule>,
    /// Jobs that exist.
    pub jobs: Vec<SeedJob>,
    /// The project of the connector's own credentials. It stands in where a task or a `resource_meta` says null.
    pub project: String,
    /// Projects in which these credentials may do nothing.
    pub denied_projects: Vec<String>,
    /// Whether the server was started with more than the least logging (`pyflyte -v`): asking about a failed job then
    /// trips over a mistake in a log call and answers INTERNAL instead of FAILED.
    pub rich_log: bool,
    /// Whether logs and metrics are answered, as connectors written for that do. BigQuery's refuses both.
    pub keeps_records: bool,
}

/// How long a job takes. The defaults let a person watch each step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// It waits this long for its turn.
    pub pending: Duration,
    /// It then runs this long.
    pub running: Duration,
    /// From asking it to stop to its end.
    pub cancellation: Duration,
}

/// What becomes of some queries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Glob over whole statements, in lower case: `*from shop.broken*`.
    pub statement: String,
    /// How long they run; `None` for what the pace says.
    pub running: Option<Duration>,
    /// How they end.
    pub ending: Ending,
}

/// How a job ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Well. A query that reads leaves its rows in an anonymous table.
    Success,
    /// Well, with its rows in this table, `{project}:{dataset}.{table}`.
    Into(String),
    /// It fails.
    Failure(JobError),
    /// Well; but it has this to say from when it runs, which the connector takes for a failure.
    Warning(JobError),
    /// It is never begun: BigQuery answers 400.
    Refusal(JobError),
}

/// An error as a job of BigQuery has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobError {
    /// Such as `invalidQuery`.
    pub reason: String,
    /// What it is about, such as `query`; empty for nothing.
    pub location: String,
    /// What is wrong.
    pub message: String,
}

/// A job that was begun before the start. Rules hold for it too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeedJob {
    /// Its id.
    pub id: String,
    /// Its project.
    pub project: String,
    /// Where it runs, such as `EU`.
    pub location: String,
    /// The query.
    pub statement: String,
    /// How long ago it was begun.
    pub ago: Duration,
}

impl Default for Setup {
    /// No jobs; queries that speak of `fail` fail.
    fn default() -> Self {
        Self {
            pace: Pace::default(),
            rules: vec![Rule::failure("*fail*", "Query failed as its text asks for")],
            jobs: Vec::new(),
            project: "acme-data".to_owned(),
            denied_projects: Vec::new(),
            rich_log: false,
            keeps_records: false,
        }
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            pending: Duration::from_secs(2),
            running: Duration::from_secs(8),
            cancellation: Duration::from_secs(1),
        }
    }
}

impl Rule {
    /// Lets queries end in some way.
    pub fn new(statement: impl Into<String>, ending: Ending) -> Self {
        Self { statement: statement.into(), running: None, ending }
    }

    /// Lets queries fail as wrong.
    pub fn failure(statement: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(statement, Ending::Failure(JobError::new("invalidQuery", message)))
    }

    /// Lets them run for so long.
    #[must_use]
    pub fn running(mut self, running: Duration) -> Self {
        self.running = Some(running);
        self
    }
}

impl JobError {
    /// Makes an error about the query.
    pub fn new(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason: reason.into(), location: "query".to_owned(), message: message.into() }
    }
}
