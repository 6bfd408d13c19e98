//! What the BigQuery connector makes of a task: a job, and its answers about it.

use jiff::Timestamp;
use prost_types::{Struct, Value, value::Kind};

use super::{
    Flyte,
    bigquery::Query,
    exception::Exception,
    job::{self, Job, State},
    meta::Meta,
    parameters,
};
use crate::pb::flyteidl::{
    admin::{CreateTaskRequest, Resource},
    core::{
        Literal, LiteralMap, Scalar, StructuredDataset, StructuredDatasetMetadata, StructuredDatasetType,
        TaskLog, literal, scalar, task_execution::Phase, task_template::Target,
    },
};

impl Flyte {
    /// Begins the job of a task.
    ///
    /// # Errors
    /// What Python raises, in the order in which the connector looks at things.
    pub(super) fn start_query(&self, request: CreateTaskRequest) -> Result<Meta, Exception> {
        let template = request.template.unwrap_or_default();
        let parameters = parameters::of(template.interface.as_ref(), request.inputs.as_ref())?;
        let custom = template.custom.unwrap_or_default();
        let project = entry(&custom, "ProjectID")?;
        let location = entry(&custom, "Location")?;
        let project = match project {
            None | Some(Kind::NullValue(_)) => None,
            Some(Kind::StringValue(project)) => Some(project.as_str()),
            Some(_) => return Err(Exception::new("ValueError", "Project must be a string.")),
        };
        let Some(Target::Sql(sql)) = &template.target else {
            let message = "'NoneType' object has no attribute 'statement'";
            return Err(Exception::new("AttributeError", message));
        };
        let location = location.and_then(text);
        let query = Query {
            project,
            location: location.as_deref(),
            statement: &sql.statement,
            parameters: &parameters,
        };
        let job_id = self.bigquery().insert(&query, self.clock.now())?;
        Ok(Meta { job_id, project: project.map(str::to_owned), location })
    }

    /// Looks at the job of a task.
    ///
    /// # Errors
    /// What Python raises.
    pub(super) fn look_at_query(&self, meta: &Meta) -> Result<Resource, Exception> {
        let (bigquery, now) = (self.bigquery(), self.clock.now());
        let job = bigquery.get(meta)?;
        let errors = job.errors(now);
        if errors.is_empty() {
            return Ok(resource(job, meta, now));
        }
        if self.rich_log {
            let message = "not all arguments converted during string formatting";
            return Err(Exception::new("TypeError", message));
        }
        let (phase, message) = (Phase::Failed.into(), job::shown(&errors));
        Ok(Resource { phase, message, log_links: vec![console(meta)], ..Resource::default() })
    }

    /// Asks for the job of a task to be stopped.
    ///
    /// # Errors
    /// What Python raises.
    pub(super) fn stop_query(&self, meta: &Meta) -> Result<(), Exception> {
        let now = self.clock.now();
        self.bigquery().cancel(meta, now)
    }
}

fn entry<'s>(custom: &'s Struct, key: &str) -> Result<Option<&'s Kind>, Exception> {
    let value: &Value = custom.fields.get(key).ok_or_else(|| Exception::key(format!("'{key}'")))?;
    Ok(value.kind.as_ref())
}

/// Numbers pass as Python shows them, in an address as in `resource_meta`; the rest is as good as nothing.
fn text(kind: &Kind) -> Option<String> {
    match kind {
        Kind::StringValue(text) => Some(text.clone()),
        Kind::NumberValue(number) => Some(format!("{number:?}")),
        _ => None,
    }
}

fn resource(job: &Job, meta: &Meta, now: Timestamp) -> Resource {
    let (phase, message) = match job.state(now) {
        State::Pending => (Phase::Initializing, "PENDING"),
        State::Running => (Phase::Running, "RUNNING"),
        State::Done => (Phase::Succeeded, "DONE"),
    };
    let table = job.destination.as_deref().filter(|_| phase == Phase::Succeeded);
    Resource {
        outputs: table.map(results),
        message: message.to_owned(),
        log_links: vec![console(meta)],
        phase: phase.into(),
        ..Resource::default()
    }
}

/// The one output, `results`: a table of which nothing but the place is known.
fn results(table: &str) -> LiteralMap {
    let metadata =
        StructuredDatasetMetadata { structured_dataset_type: Some(StructuredDatasetType::default()) };
    let dataset = StructuredDataset { uri: format!("bq://{table}"), metadata: Some(metadata) };
    let scalar = Scalar { value: Some(scalar::Value::StructuredDataset(dataset)) };
    let literal = Literal { value: Some(literal::Value::Scalar(Box::new(scalar))), ..Literal::default() };
    LiteralMap { literals: [("results".to_owned(), literal)].into() }
}

/// Made of what the caller sent: a location that was null reads `None`, as Python writes it.
fn console(meta: &Meta) -> TaskLog {
    let shown = |text: &Option<String>| text.clone().unwrap_or_else(|| "None".to_owned());
    let (project, location) = (shown(&meta.project), shown(&meta.location));
    TaskLog {
        uri: format!(
            "https://console.cloud.google.com/bigquery?project={project}&j=bq:{location}:{}&page=queryresults",
            meta.job_id
        ),
        name: "BigQuery Console".to_owned(),
        ..TaskLog::default()
    }
}
