//! Where an error says that something is wrong.

use super::UnknownFields;
use crate::{schema::fixture::pool_of, transcode::Transcoder};

/// Reads a body of a message with every kind of key; returns the words that refuse it.
fn refused(body: &str) -> String {
    let pool = pool_of(
        "message M {
          google.protobuf.Struct s = 1; map<string, int32> m = 2; map<int32, string> im = 3; google.protobuf.Any any = 4;
        }",
    );
    let plan = Transcoder::new(&pool).message("pkg.M").unwrap();
    plan.to_wire(body.as_bytes(), UnknownFields::Reject).unwrap_err().to_string()
}

#[test]
fn an_error_about_a_key_is_where_the_key_is_and_not_at_what_follows() {
    const TYPE: &str = r#""@type":"t/google.protobuf.Duration""#;
    for (body, why, line, column) in [
        ("{\"s\":{\"a\":1, \"a\":3,\n   \"c\":4}}".to_owned(), "given twice", 1, 14),
        ("{\"s\":{\"a\":1,\n \"a\"\n:\n3}}".to_owned(), "given twice", 2, 2),
        ("{\"m\":{\"a\":1,\n \"b\":2, \"a\":3,   \"c\":4}}".to_owned(), "given twice", 2, 9),
        (r#"{"m":{"a":1,"a":"no number"}}"#.to_owned(), "given twice", 1, 13),
        (r#"{"im":{"abc": "x"}}"#.to_owned(), "the key must be", 1, 8),
        (r#"{"im":{"1":"x", "abc": "x"}}"#.to_owned(), "the key must be", 1, 17),
        (r#"{"m":{"a": null}}"#.to_owned(), "null cannot be", 1, 12),
        (r#"{"any":{"foo":1}}"#.to_owned(), "\"@type\" is missing", 1, 8),
        (format!("{{\"any\":{{\n{TYPE}, \"value\":\"1s\", \"value\":\"1s\"}}}}"), "given twice", 2, 53),
        (format!("{{\"any\":{{\n{TYPE}, \"more\":{{}}}}}}"), "goes under \"value\"", 2, 39),
        (format!("{{\"any\": {{\n{TYPE}}},\n\"m\":{{}}}}"), "\"value\" is missing", 1, 9),
        ("{\"any\":{\"@type\":\"t/no.Such\",\n \"more\":{}}}".to_owned(), "not a known type", 2, 2),
    ] {
        let error = refused(&body);
        let place = format!("(line {line}, column {column})");
        assert!(error.contains(why) && error.contains(&place), "{body}: {error}");
    }
}
