//! The form of our own answers: `$fields` and `$prettyPrint`, as on answers of upstreams.

use http::{HeaderMap, Response, header};
use serde_json::Value;

use crate::{
    error::{Error, Result},
    http::{body::Body, proxied::FIELD_MASK},
    transcode::{Alt, Query, Selection},
};

/// What may be given more than once: it adds up.
const REPEATED: [&str; 2] = ["updateMask", "update_mask"];

/// How an answer is to be shown.
pub(super) struct Shown {
    selection: Option<Selection>,
    pretty: bool,
}

impl Shown {
    /// Reads what a query and the headers say of it, before anything is done.
    ///
    /// # Errors
    /// What no answer of ours can be; a parameter that is given twice: whoever looked at the first would not see what we do.
    pub(super) fn read(query: &str, headers: &HeaderMap) -> Result<Self> {
        let Query { system, pairs } = Query::parse(query, |_| false)?;
        for (at, (name, _)) in pairs.iter().enumerate() {
            if !REPEATED.contains(&&**name) && pairs[..at].iter().any(|(before, _)| before == name) {
                return Err(Error::invalid_field(&**name, "is given twice"));
            }
        }
        if matches!(system.alt, Alt::Media | Alt::Proto) {
            return Err(Error::invalid_field("alt", "is json here; this resource has no message"));
        }
        let header = || headers.get(FIELD_MASK).and_then(|mask| mask.to_str().ok()).map(str::to_owned);
        let mask = system.fields.or_else(header);
        let selection = mask.as_deref().map(Selection::parse_unchecked).transpose()?;
        Ok(Self { selection, pretty: system.pretty })
    }

    /// Leaves of a value what is asked for.
    pub(super) fn keep(&self, value: &mut Value) {
        if let Some(selection) = &self.selection {
            selection.keep(value);
        }
    }

    /// Shows an answer that way. What is no JSON, or comes piece by piece, stays as it is.
    pub(super) fn shape(&self, mut response: Response<Body>) -> Response<Body> {
        if self.selection.is_none() && !self.pretty {
            return response;
        }
        let kind = response.headers().get(header::CONTENT_TYPE);
        let is_json = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
        let bytes = response.body().bytes().filter(|_| is_json && response.status().is_success());
        let Some(mut value) = bytes.and_then(|bytes| serde_json::from_slice::<Value>(bytes).ok()) else {
            return response;
        };
        self.keep(&mut value);
        let printed =
            if self.pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) };
        if let Ok(printed) = printed {
            *response.body_mut() = Body::full(printed);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(query: &str, value: &Value) -> String {
        let response = Shown::read(query, &HeaderMap::new()).unwrap().shape(crate::http::json(value));
        String::from_utf8(response.body().bytes().unwrap().to_vec()).unwrap()
    }

    /// Which part of an operation was wanted was checked for its syntax, and all of it was answered.
    #[test]
    fn our_own_answers_have_the_parts_that_are_wanted() {
        let page = json!({"operations": [{"name": "a", "done": true, "metadata": {"value": {"startTime": 1, "kind": 2}}},
                                         {"name": "b"}], "nextPageToken": "t"});
        for (query, expected) in [
            ("$fields=nextPageToken", json!({"nextPageToken": "t"})),
            ("fields=operations.name", json!({"operations": [{"name": "a"}, {"name": "b"}]})),
            (
                "fields=operations(metadata/value/start_time)",
                json!({"operations": [{"metadata": {"value": {"startTime": 1}}}, {}]}),
            ),
            ("fields=bogus", json!({})),
            ("fields=*", page.clone()),
        ] {
            assert_eq!(shown(query, &page), expected.to_string(), "{query}");
        }
        assert_eq!(shown("prettyPrint=true", &json!({"a": 1})), "{\n  \"a\": 1\n}");
    }

    #[test]
    fn what_cannot_be_is_refused_before_anything_is_done() {
        for query in ["alt=proto", "$alt=media", "fields=(", "filter=a&filter=", "pageSize=1&pageSize=1"] {
            assert!(Shown::read(query, &HeaderMap::new()).is_err(), "{query}");
        }
        assert!(
            Shown::read("updateMask=a&updateMask=b&$alt=json;enum-encoding=int", &HeaderMap::new()).is_ok()
        );
    }
}
