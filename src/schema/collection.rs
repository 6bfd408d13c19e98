//! Which collection a method works on, told by its path.

use super::{
    binding::Binding,
    template::{Segment, Template},
};

/// Where a path names no collection, as in `/v1/{resource=**}:getIamPolicy`.
const UNNAMED: &str = "resources";

/// Returns the last collection in the path of the primary binding.
///
/// A collection is a literal before a wildcard, or the last literal of a path. The latter is not one where a single
/// thing is addressed: `…/databases/*/ddl` is a part of a database.
pub(super) fn of(rpc: &str, primary: &Binding, is_list: bool) -> String {
    let template = &primary.template;
    let creates_or_lists = is_list || primary.verb == "POST" || rpc.starts_with("List");
    let trailing = last_literal(template);
    let before = last_before_wildcard(template);
    let collection = match (trailing, before) {
        (Some(trailing), None) => Some(trailing),
        (Some(trailing), Some(_)) if creates_or_lists || template.custom_verb().is_some() => Some(trailing),
        (_, before) => before,
    };
    collection.unwrap_or(UNNAMED).to_owned()
}

fn last_literal(template: &Template) -> Option<&str> {
    match template.segments().last() {
        Some(Segment::Literal(text)) if !is_version(text) => Some(text),
        _ => None,
    }
}

fn last_before_wildcard(template: &Template) -> Option<&str> {
    let pairs = template.segments().windows(2).rev();
    pairs
        .filter_map(|pair| match pair {
            [Segment::Literal(text), Segment::Any | Segment::AnyDepth] if !is_version(text) => Some(&**text),
            _ => None,
        })
        .next()
}

/// Whether a segment is a version: `v1`, `v1beta2`, `v2alpha`.
pub fn is_version(text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let Some(rest) = text.strip_prefix('v').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    else {
        return false;
    };
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    let stage = rest.strip_prefix("alpha").or_else(|| rest.strip_prefix("beta"));
    rest.is_empty() || stage.is_some_and(digits)
}

/// Returns the name of one of a collection, as the rules write it: `privateConnections` → `private_connection`.
pub fn singular(collection: &str) -> String {
    let one = match collection.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None => collection.strip_suffix('s').unwrap_or(collection).to_owned(),
    };
    let mut name = String::with_capacity(one.len() + 2);
    for letter in one.chars() {
        if letter.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::{super::binding::Body, *};

    #[test]
    fn is_the_last_collection_of_the_path() {
        let table = [
            ("ListConnections", "GET", "/v1/{parent=projects/*/locations/*}/connections", "connections"),
            ("GetConnection", "GET", "/v1/{name=projects/*/locations/*/connections/*}", "connections"),
            (
                "SetIamPolicy",
                "POST",
                "/v1/{resource=projects/*/locations/*/connections/*}:setIamPolicy",
                "connections",
            ),
            (
                "Discover",
                "POST",
                "/v1/{parent=projects/*/locations/*}/connectionProfiles:discover",
                "connectionProfiles",
            ),
            ("GetOperation", "GET", "/v1/{name=operations/**}", "operations"),
            ("ListOperations", "GET", "/v1/{name=projects/*/instances/*/operations}", "operations"),
            ("ListLocations", "GET", "/v1/{name=projects/*}/locations", "locations"),
            ("FetchStaticIps", "GET", "/v1/{name=projects/*/locations/*}:fetchStaticIps", "locations"),
            ("GetDatabaseDdl", "GET", "/v1/{database=projects/*/instances/*/databases/*}/ddl", "databases"),
            (
                "UpdateDatabaseDdl",
                "PATCH",
                "/v1/{database=projects/*/instances/*/databases/*}/ddl",
                "databases",
            ),
            ("ListAgents", "GET", "/api/v1/agents", "agents"),
            ("CreateTask", "POST", "/api/v1/agent/task", "task"),
            ("GetTask", "GET", "/api/v1/agent/task/{c.name}/{c.version}/{meta}", "task"),
            ("GetIamPolicy", "POST", "/v1/{resource=**}:getIamPolicy", "resources"),
            ("Get", "GET", "/v1beta1/{name}", "resources"),
        ];
        for (rpc, verb, template, expected) in table {
            let binding = Binding {
                verb: verb.to_owned(),
                template: template.parse().unwrap(),
                body: Body::None,
                response_body: None,
            };
            assert_eq!(of(rpc, &binding, false), expected, "{rpc} {template}");
        }
    }

    #[test]
    fn versions_are_no_collections() {
        for text in ["v1", "v12", "v1beta", "v1beta2", "v2alpha1"] {
            assert!(is_version(text), "{text}");
        }
        for text in ["v", "views", "vbeta", "v1x", "1", "v1betax"] {
            assert!(!is_version(text), "{text}");
        }
    }

    #[test]
    fn collections_have_a_singular() {
        for (many, one) in [
            ("locations", "location"),
            ("privateConnections", "private_connection"),
            ("policies", "policy"),
            ("staticIps", "static_ip"),
            ("", ""),
        ] {
            assert_eq!(singular(many), one);
        }
    }
}
