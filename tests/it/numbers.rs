//! What is counted: that somebody who reads it is told what it is, and that no count is missed.

use std::{collections::BTreeSet, fs, path::Path};

use crate::{
    architecture::collect,
    harness::{Connection, Process},
};

/// What the sources count, by kind and name.
#[derive(Default)]
struct Numbers {
    counted: BTreeSet<(&'static str, String)>,
    described: BTreeSet<(&'static str, String)>,
    /// Counters that have no labels.
    plain: BTreeSet<String>,
}

impl Numbers {
    /// Reads all of `src/`, without its tests.
    fn of_the_sources() -> Self {
        let mut files = Vec::new();
        collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
        let mut numbers = Self::default();
        for file in files {
            let text = fs::read_to_string(file).expect("a source file is readable");
            numbers.read(text.split("#[cfg(test)]\nmod ").next().unwrap_or_default());
        }
        assert!(numbers.counted.len() > 20, "found only {:?}", numbers.counted);
        numbers
    }

    fn read(&mut self, code: &str) {
        for kind in ["counter", "gauge", "histogram"] {
            let call = format!("{kind}!(");
            for (at, _) in code.match_indices(&call) {
                let rest = code[at + call.len()..].trim_start();
                let name = rest.strip_prefix('"').and_then(|rest| rest.split_once('"'));
                let (name, rest) = name.expect("the name of a number is written where it is counted");
                if code[..at].ends_with("describe_") {
                    self.described.insert((kind, name.to_owned()));
                    continue;
                }
                self.counted.insert((kind, name.to_owned()));
                if kind == "counter" && rest.trim_start_matches([',', ' ', '\n']).starts_with(')') {
                    self.plain.insert(name.to_owned());
                }
            }
        }
    }
}

#[test]
fn every_number_is_described_as_what_it_is() {
    let numbers = Numbers::of_the_sources();
    let silent: Vec<_> = numbers.counted.difference(&numbers.described).collect();
    assert!(silent.is_empty(), "counted and not described: {silent:?}");
    let idle: Vec<_> = numbers.described.difference(&numbers.counted).collect();
    assert!(idle.is_empty(), "described and not counted: {idle:?}");
}

#[tokio::test]
async fn counters_without_labels_are_there_before_they_count() {
    // In a process of its own: another story may have counted here.
    let gateway = Process::start(&[]);
    let mut connection = Connection::http1(gateway.address).await;
    let text = connection.send("GET", "/metrics", &[], "").await.text();
    for name in Numbers::of_the_sources().plain {
        let series = format!("{name} ");
        assert!(text.lines().any(|line| line.starts_with(&series)), "{name} is missing:\n{text}");
    }
    for name in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()) {
        assert!(text.contains(&format!("# HELP {name} ")), "{name} is not described:\n{text}");
    }
}
