//! Engines that are killed at any moment.

use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use supervisor_tests::{Home, Rng, proc, wait_until};

/// Kills engines with SIGKILL, at least `least` of them, until `enough` says so; each after a
/// while of these milliseconds, or sooner: each fifth as soon as it is there. Gives their number.
pub fn kill_until(
    home: &Home,
    least: u32,
    pause_ms: std::ops::Range<u64>,
    mut enough: impl FnMut() -> bool,
) -> u32 {
    let keeper = home.daemon().keeper;
    let mut rng = Rng::new(11);
    let mut kills = 0;
    while kills < least || !enough() {
        kills += 1;
        // One that is only just there has a half healed folder in its hands.
        let engine = if kills % 5 == 0 {
            wait_until("an engine", Duration::from_secs(10), || {
                proc::engine_of(keeper)
            })
        } else {
            thread::sleep(Duration::from_millis(rng.within(pause_ms.clone())));
            home.daemon().engine
        };
        proc::kill(engine, Signal::SIGKILL);
        home.wait_gone(engine);
    }
    assert_eq!(home.daemon().keeper, keeper);
    kills
}
