//! `resource_meta`: by what the BigQuery connector finds a job again. JSON as Python writes it, unsigned.

use serde_json::Value;

use super::exception::{Exception, repr};

/// Names a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Meta {
    /// Id of the job.
    pub(super) job_id: String,
    /// Its project; `None` is that of the connector's credentials.
    pub(super) project: Option<String>,
    /// Where it runs; `None` leaves BigQuery to guess.
    pub(super) location: Option<String>,
}

/// The keys, all of them needed and no others taken.
const KEYS: [&str; 3] = ["job_id", "project", "location"];

impl Meta {
    /// Writes the bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let optional = |value: &Option<String>| value.as_deref().map_or("null".to_owned(), json);
        let (project, location) = (optional(&self.project), optional(&self.location));
        let job_id = json(&self.job_id);
        format!(r#"{{"job_id": {job_id}, "project": {project}, "location": {location}}}"#).into_bytes()
    }

    /// Reads bytes that somebody sent.
    ///
    /// # Errors
    /// What Python raises: they are no text, no JSON, no object, or have other keys.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Exception> {
        let text = str::from_utf8(bytes).map_err(|error| not_text(bytes, error))?;
        let value = serde_json::from_str(text).map_err(|error| not_json(text, &error))?;
        let Value::Object(object) = value else { return Err(not_an_object(&value)) };
        if let Some(key) = object.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(Exception::key(repr(key)));
        }
        let missing: Vec<_> = KEYS.into_iter().filter(|key| !object.contains_key(*key)).collect();
        if !missing.is_empty() {
            return Err(incomplete(&missing));
        }
        let text = |key: &str| object.get(key).and_then(shown);
        Ok(Self {
            job_id: text("job_id").unwrap_or_else(|| "None".to_owned()),
            project: text("project"),
            location: text("location"),
        })
    }
}

/// Nobody checks the types of the values: they end up in an address as Python shows them.
fn shown(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn not_text(bytes: &[u8], error: std::str::Utf8Error) -> Exception {
    let at = error.valid_up_to();
    let byte = bytes.get(at).copied().unwrap_or_default();
    let why = match (error.error_len(), byte) {
        (None, _) => "unexpected end of data",
        (Some(_), 0xc2..=0xf4) => "invalid continuation byte",
        (Some(_), _) => "invalid start byte",
    };
    let message = format!("'utf-8' codec can't decode byte 0x{byte:02x} in position {at}: {why}");
    Exception::new("UnicodeDecodeError", message)
}

fn not_json(text: &str, error: &serde_json::Error) -> Exception {
    let (line, column) = (error.line().max(1), error.column().max(1));
    let before: usize = text.split_inclusive('\n').take(line - 1).map(|line| line.chars().count()).sum();
    let at = before + column - 1;
    let message = format!("Expecting value: line {line} column {column} (char {at})");
    Exception::new("json.decoder.JSONDecodeError", message)
}

fn not_an_object(value: &Value) -> Exception {
    let class = match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    };
    Exception::new("AttributeError", format!("'{class}' object has no attribute 'items'"))
}

fn incomplete(missing: &[&str]) -> Exception {
    let names: Vec<_> = missing.iter().map(|key| format!("'{key}'")).collect();
    let names = match names.as_slice() {
        [one] => one.clone(),
        [one, two] => format!("{one} and {two}"),
        many => many.join(", ").replace("'project', 'location'", "'project', and 'location'"),
    };
    let (count, s) = (missing.len(), if missing.len() == 1 { "" } else { "s" });
    let message =
        format!("BigQueryMetadata.__init__() missing {count} required positional argument{s}: {names}");
    Exception::new("TypeError", message)
}

/// Writes text as JSON in ASCII, the rest escaped.
fn json(text: &str) -> String {
    let mut out = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(letter),
            _ => letter.encode_utf16(&mut [0; 2]).iter().for_each(|unit| {
                out.push_str(&format!("\\u{unit:04x}"));
            }),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(project: Option<&str>, location: Option<&str>) -> Meta {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Meta { job_id: "a-1".to_owned(), project: owned(project), location: owned(location) }
    }

    #[test]
    fn bytes_are_those_of_python() {
        let written = |meta: Meta| String::from_utf8(meta.encode()).unwrap();
        assert_eq!(
            written(meta(Some("demo"), Some("EU"))),
            r#"{"job_id": "a-1", "project": "demo", "location": "EU"}"#
        );
        assert_eq!(
            written(meta(Some("prö\u{1f600}j\"\n"), None)),
            r#"{"job_id": "a-1", "project": "pr\u00f6\ud83d\ude00j\"\n", "location": null}"#
        );
        for meta in [meta(Some("prö\u{1f600}\u{7f}"), None), meta(None, Some("us-central1"))] {
            assert_eq!(Meta::decode(&meta.encode()), Ok(meta));
        }
    }

    #[test]
    fn what_somebody_made_up_is_taken_if_it_has_the_shape() {
        let made_up = Meta::decode(br#"{"location":"EU","job_id":5,"project":"other"}"#).unwrap();
        assert_eq!((made_up.job_id.as_str(), made_up.project.as_deref()), ("5", Some("other")));
        let refused: [(&[u8], &str, &str); 9] = [
            (b"", "json.decoder.JSONDecodeError", "Expecting value: line 1 column 1 (char 0)"),
            (b"hello", "json.decoder.JSONDecodeError", "Expecting value: line 1 column 1 (char 0)"),
            (
                b"\xff\x00",
                "UnicodeDecodeError",
                "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
            ),
            (b"5", "AttributeError", "'int' object has no attribute 'items'"),
            (b"[]", "AttributeError", "'list' object has no attribute 'items'"),
            (b"null", "AttributeError", "'NoneType' object has no attribute 'items'"),
            (
                br#"{"job_id":"x","project":"p"}"#,
                "TypeError",
                "BigQueryMetadata.__init__() missing 1 required positional argument: 'location'",
            ),
            (
                b"{}",
                "TypeError",
                "BigQueryMetadata.__init__() missing 3 required positional arguments: 'job_id', 'project', and 'location'",
            ),
            (br#"{"job_id":"x","project":"p","location":"US","more":1}"#, "KeyError", "'more'"),
        ];
        for (bytes, class, message) in refused {
            assert_eq!(Meta::decode(bytes), Err(Exception::new(class, message)), "{bytes:?}");
        }
    }
}
