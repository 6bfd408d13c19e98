//! What a path finds, what it captures, and what it is told when it finds nothing.

use proptest::prelude::*;

use super::*;

fn table(bindings: &[(&str, &str)]) -> RouteTable<String> {
    let mut table = RouteTable::new();
    for (verb, template) in bindings {
        let parsed = template.parse().unwrap_or_else(|error| panic!("{template}: {error}"));
        table.insert(verb, &parsed, format!("{verb} {template}")).unwrap();
    }
    table
}

/// Prints what is found as `template | capture | capture`, or the status and what goes with it.
fn look(table: &RouteTable<String>, verb: &str, path: &str) -> String {
    match table.find(verb, path) {
        Ok(found) => {
            let mut text = found.target.split_once(' ').unwrap().1.to_owned();
            for capture in found.captures.iter() {
                text.push_str(" | ");
                text.push_str(capture);
            }
            text
        }
        Err(error) => match error.reason().unwrap() {
            Reason::RouteNotFound => "404".to_owned(),
            Reason::MethodNotAllowed => format!("405 {}", error.allow().unwrap()),
            Reason::InvalidField => "400".to_owned(),
            reason => reason.name().to_owned(),
        },
    }
}

const CONNECTIONS: &[(&str, &str)] = &[
    ("GET", "/v1/{name=projects/*/locations/*/connections/*}"),
    ("PATCH", "/v1/{name=projects/*/locations/*/connections/*}"),
    ("DELETE", "/v1/{name=projects/*/locations/*/connections/*}"),
    ("GET", "/v1/{parent=projects/*/locations/*}/connections"),
    ("POST", "/v1/{parent=projects/*/locations/*}/connections"),
    ("POST", "/v1/{resource=projects/*/locations/*/connections/*}:getIamPolicy"),
    ("GET", "/v1/{name=projects/*/locations/*}:fetchStaticIps"),
    ("POST", "/v1/{parent=projects/*/locations/*}/connectionProfiles:discover"),
    ("POST", "/v1/{name=operations/**}:cancel"),
    ("GET", "/v1/{name=operations/**}"),
    ("GET", "/api/task/{category.name}/{category.version}/{meta}"),
    ("GET", "/api/task/logs/{category.name}/{category.version}/{meta}"),
    ("GET", "/api/task/metrics"),
];

#[test]
fn what_was_probably_meant_is_said() {
    let table = table(CONNECTIONS);
    let told = |verb: &str, path: &str| table.find(verb, path).unwrap_err().message().to_owned();
    let hint = |meant: &str| format!("Nothing is served at this path. Did you mean {meant}?");
    assert_eq!(told("GET", "/v1/projects/p/locations/l/conections"), hint("connections"));
    assert_eq!(told("GET", "/v1/project/p/locations/l/connections"), hint("projects"));
    assert_eq!(told("POST", "/v1/projects/p/locations/l/connectionProfiles:discovr"), hint("discover"));
    let verbs = told("POST", "/v1/projects/p/locations/l/connections/c:getIamPolice");
    assert_eq!(verbs, "This path takes DELETE, GET, PATCH. Did you mean :getIamPolicy?");
    let verbs = told("GET", "/v1/projects/p/locations/l/connections/c:getIamPolicy");
    assert_eq!(verbs, "This path takes POST.");
    assert_eq!(told("GET", "/v1/wholly/else"), "Nothing is served at this path.");
    assert_eq!(told("GET", "/"), "Nothing is served at this path.");
}

