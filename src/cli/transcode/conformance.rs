//! `causeway transcode --conformance`: answers the protobuf conformance runner on standard input and output.
//!
//! The runner sends `ConformanceRequest`s, each behind its length in four little-endian bytes, and waits for a
//! `ConformanceResponse` in the same framing before it sends the next. It asks for a message given in one format to
//! be printed in another, and names the message by its type. Of those formats a REST facade translates between two:
//! JSON to binary, binary to JSON, and JSON to JSON by way of binary. The rest (binary to binary, text format, JSPB)
//! is answered `skipped`, which the runner counts apart from success.
//!
//! A type that no descriptor set defines is a `runtime_error`, not `skipped`: a forgotten set must not look like a
//! suite that passed.

use std::io::{self, Read, Write};

use prost::Message as _;

use crate::transcode::{JsonOptions, Plan, Transcoder, UnknownFields};

/// Bytes of one request. The suite's largest have a few kilobytes; more means that the framing is lost.
const REQUEST_BYTES_MAX: usize = 64 << 20;

/// `conformance.WireFormat.PROTOBUF`.
const PROTOBUF: i32 = 1;
/// `conformance.WireFormat.JSON`.
const JSON: i32 = 2;
/// `conformance.TestCategory.JSON_IGNORE_UNKNOWN_PARSING_TEST`.
const JSON_IGNORE_UNKNOWN_PARSING_TEST: i32 = 3;

/// `conformance.ConformanceRequest`, as far as it is answered.
#[derive(Clone, PartialEq, prost::Message)]
struct Request {
    #[prost(oneof = "Payload", tags = "1, 2")]
    payload: Option<Payload>,
    #[prost(int32, tag = "3")]
    requested_output_format: i32,
    #[prost(string, tag = "4")]
    message_type: String,
    #[prost(int32, tag = "5")]
    test_category: i32,
}

/// What to read; JSPB and text format are left out and so read as nothing. JSON is `bytes` here though the suite says
/// `string`: whether it is UTF-8 is for the plan to judge.
#[derive(Clone, PartialEq, prost::Oneof)]
enum Payload {
    #[prost(bytes, tag = "1")]
    Protobuf(Vec<u8>),
    #[prost(bytes, tag = "2")]
    Json(Vec<u8>),
}

/// `conformance.ConformanceResponse`.
#[derive(Clone, PartialEq, prost::Message)]
struct Response {
    #[prost(oneof = "Outcome", tags = "1, 2, 3, 4, 5, 6")]
    result: Option<Outcome>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Outcome {
    #[prost(string, tag = "1")]
    ParseError(String),
    #[prost(string, tag = "2")]
    RuntimeError(String),
    #[prost(bytes, tag = "3")]
    Protobuf(Vec<u8>),
    #[prost(bytes, tag = "4")]
    Json(Vec<u8>),
    #[prost(string, tag = "5")]
    Skipped(String),
    #[prost(string, tag = "6")]
    SerializeError(String),
}

/// Answers requests from `input` on `output` until `input` ends.
///
/// # Errors
/// Input that ends inside a request, is no request, or is longer than any; output that cannot be written.
pub fn run(mut input: impl Read, mut output: impl Write, transcoder: &Transcoder) -> io::Result<()> {
    while let Some(frame) = read_frame(&mut input)? {
        let request = Request::decode(frame.as_slice())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("not a ConformanceRequest: {error}")))?;
        let response = Response { result: Some(answer(&request, transcoder)) };
        write_frame(&mut output, &response.encode_to_vec())?;
    }
    Ok(())
}

/// Returns the next frame, or `None` where the input ends between two.
fn read_frame(input: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut prefix = [0; 4];
    let mut filled = 0;
    while filled < prefix.len() {
        match input.read(&mut prefix[filled..]) {
            Ok(0) if filled == 0 => return Ok(None),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let length = u32::from_le_bytes(prefix) as usize;
    if length > REQUEST_BYTES_MAX {
        let message = format!("a request of {length} bytes; at most {REQUEST_BYTES_MAX} are read");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    let mut frame = vec![0; length];
    input.read_exact(&mut frame)?;
    Ok(Some(frame))
}

fn write_frame(output: &mut impl Write, frame: &[u8]) -> io::Result<()> {
    let length = u32::try_from(frame.len())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a response longer than its length prefix can say"))?;
    output.write_all(&length.to_le_bytes())?;
    output.write_all(frame)?;
    output.flush()
}

fn answer(request: &Request, transcoder: &Transcoder) -> Outcome {
    let wanted = request.requested_output_format;
    let skipped = || Outcome::Skipped("only JSON to binary, binary to JSON and JSON to JSON are translated".to_owned());
    let plan = || {
        transcoder.message(&request.message_type).ok_or_else(|| {
            Outcome::RuntimeError(format!("no descriptor set defines {}", request.message_type))
        })
    };
    let outcome = match (&request.payload, wanted) {
        (Some(Payload::Json(json)), PROTOBUF) => {
            plan().and_then(|plan| parse(&plan, json, request)).map(Outcome::Protobuf)
        }
        (Some(Payload::Json(json)), JSON) => {
            plan().and_then(|plan| print(&plan, &parse(&plan, json, request)?)).map(Outcome::Json)
        }
        (Some(Payload::Protobuf(wire)), JSON) => plan().and_then(|plan| print(&plan, wire)).map(Outcome::Json),
        _ => return skipped(),
    };
    outcome.unwrap_or_else(|failure| failure)
}

fn parse(plan: &Plan, json: &[u8], request: &Request) -> Result<Vec<u8>, Outcome> {
    let unknown = match request.test_category {
        JSON_IGNORE_UNKNOWN_PARSING_TEST => UnknownFields::Ignore,
        _ => UnknownFields::Reject,
    };
    match plan.to_wire(json, unknown) {
        Ok(parsed) => Ok(parsed.bytes),
        Err(error) => Err(Outcome::ParseError(error.to_string())),
    }
}

fn print(plan: &Plan, wire: &[u8]) -> Result<Vec<u8>, Outcome> {
    let mut json = Vec::new();
    match plan.to_json(wire, &JsonOptions::default(), &mut json) {
        Ok(_) => Ok(json),
        Err(error) => Err(Outcome::SerializeError(error.to_string())),
    }
}
