//! Query strings: decoding, and the parameters that speak to the gateway and not to the method.

use std::borrow::Cow;

use crate::error::{Error, Result};

/// Parameters of one request.
pub const PARAMETERS_MAX: usize = 200;

/// A decoded query.
#[derive(Clone, Debug, Default)]
pub struct Query<'q> {
    /// What the gateway itself was told.
    pub system: System,
    /// Everything else: fields of the request message.
    pub pairs: Vec<(Cow<'q, str>, Cow<'q, str>)>,
}

/// The system parameters of Google's APIs, under their `$` names and their bare ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct System {
    /// Form of the answer: `$alt`, `alt`.
    pub alt: Alt,
    /// Enums as numbers: `$alt=json;enum-encoding=int`.
    pub enum_numbers: bool,
    /// Zero values are printed: `$alt=json;defaults=true`.
    pub defaults: bool,
    /// Indented JSON: `$prettyPrint`, `prettyPrint`, `pp`.
    pub pretty: bool,
    /// Parts of the answer that are wanted: `$fields`, `fields`.
    pub fields: Option<String>,
    /// Errors in the form of the first Google APIs beside ours: `$.xgafv=1`.
    pub error_v1: bool,
    /// The verb that is meant: `$httpMethod`.
    pub http_method: Option<String>,
}

/// Form of the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Alt {
    /// JSON.
    #[default]
    Json,
    /// The bytes of a `google.api.HttpBody`.
    Media,
    /// The message in wire format.
    Proto,
    /// Server-sent events.
    Sse,
}

impl<'q> Query<'q> {
    /// Decodes a query string. `is_field` tells whether the request message has a field of a name: a bare system
    /// parameter such as `fields` or `key` is one only where the message has no such field.
    ///
    /// # Errors
    /// More than [`PARAMETERS_MAX`] parameters, bad percent-encoding, a system parameter with a value it cannot take.
    pub fn parse(raw: &'q str, is_field: impl Fn(&str) -> bool) -> Result<Self> {
        let mut query = Self::default();
        for (i, pair) in raw.split('&').filter(|pair| !pair.is_empty()).enumerate() {
            if i >= PARAMETERS_MAX {
                return Err(Error::limit(format!("The query has more than {PARAMETERS_MAX} parameters.")));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name).map_err(|why| Error::invalid_field("query", why))?;
            let value = decode(value).map_err(|why| Error::invalid_field(&*name, why))?;
            let bare = name.strip_prefix('$');
            match system(bare.unwrap_or(&name)) {
                Some(parameter) if bare.is_some() || !is_field(&name) => {
                    query.system.set(parameter, &name, &value)?;
                }
                _ => query.pairs.push((name, value)),
            }
        }
        Ok(query)
    }
}

impl System {
    /// Reads what can be read of a query before its route is known, for the form of an error. Never fails.
    pub fn parse_lenient(raw: &str) -> Self {
        let mut read = Self::default();
        for pair in raw.split('&').take(PARAMETERS_MAX) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Ok(name), Ok(value)) = (decode(name), decode(value)) else { continue };
            if let Some(parameter) = system(name.strip_prefix('$').unwrap_or(&name)) {
                // A bad value is reported once the route is known.
                let _ = read.set(parameter, &name, &value);
            }
        }
        read
    }

    fn set(&mut self, parameter: Parameter, name: &str, value: &str) -> Result<()> {
        match parameter {
            Parameter::Alt => self.set_alt(name, value)?,
            Parameter::Fields if self.fields.is_some() => {
                return Err(Error::invalid_field(name, "is given twice"));
            }
            Parameter::Fields => self.fields = Some(value.to_owned()).filter(|value| !value.is_empty()),
            Parameter::Pretty => self.pretty = boolean(name, value)?,
            Parameter::ErrorFormat => match value {
                "1" => self.error_v1 = true,
                "2" | "" => self.error_v1 = false,
                _ => return Err(Error::invalid_field(name, "expected 1 or 2")),
            },
            Parameter::HttpMethod => self.http_method = Some(value.to_owned()),
            Parameter::Callback => {
                return Err(Error::invalid_field(
                    name,
                    "JSONP is not offered; call from a server, or from a page of the same origin",
                ));
            }
            Parameter::Stripped => {}
        }
        Ok(())
    }

    fn set_alt(&mut self, name: &str, value: &str) -> Result<()> {
        let mut parts = value.split(';');
        self.alt = match parts.next().unwrap_or_default() {
            "json" | "" => Alt::Json,
            "media" => Alt::Media,
            "proto" => Alt::Proto,
            "sse" => Alt::Sse,
            other => {
                let why = format!("{} is not offered; json, media, proto and sse are", excerpt(other));
                return Err(Error::invalid_field(name, why));
            }
        };
        for option in parts.filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("enum-encoding", "int")) => self.enum_numbers = true,
                Some(("enum-encoding", "string")) => self.enum_numbers = false,
                Some(("defaults", value)) => self.defaults = boolean(name, value)?,
                _ => {
                    let why = format!(
                        "{} is not understood; enum-encoding=int and defaults=true are",
                        excerpt(option)
                    );
                    return Err(Error::invalid_field(name, why));
                }
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Parameter {
    Alt,
    Fields,
    Pretty,
    ErrorFormat,
    HttpMethod,
    Callback,
    /// Understood by Google's front ends and without a meaning here.
    Stripped,
}

