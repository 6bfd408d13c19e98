//! A query that Flyte's BigQuery connector runs.
//!
//! The connector keeps nothing: what names a job is its `resource_meta`, which is not signed, so whoever has one reaches
//! every job that the connector's credentials reach. It is kept encrypted and leaves for the connector only.

use bytes::Bytes;
use prost::Message as _;
use prost_types::{Struct, Value, value::Kind as Form};
use serde::Deserialize;

use super::{Ask, Listed, Meaning, Source, decode, pack, path};
use crate::{
    crypto::Sealer,
    error::{Code, Error, Result},
    model::Operation,
    operations::{Observation, Sighting, task::Kept},
    pb::{
        flyteidl::{
            admin::{DeleteTaskRequest, GetTaskRequest, GetTaskResponse, Resource, TaskCategory},
            core::{literal, scalar, task_execution::Phase},
        },
        google::rpc::Status,
    },
    upstream::raised_by,
};

/// The type of task, and its version.
pub const TASK_TYPE: &str = "bigquery_query_job_task";
/// What binds the encrypted `resource_meta` to what it is.
const CONTEXT: &[u8] = b"flyte task";
/// What BigQuery calls the reason of a job that somebody stopped.
const STOPPED: &str = "'reason': 'stopped'";
/// What a connector raises where BigQuery does not find something, and what that says of a job.
const NOT_FOUND: &str = "google.api_core.exceptions.NotFound";
const NO_JOB: &str = ": Not found: Job ";
/// Characters of a failure's words that are kept.
const MESSAGE_CHARS_MAX: usize = 2000;

/// Tasks.
pub struct Flyte {
    sealer: Sealer,
}

/// What names a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Meta {
    /// Its id.
    pub job_id: String,
    /// Its project.
    pub project: String,
    /// Where it runs.
    pub location: Option<String>,
}

impl Meta {
    /// Reads a `resource_meta`; `None` for what the connector did not make.
    pub fn read(resource_meta: &[u8]) -> Option<Self> {
        serde_json::from_slice(resource_meta).ok()
    }

    /// Returns a name for the job that is unique among jobs.
    pub fn name(&self) -> String {
        let location = self.location.as_deref().unwrap_or("-");
        format!("projects/{}/locations/{location}/jobs/{}", self.project, self.job_id)
    }
}

impl Flyte {
    pub(super) fn new(sealer: Sealer) -> Self {
        Self { sealer }
    }

    /// Encrypts what is kept of a task.
    pub(in crate::operations) fn seal(&self, kept: &[u8]) -> Vec<u8> {
        self.sealer.seal(kept, CONTEXT)
    }

    /// Returns what is kept of a task.
    ///
    /// # Errors
    /// It cannot be decrypted: its key was taken away.
    pub(in crate::operations) fn kept(&self, operation: &Operation) -> Result<Kept> {
        let opened = self.sealer.open(&operation.source, CONTEXT);
        let opened = opened.ok_or_else(|| {
            Error::internal("a task cannot be opened; was its key taken from secrets.old_keys?")
        })?;
        serde_json::from_slice(&opened).map_err(Error::internal)
    }

    /// Returns the `resource_meta` of a task. It is for the connector only.
    ///
    /// # Errors
    /// As what is kept of it.
    pub fn resource_meta(&self, operation: &Operation) -> Result<Bytes> {
        let meta = self.kept(operation)?.meta;
        base64_simd::STANDARD.decode_to_vec(meta).map(Bytes::from).map_err(Error::internal)
    }

    /// Returns what is shown of a job: what its `resource_meta` says, its links and its words.
    fn shown(&self, operation: &Operation, resource: &Resource) -> Struct {
        let mut shown = Struct::default();
        let meta = self.resource_meta(operation).ok().and_then(|meta| Meta::read(&meta)).unwrap_or_default();
        let mut put = |name: &str, text: &str| {
            if !text.is_empty() {
                shown.fields.insert(name.to_owned(), string(text));
            }
        };
        put("jobId", &meta.job_id);
        put("project", &meta.project);
        put("location", meta.location.as_deref().unwrap_or_default());
        put("phase", Phase::try_from(resource.phase).map_or("", |phase| phase.as_str_name()));
        let links = resource.log_links.iter().map(|link| {
            let fields = [("name", &link.name), ("uri", &link.uri)];
            let fields = fields.map(|(name, text)| (name.to_owned(), string(text)));
            Value { kind: Some(Form::StructValue(Struct { fields: fields.into_iter().collect() })) }
        });
        let links: Vec<Value> = links.collect();
        if !links.is_empty() {
            let values = prost_types::ListValue { values: links };
            shown.fields.insert("logLinks".to_owned(), Value { kind: Some(Form::ListValue(values)) });
        }
        shown
    }
}

fn string(text: &str) -> Value {
    Value { kind: Some(Form::StringValue(text.to_owned())) }
}

/// Returns the addresses of what a task leaves behind, by name.
fn outputs(resource: &Resource) -> Struct {
    let literals = resource.outputs.iter().flat_map(|outputs| &outputs.literals);
    let addresses = literals.filter_map(|(name, literal)| {
        let Some(literal::Value::Scalar(scalar)) = &literal.value else { return None };
        let Some(scalar::Value::StructuredDataset(dataset)) = &scalar.value else { return None };
        Some((name.clone(), string(&dataset.uri)))
    });
    Struct { fields: addresses.collect() }
}

