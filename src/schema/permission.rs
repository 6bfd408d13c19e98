//! The permission that a method needs: `<upstream>.<collection>.<verb>`.

use super::binding::Binding;

/// What an rpc is called by its prefix, and the verb that stands for it.
const STANDARD: &[(&str, &str)] = &[
    ("Get", "get"),
    ("List", "list"),
    ("Create", "create"),
    ("Update", "update"),
    ("Delete", "delete"),
    ("Drop", "delete"),
];

/// Returns the permission that is derived where no YAML rule names one.
pub(super) fn of(upstream: &str, collection: &str, rpc: &str, primary: &Binding) -> String {
    format!("{upstream}.{collection}.{}", verb(rpc, primary))
}

/// The custom verb of the path says what is done; else the standard name of the rpc, else the HTTP verb.
fn verb<'v>(rpc: &'v str, primary: &'v Binding) -> &'v str {
    if let Some(custom) = primary.template.custom_verb() {
        return custom;
    }
    let standard = STANDARD.iter().find(|(prefix, _)| {
        let rest = rpc.strip_prefix(prefix);
        rest.is_some_and(|rest| !rest.starts_with(|letter: char| letter.is_ascii_lowercase()))
    });
    match (standard, primary.verb.as_str()) {
        (Some((_, verb)), _) => verb,
        (None, "GET") => "get",
        (None, "POST") => "create",
        (None, "PUT" | "PATCH") => "update",
        (None, "DELETE") => "delete",
        (None, _) => "call",
    }
}

#[cfg(test)]
mod tests {
    use super::{super::binding::Body, *};

    #[test]
    fn says_what_is_done() {
        let table = [
            ("GetConnection", "GET", "/v1/{name}", "x.c.get"),
            ("ListConnections", "GET", "/v1/{name}", "x.c.list"),
            ("GetIamPolicy", "POST", "/v1/{name}:getIamPolicy", "x.c.getIamPolicy"),
            ("TestIamPermissions", "POST", "/v1/{name}:testIamPermissions", "x.c.testIamPermissions"),
            ("CancelOperation", "POST", "/v1/{name}:cancel", "x.c.cancel"),
            ("DropDatabase", "DELETE", "/v1/{name}", "x.c.delete"),
            ("Getaway", "POST", "/v1/{name}", "x.c.create"),
            ("Replace", "PUT", "/v1/{name}", "x.c.update"),
        ];
        for (rpc, verb, template, expected) in table {
            let binding = Binding {
                verb: verb.to_owned(),
                template: template.parse().unwrap(),
                body: Body::None,
                response_body: None,
            };
            assert_eq!(of("x", "c", rpc, &binding), expected, "{rpc}");
        }
    }
}
