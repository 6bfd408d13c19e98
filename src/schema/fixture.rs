//! Protos written in tests, and the embedded ones.

use protox::{
    Compiler, Error,
    file::{ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver},
};

use super::Pool;

/// The descriptor set of the binary.
const EMBEDDED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/causeway.binpb"));

struct Memory(Vec<(String, String)>);

impl FileResolver for Memory {
    fn open_file(&self, name: &str) -> Result<File, Error> {
        let file = self.0.iter().find(|(file, _)| file == name);
        file.map_or_else(|| Err(Error::file_not_found(name)), |(_, text)| File::from_source(name, text))
    }
}

/// Compiles files given as name and text; they may import those in `proto/`. Imports are in the set.
pub(crate) fn compile(files: &[(&str, &str)]) -> Vec<u8> {
    let mut resolver = ChainFileResolver::new();
    resolver.add(Memory(files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()));
    resolver.add(IncludeFileResolver::new("proto".into()));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.include_imports(true).include_source_info(true);
    for (name, _) in files {
        compiler.open_file(name).unwrap_or_else(|error| panic!("{name}: {error:?}"));
    }
    compiler.encode_file_descriptor_set()
}

/// Loads one proto3 file in package `pkg` that can use http annotations and the embedded types.
pub(crate) fn pool_of(body: &str) -> Pool {
    let text = format!(
        r#"syntax = "proto3"; package pkg;
        import "google/api/annotations.proto"; import "google/api/client.proto"; import "google/api/field_behavior.proto";
        import "google/api/resource.proto";
        import "google/iam/v1/iam_policy.proto"; import "google/longrunning/operations.proto";
        import "google/protobuf/any.proto"; import "google/protobuf/empty.proto"; import "google/protobuf/field_mask.proto";
        import "google/protobuf/struct.proto"; import "google/protobuf/wrappers.proto";
        {body}"#
    );
    Pool::load(&[("test.binpb", &compile(&[("pkg.proto", &text)])), ("embedded", EMBEDDED)])
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Loads what is in the binary.
pub(crate) fn embedded() -> Pool {
    Pool::load(&[("embedded", EMBEDDED)]).unwrap_or_else(|error| panic!("{error}"))
}
