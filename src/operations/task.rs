//! Tasks on record: what is kept of one besides its operation, and how callers read it.

use std::collections::BTreeMap;

use prost::Message as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Tracker, event, sources::Meta, sources::metadata_json, tracker::Answered};
use crate::{
    error::{Error, Result},
    model::{Kind, Operation, OperationId},
    pb::flyteidl::admin::CreateTaskResponse,
    pb::google::rpc::Status,
    store::operations::Birth,
    transcode::Transcoder,
    upstream::{Call, Timeout},
};

/// A task that is being started.
#[derive(Clone, Debug)]
pub struct TaskDraft {
    /// Id of the project.
    pub project: String,
    /// Where it runs.
    pub location: String,
    /// The query.
    pub query: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Version of the task type.
    pub version: i32,
}

/// What is kept of a task, encrypted.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Kept {
    /// `resource_meta` in base64.
    pub(super) meta: String,
    query: String,
    labels: BTreeMap<String, String>,
    version: i32,
}

/// Makes a call about a task, with what the caller hands over for the upstream.
pub fn task_call(
    path: &'static str,
    message: Vec<u8>,
    timeout: Timeout,
    authorization: Option<http::HeaderValue>,
) -> Call {
    Call {
        path: http::uri::PathAndQuery::from_static(path),
        message: message.into(),
        metadata: Vec::new(),
        routing: None,
        timeout: Some(timeout),
        retryable: false,
        authorization,
    }
}

impl Tracker {
    /// Returns the operation of a task that was started.
    ///
    /// # Errors
    /// The answer cannot be decoded.
    pub fn task_started(
        &self,
        draft: &TaskDraft,
        from: &Answered<'_>,
        id: OperationId,
    ) -> Result<Option<Birth>> {
        let answer = CreateTaskResponse::decode(from.reply).map_err(Error::internal)?;
        let name = job_name(draft, &answer, id);
        let names = [format!("projects/{}", draft.project)];
        let Some(mut it) = self.begin(Kind::FlyteTask, &Answered { names: &names, ..*from }, &name, id)
        else {
            return Ok(None);
        };
        it.project.clone_from(&draft.project);
        it.target = format!("projects/{}/locations/{}/tasks/{id}", draft.project, draft.location);
        let kept = Kept {
            meta: base64_simd::STANDARD.encode_to_string(&answer.resource_meta),
            query: draft.query.clone(),
            labels: draft.labels.clone(),
            version: draft.version,
        };
        let kept = serde_json::to_vec(&kept).expect("plain data prints as JSON");
        it.source = self.sources().flyte().seal(&kept);
        let seen = super::Sighting::of(super::Observation::Pending);
        Ok(Some(self.born(&it, &seen)))
    }

    /// Returns the name of the operation of a task that is on record, and whether a caller deleted that.
    ///
    /// # Errors
    /// The database is away.
    pub async fn task_named(&self, draft: &TaskDraft, from: &Answered<'_>) -> Result<Option<(String, bool)>> {
        let Ok(answer) = CreateTaskResponse::decode(from.reply) else { return Ok(None) };
        let name = job_name(draft, &answer, OperationId::default());
        let found = self.store().operation_named(from.upstream, &name).await?;
        Ok(found.map(|(it, deleted)| (it.name(), deleted)))
    }

    /// Renders a task as callers read it.
    pub fn task_json(&self, transcoder: &Transcoder, it: &Operation) -> Value {
        let kept = self.sources().flyte().kept(it).unwrap_or_default();
        let mut shown = Map::new();
        shown.insert("name".to_owned(), it.target.clone().into());
        shown.insert("operation".to_owned(), it.name().into());
        let facts = event::facts(it);
        for fact in ["state", "createTime", "startTime", "updateTime", "endTime", "problem"] {
            if let Some(value) = facts.get(fact) {
                shown.insert(fact.to_owned(), value.clone());
            }
        }
        shown.insert("query".to_owned(), kept.query.into());
        if !kept.labels.is_empty() {
            shown.insert("labels".to_owned(), json!(kept.labels));
        }
        shown.insert("taskTypeVersion".to_owned(), kept.version.into());
        let told = if it.response.is_empty() { &it.metadata } else { &it.response };
        if let Value::Object(told) = metadata_json(transcoder, told)["value"].take() {
            shown.extend(told);
        } else if let Ok(meta) = self.sources().flyte().resource_meta(it)
            && let Some(meta) = Meta::read(&meta)
        {
            shown.insert("jobId".to_owned(), meta.job_id.into());
            shown.insert("project".to_owned(), meta.project.into());
            shown.insert("location".to_owned(), json!(meta.location));
        }
        if let Some(status) = Status::decode(&it.error[..]).ok().filter(|_| !it.error.is_empty()) {
            shown.insert("error".to_owned(), json!({"code": status.code, "message": status.message}));
        }
        Value::Object(shown)
    }
}

/// Returns the name that tells a job from all others.
fn job_name(draft: &TaskDraft, answer: &CreateTaskResponse, id: OperationId) -> String {
    Meta::read(&answer.resource_meta).map_or_else(
        || format!("projects/{}/locations/{}/tasks/{id}", draft.project, draft.location),
        |meta| meta.name(),
    )
}
