//! What a descriptor set may hold, and how it is told that it may not.

use super::{
    super::{
        descriptor::{Behavior, Cardinality, Field, Kind, Message},
        fixture::{compile, embedded},
    },
    *,
};

fn load(text: &str) -> Pool {
    Pool::load(&[("set", &compile(&[("a.proto", text)]))]).unwrap_or_else(|error| panic!("{error}"))
}

/// Compiles one file and lets `change` do to it what a compiler would not.
fn changed(text: &str, change: impl FnOnce(&mut proto::File)) -> Result<Pool, String> {
    let mut set = proto::FileSet::decode(&*compile(&[("a.proto", text)])).unwrap();
    change(set.file.last_mut().unwrap());
    Pool::load(&[("set", &set.encode_to_vec())]).map_err(|error| error.to_string())
}

fn message<'p>(pool: &'p Pool, name: &str) -> &'p Message {
    pool.message(pool.find_message(name).unwrap_or_else(|| panic!("{name}")))
}

fn field<'p>(pool: &'p Pool, home: &str, name: &str) -> &'p Field {
    message(pool, home).field(name).unwrap_or_else(|| panic!("{home}.{name}"))
}

#[test]
fn types_are_found_by_their_full_names() {
    let pool = load(
        r#"syntax = "proto3"; package a.b;
        // Above the message.
        message Outer {
          // Above the field.
          Inner inner = 1;
          message Inner { Outer outer = 1; Kind kind = 2; }
          enum Kind { NONE = 0; SOME = 1 [deprecated = true]; }
        }
        service Things { rpc Get(Outer) returns (stream Outer.Inner); }"#,
    );
    let outer = message(&pool, "a.b.Outer");
    assert_eq!(outer.comment.as_deref(), Some("Above the message."));
    assert_eq!(outer.fields[0].comment.as_deref(), Some("Above the field."));
    assert_eq!(outer.fields[0].kind, Kind::Message(pool.find_message("a.b.Outer.Inner").unwrap()));
    let Kind::Enum(kind) = field(&pool, "a.b.Outer.Inner", "kind").kind else { panic!("an enum") };
    let values = &pool.enumeration(kind).values;
    assert_eq!((&*values[1].name, values[1].number, values[1].deprecated), ("SOME", 1, true));
    let service = pool.service(pool.find_service("a.b.Things").unwrap());
    assert!(service.methods[0].server_streaming && !service.methods[0].client_streaming);
    assert_eq!(pool.find_message("a.b.Things"), None);
}

#[test]
fn presence_is_told_by_syntax_and_label() {
    let pool = load(
        r#"syntax = "proto3";
        message M {
          int32 plain = 1; optional int32 maybe = 2; repeated int32 many = 3; M inner = 4; map<string, M> named = 5;
          oneof choice { int32 one = 6; string other = 7; }
          repeated int32 loose = 8 [packed = false]; repeated string texts = 9; int32 snake_case_name = 10 [json_name = "own"];
        }"#,
    );
    let m = |name: &str| field(&pool, "M", name);
    assert_eq!(m("plain").cardinality, Cardinality::Implicit);
    assert_eq!(m("maybe").cardinality, Cardinality::Explicit);
    assert_eq!(m("inner").cardinality, Cardinality::Explicit);
    assert_eq!(m("many").cardinality, Cardinality::Repeated);
    assert_eq!((m("many").packed, m("loose").packed, m("texts").packed), (true, false, false));
    // A map field knows its entry type, which is no message anybody sends.
    let Cardinality::Map(entry) = m("named").cardinality else { panic!("a map") };
    let entry = pool.message(entry);
    assert!(entry.map_entry);
    assert_eq!(entry.fields[1].kind, Kind::Message(pool.find_message("M").unwrap()));
    // `optional` is a oneof of its own on paper, and none to anybody who reads.
    assert_eq!(message(&pool, "M").oneofs, ["choice"]);
    assert_eq!((m("maybe").oneof, m("one").oneof, m("other").oneof), (None, Some(0), Some(0)));
    assert_eq!(m("one").cardinality, Cardinality::Explicit);
    assert_eq!(m("own").name, "snake_case_name");
}

#[test]
fn proto2_keeps_its_habits() {
    let pool = load(
        r#"syntax = "proto2";
        message M {
          required int32 must = 1; optional int32 may = 2 [default = 7]; repeated int32 many = 3;
          optional group Part = 4 { optional string name = 1; }
          optional E e = 5;
          extensions 100 to 200;
        }
        enum E { ONE = 1; }
        extend M { optional string note = 100; }
        message Home { extend M { repeated int64 marks = 101; } }"#,
    );
    let m = |name: &str| field(&pool, "M", name);
    assert_eq!((m("must").cardinality, m("may").cardinality), (Cardinality::Required, Cardinality::Explicit));
    assert_eq!(m("may").default.as_deref(), Some("7"));
    assert!(!m("many").packed);
    assert!(matches!(m("part").kind, Kind::Group(_)));
    let Kind::Enum(e) = m("e").kind else { panic!("an enum") };
    assert!(pool.enumeration(e).closed);
    // Extensions are fields under the name that JSON has for them.
    assert_eq!((m("[note]").number, m("[note]").kind), (100, Kind::String));
    assert_eq!(m("[Home.marks]").cardinality, Cardinality::Repeated);
}

