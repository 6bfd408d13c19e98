//! The types of the stories: the embedded ones, and a library that is compiled here.

use std::{path::PathBuf, sync::OnceLock};

use causeway::schema::EMBEDDED;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver};
use serde_json::Value;

/// A service with every shape of method that the built-in ones lack.
pub(crate) const LIBRARY: &str = r#"
syntax = "proto3";
package acme.v1;

import "google/api/annotations.proto";
import "google/api/httpbody.proto";
import "google/protobuf/any.proto";
import "google/protobuf/empty.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/timestamp.proto";

service Library {
  rpc GetBook(GetBookRequest) returns (Book) {
    option (google.api.http) = { get: "/v1/{name=shelves/*/books/*}" };
  }
  rpc ListBooks(ListBooksRequest) returns (ListBooksResponse) {
    option (google.api.http) = { get: "/v1/{parent=shelves/*}/books" };
  }
  rpc CreateBook(CreateBookRequest) returns (Book) {
    option (google.api.http) = { post: "/v1/{parent=shelves/*}/books" body: "book" };
  }
  rpc UpdateBook(UpdateBookRequest) returns (Book) {
    option (google.api.http) = { patch: "/v1/{book.name=shelves/*/books/*}" body: "book" };
  }
  rpc DeleteBook(GetBookRequest) returns (google.protobuf.Empty) {
    option (google.api.http) = { delete: "/v1/{name=shelves/*/books/*}" };
  }
  rpc ArchiveBook(ArchiveBookRequest) returns (Book) {
    option (google.api.http) = { post: "/v1/{name=shelves/*/books/*}:archive" body: "*" };
  }
  rpc GetTitle(GetBookRequest) returns (Book) {
    option (google.api.http) = { get: "/v1/{name=shelves/*/books/*}:title" response_body: "title" };
  }
  rpc WatchBooks(ListBooksRequest) returns (stream Book) {
    option (google.api.http) = { get: "/v1/{parent=shelves/*}/books:watch" };
  }
  rpc ImportBooks(ListBooksRequest) returns (stream Book) {
    option (google.api.http) = { post: "/v1/{parent=shelves/*}/books:import" body: "*" };
  }
  rpc Download(GetBookRequest) returns (google.api.HttpBody) {
    option (google.api.http) = { get: "/v1/{name=shelves/*/books/*}:download" };
  }
  rpc Read(GetBookRequest) returns (stream google.api.HttpBody) {
    option (google.api.http) = { get: "/v1/{name=shelves/*/books/*}:read" };
  }
  rpc Upload(UploadRequest) returns (Book) {
    option (google.api.http) = { post: "/v1/{name=shelves/*/books/*}:upload" body: "file" };
  }
}

message Book {
  enum Genre { GENRE_UNSPECIFIED = 0; NOVEL = 1; POETRY = 2; }
  string name = 1;
  string title = 2;
  Genre genre = 3;
  int64 pages = 4;
  bytes cover = 5;
  google.protobuf.Timestamp published = 6;
  repeated string authors = 7;
  google.protobuf.Any extra = 8;
  Book sequel = 9;
  int32 copies = 10;
}
message GetBookRequest { string name = 1; }
message ListBooksRequest { string parent = 1; int32 page_size = 2; string page_token = 3; string filter = 4; }
message ListBooksResponse { repeated Book books = 1; string next_page_token = 2; }
message CreateBookRequest { string parent = 1; Book book = 2; string book_id = 3; string request_id = 4; }
message UpdateBookRequest { Book book = 1; google.protobuf.FieldMask update_mask = 2; }
message ArchiveBookRequest { string name = 1; string reason = 2; }
message UploadRequest { string name = 1; google.api.HttpBody file = 2; }
"#;

struct Inline;

impl FileResolver for Inline {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match name {
            "acme/v1/library.proto" => File::from_source(name, LIBRARY),
            _ => Err(protox::Error::file_not_found(name)),
        }
    }
}

/// The library as a descriptor set, as an operator would hand it in.
fn library() -> &'static [u8] {
    static SET: OnceLock<Vec<u8>> = OnceLock::new();
    SET.get_or_init(|| {
        let mut resolver = ChainFileResolver::new();
        resolver.add(Inline);
        resolver.add(IncludeFileResolver::new(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("proto")));
        resolver.add(GoogleFileResolver::new());
        let mut compiler = protox::Compiler::with_file_resolver(resolver);
        compiler.include_imports(true).open_file("acme/v1/library.proto").expect("the library compiles");
        compiler.encode_file_descriptor_set()
    })
}

/// Writes the library's descriptor set to a file and returns its path.
pub(crate) fn library_file() -> String {
    static PATH: OnceLock<String> = OnceLock::new();
    PATH.get_or_init(|| {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("library.binpb");
        std::fs::write(&path, library()).expect("the target folder is writable");
        path.to_str().expect("the target folder has a plain name").to_owned()
    })
    .clone()
}

/// All types of the stories.
pub(crate) fn pool() -> &'static DescriptorPool {
    static POOL: OnceLock<DescriptorPool> = OnceLock::new();
    POOL.get_or_init(|| {
        let mut pool = DescriptorPool::decode(EMBEDDED.1).expect("the embedded set is whole");
        let mut sets = prost_types::FileDescriptorSet::decode(library()).expect("the library is whole");
        sets.file.retain(|file| pool.get_file_by_name(file.name()).is_none());
        for file in sets.file {
            pool.add_file_descriptor_proto(file).expect("the library's imports come first");
        }
        pool
    })
}

/// Turns JSON into a message of the type named.
pub(crate) fn bytes(type_name: &str, json: Value) -> Vec<u8> {
    let descriptor = pool().get_message_by_name(type_name).expect(type_name);
    DynamicMessage::deserialize(descriptor, json).expect("the story's JSON fits its type").encode_to_vec()
}

/// Turns a message of the type named into JSON.
pub(crate) fn message(type_name: &str, bytes: &[u8]) -> Value {
    let descriptor = pool().get_message_by_name(type_name).expect(type_name);
    let message = DynamicMessage::decode(descriptor, bytes).expect("the gateway sends what the type allows");
    message
        .serialize_with_options(serde_json::value::Serializer, &SerializeOptions::new())
        .expect("a message prints as JSON")
}
