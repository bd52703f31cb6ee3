//! What it may cost: the time to a crashed app's successor, and the memory of keeper and engine.
//! A test program of its own, so that it measures while nothing else runs.

use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use supervisor_tests::{Home, monotonic_ns, proc, programs, testapp, wait_until};

/// One measurement at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Kills the process that was started last and gives the nanoseconds until its successor's first
/// instruction.
fn respawn(home: &Home, file: &str) -> u64 {
    let stamps = home.stamps(file);
    let &(_, pid) = stamps.last().expect("it runs");
    let killed_at = monotonic_ns();
    proc::kill(pid, Signal::SIGKILL);
    let (started_at, _) = wait_until("the successor", Duration::from_secs(10), || {
        home.stamps(file).get(stamps.len()).copied()
    });
    // Long enough for the run to count as stable.
    thread::sleep(Duration::from_millis(20));
    started_at - killed_at
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}

#[test]
fn a_successor_costs_hardly_more_than_posix_spawn() {
    const ROUNDS: usize = 60;
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let home = Home::new();
    let rest = format!(
        "env = {{ STAMPS = {:?} }}\n[app.app.restart]\nstable_after = \"1ms\"",
        home.text_of("supervised")
    );
    home.up(&testapp("app", &["sleep"], &rest)).ok();
    let mut bare = Command::new(programs::testapp());
    bare.arg("respawner")
        .arg(home.file("bare"))
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let mut bare = bare.spawn().expect("the test app runs");
    home.wait_stamps("supervised", 1);
    home.wait_stamps("bare", 1);
    // Whatever else the machine does in one round, it hardly does in all three.
    let close = (0..3).any(|_| {
        let (mut supervised, mut by_hand) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            supervised.push(respawn(&home, "supervised"));
            by_hand.push(respawn(&home, "bare"));
        }
        let (supervised, by_hand) = (median(supervised), median(by_hand));
        println!(
            "crash to the successor's first instruction, median of {ROUNDS}: \
             {:.2} ms, bare posix_spawn {:.2} ms, {:.2} ×",
            supervised as f64 / 1e6,
            by_hand as f64 / 1e6,
            supervised as f64 / by_hand as f64
        );
        supervised * 2 <= by_hand * 3
    });
    bare.kill().expect("it is our child");
    bare.wait().expect("it is our child");
    proc::kill(
        home.stamps("bare").last().expect("it ran").1,
        Signal::SIGKILL,
    );

    assert!(close, "more than 1.5 × in each of 3 rounds");
}

#[test]
fn keeper_and_engine_are_small() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let home = Home::new();
    home.up(&testapp("app", &["sleep"], "")).ok();
    // As it is in daily use: it has been asked, has restarted something, has followed a log.
    for words in [
        &["restart", "app"][..],
        &["status"],
        &["logs", "app", "--no-follow"],
    ] {
        home.ctl(words).ok();
    }
    let daemon = home.daemon();
    println!(
        "PSS while it works: keeper {} KiB",
        proc::pss_kib(daemon.keeper)
    );
    // Soon after the last event the keeper gives back what it does not need while it sleeps.
    let keeper = wait_until("the keeper is small", Duration::from_secs(5), || {
        Some(proc::pss_kib(daemon.keeper)).filter(|kib| *kib <= 400)
    });
    let engine = proc::pss_kib(daemon.engine);
    println!("PSS with one app: keeper {keeper} KiB, engine {engine} KiB");
    assert!(
        keeper + engine <= 3500,
        "keeper and engine have {} KiB",
        keeper + engine
    );
}
