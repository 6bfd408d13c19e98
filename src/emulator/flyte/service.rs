//! The rpcs: each finds its connector, hands over, and words what went wrong as the server does.

use std::sync::Arc;

use tonic::{
    Request, Response, Status,
    codegen::tokio_stream::{Iter, iter},
};

use super::{
    Flyte,
    connector::{self, Kind},
    exception::{Call, Exception},
    meta::Meta,
    records,
};
use crate::pb::flyteidl::{
    admin::{
        CreateTaskRequest, CreateTaskResponse, DeleteTaskRequest, DeleteTaskResponse, GetAgentRequest,
        GetAgentResponse, GetTaskLogsRequest, GetTaskLogsResponse, GetTaskMetricsRequest,
        GetTaskMetricsResponse, GetTaskRequest, GetTaskResponse, ListAgentsRequest, ListAgentsResponse,
        TaskCategory,
    },
    service::{
        agent_metadata_service_server::AgentMetadataService, async_agent_service_server::AsyncAgentService,
    },
};

type Answer<T> = Result<Response<T>, Status>;

/// The type of task that a request is about: the category's, or else that of the older field, which has no version.
struct Asked<'r> {
    name: &'r str,
    version: i32,
    /// What failures call it: the older field first.
    shown: &'r str,
}

impl<'r> Asked<'r> {
    fn of(category: Option<&'r TaskCategory>, task_type: &'r str) -> Self {
        let (category, version) =
            category.map_or(("", 0), |category| (category.name.as_str(), category.version));
        let shown = if task_type.is_empty() { category } else { task_type };
        match category {
            "" => Self { name: task_type, version: 0, shown },
            name => Self { name, version, shown },
        }
    }

    /// Finds the connector and what it is to look at.
    fn find(&self, call: Call, resource_meta: &[u8]) -> Result<Meta, Status> {
        let kind = connector::find(self.name, self.version).ok_or_else(|| not_found(self.shown))?;
        let verb = match call {
            Call::Create => "create",
            Call::Get => "get",
            Call::Delete => "delete",
        };
        decode(kind, verb, resource_meta).map_err(|exception| exception.traceback(call, self.shown))
    }

    /// As [`Asked::find`], for calls that the server does not watch over.
    fn find_unwatched(&self, verb: &str, resource_meta: &[u8]) -> Result<Meta, Status> {
        let unregistered = || {
            connector::unregistered(&format!("task category: {}_v{}", self.name, self.version)).unexpected()
        };
        let kind = connector::find(self.name, self.version).ok_or_else(unregistered)?;
        decode(kind, verb, resource_meta).map_err(|exception| exception.unexpected())
    }
}

fn not_found(task_type: &str) -> Status {
    Status::not_found(format!("Cannot find connector for task type: {task_type}."))
}

/// The webhook connector has no methods but its own; the sensor's `resource_meta` is another.
fn decode(kind: Kind, verb: &str, resource_meta: &[u8]) -> Result<Meta, Exception> {
    match kind {
        Kind::BigQuery => Meta::decode(resource_meta),
        Kind::Sensor => Meta::decode(resource_meta).and_then(|_| Err(Exception::key("'job_id'"))),
        Kind::Webhook => Err(no_method(verb)),
    }
}

fn no_method(verb: &str) -> Exception {
    Exception::new("AttributeError", format!("'WebhookConnector' object has no attribute '{verb}'"))
}

fn not_implemented() -> Status {
    Exception::new("NotImplementedError", "").unexpected()
}

