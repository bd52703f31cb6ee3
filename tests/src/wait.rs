//! Conditions with deadlines: no test sleeps for a fixed time and hopes.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// Polls until `look` finds something; panics with `what` when it has not by the deadline.
#[track_caller]
pub fn wait_until<T>(what: &str, deadline: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            started.elapsed() < deadline,
            "not within {deadline:?}: {what}"
        );
        thread::sleep(Duration::from_millis(5));
    }
}

/// `CLOCK_MONOTONIC`, the clock that test apps stamp their starts with.
#[must_use]
pub fn monotonic_ns() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)
        .expect("CLOCK_MONOTONIC is there");
    now.tv_sec().cast_unsigned() * 1_000_000_000 + now.tv_nsec().cast_unsigned()
}

/// The starts that test apps noted in a file: (monotonic nanoseconds, pid), in order.
#[must_use]
pub fn stamps(file: &std::path::Path) -> Vec<(u64, i32)> {
    fs::read_to_string(file)
        .unwrap_or_default()
        .lines()
        .filter_map(|line| {
            let (ns, pid) = line.split_once(' ')?;
            Some((ns.parse().ok()?, pid.parse().ok()?))
        })
        .collect()
}
