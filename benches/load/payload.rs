//! What is asked and what is answered: the cases of the run, from the JSON files beside this one.
//!
//! The items have what costs a transcoder most: escapes, text of several bytes per character, timestamps, maps, oneofs,
//! 64-bit numbers, enums, and messages packed into an `Any`. A page repeats them with other names.
//!
//! The upstream does not read requests. It looks for the *mark* of a case, the location in the request's resource name,
//! and answers with bytes that were made before: its work is the same for every gateway.

use std::{error::Error, path::Path};

use bytes::Bytes;
use http::{Method, StatusCode};
use prost_reflect::{
    DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions, prost::Message as _,
};
use serde_json::{Value, json};

use causeway::pb;

/// Result of everything in this run: what goes wrong ends it with one line.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// Pages that the long stream consists of, of a thousand items each: about 135 MB on the wire.
pub(crate) const STREAM_PAGES: usize = 660;
/// Pages of a thousand items that the large page consists of: about 8 MB on the wire.
const LARGE_PAGES: usize = 40;

const CONNECTION: &str = "google.cloud.bigquery.connection.v1.Connection";
const CONNECTIONS: &str = "google.cloud.bigquery.connection.v1.ListConnectionsResponse";
const OPERATIONS: &str = "google.longrunning.ListOperationsResponse";
const NOT_FOUND: i32 = 5;
const NOT_FOUND_TEXT: &str = "Connection \"lost\" was not found in Zürich.";

/// One request and its answer.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// What the table calls it.
    pub(crate) name: &'static str,
    /// How the upstream recognises it.
    pub(crate) mark: &'static str,
    /// Verb of the REST request.
    pub(crate) verb: Method,
    /// Path and query of the REST request.
    pub(crate) path: String,
    /// Body of the REST request.
    pub(crate) body: Bytes,
    /// What the upstream answers.
    pub(crate) reply: Reply,
    /// The status that the caller reads.
    pub(crate) status: StatusCode,
    /// What the caller reads, as the reference implementation prints it.
    pub(crate) json: Bytes,
    /// Full name of the message that the upstream answers with.
    pub(crate) message: &'static str,
}

/// What the upstream answers. Messages are framed: a byte and a length of four bytes before each.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// A message.
    Message(Bytes),
    /// The same message many times.
    Stream(Bytes),
    /// Code, text and packed `google.rpc.Status`.
    Refusal(i32, &'static str, Bytes),
}

/// All cases and the descriptors of their messages.
pub(crate) struct Payload {
    /// The descriptors of the known upstreams.
    pub(crate) pool: DescriptorPool,
    /// The cases in the order of the table.
    pub(crate) cases: Vec<Case>,
    /// The case of the long stream.
    pub(crate) stream: Case,
    /// The case of a page that is larger than any should be.
    pub(crate) large: Case,
}

impl Payload {
    /// Prepares all requests and answers.
    pub(crate) fn load() -> Outcome<Self> {
        let pool = DescriptorPool::decode(pb::DESCRIPTOR_SET)?;
        let connections: Vec<Value> = serde_json::from_str(include_str!("connections.json"))?;
        let operations: Vec<Value> = serde_json::from_str(include_str!("operations.json"))?;
        let new: Value = serde_json::from_str(include_str!("new_connection.json"))?;
        let one = || connections[0].clone();
        let of_connections =
            |count| json!({ "connections": page(&connections, count), "nextPageToken": "bmV4dA==" });
        let of_operations =
            |count| json!({ "operations": page(&operations, count), "nextPageToken": "bmV4dA==" });
        let make = Make { pool: &pool };
        let cases = vec![
            make.get("one resource", "one", "connections/orders", CONNECTION, numbered(&one(), 7)?)?,
            make.get(
                "50 connections",
                "page-50",
                "connections?pageSize=50",
                CONNECTIONS,
                of_connections(50),
            )?,
            make.get("50 operations", "ops-50", "operations?pageSize=50", OPERATIONS, of_operations(50))?,
            make.get(
                "1000 connections",
                "page-1000",
                "connections?pageSize=1000",
                CONNECTIONS,
                of_connections(1000),
            )?,
            make.get(
                "1000 operations",
                "ops-1000",
                "operations?pageSize=1000",
                OPERATIONS,
                of_operations(1000),
            )?,
            make.post(
                "create with body",
                "new",
                "connections?connectionId=orders",
                &new,
                numbered(&one(), 7)?,
            )?,
            make.refusal("error (404)", "missing", "connections/lost")?,
        ];
        let mut stream =
            make.get("stream", "flood", "connections:stream", CONNECTIONS, of_connections(1000))?;
        if let Reply::Message(message) = stream.reply {
            stream.reply = Reply::Stream(message);
        }
        // A list goes on where its message goes on, so the bytes of several pages are one page.
        let items = json!({ "connections": page(&connections, 1000) });
        let mut large = make.get("large page", "large", "connections?pageSize=40000", CONNECTIONS, items)?;
        if let Reply::Message(one) = &large.reply {
            large.reply = Reply::Message(framed(&one[PREFIX_BYTES..].repeat(LARGE_PAGES))?);
        }
        Ok(Self { pool, cases, stream, large })
    }

