//! Compiles `proto/` once: a descriptor set with comments for the running gateway, Rust types for what code handles by name.
//! Collects the examples of the OpenAPI document.

use std::{env, error::Error, fs, path::PathBuf};

#[expect(clippy::disallowed_methods, reason = "cargo speaks to build scripts through the environment")]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=openapi/examples");
    let mut files = Vec::new();
    collect(&PathBuf::from("proto"), &mut files)?;
    files.sort();

    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true).open_files(&files)?;
    let set = compiler.file_descriptor_set();

    let out = PathBuf::from(env::var("OUT_DIR")?);
    // Not `set.encode_to_vec()`: prost's types have no place for the options that extensions add, such as http rules.
    fs::write(out.join("causeway.binpb"), compiler.encode_file_descriptor_set())?;
    tonic_prost_build::configure().build_client(false).bytes(".").include_file("pb.rs").compile_fds(set)?;
    fs::write(out.join("examples.rs"), examples()?)?;
    #[cfg(feature = "peers")]
    peers(&out)?;
    Ok(())
}

/// Writes a Rust array of the files in `openapi/examples/`, each with its name, which is the key of an upstream. Where they are
/// is left to the compiler: what is written here outlives a checkout that is moved.
fn examples() -> Result<String, Box<dyn Error>> {
    let mut files = Vec::new();
    for entry in fs::read_dir("openapi/examples")? {
        let path = entry?.path();
        let key = path.file_stem().and_then(|stem| stem.to_str()).ok_or("a file has no name")?.to_owned();
        files.push((key, path));
    }
    files.sort();
    let lines: Vec<String> = files
        .iter()
        .map(|(key, path)| {
            let path = format!("/{}", path.display());
            format!("({key:?}, include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), {path:?}))),")
        })
        .collect();
    Ok(format!("&[{}]", lines.join("\n")))
}

/// Generates what the transcoding bench compares with: types of `prost` that `pbjson` can print and read.
#[cfg(feature = "peers")]
fn peers(out: &std::path::Path) -> Result<(), Box<dyn Error>> {
    const FILE: &str = "google/cloud/bigquery/connection/v1/connection.proto";
    const PACKAGE: &str = "google.cloud.bigquery.connection.v1";
    let out = out.join("peers");
    fs::create_dir_all(&out)?;
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).open_file(FILE)?;
    let mut config = tonic_prost_build::Config::new();
    config
        .compile_well_known_types()
        .extern_path(".google.protobuf", "::pbjson_types")
        .out_dir(&out)
        .compile_fds(compiler.file_descriptor_set())?;
    pbjson_build::Builder::new()
        .register_descriptors(&compiler.encode_file_descriptor_set())?
        .out_dir(&out)
        .build(&[format!(".{PACKAGE}")])?;
    Ok(())
}

fn collect(folder: &PathBuf, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "proto") {
            files.push(path);
        }
    }
    Ok(())
}
