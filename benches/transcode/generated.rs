//! Types of `prost` that `pbjson` can print and read, made by the build script.

#![expect(clippy::all, dead_code, unreachable_pub, reason = "generated")]

include!(concat!(env!("OUT_DIR"), "/peers/google.cloud.bigquery.connection.v1.rs"));
include!(concat!(env!("OUT_DIR"), "/peers/google.cloud.bigquery.connection.v1.serde.rs"));