    /// Finds the case whose mark is in a request.
    pub(crate) fn find(&self, request: &[u8]) -> Option<&Case> {
        let has_mark = |case: &&Case| memchr::memmem::find(request, in_name(case.mark).as_bytes()).is_some();
        self.cases.iter().chain([&self.stream, &self.large]).find(has_mark)
    }
}

/// The part of a resource name by which a case is recognised.
pub(crate) fn in_name(mark: &str) -> String {
    format!("/locations/{mark}")
}

/// Compiles the protos of the run, for those that must be given descriptors.
pub(crate) fn descriptor_set() -> Outcome<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut compiler = protox::Compiler::new([root.join("benches/load"), root.join("proto")])?;
    compiler.include_imports(true).open_file("bench.proto")?;
    Ok(compiler.encode_file_descriptor_set())
}

struct Make<'p> {
    pool: &'p DescriptorPool,
}

impl Make<'_> {
    fn get(
        &self,
        name: &'static str,
        mark: &'static str,
        collection: &str,
        message: &'static str,
        answer: Value,
    ) -> Outcome<Case> {
        let message_of = self.descriptor(message)?;
        let answer = DynamicMessage::deserialize(message_of, answer)?;
        Ok(Case {
            name,
            mark,
            verb: Method::GET,
            path: format!("/v1/projects/acme-data{}/{collection}", in_name(mark)),
            body: Bytes::new(),
            reply: Reply::Message(framed(&answer.encode_to_vec())?),
            status: StatusCode::OK,
            json: printed(&answer)?.into(),
            message,
        })
    }

    fn post(
        &self,
        name: &'static str,
        mark: &'static str,
        collection: &str,
        body: &Value,
        answer: Value,
    ) -> Outcome<Case> {
        let case = self.get(name, mark, collection, CONNECTION, answer)?;
        Ok(Case { verb: Method::POST, body: body.to_string().into(), ..case })
    }

    fn refusal(&self, name: &'static str, mark: &'static str, resource: &str) -> Outcome<Case> {
        let detail = json!({
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "CONNECTION_NOT_FOUND",
            "domain": "bigqueryconnection.googleapis.com",
            "metadata": { "connection": "projects/acme-data/locations/eu/connections/lost" },
        });
        let status = json!({ "code": NOT_FOUND, "message": NOT_FOUND_TEXT, "details": [detail] });
        let packed = DynamicMessage::deserialize(self.descriptor("google.rpc.Status")?, status)?;
        let envelope = json!({
            "error": { "code": 404, "message": NOT_FOUND_TEXT, "status": "NOT_FOUND", "details": [detail] }
        });
        let case = self.get(name, mark, resource, CONNECTION, json!({}))?;
        Ok(Case {
            reply: Reply::Refusal(NOT_FOUND, NOT_FOUND_TEXT, packed.encode_to_vec().into()),
            status: StatusCode::NOT_FOUND,
            json: envelope.to_string().into(),
            ..case
        })
    }

    fn descriptor(&self, name: &str) -> Outcome<MessageDescriptor> {
        self.pool.get_message_by_name(name).ok_or_else(|| format!("no message {name}").into())
    }
}

/// Prints a message as the reference implementation does.
pub(crate) fn printed(message: &DynamicMessage) -> Outcome<Vec<u8>> {
    let mut out = Vec::new();
    let mut serializer = serde_json::Serializer::new(&mut out);
    message.serialize_with_options(&mut serializer, &SerializeOptions::new())?;
    Ok(out)
}

/// Bytes before a message: a flag and a length.
const PREFIX_BYTES: usize = 5;

fn framed(message: &[u8]) -> Outcome<Bytes> {
    let mut framed = vec![0];
    framed.extend(u32::try_from(message.len())?.to_be_bytes());
    framed.extend_from_slice(message);
    Ok(framed.into())
}

fn page(items: &[Value], count: usize) -> Vec<Value> {
    (0..count).filter_map(|n| numbered(&items[n % items.len()], 1000 + n).ok()).collect()
}

fn numbered(item: &Value, n: usize) -> Outcome<Value> {
    Ok(serde_json::from_str(&item.to_string().replace("{n}", &n.to_string()))?)
}
