//! How many deliveries to one endpoint may be under way in this process.
//!
//! Every endpoint begins with a few, has more with each success, and one after a failure. All endpoints that are failing
//! share a part of what the process can do. So an endpoint that never answers holds a handful of places and not all.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Deliveries under way in one process.
const IN_FLIGHT_MAX: usize = 1024;
/// Of these, to endpoints whose last attempt failed.
const FAILING_MAX: usize = 256;
/// What an endpoint begins with, and has at most.
const SIZE_START: u32 = 2;
const SIZE_MAX: u32 = 16;

/// What is known of one endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    size: u32,
    in_flight: u32,
    failing: bool,
    /// Whether something is due that found no place.
    passed_by: bool,
}

impl Default for Window {
    fn default() -> Self {
        Self { size: SIZE_START, in_flight: 0, failing: false, passed_by: false }
    }
}

impl Window {
    fn succeeded(&mut self) {
        self.size = (self.size + 1).min(SIZE_MAX);
        self.failing = false;
    }

    fn failed(&mut self) {
        self.size = 1;
        self.failing = true;
    }
}

/// The windows of all endpoints. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Windows(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    windows: HashMap<String, Window>,
    in_flight: usize,
    failing: usize,
}

/// Places of one endpoint that are taken. Those with which nothing was done are given back when this is dropped: an endpoint
/// that fails has only one, and would be left alone for ever.
#[must_use]
pub(super) struct Places {
    windows: Windows,
    endpoint: String,
    count: u32,
}

impl Places {
    /// Returns how many there are.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// Takes one of these, if there is one.
    pub(super) fn one(&mut self) -> Option<Self> {
        self.count = self.count.checked_sub(1)?;
        Some(Self { windows: self.windows.clone(), endpoint: self.endpoint.clone(), count: 1 })
    }

    /// Gives the place of an attempt back. Returns whether something had been passed by for want of it.
    pub(super) fn done(mut self, succeeded: bool) -> bool {
        let mut passed_by = false;
        self.windows.end(&self.endpoint, std::mem::take(&mut self.count), |window| {
            passed_by = std::mem::take(&mut window.passed_by);
            if succeeded { window.succeeded() } else { window.failed() }
        });
        passed_by
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        if self.count > 0 {
            self.windows.end(&self.endpoint, self.count, |_| {});
        }
    }
}

impl Windows {
    /// Takes up to `wanted` places for an endpoint.
    pub(super) fn take(&self, endpoint: &str, wanted: u32) -> Places {
        let mut state = self.lock();
        let (all, failing) = (
            IN_FLIGHT_MAX - state.in_flight.min(IN_FLIGHT_MAX),
            FAILING_MAX - state.failing.min(FAILING_MAX),
        );
        let window = state.windows.entry(endpoint.to_owned()).or_default();
        let room = if window.failing { all.min(failing) } else { all };
        let free = window.size.saturating_sub(window.in_flight).min(wanted);
        let taken = free.min(u32::try_from(room).unwrap_or(u32::MAX));
        window.in_flight += taken;
        let (is_failing, is_idle) = (window.failing, *window == Window::default());
        state.in_flight += taken as usize;
        if is_failing {
            state.failing += taken as usize;
        }
        if is_idle {
            state.windows.remove(endpoint);
        }
        Places { windows: self.clone(), endpoint: endpoint.to_owned(), count: taken }
    }

    /// Notes that something is due that found no place. Returns whether it has to be looked for: nothing to this endpoint is
    /// under way here, so that no end of an attempt will say that there is a place.
    pub(super) fn pass_by(&self, endpoint: &str) -> bool {
        let mut state = self.lock();
        let Some(window) = state.windows.get_mut(endpoint).filter(|window| window.in_flight > 0) else {
            return true;
        };
        window.passed_by = true;
        false
    }

    /// Places that are taken.
    pub(super) fn in_flight(&self) -> usize {
        self.lock().in_flight
    }

    fn end(&self, endpoint: &str, places: u32, learn: impl FnOnce(&mut Window)) {
        let mut state = self.lock();
        let Some(window) = state.windows.get_mut(endpoint) else { return };
        let before = *window;
        window.in_flight -= places.min(window.in_flight);
        learn(window);
        let after = *window;
        if after == Window::default() {
            state.windows.remove(endpoint);
        }
        state.in_flight -= (before.in_flight - after.in_flight) as usize;
        let counted = |window: Window| if window.failing { window.in_flight as usize } else { 0 };
        state.failing = state.failing + counted(after) - counted(before);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_that_accepts_gets_more_and_one_that_does_not_gets_one() {
        let windows = Windows::default();
        let mut held = windows.take("a", 100);
        assert_eq!(held.count(), 2);
        assert_eq!(windows.take("a", 100).count(), 0);
        held.one().unwrap().done(true);
        assert_eq!(windows.take("a", 100).count(), 2, "one is back, and one more is allowed");
        for _ in 0..40 {
            windows.take("a", 1).done(true);
        }
        drop(held);
        let mut held = windows.take("a", 100);
        assert_eq!(held.count(), SIZE_MAX);
        held.one().unwrap().done(false);
        assert_eq!(windows.take("a", 100).count(), 0);
        drop(held);
        let held = windows.take("a", 100);
        assert_eq!((held.count(), windows.in_flight()), (1, 1));
    }

    #[test]
    fn what_was_passed_by_is_looked_for_when_there_is_a_place() {
        let windows = Windows::default();
        assert!(windows.pass_by("a"), "nothing is under way whose end would tell");
        let mut held = windows.take("a", 2);
        assert!(!held.one().unwrap().done(true), "nothing was passed by");
        assert!(!windows.pass_by("a"));
        assert!(held.done(false));
        assert!(!windows.take("a", 1).done(true), "it was told once");
    }

    #[test]
    fn those_that_fail_leave_room_for_the_others() {
        let windows = Windows::default();
        for n in 0..2000 {
            windows.take(&format!("dead{n}"), 1).done(false);
        }
        let held: Vec<Places> = (0..2000).map(|n| windows.take(&format!("dead{n}"), 1)).collect();
        assert_eq!(held.iter().map(Places::count).sum::<u32>() as usize, FAILING_MAX);
        assert_eq!(windows.take("alive", 2).count(), 2);
        drop(held);
        assert_eq!(windows.in_flight(), 0);
    }
}
