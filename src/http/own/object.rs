//! A JSON object in which nothing is said twice.
//!
//! `serde_json` takes the last of two values of one key, others the first: whoever looks at a request before us would see
//! another one than we do.

use std::{cell::RefCell, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::error::{Code, Error, Reason, Result};

/// Reads a body; an empty one has no fields. How deep it may go is `serde_json`'s limit, 128.
pub(super) fn read(body: &[u8]) -> Result<Map<String, Value>> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    let twice = RefCell::default();
    let mut text = serde_json::Deserializer::from_slice(body);
    let object = text.deserialize_map(Object(&twice)).and_then(|object| text.end().map(|()| object));
    object.map_err(|error| match twice.take() {
        Some(name) => {
            let at = format!("is given twice (line {}, column {})", error.line(), error.column());
            Error::invalid_field(name, at)
        }
        None => {
            let text =
                format!("The body is no JSON object (line {}, column {}).", error.line(), error.column());
            Error::new(Code::InvalidArgument, Reason::InvalidJson, text)
        }
    })
}

/// Reads an object. What is found twice is put there.
struct Object<'t>(&'t RefCell<Option<String>>);

/// Reads any value.
struct Any<'t>(&'t RefCell<Option<String>>);

impl<'de> Visitor<'de> for Object<'_> {
    type Value = Map<String, Value>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                *self.0.borrow_mut() = Some(name);
                return Err(A::Error::custom("twice"));
            }
            let value = members.next_value_seed(Any(self.0))?;
            object.insert(name, value);
        }
        Ok(object)
    }
}

impl<'de> DeserializeSeed<'de> for Any<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<Value, D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Any<'_> {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Any(self.0))? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Value, A::Error> {
        Object(self.0).visit_map(members).map(Value::Object)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A key was made for the role that was given last, whatever had been given before.
    #[test]
    fn what_is_given_twice_is_refused_at_any_depth() {
        for (body, name, place) in [
            (r#"{"role": "viewer", "role": "admin"}"#, "role", "line 1, column 25"),
            ("{\"a\": [{\"b\": 1,\n\"b\": 1}]}", "b", "line 2, column 3"),
            (r#"{"a": 1, "\u0061": 2}"#, "a", "line 1, column 17"),
        ] {
            let error = read(body.as_bytes()).unwrap_err();
            assert_eq!(error.reason(), Some(Reason::InvalidField), "{body}");
            assert!(error.message().contains(&format!("{name}: is given twice ({place})")), "{error}");
        }
        assert!(read(br#"{"a": {"c": 1}, "b": {"c": 1}}"#).is_ok());
    }

    #[test]
    fn what_is_no_object_says_where() {
        for body in ["[]", "1", "{\"a\"}", "{} x", "{\"a\": 01}", "\u{feff}{}"] {
            let error = read(body.as_bytes()).unwrap_err();
            assert_eq!(error.reason(), Some(Reason::InvalidJson), "{body}");
        }
        let deep = format!("{{\"a\": {}}}", "[".repeat(100_000));
        assert!(read(deep.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn all_else_is_read_as_ever(text: String, number: i64, size: u64, part in -1e300_f64..1e300) {
            let value = serde_json::json!({"a": [text, number, null, true], "b": {"c": size, "d": part}});
            prop_assert_eq!(Value::Object(read(value.to_string().as_bytes()).unwrap()), value);
        }
    }
}
