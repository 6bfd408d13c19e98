//! The part of BigQuery that the connector uses: jobs are begun, looked at and stopped.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use jiff::Timestamp;

use super::{
    exception::Exception,
    job::{Job, State},
    meta::Meta,
    setup::{Ending, JobError, Pace, Rule, Setup},
    sql,
};
use crate::emulator::glob;

/// Jobs kept; the oldest that have ended are forgotten first.
const JOBS_MAX: usize = 2000;
/// Bytes of one statement, as at the real service.
const STATEMENT_BYTES_MAX: usize = 1024 * 1024;
/// Where a job runs when nobody says.
const LOCATION: &str = "US";
/// What its addresses begin with, in the words of its errors.
const BASE: &str = "https://bigquery.googleapis.com/bigquery/v2/projects";

/// All jobs, and what becomes of new ones.
pub(super) struct BigQuery {
    pace: Pace,
    rules: Vec<Rule>,
    project: String,
    denied: Vec<String>,
    /// By id.
    jobs: BTreeMap<String, Job>,
    rng: Rng,
}

/// A query as the connector sends it.
#[derive(Debug)]
pub(super) struct Query<'q> {
    pub(super) project: Option<&'q str>,
    pub(super) location: Option<&'q str>,
    pub(super) statement: &'q str,
    pub(super) parameters: &'q BTreeSet<String>,
}

impl BigQuery {
    /// Sets up what exists at `now`.
    pub(super) fn new(setup: &Setup, seed: u64, now: Timestamp) -> Self {
        let mut new = Self {
            pace: setup.pace,
            rules: setup.rules.clone(),
            project: setup.project.clone(),
            denied: setup.denied_projects.clone(),
            jobs: BTreeMap::new(),
            rng: Rng::with_seed(seed),
        };
        for job in setup.jobs.iter().take(JOBS_MAX) {
            let created = now.saturating_sub(job.ago).unwrap_or(Timestamp::MIN);
            let begun = new.begin(&job.project, &job.location, &job.statement, created);
            new.jobs.insert(job.id.clone(), begun);
        }
        new
    }

    /// Begins a job and returns its id.
    ///
    /// # Errors
    /// What the client library raises when the service refuses.
    pub(super) fn insert(&mut self, query: &Query<'_>, now: Timestamp) -> Result<String, Exception> {
        let project = query.project.unwrap_or(&self.project).to_owned();
        let location = query.location.filter(|text| !text.is_empty()).unwrap_or(LOCATION);
        let id = uuid(&mut self.rng);
        let refuse = |class, code, message: &str| {
            let message = format!(
                "{code} POST {BASE}/{project}/jobs?prettyPrint=false: {message}\n\nLocation: {location}\nJob ID: {id}\n"
            );
            Err(Exception::new(class, message))
        };
        if project.is_empty() || project.contains('/') {
            return refuse(NOT_FOUND, 404, "Not found");
        }
        if self.denied.contains(&project) {
            return refuse(FORBIDDEN, 403, &denied(&project, "bigquery.jobs.create"));
        }
        if query.statement.is_empty() {
            return refuse(BAD_REQUEST, 400, "Required parameter is missing: query");
        }
        if query.statement.len() > STATEMENT_BYTES_MAX {
            let message =
                format!("The query is too large. The maximum query length is {STATEMENT_BYTES_MAX} bytes");
            return refuse(BAD_REQUEST, 400, &message);
        }
        let mut job = self.begin(&project, location, query.statement, now);
        if let Ending::Refusal(error) = &job.ending {
            return refuse(BAD_REQUEST, 400, &error.message);
        }
        if let Some(error) = unmet(query) {
            job.ending = Ending::Failure(error);
        }
        if !self.make_room(now) {
            return refuse(FORBIDDEN, 403, "Quota exceeded: too many jobs run at the same time");
        }
        self.jobs.insert(id.clone(), job);
        Ok(id)
    }

    /// Finds a job.
    ///
    /// # Errors
    /// As [`BigQuery::insert`].
    pub(super) fn get(&self, meta: &Meta) -> Result<&Job, Exception> {
        let project = self.permitted(meta, "GET", "")?;
        self.jobs
            .get(&meta.job_id)
            .filter(|job| is_meant(job, project, meta))
            .ok_or_else(|| absent(project, meta, "GET", ""))
    }

