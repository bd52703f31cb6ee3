//! What the pump's thread costs when there is nothing to do. One test, because it looks for the
//! only thread of that name.

#[expect(dead_code, reason = "only a part of it is used here")]
mod common;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{Rig, out, wait_until};
use supervisor_logs::Event;

/// Where the kernel keeps the books of the pump's thread. It names itself when it starts.
fn thread() -> PathBuf {
    let mut found = Vec::new();
    wait_until(|| {
        let tasks = fs::read_dir("/proc/self/task")
            .unwrap()
            .map(|task| task.unwrap().path());
        let is_named = |t: &PathBuf| fs::read_to_string(t.join("comm")).unwrap() == "logs\n";
        found = tasks.filter(is_named).collect();
        found.len() == 1
    });
    found.remove(0)
}

/// How often it went to sleep so far: once for every time it had woken up.
fn sleeps(thread: &Path) -> u64 {
    let status = fs::read_to_string(thread.join("status")).unwrap();
    let line = status
        .lines()
        .find_map(|l| l.strip_prefix("voluntary_ctxt_switches:"))
        .unwrap();
    line.trim().parse().unwrap()
}

fn is_asleep(thread: &Path) -> bool {
    fs::read_to_string(thread.join("status"))
        .unwrap()
        .contains("State:\tS")
}

fn cpu_nanoseconds(thread: &Path) -> u64 {
    let books = fs::read_to_string(thread.join("schedstat")).unwrap();
    books.split_whitespace().next().unwrap().parse().unwrap()
}

/// Lets things settle, then checks that in a while the thread woke up at most `wakes` times.
fn assert_quiet(what: &str, wakes: u64) {
    let thread = thread();
    let mut last = sleeps(&thread);
    wait_until(|| {
        std::thread::sleep(Duration::from_millis(50));
        let before = std::mem::replace(&mut last, sleeps(&thread));
        is_asleep(&thread) && last - before <= wakes.min(1)
    });
    let (slept, spent) = (sleeps(&thread), cpu_nanoseconds(&thread));
    std::thread::sleep(Duration::from_millis(500));
    let (slept, spent) = (sleeps(&thread) - slept, cpu_nanoseconds(&thread) - spent);
    assert!(slept <= wakes, "{what}: woke up {slept} times");
    assert!(
        spent < 5_000_000,
        "{what}: {spent} ns of CPU in half a second"
    );
}

#[test]
fn idle_costs_nothing() {
    let rig = Rig::new();
    let mut first = rig.run(1000, &out("first"));
    first.write_all(b"one\n").unwrap();
    rig.finish(1000);
    assert_quiet("no pipe", 0);

    let apps: Vec<_> = (0..20)
        .map(|key| rig.run(key, &out(&format!("app{key}"))))
        .collect();
    assert_quiet("silent apps", 0);

    drop(apps);
    assert_quiet("apps that ended or closed their output, before finish", 0);

    // Others hold the same open file descriptions, as the keeper does.
    let (read, write) = common::pipe();
    rig.attach(100, &out("held"), read.try_clone().unwrap(), true);
    rig.finish(100);
    (&write).write_all(b"nobody is meant to read this").unwrap();
    assert_quiet("a finished pipe that is still written to and still held", 0);
    drop((read, write));

    let bad = out("bad");
    fs::create_dir_all(rig.path(&bad)).unwrap();
    let mut app = rig.run(200, &bad);
    app.write_all(b"held up").unwrap();
    while !matches!(rig.next_event(), Event::Trouble { .. }) {}
    assert_quiet("a log that cannot be opened", 5);
    fs::remove_dir(rig.path(&bad)).unwrap();
    rig.expect_content(&bad, b"held up");
    assert_quiet("repaired", 0);
}