fn system(name: &str) -> Option<Parameter> {
    Some(match name {
        "alt" => Parameter::Alt,
        "fields" => Parameter::Fields,
        "prettyPrint" | "pp" => Parameter::Pretty,
        ".xgafv" => Parameter::ErrorFormat,
        "httpMethod" => Parameter::HttpMethod,
        "callback" => Parameter::Callback,
        "key" | "quotaUser" | "userIp" | "userip" | "userProject" | "access_token" | "oauth_token"
        | "uploadType" | "upload_protocol" | "trace" | "strict" | "ct" | "apiVersion" | "outputDefaults"
        | "unknownEnumValues" | "req" => Parameter::Stripped,
        _ => return None,
    })
}

fn boolean(name: &str, value: &str) -> Result<bool> {
    match value {
        "true" | "1" | "" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(Error::invalid_field(name, "expected true or false")),
    }
}

fn excerpt(text: &str) -> String {
    text.chars().take(40).collect()
}

/// Decodes one part of a query: `+` is a space, percent sequences are bytes of UTF-8.
fn decode(text: &str) -> Result<Cow<'_, str>, &'static str> {
    if memchr::memchr2(b'%', b'+', text.as_bytes()).is_none() {
        return if text.bytes().any(|byte| byte < b' ') { Err(CONTROL) } else { Ok(Cow::Borrowed(text)) };
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let ([high, low, ..], true) = (tail, tail.len() >= 2) else { return Err(PERCENT) };
                let (Some(high), Some(low)) = (hex(*high), hex(*low)) else { return Err(PERCENT) };
                bytes.push(high << 4 | low);
                rest = &tail[2..];
            }
            byte => bytes.push(*byte),
        }
    }
    let text = String::from_utf8(bytes).map_err(|_| "does not decode to UTF-8")?;
    if text.contains('\0') { Err(CONTROL) } else { Ok(Cow::Owned(text)) }
}

const PERCENT: &str =
    "a percent sign must be followed by two hexadecimal digits; write %25 for a percent sign";
const CONTROL: &str = "control characters are not allowed";

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(raw: &str) -> Query<'_> {
        Query::parse(raw, |name| matches!(name, "filter" | "key")).unwrap()
    }

    #[test]
    fn what_real_clients_append_reaches_no_message() {
        for raw in [
            "alt=json&%24.xgafv=2&prettyPrint=false&quotaUser=a&oauth_token=x&uploadType=y",
            "$alt=json;enum-encoding=int",
            "%24alt=json%3Benum-encoding%3Dint&$prettyPrint=0",
            "",
            "&&",
        ] {
            assert!(parse(raw).pairs.is_empty(), "{raw}");
        }
        assert!(parse("%24alt=json%3Benum-encoding%3Dint").system.enum_numbers);
        assert_eq!(parse("fields=name%2Cdone").system.fields.as_deref(), Some("name,done"));
    }

    #[test]
    fn a_field_of_the_message_wins_over_a_bare_system_name() {
        assert_eq!(parse("key=1").pairs, [("key".into(), "1".into())]);
        assert!(parse("$key=1").pairs.is_empty());
    }

    #[test]
    fn plus_is_a_space_and_percent_is_utf8() {
        assert_eq!(parse("filter=a+b%20c%C3%A9/%2B%3D").pairs[0].1, "a b cé/+=");
        for raw in ["filter=%zz", "filter=%f", "filter=%", "filter=%ff", "filter=%00", "%zz=1"] {
            assert!(Query::parse(raw, |_| true).is_err(), "{raw}");
        }
    }

    #[test]
    fn bad_system_values_and_too_many_parameters_are_refused() {
        for raw in ["alt=xml", "$alt=json;x=y", "prettyPrint=maybe", "callback=f", "$.xgafv=3"] {
            assert!(Query::parse(raw, |_| false).is_err(), "{raw}");
        }
        let many = vec!["a=1"; PARAMETERS_MAX + 1].join("&");
        let error = Query::parse(&many, |_| true).unwrap_err();
        assert_eq!(error.reason(), Some(crate::error::Reason::LimitExceeded));
    }
}