impl Source for Flyte {
    #[expect(deprecated, reason = "the reference client fills the older field too")]
    fn look(&self, operation: &Operation) -> Result<Ask> {
        let request = GetTaskRequest {
            task_type: TASK_TYPE.to_owned(),
            resource_meta: self.resource_meta(operation)?,
            task_category: Some(TaskCategory { name: TASK_TYPE.to_owned(), version: 0 }),
            output_prefix: String::new(),
        };
        Ok(Ask {
            path: path("/flyteidl.service.AsyncAgentService/GetTask"),
            message: request.encode_to_vec().into(),
            routing: None,
        })
    }

    fn read(&self, before: &Operation, message: &[u8]) -> Result<Sighting> {
        let answer: GetTaskResponse = decode(message)?;
        let resource = answer.resource.unwrap_or_default();
        let observation = match Phase::try_from(resource.phase) {
            Ok(Phase::Running) => Observation::Running,
            Ok(Phase::Succeeded) => Observation::Succeeded,
            Ok(Phase::Aborted) => Observation::Cancelled,
            Ok(Phase::Failed | Phase::RetryableFailed) if resource.message.contains(STOPPED) => {
                Observation::Stopped
            }
            Ok(Phase::Failed | Phase::RetryableFailed) => Observation::Failed,
            Ok(Phase::Undefined | Phase::Queued | Phase::Initializing | Phase::WaitingForResources)
            | Err(_) => Observation::Pending,
        };
        let mut sighting = Sighting::of(observation);
        let shown = self.shown(before, &resource);
        if observation == Observation::Succeeded {
            let mut response = shown.clone();
            let outputs = Value { kind: Some(Form::StructValue(outputs(&resource))) };
            response.fields.insert("outputs".to_owned(), outputs);
            sighting.response = pack("google.protobuf.Struct", &response);
        }
        if matches!(observation, Observation::Failed | Observation::Stopped | Observation::Cancelled) {
            let message: String = resource.message.chars().take(MESSAGE_CHARS_MAX).collect();
            sighting.error = Some(Status { code: 2, message, details: Vec::new() });
        }
        sighting.metadata = Some(pack("google.protobuf.Struct", &shown));
        Ok(sighting)
    }

    fn list(&self, _parent: &str, _token: &str) -> Option<Ask> {
        None
    }

    fn read_page(&self, _message: &[u8]) -> Result<Listed> {
        Ok(Listed::default())
    }

    #[expect(deprecated, reason = "the reference client fills the older field too")]
    fn cancel(&self, operation: &Operation) -> Result<Ask> {
        let request = DeleteTaskRequest {
            task_type: TASK_TYPE.to_owned(),
            resource_meta: self.resource_meta(operation)?,
            task_category: Some(TaskCategory { name: TASK_TYPE.to_owned(), version: 0 }),
        };
        Ok(Ask {
            path: path("/flyteidl.service.AsyncAgentService/DeleteTask"),
            message: request.encode_to_vec().into(),
            routing: None,
        })
    }

    /// NOT_FOUND is about the connector, and INTERNAL about anything, even about a job that goes on. Only what BigQuery itself
    /// says of the job is about that.
    fn meaning(&self, error: &Error) -> Meaning {
        match error.code() {
            Code::Internal if is_forgotten(error) => Meaning::Gone,
            Code::PermissionDenied | Code::Unauthenticated => Meaning::Denied,
            Code::ResourceExhausted => Meaning::TooMuch,
            _ => Meaning::Nothing,
        }
    }
}

/// Whether BigQuery knows no such job. It is asked where the job was begun, so it would find it if it had it.
fn is_forgotten(error: &Error) -> bool {
    error.reason().is_none() && raised_by(error) == Some(NOT_FOUND) && error.told().contains(NO_JOB)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        crypto::{Keys, Purpose},
        upstream::failed_with,
    };

    /// A task whose job was gone stayed as it was for a month.
    #[test]
    fn only_a_job_that_bigquery_does_not_know_is_gone() {
        let flyte = Flyte::new(Keys::new(&[3; 32], &[]).sealer(Purpose::ResourceMeta));
        let raised = |class: &str, words: &str| {
            let frame = "      File \"connector.py\", line 1";
            let traceback = format!("Traceback (most recent call last):\n{frame}\n    {class}: {words}\n");
            flyte.meaning(&failed_with(&traceback))
        };
        let not_found = "google.api_core.exceptions.NotFound";
        let address = "404 GET https://bigquery.googleapis.com/bigquery/v2/projects/p/jobs/j";
        assert_eq!(raised(not_found, &format!("{address}: Not found: Job p:EU.j")), Meaning::Gone);
        for (class, words) in [
            (not_found, format!("{address}: Not found: Project p")),
            ("google.api_core.exceptions.Forbidden", format!("{address}: Access Denied")),
            ("KeyError", "'job_id': Not found: Job ".to_owned()),
        ] {
            assert_eq!(raised(class, &words), Meaning::Nothing, "{class}: {words}");
        }
        let absent = Error::upstream(Code::NotFound, "Cannot find connector", Vec::new());
        assert_eq!(flyte.meaning(&absent), Meaning::Nothing, "it is about the connector");
    }
}
