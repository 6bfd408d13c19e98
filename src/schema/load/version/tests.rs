//! What comes of two files of one name.

use super::super::*;
use crate::schema::{
    EMBEDDED,
    descriptor::{Behavior, Cardinality, Field, Message},
    fixture::compile,
};

const HEAD: &str = r#"syntax = "proto3"; package p;
    import "google/api/annotations.proto"; import "google/api/field_behavior.proto"; import "google/protobuf/duration.proto";"#;

const OLD: &str = r#"
    message M { string name = 1; int32 size = 2; Kind kind = 3; oneof choice { string one = 4; } map<string, int32> counts = 5; }
    enum Kind { NONE = 0; SOME = 1; }
    service S { rpc Get(M) returns (M) { option (google.api.http) = { get: "/v1/{name=ms/*}" }; } }"#;

/// Compiles `shared.proto` of package `p`.
fn version(body: &str) -> Vec<u8> {
    compile(&[("shared.proto", &format!("{HEAD}{body}"))])
}

fn load(sets: &[(&str, &[u8])]) -> Pool {
    Pool::load(sets).unwrap_or_else(|error| panic!("{error}"))
}

/// Loads two versions in either order.
fn both_ways(one: &str, other: &str) -> [Result<Pool, LoadError>; 2] {
    let (one, other) = (version(one), version(other));
    let (one, other) = (("one.binpb", &*one), ("two.binpb", &*other));
    [Pool::load(&[one, other]), Pool::load(&[other, one])]
}

fn message<'p>(pool: &'p Pool, name: &str) -> &'p Message {
    pool.message(pool.find_message(name).unwrap_or_else(|| panic!("{name}")))
}

fn field<'p>(pool: &'p Pool, home: &str, name: &str) -> &'p Field {
    message(pool, home).field(name).unwrap_or_else(|| panic!("{home}.{name}"))
}

#[test]
fn two_teams_may_give_their_files_one_name() {
    let of = |package: &str| {
        let text = format!(
            r#"syntax = "proto3"; package {package}; message M {{ string of_{package} = 1; }} service S {{ rpc Get(M) returns (M); }}"#
        );
        compile(&[("service.proto", &text)])
    };
    let pool = load(&[("a.binpb", &of("a")), ("b.binpb", &of("b"))]);
    for (package, name) in [("a", "of_a"), ("b", "of_b")] {
        let service = pool.service(pool.find_service(&format!("{package}.S")).unwrap());
        assert_eq!(pool.message(service.methods[0].output).fields[0].name, name);
    }
}

#[test]
fn what_either_version_of_a_file_has_is_known_in_whatever_order_they_come() {
    let new = r#"
        message M {
          string name = 1 [(google.api.field_behavior) = INPUT_ONLY]; optional int32 size = 2; Kind kind = 3;
          oneof choice { string one = 4; int32 two = 6; } map<string, int32> counts = 5; Part part = 7;
          message Part { google.protobuf.Duration age = 1; }
        }
        enum Kind { NONE = 0; SOME = 1; MORE = 2; }
        service S {
          rpc Get(M) returns (M) {
            option (google.api.http) = { get: "/v1/{name=ms/*}" additional_bindings { get: "/v1/{name=ns/*}" } };
          }
          rpc Put(M) returns (M);
        }"#;
    for pool in both_ways(OLD, new) {
        let pool = pool.unwrap_or_else(|error| panic!("{error}"));
        let m = |name: &str| field(&pool, "p.M", name);
        assert!(m("name").is(Behavior::InputOnly));
        assert_eq!(m("size").cardinality, Cardinality::Explicit);
        assert_eq!((m("one").oneof, m("two").oneof), (Some(0), Some(0)));
        assert!(matches!(m("counts").cardinality, Cardinality::Map(_)));
        assert_eq!(m("part").kind.message(), pool.find_message("p.M.Part"));
        assert_eq!(message(&pool, "p.M").fields.len(), 7);
        let kind = pool.enums().find(|(_, kind)| &*kind.full_name == "p.Kind").unwrap().1;
        assert_eq!(
            kind.values.iter().map(|value| &*value.name).collect::<Vec<_>>(),
            ["NONE", "SOME", "MORE"]
        );
        let methods = &pool.service(pool.find_service("p.S").unwrap()).methods;
        assert_eq!(methods.iter().map(|rpc| &*rpc.name).collect::<Vec<_>>(), ["Get", "Put"]);
        assert_eq!(methods[0].http.as_ref().unwrap().additional_bindings.len(), 1);
    }
}

/// What callers of one version never heard of was demanded of them.
#[test]
fn what_one_version_can_do_without_is_not_demanded() {
    let old = |body: &str| compile(&[("old.proto", &format!("syntax = \"proto2\"; package old; {body}"))]);
    let (one, other) = (
        old("message M { optional int32 a = 1; }"),
        old("message M { optional int32 a = 1; required int32 b = 2; }"),
    );
    for sets in [[("one", &*one), ("two", &*other)], [("two", &*other), ("one", &*one)]] {
        let error = Pool::load(&sets).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("required int32 b = 2") && error.contains("no such field"), "{error}");
    }
    let must = "message Page { int32 size = 1 [(google.api.field_behavior) = REQUIRED]; }";
    for pool in both_ways(must, "message Page { int32 size = 1; }") {
        let pool = pool.unwrap();
        let page = pool.message(pool.find_message("p.Page").unwrap());
        assert!(!page.fields[0].is(Behavior::Required));
    }
}

