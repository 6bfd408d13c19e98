//! The ratios, and whether they are what we promise.

use std::{
    alloc::System,
    time::{Duration, Instant},
};

use stats_alloc::{Region, StatsAlloc};

use crate::{
    contestants::{Contestant, Direction, GENERATED, OURS, REFERENCE, contestants},
    pages::Page,
};

/// Turns that everybody takes.
const ROUNDS: usize = 60;
/// Length of a turn.
const TURN: Duration = Duration::from_millis(10);
/// Allocations that one conversion may make.
const ALLOCATIONS: usize = 2;

/// What must hold on the page that the promises are about: how many times as long the others take.
const PROMISES: &[(Direction, &str, f64)] = &[
    (Direction::Print, REFERENCE, 5.0),
    (Direction::Print, GENERATED, 1.8),
    (Direction::Read, REFERENCE, 4.0),
    (Direction::Read, GENERATED, 1.2),
];
const PROMISED: &str = "50 connections";

/// Measures and prints.
pub(crate) fn print(pages: &[Page], allocator: &StatsAlloc<System>) {
    println!("{:<32} {:<28} {:>10} {:>12} {:>7}  promise", "", "", "µs", "allocations", "ratio");
    for page in pages {
        for direction in [Direction::Print, Direction::Read] {
            let mut all = contestants(page);
            all.retain(|contestant| contestant.direction == direction);
            let best = race(&mut all);
            let ours = best[0];
            for (contestant, time) in all.iter_mut().zip(&best) {
                let region = Region::new(allocator);
                (contestant.convert)();
                let change = region.change();
                let allocations = change.allocations + change.reallocations;
                let ratio = time / ours;
                println!(
                    "{:<32} {:<28} {:>10.2} {:>12} {:>7.2}  {}",
                    format!("{direction} {}", page.name),
                    contestant.name,
                    time * 1e6,
                    allocations,
                    ratio,
                    promise(page, contestant, ratio, allocations),
                );
            }
        }
    }
}

/// Lets everybody take turns; returns the seconds that a conversion took in the best turn of each.
#[expect(clippy::disallowed_methods, reason = "real time is what is measured")]
fn race(all: &mut [Contestant<'_>]) -> Vec<f64> {
    let mut best = vec![f64::INFINITY; all.len()];
    for _ in 0..ROUNDS {
        for (contestant, best) in all.iter_mut().zip(&mut best) {
            let start = Instant::now();
            let mut count = 0;
            while start.elapsed() < TURN {
                (contestant.convert)();
                count += 1;
            }
            *best = best.min(start.elapsed().as_secs_f64() / f64::from(count));
        }
    }
    best
}

fn promise(page: &Page, contestant: &Contestant<'_>, ratio: f64, allocations: usize) -> String {
    if page.name != PROMISED {
        return String::new();
    }
    if contestant.name == OURS {
        return verdict(allocations <= ALLOCATIONS, &format!("at most {ALLOCATIONS} allocations"));
    }
    let promised = PROMISES
        .iter()
        .find(|(direction, name, _)| *direction == contestant.direction && *name == contestant.name);
    promised.map_or(String::new(), |(_, _, least)| verdict(ratio >= *least, &format!("at least {least}")))
}

fn verdict(kept: bool, promise: &str) -> String {
    format!("{promise}: {}", if kept { "kept" } else { "MISSED" })
}