/// Makes a file of an edition out of a proto3 one; the compiler here does not know editions.
fn edition(number: i32, text: &str, change: impl FnOnce(&mut proto::File)) -> Result<Pool, String> {
    changed(text, |file| {
        file.syntax = "editions".to_owned();
        file.edition = number;
        change(file);
    })
}

#[test]
fn edition_2023_is_read_with_its_features() {
    const IMPLICIT: i32 = 2;
    const DELIMITED: i32 = 2;
    const CLOSED: i32 = 2;
    const EXPANDED: i32 = 2;
    const LEGACY_REQUIRED: i32 = 3;
    let text = r#"syntax = "proto3";
        message M { int32 a = 1; int32 b = 2; M c = 3; repeated int32 d = 4; repeated int32 e = 5; int32 f = 6; }
        enum Open { NONE = 0; } enum Closed { NIL = 0; }"#;
    let pool = edition(1000, text, |file| {
        file.enum_type[1].options = Some(proto::EnumOptions {
            features: Some(proto::Features { enum_type: Some(CLOSED), ..Default::default() }),
        });
        let mut set = |at: usize, features: proto::Features| {
            let options = proto::FieldOptions { features: Some(features), ..Default::default() };
            file.message_type[0].field[at].options = Some(options);
        };
        set(1, proto::Features { field_presence: Some(IMPLICIT), ..Default::default() });
        set(2, proto::Features { message_encoding: Some(DELIMITED), ..Default::default() });
        set(4, proto::Features { repeated_field_encoding: Some(EXPANDED), ..Default::default() });
        set(5, proto::Features { field_presence: Some(LEGACY_REQUIRED), ..Default::default() });
    })
    .unwrap();
    let m = |name: &str| field(&pool, "M", name);
    assert_eq!(m("a").cardinality, Cardinality::Explicit);
    assert_eq!(m("b").cardinality, Cardinality::Implicit);
    assert!(matches!(m("c").kind, Kind::Group(_)));
    assert_eq!((m("d").packed, m("e").packed), (true, false));
    assert_eq!(m("f").cardinality, Cardinality::Required);
    let closed: Vec<bool> = pool.enums().map(|(_, home)| home.closed).collect();
    assert_eq!(closed, [false, true]);
}

#[test]
fn a_file_may_set_features_for_all_that_is_in_it() {
    const IMPLICIT: i32 = 2;
    let features = proto::Features { field_presence: Some(IMPLICIT), ..Default::default() };
    let pool = edition(1000, r#"syntax = "proto3"; message M { int32 a = 1; }"#, |file| {
        file.options = Some(proto::FileOptions { features: Some(features) });
    });
    assert_eq!(field(&pool.unwrap(), "M", "a").cardinality, Cardinality::Implicit);
}