#[test]
fn finds_and_captures() {
    let cases = [
        (
            "GET",
            "/v1/projects/p/locations/l/connections/c",
            "/v1/{name=projects/*/locations/*/connections/*} | projects/p/locations/l/connections/c",
        ),
        (
            "POST",
            "/v1/projects/p/locations/-/connections",
            "/v1/{parent=projects/*/locations/*}/connections | projects/p/locations/-",
        ),
        (
            "POST",
            "/v1/projects/p/locations/l/connections/c:getIamPolicy",
            "/v1/{resource=projects/*/locations/*/connections/*}:getIamPolicy | projects/p/locations/l/connections/c",
        ),
        (
            "GET",
            "/v1/projects/example.com:p/locations/l:fetchStaticIps",
            "/v1/{name=projects/*/locations/*}:fetchStaticIps | projects/example.com:p/locations/l",
        ),
        (
            "POST",
            "/v1/projects/p/locations/l/connectionProfiles:discover",
            "/v1/{parent=projects/*/locations/*}/connectionProfiles:discover | projects/p/locations/l",
        ),
        ("POST", "/v1/operations/a/b/c:cancel", "/v1/{name=operations/**}:cancel | operations/a/b/c"),
        ("GET", "/v1/operations", "/v1/{name=operations/**} | operations"),
        ("GET", "/api/task/a/b/c", "/api/task/{category.name}/{category.version}/{meta} | a | b | c"),
        // A literal is preferred, and given up again where it leads nowhere.
        (
            "GET",
            "/api/task/logs/a/b/c",
            "/api/task/logs/{category.name}/{category.version}/{meta} | a | b | c",
        ),
        ("GET", "/api/task/logs/b/c", "/api/task/{category.name}/{category.version}/{meta} | logs | b | c"),
        (
            "GET",
            "/api/task/metrics/b/c",
            "/api/task/{category.name}/{category.version}/{meta} | metrics | b | c",
        ),
    ];
    let table = table(CONNECTIONS);
    for (verb, path, expected) in cases {
        assert_eq!(look(&table, verb, path), expected, "{verb} {path}");
    }
}

#[test]
fn custom_verbs_belong_to_their_path() {
    let connection = "/v1/{name=projects/*/locations/*/connections/*}";
    let c = "/v1/projects/p/locations/l/connections";
    let table = table(CONNECTIONS);
    // A known verb with another method is not a name.
    assert_eq!(look(&table, "GET", &format!("{c}/c:getIamPolicy")), "405 POST");
    assert_eq!(look(&table, "DELETE", &format!("{c}/c:getIamPolicy")), "405 POST");
    // A verb that is bound elsewhere, or nowhere, is part of the name.
    for name in ["c:discover", "c:nope", "c:", "a:b:c", "c%3AgetIamPolicy", ":getIamPolicy"] {
        let value = name.replace("%3A", ":");
        assert_eq!(
            look(&table, "GET", &format!("{c}/{name}")),
            format!("{connection} | projects/p/locations/l/connections/{value}")
        );
    }
    assert_eq!(look(&table, "POST", &format!("{c}/c:nope")), "405 DELETE, GET, PATCH");
    assert_eq!(
        look(&table, "POST", &format!("{c}/a:b:getIamPolicy")),
        "/v1/{resource=projects/*/locations/*/connections/*}:getIamPolicy | projects/p/locations/l/connections/a:b"
    );
    assert_eq!(look(&table, "POST", "/v1/projects/p/locations/l:fetchStaticIps"), "405 GET");
    assert_eq!(
        look(&table, "POST", "/v1/operations/o:cancel:cancel"),
        "/v1/{name=operations/**}:cancel | operations/o:cancel"
    );
    // In a segment that is not the last, a colon is a letter.
    assert_eq!(
        look(&table, "GET", "/v1/operations/o:cancel/x"),
        "/v1/{name=operations/**} | operations/o:cancel/x"
    );
}

#[test]
fn a_known_path_with_another_method_names_all_that_fit() {
    let table = table(&[
        ("POST", "/a/b"),
        ("GET", "/a/{x}"),
        ("PUT", "/a/**"),
        ("PURGE", "/{x=**}"),
        ("POST", "/{x}/b"),
    ]);
    assert_eq!(look(&table, "DELETE", "/a/b"), "405 GET, POST, PURGE, PUT");
    assert_eq!(look(&table, "GET", "/a/b"), "/a/{x} | b");
    assert_eq!(look(&table, "PURGE", "/a/b"), "/{x=**} | a/b");
    assert_eq!(look(&table, "get", "/a/b"), "405 GET, POST, PURGE, PUT");
}

