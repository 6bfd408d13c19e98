//! Tasks: BigQuery queries that Flyte's connector runs, without its messages.

use std::collections::BTreeMap;

use base64_simd::STANDARD;
use prost::Message as _;
use prost_types::{Struct, Value as Field, value::Kind as Form};
use serde_json::Value;

use super::{Caller, Gateway, Notes, mutation, repetition};
use crate::{
    error::{Code, Error, Reason, Result},
    operations::{TaskDraft, task_call},
    pb::flyteidl::{
        admin::CreateTaskRequest,
        core::{
            Binary, Literal, LiteralMap, LiteralType, Primitive, Scalar, SimpleType, Sql, TaskTemplate,
            TypedInterface, Variable, VariableMap, literal, literal_type, primitive, scalar, sql,
            task_template,
        },
    },
};

/// Key of the upstream that runs tasks.
const FLYTE: &str = "flyte";
/// What the journal calls the method.
const CREATE: &str = "flyteidl.service.AsyncAgentService.CreateTask";
/// Bytes of a query, as BigQuery has it.
const QUERY_BYTES_MAX: usize = 1 << 20;
/// Parameters and labels of one task.
const PARAMETERS_MAX: usize = 1000;
const LABELS_MAX: usize = 64;
/// Characters of a name or a label.
const WORD_CHARS_MAX: usize = 128;

/// Types of parameters that the connector can pass on.
const TYPES: [&str; 6] = ["BOOL", "BYTES", "DATETIME", "FLOAT64", "INT64", "STRING"];

/// A task that somebody wants.
#[derive(Clone, Debug, Default)]
pub struct NewTask {
    /// Id of the project.
    pub project: String,
    /// Where it is to run.
    pub location: String,
    /// The query.
    pub query: String,
    /// Names of parameters, with type and value.
    pub parameters: BTreeMap<String, (String, Value)>,
    /// Labels: ours, the connector knows none.
    pub labels: BTreeMap<String, String>,
    /// Version of the task type.
    pub version: i32,
}

/// Starts a task, and returns the name of its operation. It goes on when the caller leaves.
///
/// # Errors
/// `INVALID_FIELD` for what cannot be passed on; else as [`super::unary`].
pub async fn create_task(
    gateway: &Gateway,
    task: NewTask,
    caller: &Caller<'_>,
    notes: &mut Notes,
) -> Result<String> {
    let upstream = gateway.upstreams.get(FLYTE).ok_or_else(|| {
        let text = "The upstream flyte is known but not configured. Add a section [upstreams.flyte] with its endpoint.";
        Error::new(Code::Unimplemented, Reason::UpstreamNotConfigured, text).with_metadata("upstream", FLYTE)
    })?;
    let request = request(&task)?;
    notes.entry.method = CREATE.to_owned();
    notes.entry.upstream = FLYTE.to_owned();
    let canonical = serde_json::json!([
        task.project,
        task.location,
        task.query,
        task.parameters,
        task.labels,
        task.version
    ]);
    let key = repetition::own_key_use(notes, &[CREATE.as_bytes(), canonical.to_string().as_bytes()], false);
    let draft = TaskDraft {
        project: task.project,
        location: task.location,
        query: task.query,
        labels: task.labels,
        version: task.version,
    };
    let path = "/flyteidl.service.AsyncAgentService/CreateTask";
    let call = task_call(path, request.encode_to_vec(), caller.timeout(), caller.authorization());
    mutation::run_task(gateway, upstream, key, call, draft, notes).await?;
    notes.operation.clone().ok_or_else(|| {
        let text = "The query was started, and could not be put on record.";
        Error::new(Code::Unavailable, Reason::StoreUnavailable, text)
    })
}

