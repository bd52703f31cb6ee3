//! What it may cost: the time to a crashed app's successor, and the memory of keeper and engine.
//! A test program of its own, so that it measures while nothing else runs.

use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use supervisor_tests::{Cgroups, Home, monotonic_ns, proc, programs, testapp, wait_until};

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

/// 0 of none.
fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

/// The median of many respawns in turn: supervised, by posix_spawn alone, supervised in a cgroup.
fn round(home: &Home, grouped: Option<&Home>) -> [u64; 3] {
    const TIMES: usize = 60;
    let mut taken = [const { Vec::new() }; 3];
    for _ in 0..TIMES {
        taken[0].push(respawn(home, "supervised"));
        taken[1].push(respawn(home, "bare"));
        taken[2].extend(grouped.map(|home| respawn(home, "supervised")));
    }
    let [supervised, by_hand, in_cgroup] = taken.map(median);
    let ms = |ns: u64| ns as f64 / 1e6;
    println!(
        "crash to the successor's first instruction, median of {TIMES}: {:.2} ms, bare posix_spawn \
         {:.2} ms, {:.2} ×; in a cgroup {:.2} ms, {:.2} ×",
        ms(supervised),
        ms(by_hand),
        ms(supervised) / ms(by_hand),
        ms(in_cgroup),
        ms(in_cgroup) / ms(by_hand)
    );
    [supervised, by_hand, in_cgroup]
}

/// Lets an app run that notes its starts and may be started again at once.
fn up(home: &Home) {
    let rest = format!(
        "env = {{ STAMPS = {:?} }}\n[app.app.restart]\nstable_after = \"1ms\"",
        home.text_of("supervised")
    );
    home.up(&testapp("app", &["sleep"], &rest)).ok();
    home.wait_stamps("supervised", 1);
}

#[test]
fn a_successor_costs_hardly_more_than_posix_spawn() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let cgroups = Cgroups::new();
    let home = Home::new();
    up(&home);
    // The same beside it, with a cgroup for each run.
    let grouped = cgroups.as_ref().map(|cgroups| {
        let home = Home::new();
        cgroups.start_daemon(&home);
        up(&home);
        home
    });
    let mut bare = Command::new(programs::testapp());
    bare.arg("respawner")
        .arg(home.file("bare"))
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let mut bare = bare.spawn().expect("the test app runs");
    home.wait_stamps("bare", 1);
    // Whatever else the machine does in one round, it hardly does in all five.
    let (mut close, mut as_close) = (false, false);
    for _ in 0..5 {
        let [supervised, by_hand, in_cgroup] = round(&home, grouped.as_ref());
        close |= supervised * 2 <= by_hand * 3;
        as_close |= in_cgroup * 100 <= supervised * 125;
        if close && as_close {
            break;
        }
    }
    bare.kill().expect("it is our child");
    bare.wait().expect("it is our child");
    proc::kill(
        home.stamps("bare").last().expect("it ran").1,
        Signal::SIGKILL,
    );

    assert!(close, "more than 1.5 × in each of 5 rounds");
    assert!(
        as_close,
        "a cgroup costs more than 25 % in each of 5 rounds"
    );
}

/// Heartbeats are all that goes on when nothing does.
#[test]
fn an_idle_daemon_costs_next_to_nothing() {
    const APPS: usize = 100;
    const FOR: Duration = Duration::from_secs(20);
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let home = Home::new();
    let text: String = (0..APPS)
        .map(|n| testapp(&format!("app{n}"), &["sleep"], ""))
        .collect();
    home.up(&text).ok();
    let daemon = home.daemon();
    let both = [daemon.keeper, daemon.engine];
    let used = || both.map(|pid| proc::cpu_ns(pid).expect("it runs"));
    // What starting them has left to do, is done.
    thread::sleep(Duration::from_secs(2));
    let before = used();
    thread::sleep(FOR);
    let after = used();
    let [keeper, engine] =
        [0, 1].map(|which| (after[which] - before[which]) / FOR.as_secs() / 1000);
    println!("idle with {APPS} apps: keeper {keeper} µs each second, engine {engine} µs");
    println!("PSS: keeper {} KiB", proc::pss_kib(daemon.keeper));
    assert!(
        keeper + engine < 500,
        "{keeper} µs and {engine} µs each second"
    );
    assert_eq!(home.daemon(), daemon);
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
    // Soon after the last event both give back what they do not need while they sleep.
    let small = |pid: i32, most: u64| {
        wait_until("it is small", Duration::from_secs(5), || {
            Some(proc::pss_kib(pid)).filter(|kib| *kib <= most)
        })
    };
    let keeper = small(daemon.keeper, 400);
    let engine = small(daemon.engine, 3500 - keeper);
    println!("PSS with one app: keeper {keeper} KiB, engine {engine} KiB");
}
