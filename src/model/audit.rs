//! What the audit log keeps of a request.

use serde::{Deserialize, Serialize};

/// What is known when a request begins. Nothing here is secret: whoever fills it has left that out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Entry {
    /// Id of the request, as in `X-Request-Id`.
    pub request_id: String,
    /// Id of the trace, 32 hexadecimal digits.
    pub trace_id: String,
    /// Who asked; empty where nobody could be told.
    pub principal: String,
    /// How that was proved: `none`, `apiKey:<id>`, `jwt:<issuer>`.
    pub authentication: String,
    /// Full name of the method, or verb and template of an endpoint of ours; empty where no route was found.
    pub method: String,
    /// Key of the upstream; empty for our own endpoints.
    pub upstream: String,
    /// Canonical names of the resources it is about.
    pub resource_names: Vec<String>,
    /// What it needed, e.g. `datastream.streams.create`.
    pub permission: String,
    /// Whether it was allowed to.
    pub granted: bool,
    /// Address of the caller.
    pub caller: String,
    /// What the caller says it is, cut.
    pub user_agent: String,
    /// Verb and path as they came, without the query.
    pub target: String,
    /// The request as JSON, with what is allowed to be kept, and shortened if it is long; empty where nothing is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub request: String,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Ending {
    /// It did what was asked.
    Success,
    /// It was refused for who asked.
    Denied,
    /// It failed.
    Error,
    /// Nobody can tell: the gateway died between sending and hearing.
    #[default]
    Unknown,
}

/// What is known when a request has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Outcome {
    /// How it ended.
    pub ending: Ending,
    /// HTTP status of the answer; 0 where there was none.
    pub status: u16,
    /// Code of `google.rpc.Code`; 0 is OK, 2 unknown.
    pub code: i32,
    /// Our reason for refusing; empty if it was not us.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// From the head of the request to its answer, in microseconds.
    pub latency_us: u64,
    /// Name of the operation it started.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub operation: String,
    /// Name of what came of it below the resource that it was asked of, if the answer told one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub created: String,
    /// Whether the answer was one kept from before.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub replayed: bool,
    /// Further requests that this entry stands for, where there were too many to keep each.
    #[serde(skip_serializing_if = "is_zero")]
    pub further: u64,
    /// Id of the entry that this one corrects: it was closed by another gateway, while the one at work on it was cut off.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub corrects: String,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Entry {
    /// Returns the project that the first resource name with one belongs to, `projects/p`; empty if there is none.
    pub fn project(&self) -> &str {
        self.resource_names.iter().find_map(|name| project_of(name)).unwrap_or_default()
    }

    /// Returns the first resource name; empty if there is none.
    pub fn resource(&self) -> &str {
        self.resource_names.first().map(String::as_str).unwrap_or_default()
    }
}

fn project_of(name: &str) -> Option<&str> {
    let id = name.strip_prefix("projects/")?.split('/').next().filter(|id| !id.is_empty())?;
    name.get(.."projects/".len() + id.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_project_is_that_of_the_first_name_with_one() {
        let entry = |names: &[&str]| Entry {
            resource_names: names.iter().map(|name| (*name).to_owned()).collect(),
            ..Entry::default()
        };
        assert_eq!(entry(&["x", "projects/p/streams/s"]).project(), "projects/p");
        assert_eq!(entry(&["projects/p"]).project(), "projects/p");
        assert_eq!(entry(&["projects/", "projects"]).project(), "");
    }
}