/// Makes the connector's request.
fn request(task: &NewTask) -> Result<CreateTaskRequest> {
    if task.query.trim().is_empty() {
        return Err(Error::invalid_field("query", "must not be empty"));
    }
    if task.query.len() > QUERY_BYTES_MAX {
        return Err(Error::limit(format!("query: longer than {QUERY_BYTES_MAX} bytes.")));
    }
    if task.parameters.len() > PARAMETERS_MAX || task.labels.len() > LABELS_MAX {
        let text = format!("At most {PARAMETERS_MAX} parameters and {LABELS_MAX} labels.");
        return Err(Error::limit(text));
    }
    let words = task.parameters.keys().map(|name| ("parameters", name));
    let words = words.chain(task.labels.iter().flat_map(|(key, value)| [("labels", key), ("labels", value)]));
    for (field, word) in words {
        if word.chars().count() > WORD_CHARS_MAX {
            return Err(Error::limit(format!("{field}: a word has more than {WORD_CHARS_MAX} characters.")));
        }
    }
    let (mut literals, mut variables) = (LiteralMap::default(), VariableMap::default());
    for (name, (kind, value)) in &task.parameters {
        if name.is_empty() {
            return Err(Error::invalid_field("parameters", "a parameter without a name"));
        }
        let (simple, scalar) =
            parameter(kind, value).map_err(|error| error.within(&format!("parameters.{name}")))?;
        let value = literal::Value::Scalar(Box::new(Scalar { value: Some(scalar) }));
        literals.literals.insert(name.clone(), Literal { value: Some(value), ..Literal::default() });
        let kind =
            LiteralType { r#type: Some(literal_type::Type::Simple(simple.into())), ..LiteralType::default() };
        variables.variables.insert(name.clone(), Variable { r#type: Some(kind), ..Variable::default() });
    }
    let text = |text: &str| Field { kind: Some(Form::StringValue(text.to_owned())) };
    let custom = [("ProjectID", text(&task.project)), ("Location", text(&task.location))];
    let custom =
        Struct { fields: custom.map(|(name, value)| (name.to_owned(), value)).into_iter().collect() };
    let statement = Sql { statement: task.query.clone(), dialect: sql::Dialect::Ansi.into() };
    let declared = !variables.variables.is_empty();
    let template = TaskTemplate {
        r#type: crate::operations::TASK_TYPE.to_owned(),
        task_type_version: task.version,
        custom: Some(custom),
        interface: declared.then_some(TypedInterface { inputs: Some(variables), outputs: None }),
        target: Some(task_template::Target::Sql(statement)),
        ..TaskTemplate::default()
    };
    Ok(CreateTaskRequest {
        inputs: declared.then_some(literals),
        template: Some(template),
        ..CreateTaskRequest::default()
    })
}

/// Reads a value as its type has it.
fn parameter(kind: &str, value: &Value) -> Result<(SimpleType, scalar::Value)> {
    let wrong = |expected: &str| Error::invalid_field("value", format!("expected {expected} for {kind}"));
    let primitive = |value| scalar::Value::Primitive(Primitive { value: Some(value) });
    let text = value.as_str();
    Ok(match kind {
        "BOOL" => {
            let truth = value.as_bool().or(match text {
                Some("true") => Some(true),
                Some("false") => Some(false),
                _ => None,
            });
            let truth = truth.ok_or_else(|| wrong("true or false"))?;
            (SimpleType::Boolean, primitive(primitive::Value::Boolean(truth)))
        }
        "INT64" => {
            let number = value.as_i64().or_else(|| text?.parse().ok());
            let number = number.ok_or_else(|| wrong("a whole number of 64 bits, or text with one"))?;
            (SimpleType::Integer, primitive(primitive::Value::Integer(number)))
        }
        "FLOAT64" => {
            let number = value.as_f64().or_else(|| text?.parse().ok());
            let number = number.ok_or_else(|| wrong("a number"))?;
            (SimpleType::Float, primitive(primitive::Value::FloatValue(number)))
        }
        "STRING" => {
            let text = text.ok_or_else(|| wrong("text"))?.to_owned();
            (SimpleType::String, primitive(primitive::Value::StringValue(text)))
        }
        "DATETIME" => {
            let at = text.and_then(moment).ok_or_else(|| wrong("a time such as \"2026-01-31T12:00:00\""))?;
            let seconds = at.as_microsecond().div_euclid(1_000_000);
            let nanos = i32::try_from(at.as_microsecond().rem_euclid(1_000_000) * 1000).unwrap_or_default();
            (
                SimpleType::Datetime,
                primitive(primitive::Value::Datetime(prost_types::Timestamp { seconds, nanos })),
            )
        }
        "BYTES" => {
            let bytes = text.and_then(|text| STANDARD.decode_to_vec(text).ok());
            let bytes = bytes.ok_or_else(|| wrong("bytes in base64"))?;
            (SimpleType::Binary, scalar::Value::Binary(Binary { value: bytes.into(), tag: String::new() }))
        }
        other => {
            let other: String = other.chars().take(WORD_CHARS_MAX).collect();
            let why = format!(
                "{other:?} is no type that the connector can pass on; there are {}",
                TYPES.join(", ")
            );
            return Err(Error::invalid_field("type", why));
        }
    })
}

/// Reads a time; without a zone it is in UTC, which is what becomes of a DATETIME.
fn moment(text: &str) -> Option<jiff::Timestamp> {
    text.parse().ok().or_else(|| {
        let civil: jiff::civil::DateTime = text.parse().ok()?;
        civil.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn task(kind: &str, value: Value) -> NewTask {
        let parameters = [("n".to_owned(), (kind.to_owned(), value))].into();
        NewTask { query: "SELECT @n".into(), project: "p".into(), parameters, ..NewTask::default() }
    }

    #[test]
    fn every_type_is_read_as_the_connector_wants_it() {
        for (kind, value) in [
            ("BOOL", json!(true)),
            ("INT64", json!("-9223372036854775808")),
            ("INT64", json!(5)),
            ("FLOAT64", json!(1.5)),
            ("STRING", json!("a")),
            ("DATETIME", json!("2026-01-31T12:00:00")),
            ("DATETIME", json!("2026-01-31T12:00:00Z")),
            ("BYTES", json!("AAEC")),
        ] {
            let request =
                request(&task(kind, value.clone())).unwrap_or_else(|error| panic!("{kind} {value}: {error}"));
            assert_eq!(request.inputs.unwrap().literals.len(), 1);
        }
    }

    #[test]
    fn what_the_connector_would_stumble_over_is_refused_with_its_place() {
        for (kind, value, field) in [
            ("ARRAY", json!([1]), "parameters.n.type"),
            ("int64", json!(1), "parameters.n.type"),
            ("INT64", json!(1.5), "parameters.n.value"),
            ("INT64", json!("9223372036854775808"), "parameters.n.value"),
            ("BOOL", json!(1), "parameters.n.value"),
            ("DATETIME", json!("soon"), "parameters.n.value"),
            ("BYTES", json!("%"), "parameters.n.value"),
            ("STRING", json!(null), "parameters.n.value"),
        ] {
            let error = request(&task(kind, value.clone())).expect_err(field);
            assert_eq!(error.violations()[0].field, field, "{kind} {value}");
        }
        assert!(request(&NewTask::default()).is_err(), "a query must be there");
    }
}
