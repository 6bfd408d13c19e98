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
pub(super) fn run(mut input: impl Read, mut output: impl Write, transcoder: &Transcoder) -> io::Result<()> {
    while let Some(frame) = read_frame(&mut input)? {
        let request = Request::decode(frame.as_slice()).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidData, format!("not a ConformanceRequest: {error}"))
        })?;
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
    let length = u32::try_from(frame.len()).map_err(|_| {
        io::Error::new(io::ErrorKind::InvalidData, "a response longer than its length prefix can say")
    })?;
    output.write_all(&length.to_le_bytes())?;
    output.write_all(frame)?;
    output.flush()
}

fn answer(request: &Request, transcoder: &Transcoder) -> Outcome {
    let wanted = request.requested_output_format;
    let skipped =
        || Outcome::Skipped("only JSON to binary, binary to JSON and JSON to JSON are translated".to_owned());
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
        (Some(Payload::Protobuf(wire)), JSON) => {
            plan().and_then(|plan| print(&plan, wire)).map(Outcome::Json)
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Pool;

    const PROTO3: &str = "protobuf_test_messages.proto3.TestAllTypesProto3";

    fn transcoder() -> Transcoder {
        let set = include_bytes!("../../../tests/conformance/messages.binpb");
        Transcoder::new(&Pool::load(&[("messages.binpb", set)]).expect("the committed set loads"))
    }

    fn request(payload: Payload, requested_output_format: i32) -> Request {
        Request {
            payload: Some(payload),
            requested_output_format,
            message_type: PROTO3.to_owned(),
            test_category: 0,
        }
    }

    #[test]
    fn answers_each_request_in_its_frame_until_the_input_ends() {
        let json = request(Payload::Json(br#"{"optionalInt32": 150}"#.to_vec()), PROTOBUF);
        let wire = request(Payload::Protobuf(vec![0x08, 0x96, 0x01]), JSON);
        let mut input = Vec::new();
        for request in [json, wire] {
            write_frame(&mut input, &request.encode_to_vec()).expect("a vector takes everything");
        }

        let mut output = Vec::new();
        run(input.as_slice(), &mut output, &transcoder()).expect("the input is whole");

        let mut answers = Vec::new();
        let mut rest = output.as_slice();
        while let Some(frame) = read_frame(&mut rest).expect("the output is whole") {
            answers.push(Response::decode(frame.as_slice()).expect("a response").result);
        }
        let expected = [
            Some(Outcome::Protobuf(vec![0x08, 0x96, 0x01])),
            Some(Outcome::Json(br#"{"optionalInt32":150}"#.to_vec())),
        ];
        assert_eq!(answers, expected);
    }

    #[test]
    fn input_that_ends_inside_a_frame_is_an_error() {
        for cut in [&[3, 0][..], &[3, 0, 0, 0, 0x1a]] {
            let error = run(cut, Vec::new(), &transcoder()).expect_err("the frame is cut");
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }

    #[test]
    fn a_length_beyond_any_request_is_refused_before_it_is_allocated() {
        let error = run(&u32::MAX.to_le_bytes()[..], Vec::new(), &transcoder()).expect_err("too long");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_type_nobody_defined_is_not_skipped() {
        let mut request = request(Payload::Json(b"{}".to_vec()), PROTOBUF);
        request.message_type = "acme.Missing".to_owned();
        assert!(
            matches!(answer(&request, &transcoder()), Outcome::RuntimeError(why) if why.contains("acme.Missing"))
        );
    }

    #[test]
    fn unknown_fields_are_ignored_only_in_the_category_that_says_so() {
        let mut request = request(Payload::Json(br#"{"nobodyKnowsMe": 1}"#.to_vec()), PROTOBUF);
        assert!(matches!(answer(&request, &transcoder()), Outcome::ParseError(_)));
        request.test_category = JSON_IGNORE_UNKNOWN_PARSING_TEST;
        assert_eq!(answer(&request, &transcoder()), Outcome::Protobuf(Vec::new()));
    }

    #[test]
    fn binary_to_binary_and_text_format_are_skipped() {
        for request in
            [request(Payload::Protobuf(Vec::new()), PROTOBUF), request(Payload::Json(b"{}".to_vec()), 4)]
        {
            assert!(matches!(answer(&request, &transcoder()), Outcome::Skipped(_)));
        }
    }
}