/// A field whose name in JSON is its own name passed for one that has none of its own, so that the order of the sets decided.
#[test]
fn a_name_in_json_that_is_the_fields_own_is_a_name() {
    let versions = ["int32 page_size = 9;", "int32 page_size = 9 [json_name = \"page_size\"];"];
    let [one, other] = versions.map(|field| format!("message Page {{ {field} }}"));
    for refused in both_ways(&one, &other) {
        let error = refused.map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("[json_name = \"page_size\"]"), "{error}");
    }
}

#[test]
fn versions_that_contradict_each_other_are_refused_naming_both_sets() {
    let table = [
        ("int32 size = 2;", "string size = 2;", "p.M has", "string size = 2", "int32 size = 2"),
        ("int32 size = 2;", "int32 length = 2;", "p.M has", "int32 length = 2", "int32 size = 2"),
        ("int32 size = 2;", "int32 size = 8;", "p.M has", "int32 size = 8", "int32 size = 2"),
        (
            "int32 size = 2;",
            "repeated int32 size = 2;",
            "p.M has",
            "repeated int32 size = 2",
            "int32 size = 2",
        ),
        (
            "int32 size = 2;",
            "int32 size = 2 [json_name = \"s\"];",
            "p.M has",
            "json_name = \"s\"",
            "int32 size = 2",
        ),
        (
            "oneof choice { string one = 4; }",
            "string one = 4;",
            "p.M has",
            "string one = 4",
            "string one = 4 of oneof choice",
        ),
        ("<string, int32>", "<string, int64>", "p.M.CountsEntry has", "int64 value = 2", "int32 value = 2"),
        ("SOME = 1;", "MANY = 1;", "p.Kind has", "MANY = 1", "SOME = 1"),
        ("SOME = 1;", "option allow_alias = true; ANY = 1; SOME = 1;", "p.Kind has", "ANY = 1", "SOME = 1"),
        ("SOME = 1;", "SOME = 2;", "p.Kind has", "SOME = 2", "SOME = 1"),
        ("Get(M)", "Get(stream M)", "p.S has", "rpc Get(stream p.M) returns (p.M)", "rpc Get(p.M) returns"),
        (
            "{name=ms/*}",
            "{name=ns/*}",
            "p.S has",
            "rpc Get at GET /v1/{name=ns/*}",
            "rpc Get at GET /v1/{name=ms/*}",
        ),
    ];
    for (from, to, symbol, one, other) in table {
        let new = OLD.replace(from, to);
        assert_ne!(new, OLD);
        for refused in both_ways(OLD, &new) {
            let error = refused.map(|_| ()).unwrap_err().to_string();
            let way_out = "make the sets from one version of the file";
            for words in ["one.binpb", "two.binpb", "shared.proto", symbol, one, other, way_out] {
                assert!(error.contains(words), "{words:?} is not in {error}");
            }
        }
    }
    let kinds = both_ways("message Thing {}", "enum Thing { NONE = 0; }");
    let error = kinds.map(|refused| refused.map(|_| ()).unwrap_err().to_string());
    assert!(
        error[0].contains("p.Thing is a message in one.binpb: shared.proto and an enum in two.binpb"),
        "{error:?}"
    );
}

#[test]
fn what_no_message_of_a_service_has_may_differ() {
    let set = version(OLD);
    let mut other = proto::FileSet::decode(&*set).unwrap();
    let own = other.file.iter_mut().find(|file| file.name == "google/protobuf/descriptor.proto").unwrap();
    own.message_type[0].field[0].number = 999;
    let pool = load(&[("one.binpb", &set), ("two.binpb", &other.encode_to_vec())]);
    assert!(pool.find_service("p.S").is_some());
}

#[test]
fn a_newer_copy_of_an_embedded_file_adds_to_it_or_is_refused() {
    let locations = |change: fn(&mut proto::FieldType)| {
        let mut set = proto::FileSet::decode(EMBEDDED.1).unwrap();
        set.file.retain(|file| file.name == "google/cloud/location/locations.proto");
        let location =
            set.file[0].message_type.iter_mut().find(|message| message.name == "Location").unwrap();
        let mut field = location.field.iter().find(|field| field.name == "display_name").unwrap().clone();
        location.field.retain(|kept| kept.name != field.name);
        change(&mut field);
        location.field.push(field);
        let set = set.encode_to_vec();
        Pool::load(&[EMBEDDED, ("new.binpb", &set)])
    };
    let pool = locations(|field| {
        field.number = 77;
        field.name = "nickname".to_owned();
        field.json_name = None;
    });
    let pool = pool.unwrap_or_else(|error| panic!("{error}"));
    for known in ["display_name", "nickname"] {
        field(&pool, "google.cloud.location.Location", known);
    }
    let error = locations(|field| field.r#type = 5).map(|_| ()).unwrap_err().to_string();
    assert!(
        error.contains("new.binpb and embedded have versions of google/cloud/location/locations.proto")
            && error.contains("google.cloud.location.Location has int32 display_name = 5 in new.binpb")
            && error.contains("proto folder"),
        "{error}"
    );
}

#[test]
fn a_symbol_that_one_file_defines_twice_is_no_version_of_itself() {
    let mut set = proto::FileSet::decode(&*version(OLD)).unwrap();
    let file = set.file.last_mut().unwrap();
    file.message_type.push(file.message_type[0].clone());
    let twice = set.encode_to_vec();
    for sets in [&[("set", &*twice)][..], &[("one", &version(OLD)), ("set", &twice)]] {
        let error = Pool::load(sets).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("p.M is defined by"), "{error}");
    }
}
