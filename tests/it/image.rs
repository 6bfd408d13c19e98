//! The container image, as far as that can be told without building it.

use std::path::{Path, PathBuf};

use toml::Table;

/// Sources of the build stage's `COPY` lines.
fn copied(dockerfile: &str) -> Vec<PathBuf> {
    let lines = dockerfile.lines().filter_map(|line| line.strip_prefix("COPY "));
    let words =
        lines.filter(|line| !line.starts_with("--from")).map(|line| line.split_whitespace().collect());
    words
        .flat_map(|words: Vec<&str>| words[..words.len() - 1].iter().map(PathBuf::from).collect::<Vec<_>>())
        .collect()
}

#[test]
fn the_image_is_built_with_every_file_that_the_manifest_names() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let copied = copied(include_str!("../../Dockerfile"));
    for source in &copied {
        assert!(root.join(source).exists(), "{} is copied and not there", source.display());
        let ignored = include_str!("../../.dockerignore");
        let kept = ignored.lines().filter_map(|line| line.strip_prefix('!'));
        assert!(kept.into_iter().any(|kept| source.starts_with(kept)), "{} is ignored", source.display());
    }
    let manifest: Table = include_str!("../../Cargo.toml").parse().unwrap();
    // cargo refuses a manifest that names a target without a file, also when it is not to be built.
    for kind in ["bench", "test"] {
        for target in manifest[kind].as_array().unwrap() {
            let name = target["name"].as_str().unwrap();
            let named = target.get("path").and_then(|path| path.as_str().map(PathBuf::from));
            let usual = [format!("benches/{name}.rs"), format!("benches/{name}/main.rs")].map(PathBuf::from);
            let file = named.or_else(|| usual.into_iter().find(|file| root.join(file).exists())).unwrap();
            assert!(copied.iter().any(|source| file.starts_with(source)), "{} is missing", file.display());
        }
    }
}
