//! What a conversion costs, beside the reference (`prost-reflect` and `serde_json`) and generated code (`prost` and
//! `pbjson`), on pages of the load run.
//!
//! ```text
//! cargo bench --bench transcode                    # ours and the reference
//! cargo bench --features peers --bench transcode   # generated code too
//! ```
//!
//! First criterion's report, to compare one run with the next; then a table of ratios. For the table the contestants take
//! turns in short rounds and the least disturbed round of each counts, so that what else the machine does hurts none of
//! them more than another.

#![expect(clippy::print_stdout, reason = "a bench is read on the terminal")]

mod contestants;
#[cfg(feature = "peers")]
mod generated;
mod pages;
mod table;

use std::alloc::System;

use criterion::{Criterion, Throughput};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use contestants::contestants;
use pages::Page;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    let pages = Page::all();
    let mut criterion = Criterion::default().configure_from_args();
    for page in &pages {
        for contestant in contestants(page) {
            let mut group = criterion.benchmark_group(format!("{} {}", contestant.direction, page.name));
            group.throughput(Throughput::Bytes(page.json.len() as u64));
            let mut convert = contestant.convert;
            group.bench_function(contestant.name, |bencher| bencher.iter(&mut convert));
        }
    }
    criterion.final_summary();
    table::print(&pages, ALLOCATOR);
}
