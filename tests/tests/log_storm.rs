//! Engines die by the hundred while twenty apps write 2,000 numbered lines a second each: no app
//! is restarted, no line is lost, doubled or broken, and whoever asks gets an answer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use supervisor_tests::{Home, Rng, proc, wait_until};

mod storm;

const KILLS: u32 = 300;

#[test]
fn three_hundred_dead_engines_and_not_a_line_lost() {
    let home = Home::new();
    let writers = storm::start(&home, 20, "");
    let before = storm::pids(&home);
    let keeper = home.daemon().keeper;
    let done = AtomicBool::new(false);
    let started = Instant::now();
    let (answers, slowest) = thread::scope(|scope| {
        scope.spawn(|| {
            let mut rng = Rng::new(7);
            for kill in 1..=KILLS {
                // Mostly one that is at work; each tenth is killed as soon as it is there.
                let engine = if kill % 10 == 0 {
                    wait_until("an engine", Duration::from_secs(10), || {
                        proc::engine_of(keeper)
                    })
                } else {
                    let engine = home.daemon().engine;
                    thread::sleep(Duration::from_millis(rng.within(0..15)));
                    engine
                };
                proc::kill(engine, Signal::SIGKILL);
                home.wait_gone(engine);
            }
            done.store(true, Ordering::Relaxed);
        });
        let mut answers = 0;
        let mut slowest = Duration::ZERO;
        while !done.load(Ordering::Relaxed) {
            let status = home.ctl(&["status", "--json"]).ok();
            slowest = slowest.max(status.took);
            answers += 1;
            thread::sleep(Duration::from_millis(50));
        }
        (answers, slowest)
    });
    let took = started.elapsed();
    assert_eq!(home.daemon().keeper, keeper);
    assert_eq!(storm::pids(&home), before, "no app was restarted");
    let lines = writers.stop_and_check(&home);
    println!(
        "{KILLS} engines killed in {took:.1?}; {lines} lines, each once and in order; \
         {answers} × status, the slowest took {slowest:?}"
    );
    assert!(answers > 20, "only {answers} answers in {took:?}");
    assert!(
        slowest < Duration::from_secs(3),
        "a status took {slowest:?}"
    );
}