    /// Asks for a job to be stopped. One that has ended stays as it is, and nobody complains.
    ///
    /// # Errors
    /// As [`BigQuery::insert`].
    pub(super) fn cancel(&mut self, meta: &Meta, now: Timestamp) -> Result<(), Exception> {
        let project = self.permitted(meta, "POST", "/cancel")?.to_owned();
        let takes = self.pace.cancellation;
        match self.jobs.get_mut(&meta.job_id).filter(|job| is_meant(job, &project, meta)) {
            Some(job) => job.stop(now, takes),
            None => return Err(absent(&project, meta, "POST", "/cancel")),
        }
        Ok(())
    }

    fn begin(&self, project: &str, location: &str, statement: &str, now: Timestamp) -> Job {
        let lower = statement.to_lowercase();
        let rule = self.rules.iter().find(|rule| glob::matches(&rule.statement, &lower));
        let running = rule.and_then(|rule| rule.running).unwrap_or(self.pace.running);
        let ending = rule.map_or(Ending::Success, |rule| rule.ending.clone());
        Job::begin(project, location, statement, ending, (now, self.pace.pending, running))
    }

    fn permitted<'s>(&'s self, meta: &'s Meta, verb: &str, suffix: &str) -> Result<&'s str, Exception> {
        let project = meta.project.as_deref().unwrap_or(&self.project);
        if !self.denied.iter().any(|denied| denied == project) {
            return Ok(project);
        }
        let address = address(project, meta, suffix);
        let why = denied(project, "bigquery.jobs.get");
        Err(Exception::new(FORBIDDEN, format!("403 {verb} {address}: {why}")))
    }

    /// Forgets the oldest job that has ended when there is no room; `false` when all of them run.
    fn make_room(&mut self, now: Timestamp) -> bool {
        if self.jobs.len() < JOBS_MAX {
            return true;
        }
        let ended = self.jobs.iter().filter(|(_, job)| job.state(now) == State::Done);
        let Some(oldest) = ended.min_by_key(|(_, job)| job.created).map(|(id, _)| id.clone()) else {
            return false;
        };
        self.jobs.remove(&oldest);
        true
    }
}

const BAD_REQUEST: &str = "google.api_core.exceptions.BadRequest";
const FORBIDDEN: &str = "google.api_core.exceptions.Forbidden";
const NOT_FOUND: &str = "google.api_core.exceptions.NotFound";

/// Without a location BigQuery looks in the two large ones.
fn is_meant(job: &Job, project: &str, meta: &Meta) -> bool {
    let here = |location: &str| job.location.eq_ignore_ascii_case(location);
    job.project == project && meta.location.as_deref().map_or_else(|| here("US") || here("EU"), here)
}

fn absent(project: &str, meta: &Meta, verb: &str, suffix: &str) -> Exception {
    let (address, location) = (address(project, meta, suffix), meta.location.as_deref().unwrap_or(LOCATION));
    let message = format!("404 {verb} {address}: Not found: Job {project}:{location}.{}", meta.job_id);
    Exception::new(NOT_FOUND, message)
}

fn address(project: &str, meta: &Meta, suffix: &str) -> String {
    let location = meta.location.as_deref().map_or(String::new(), |location| format!("&location={location}"));
    format!("{BASE}/{project}/jobs/{}{suffix}?projection=full{location}&prettyPrint=false", meta.job_id)
}

fn denied(project: &str, permission: &str) -> String {
    format!(
        "Access Denied: Project {project}: User does not have {permission} permission in project {project}."
    )
}

/// Finds a parameter that the query wants and nobody gives.
fn unmet(query: &Query<'_>) -> Option<JobError> {
    let given = |name: &str| query.parameters.iter().any(|parameter| parameter.eq_ignore_ascii_case(name));
    let wanted = sql::parameters(query.statement);
    let (name, at) = wanted.into_iter().find(|(name, _)| !given(name))?;
    let (line, column) = sql::position(query.statement, at);
    Some(JobError::new("invalidQuery", format!("Query parameter '{name}' not found at [{line}:{column}]")))
}

fn uuid(rng: &mut Rng) -> String {
    let (a, b) = (rng.u64(..), rng.u64(..));
    let (c, d) = (a & 0x0fff, b >> 48 & 0x3fff | 0x8000);
    format!("{:08x}-{:04x}-4{c:03x}-{d:04x}-{:012x}", a >> 32, a >> 16 & 0xffff, b & 0xffff_ffff_ffff)
}