#[test]
fn a_binding_of_all_methods_takes_what_no_other_does() {
    let table = table(&[("*", "/a"), ("GET", "/a"), ("GET", "/b")]);
    assert_eq!(table.find("GET", "/a").unwrap().target, "GET /a");
    assert_eq!(table.find("BREW", "/a").unwrap().target, "* /a");
    assert_eq!(look(&table, "BREW", "/b"), "405 GET");
}

#[test]
fn a_head_is_a_get_unless_something_is_bound_to_it() {
    let table =
        table(&[("GET", "/a"), ("HEAD", "/a"), ("GET", "/b"), ("*", "/b"), ("HEAD", "/c"), ("POST", "/d")]);
    for (path, target) in [("/a", "HEAD /a"), ("/b", "GET /b"), ("/c", "HEAD /c")] {
        assert_eq!(table.find("HEAD", path).unwrap().target, target);
    }
    assert_eq!(look(&table, "HEAD", "/d"), "405 POST");
    assert_eq!(look(&table, "GET", "/c"), "405 HEAD");
}

#[test]
fn decodes_by_the_width_of_the_variable() {
    let table = table(&[
        ("GET", "/one/{x}"),
        ("GET", "/some/{x=a/*}"),
        ("GET", "/all/{x=**}"),
        ("GET", "/literal/b/{x=c}"),
    ]);
    let cases = [
        ("/one/a%2Fb%3Ac%20d", "/one/{x} | a/b:c d"),
        ("/some/a/b%2Fc%3Ad%20e", "/some/{x=a/*} | a/b%2Fc:d e"),
        ("/some/%61/b", "/some/{x=a/*} | a/b"),
        ("/all/a%2fb/c%C3%A9", "/all/{x=**} | a%2fb/cé"),
        ("/all", "/all/{x=**} | "),
        ("/literal/%62/%63", "/literal/b/{x=c} | c"),
        ("/one/a+b", "/one/{x} | a+b"),
        ("/one/%zz", "400"),
        ("/one/%ff", "400"),
        ("/one/%00", "400"),
        ("/one/..", "400"),
        ("/one/a%2F..%2Fb", "400"),
    ];
    for (path, expected) in cases {
        assert_eq!(look(&table, "GET", path), expected, "{path}");
    }
}

#[test]
fn slashes_too_many_are_not_found() {
    let table = table(CONNECTIONS);
    for path in [
        "/v1/operations/",
        "/v1//operations",
        "//v1/operations",
        "/v1/operations//a",
        "/",
        "/v1",
        "/v2/operations",
        "*",
        "",
    ] {
        assert_eq!(look(&table, "GET", path), "404", "{path}");
    }
}

#[test]
fn double_stars_may_stand_anywhere_and_match_nothing() {
    let table = table(&[
        ("GET", "/v1/{name=deep/**}"),
        ("GET", "/v1/{name=**}/versions/{version}"),
        ("GET", "/v1/{a=**}/x/{b=**}"),
        ("GET", "/files/**"),
        ("GET", "/files/{dir=**}/info"),
    ]);
    let cases = [
        ("/v1/deep", "/v1/{name=deep/**} | deep"),
        ("/v1/deep/a/b", "/v1/{name=deep/**} | deep/a/b"),
        ("/v1/a/b/versions/3", "/v1/{name=**}/versions/{version} | a/b | 3"),
        ("/v1/versions/3", "/v1/{name=**}/versions/{version} |  | 3"),
        ("/v1/p/x/q/x/r", "/v1/{a=**}/x/{b=**} | p | q/x/r"),
        ("/v1/x", "/v1/{a=**}/x/{b=**} |  | "),
        ("/v1/nothing", "404"),
        // What says more wins over `**` reaching further.
        ("/files/a/b/info", "/files/{dir=**}/info | a/b"),
        ("/files/a/b", "/files/**"),
    ];
    for (path, expected) in cases {
        assert_eq!(look(&table, "GET", path), expected, "{path}");
    }
}

