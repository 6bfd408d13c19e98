//! The document that describes everything, and the pages that show it.

use std::{collections::BTreeSet, fs, sync::Arc};

use causeway::{
    clock::{Clock as _, SystemClock},
    emulator::{Emulator, Scenario, Upstream},
};
use serde_json::Value;

use crate::harness::{Gateway, Response, Scripted};

/// The document as it is kept in the repository.
const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/causeway.json");

const JSON: (&str, &str) = ("content-type", "application/json");

/// One operation of the document.
struct Operation<'d> {
    verb: String,
    path: &'d str,
    told: &'d Value,
}

fn operations(document: &Value) -> Vec<Operation<'_>> {
    let paths = document["paths"].as_object().unwrap();
    let verbs = |(path, item): (&'d String, &'d Value)| -> Vec<Operation<'d>> {
        let told = item.as_object().unwrap().iter();
        told.map(|(verb, told)| Operation { verb: verb.to_uppercase(), path, told }).collect()
    };
    paths.iter().flat_map(verbs).collect()
}
