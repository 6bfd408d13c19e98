//! What parses, what does not and where, and that printing gives back what was parsed.

use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Template {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn prints_what_it_parsed() {
    let table = [
        "/",
        "/healthz",
        "/v1/{name=projects/*/locations/*/connections/*}:getIamPolicy",
        "/v1/{parent=projects/*/locations/*}/connections",
        "/v1/{connection_profile.name=projects/*/locations/*/connectionProfiles/*}",
        "/v1/{name=operations/**}:cancel",
        "/v1/{name=**}/operations/{id}",
        "/{x=*}",
        "/{x}:run",
        "/a/**/b",
        "/a/*:verb",
        "/{a.b.c}/{d}/{e=**}",
    ];
    for text in table {
        assert_eq!(parse(text).to_string(), text);
    }
}

#[test]
fn variables_cover_their_segments() {
    let template = parse("/v1/{parent=projects/*/streams/*}/objects/{id}:run");
    assert_eq!(template.variables().iter().map(FieldPath::as_str).collect::<Vec<_>>(), ["parent", "id"]);
    assert_eq!((template.span(0), template.span(1)), (1..5, 6..7));
    assert_eq!((template.is_single(0), template.is_single(1)), (false, true));
    assert_eq!(template.custom_verb(), Some("run"));
    assert!(parse("/{x=*}").is_single(0));
    assert!(!parse("/{x=**}").is_single(0));
}

#[test]
fn says_where_a_template_is_wrong() {
    let table = [
        ("", 0, "begins with"),
        ("v1", 0, "begins with"),
        ("//a", 1, "a segment is missing"),
        ("/a/", 3, "a segment is missing"),
        ("/a//b", 3, "a segment is missing"),
        ("/:run", 1, "a segment is missing"),
        ("/a:", 3, "a custom verb is missing"),
        ("/a:b/c", 4, "unexpected '/'"),
        ("/a:b:c", 4, "unexpected ':'"),
        ("/a*", 2, "unexpected '*'"),
        ("/***", 3, "unexpected '*'"),
        ("/{a", 3, "not closed"),
        ("/{}", 2, "no field name"),
        ("/{1}", 2, "no field name"),
        ("/{a.}", 2, "no field name"),
        ("/{a=}", 4, "a segment is missing"),
        ("/{a=b/{c}}", 6, "cannot hold another"),
        ("/{a=b", 5, "not closed"),
        ("/{a}b", 4, "unexpected 'b'"),
        ("/{a}/{a}", 6, "appears twice"),
        ("/a%20b", 2, "unexpected '%'"),
        ("/é", 1, "a segment is missing"),
        ("/a/..", 3, "never matches"),
    ];
    for (text, position, why) in table {
        let error = text.parse::<Template>().expect_err(text);
        assert_eq!(error.position, position, "{text}: {error}");
        assert!(error.why.contains(why), "{text}: {error}");
    }
}

#[test]
fn has_limits() {
    let segments = |count| "/a".repeat(count).parse::<Template>();
    assert!(segments(TEMPLATE_SEGMENTS_MAX).is_ok());
    assert!(segments(TEMPLATE_SEGMENTS_MAX + 1).unwrap_err().why.contains("at most 64"));
    let variables =
        |count: usize| (0..count).map(|i| format!("/{{v{i}}}")).collect::<String>().parse::<Template>();
    assert!(variables(VARIABLES_MAX).is_ok());
    assert!(variables(VARIABLES_MAX + 1).unwrap_err().why.contains("at most 8"));
    assert!(segments(TEMPLATE_SEGMENTS_MAX).unwrap().prefixed("x").is_err());
}

#[test]
fn a_prefix_moves_the_variables_along() {
    let template = parse("/v1/{name=projects/*}:run").prefixed("datastream").unwrap();
    assert_eq!(template.to_string(), "/datastream/v1/{name=projects/*}:run");
    assert_eq!(template.span(0), 2..4);
    assert!(parse("/v1").prefixed("a/b").is_err());
    assert!(parse("/v1").prefixed("").is_err());
}

#[test]
fn a_shape_forgets_the_variables() {
    assert_eq!(parse("/v1/{name=projects/*}/{x}:run").shape(), "/v1/projects/*/*:run");
    assert_eq!(parse("/{a=**}").shape(), parse("/**").shape());
}

/// Any template that the grammar can make, as text.
pub(crate) fn any_template() -> impl Strategy<Value = String> {
    let literal = "[a-z0-9][a-zA-Z0-9._~@-]{0,5}";
    let plain = prop_oneof![4 => literal, 2 => Just("*".to_owned()), 1 => Just("**".to_owned())];
    let inner = prop::collection::vec(plain.clone(), 1..4);
    let variable = prop::option::of(inner);
    let segment = prop_oneof![2 => plain.prop_map(Err), 1 => variable.prop_map(Ok)];
    (prop::collection::vec(segment, 0..7), prop::option::of("[a-z]{1,6}")).prop_map(|(segments, verb)| {
        let mut text = String::new();
        for (i, segment) in segments.iter().enumerate() {
            text.push('/');
            match segment {
                Err(plain) => text.push_str(plain),
                Ok(None) => text.push_str(&format!("{{v{i}.w}}")),
                Ok(Some(inner)) => text.push_str(&format!("{{v{i}={}}}", inner.join("/"))),
            }
        }
        match verb {
            Some(verb) if !segments.is_empty() => text + ":" + &verb,
            _ if segments.is_empty() => "/".to_owned(),
            _ => text,
        }
    })
}

proptest! {
    #[test]
    fn parse_then_print_is_identity(text in any_template()) {
        prop_assert_eq!(parse(&text).to_string(), text);
    }

    #[test]
    fn parsing_never_panics(text in "[/{}*=:.a-cé%]{0,24}") {
        if let Ok(template) = text.parse::<Template>() {
            prop_assert_eq!(template.to_string(), text);
        }
    }
}