#[test]
fn the_root_is_a_path_too() {
    let table = table(&[("GET", "/"), ("GET", "/docs/**")]);
    assert_eq!(look(&table, "GET", "/"), "/");
    assert_eq!(look(&table, "POST", "/"), "405 GET");
    assert_eq!(look(&table, "GET", "/docs"), "/docs/**");
}

#[test]
fn same_shapes_conflict_and_leave_the_table_as_it_was() {
    let mut table = table(&[("GET", "/v1/{name=projects/*}"), ("POST", "/v1/{name=projects/*}:run")]);
    for (verb, template, conflict) in [
        ("GET", "/v1/{parent=projects/*}", true),
        ("GET", "/v1/projects/{id}", true),
        ("POST", "/v1/projects/*:run", true),
        ("POST", "/v1/{name=projects/*}", false),
        ("GET", "/v1/projects/self", false),
        ("GET", "/v1/projects/**", false),
        ("GET", "/v1/{name=projects/*}:run", false),
    ] {
        let result = table.insert(verb, &template.parse().unwrap(), template.to_owned()).is_err();
        assert_eq!(result, conflict, "{verb} {template}");
    }
    assert_eq!(table.find("GET", "/v1/projects/self").unwrap().target, "/v1/projects/self");
}

#[test]
fn hostile_paths_cost_bounded_time() {
    let nest = "/**/a".repeat(20) + "/end";
    let table = table(&[("GET", &nest)]);
    let path = "/a".repeat(120);
    assert_eq!(look(&table, "GET", &path), "LIMIT_EXCEEDED");
    assert_eq!(look(&table, "GET", &("/a".repeat(20) + "/end")), nest);
    assert_eq!(look(&table, "GET", &"/a".repeat(129)), "LIMIT_EXCEEDED");
}

#[test]
fn a_hit_borrows_from_the_path() {
    let table = table(CONNECTIONS);
    let found = table.find("GET", "/v1/projects/p/locations/l/connections/c").unwrap();
    assert!(matches!(found.captures[0], Cow::Borrowed(_)));
}

use super::super::template::tests::any_template;

/// Fills the wildcards of a template with `values`, in turn.
fn fill(template: &Template, values: &[String]) -> String {
    let mut values = values.iter().cycle();
    let mut path = String::new();
    for segment in template.segments() {
        path.push('/');
        match segment {
            Segment::Literal(text) => path.push_str(text),
            Segment::Any | Segment::AnyDepth => path.push_str(values.next().expect("cycle")),
        }
    }
    if path.is_empty() {
        path.push('/');
    }
    if let Some(verb) = template.custom_verb() {
        path.push(':');
        path.push_str(verb);
    }
    path
}

proptest! {
    #[test]
    fn finding_never_panics(verb in "[A-Z]{0,5}", path in "[/a-c:%0-9F.{}*\u{0}é]{0,40}") {
        let table = table(CONNECTIONS);
        let _ = table.find(&verb, &path);
        let _ = table.find("GET", &format!("/v1/operations/{path}"));
    }

    #[test]
    fn a_path_made_from_a_template_is_found(
        template in any_template(),
        values in prop::collection::vec("[a-zA-Z0-9_~+ -]{1,8}", 1..5),
    ) {
        let parsed: Template = template.parse().unwrap();
        let path = fill(&parsed, &values);
        let mut table = RouteTable::new();
        table.insert("GET", &parsed, ()).unwrap();
        let found = table.find("GET", &path);
        prop_assert!(found.is_ok(), "{} of {}: {:?}", path, template, found.err());
        prop_assert_eq!(found.unwrap().captures.len(), parsed.variables().len());
    }
}