#[test]
fn newer_editions_are_refused_by_name() {
    for number in [1001, 99999] {
        let error = edition(number, r#"syntax = "proto3"; message M {}"#, |_| {}).unwrap_err();
        assert!(error.starts_with(&format!("set: a.proto: edition {number} is not supported")), "{error}");
    }
    let error =
        changed(r#"syntax = "proto3"; message M {}"#, |file| file.syntax = "proto4".to_owned()).unwrap_err();
    assert!(error.contains("proto4"), "{error}");
}

#[test]
fn a_file_that_comes_again_is_skipped() {
    let import = r#"syntax = "proto3"; import "google/protobuf/timestamp.proto"; message M { google.protobuf.Timestamp at = 1; }"#;
    let one = compile(&[("one.proto", &import.replace("M {", "One {"))]);
    let two = compile(&[("two.proto", &import.replace("M {", "Two {"))]);
    let pool = Pool::load(&[("one", &one), ("two", &two), ("two again", &two)]).unwrap();
    assert_eq!(field(&pool, "One", "at").kind, field(&pool, "Two", "at").kind);
    assert_eq!(pool.messages().count(), 3);
}

#[test]
fn a_symbol_of_two_files_is_refused_naming_both() {
    let text = r#"syntax = "proto3"; package p; message M {}"#;
    let sets =
        [("first.binpb", compile(&[("a.proto", text)])), ("second.binpb", compile(&[("b.proto", text)]))];
    let sets: Vec<(&str, &[u8])> = sets.iter().map(|(name, bytes)| (*name, &**bytes)).collect();
    let error = Pool::load(&sets).unwrap_err().to_string();
    assert!(
        error.contains("p.M is defined by first.binpb: a.proto and again by second.binpb: b.proto"),
        "{error}"
    );
}

#[test]
fn what_would_be_ambiguous_later_is_refused() {
    let text = r#"syntax = "proto3"; package p; message M { int32 one = 1; int32 two = 2; M inner = 3; } service S { rpc Get(M) returns (M); }"#;
    let field = |at: usize, change: fn(&mut proto::FieldType)| {
        changed(text, |file| change(&mut file.message_type[0].field[at])).unwrap_err()
    };
    let table = [
        (field(1, |field| field.number = 1), "field number 1 is used twice"),
        (field(1, |field| field.number = 0), "field two: number out of range"),
        (field(1, |field| field.number = 1 << 29), "field two: number out of range"),
        (field(1, |field| field.number = -1), "field two: number out of range"),
        (field(1, |field| field.r#type = 99), "unknown field type 99"),
        (field(1, |field| field.json_name = Some("one".to_owned())), "share the name one"),
        (
            field(2, |field| field.type_name = ".p.Gone".to_owned()),
            "type p.Gone is in none of the loaded files",
        ),
        (field(2, |field| field.type_name = ".p.S".to_owned()), "p.S is of another kind"),
        (
            changed(text, |file| file.service[0].method[0].output_type = ".p.S".to_owned()).unwrap_err(),
            "rpc Get: p.S is not a known message",
        ),
    ];
    for (error, words) in table {
        assert!(
            error.starts_with("set: a.proto: p.") && error.contains(words),
            "{words:?} is not in {error}"
        );
    }
    assert!(
        Pool::load(&[("x.json", b"{}")])
            .unwrap_err()
            .to_string()
            .starts_with("x.json: not a FileDescriptorSet")
    );
}

#[test]
fn a_set_without_what_it_imports_is_told_how_to_get_it() {
    let import = r#"syntax = "proto3"; package p; import "google/protobuf/timestamp.proto";
        message M { google.protobuf.Timestamp at = 1; } service S { rpc Get(M) returns (google.protobuf.Timestamp); }"#;
    let alone = |text: &str, change: fn(&mut proto::File)| {
        let mut set = proto::FileSet::decode(&*compile(&[("a.proto", text)])).unwrap();
        set.file.retain(|file| file.name == "a.proto");
        change(&mut set.file[0]);
        set.encode_to_vec()
    };
    let whole = alone(import, |_| {});
    let rpc = alone(import, |file| file.message_type[0].field.clear());
    for (set, place) in [(&whole, "p.M: field at"), (&rpc, "p.S: rpc Get")] {
        let error = Pool::load(&[("alone.binpb", set)]).unwrap_err().to_string();
        let words = format!(
            "alone.binpb: a.proto: {place}: type google.protobuf.Timestamp is in none of the loaded files"
        );
        for words in [&*words, "protoc has --include_imports", "buf build"] {
            assert!(error.contains(words), "{words:?} is not in {error}");
        }
        // What the gateway brings along need not be there.
        assert!(Pool::load(&[crate::schema::EMBEDDED, ("alone.binpb", set)]).is_ok());
    }
}

#[test]
fn relative_names_are_looked_up_from_the_inside_out() {
    let text = r#"syntax = "proto3"; package p.q; message M { message N {} N n = 1; } message N {}"#;
    let pool = changed(text, |file| file.message_type[0].field[0].type_name = "N".to_owned()).unwrap();
    assert_eq!(field(&pool, "p.q.M", "n").kind, Kind::Message(pool.find_message("p.q.M.N").unwrap()));
    let pool = changed(text, |file| file.message_type[0].field[0].type_name = "q.N".to_owned()).unwrap();
    assert_eq!(field(&pool, "p.q.M", "n").kind, Kind::Message(pool.find_message("p.q.N").unwrap()));
}

#[test]
fn the_embedded_set_carries_its_options() {
    let pool = embedded();
    let service = pool.service(pool.find_service("google.cloud.datastream.v1.Datastream").unwrap());
    assert_eq!(service.default_host, "datastream.googleapis.com");
    assert!(service.methods.iter().all(|rpc| rpc.http.is_some() && rpc.comment.is_some()));
    assert_eq!(service.methods.iter().filter(|rpc| rpc.operation_info.is_some()).count(), 11);
    let name = field(&pool, "google.cloud.datastream.v1.GetStreamRequest", "name");
    assert!(name.is(Behavior::Required));
    assert!(name.reference.as_deref().is_some_and(|kind| kind.ends_with("/Stream")), "{:?}", name.reference);
}