#[tonic::async_trait]
impl AsyncAgentService for Arc<Flyte> {
    async fn create_task(&self, request: Request<CreateTaskRequest>) -> Answer<CreateTaskResponse> {
        let request = request.into_inner();
        let template = request.template.as_ref();
        let (task_type, version) =
            template.map_or((String::new(), 0), |it| (it.r#type.clone(), it.task_type_version));
        let kind = connector::find(&task_type, version).ok_or_else(|| not_found(&task_type))?;
        let started = match kind {
            Kind::BigQuery => self.start_query(request),
            Kind::Sensor => Err(Exception::new(
                "TypeError",
                "SensorMetadata.__init__() got an unexpected keyword argument",
            )),
            Kind::Webhook => Err(no_method("create")),
        };
        let meta = started.map_err(|exception| exception.traceback(Call::Create, &task_type))?;
        Ok(Response::new(CreateTaskResponse { resource_meta: meta.encode().into() }))
    }

    #[expect(deprecated, reason = "the server still reads the older field")]
    async fn get_task(&self, request: Request<GetTaskRequest>) -> Answer<GetTaskResponse> {
        let request = request.into_inner();
        let asked = Asked::of(request.task_category.as_ref(), &request.task_type);
        let meta = asked.find(Call::Get, &request.resource_meta)?;
        let resource = self.look_at_query(&meta);
        let resource = resource.map_err(|exception| exception.traceback(Call::Get, asked.shown))?;
        Ok(Response::new(GetTaskResponse { resource: Some(resource) }))
    }

    #[expect(deprecated, reason = "the server still reads the older field")]
    async fn delete_task(&self, request: Request<DeleteTaskRequest>) -> Answer<DeleteTaskResponse> {
        let request = request.into_inner();
        let asked = Asked::of(request.task_category.as_ref(), &request.task_type);
        let meta = asked.find(Call::Delete, &request.resource_meta)?;
        self.stop_query(&meta).map_err(|exception| exception.traceback(Call::Delete, asked.shown))?;
        Ok(Response::new(DeleteTaskResponse {}))
    }

    #[expect(deprecated, reason = "the server still reads the older field")]
    async fn get_task_metrics(
        &self,
        request: Request<GetTaskMetricsRequest>,
    ) -> Answer<GetTaskMetricsResponse> {
        let request = request.into_inner();
        let asked = Asked::of(request.task_category.as_ref(), &request.task_type);
        let meta = asked.find_unwatched("get_metrics", &request.resource_meta)?;
        if !self.keeps_records {
            return Err(not_implemented());
        }
        let (bigquery, now) = (self.bigquery(), self.clock.now());
        let job = bigquery.get(&meta).map_err(|exception| exception.unexpected())?;
        Ok(Response::new(GetTaskMetricsResponse { results: records::metrics(job, &request, now) }))
    }

    type GetTaskLogsStream = Iter<std::vec::IntoIter<Result<GetTaskLogsResponse, Status>>>;

    #[expect(deprecated, reason = "the server still reads the older field")]
    async fn get_task_logs(&self, request: Request<GetTaskLogsRequest>) -> Answer<Self::GetTaskLogsStream> {
        let request = request.into_inner();
        let asked = Asked::of(request.task_category.as_ref(), &request.task_type);
        let meta = asked.find_unwatched("get_logs", &request.resource_meta)?;
        if !self.keeps_records {
            return Err(not_implemented());
        }
        let (bigquery, now) = (self.bigquery(), self.clock.now());
        let job = bigquery.get(&meta).map_err(|exception| exception.unexpected())?;
        let messages: Vec<_> = records::logs(job, &request, now).into_iter().map(Ok).collect();
        Ok(Response::new(iter(messages)))
    }
}

#[tonic::async_trait]
impl AgentMetadataService for Arc<Flyte> {
    async fn get_agent(&self, request: Request<GetAgentRequest>) -> Answer<GetAgentResponse> {
        let agent = connector::describe(&request.get_ref().name)?;
        Ok(Response::new(GetAgentResponse { agent: Some(agent) }))
    }

    async fn list_agents(&self, _: Request<ListAgentsRequest>) -> Answer<ListAgentsResponse> {
        Ok(Response::new(ListAgentsResponse { agents: connector::list() }))
    }
}
