//! What comes after the lines that are there.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use supervisor_protocol::Stream;

use super::shelf::{DEADLINE, Of, Running, Shelf};

const API: Of = ("api", 0, Stream::Out);
const API_ERR: Of = ("api", 0, Stream::Err);
const WORKER: Of = ("worker", 0, Stream::Out);

#[test]
fn following_goes_on_without_the_daemon() {
    let shelf = Shelf::new(&[API, API_ERR, WORKER]);
    shelf.leave();
    shelf.append(API, b"old\nunfin", 0);
    let running = Running::new(&shelf.fake, &["logs", "-n", "1"]);
    running.expect("api    | old");
    shelf.append(API_ERR, b"from err\n", 10);
    running.expect("api    ! from err");
    shelf.append(API, b"ished\n", 20);
    running.expect("api    | unfinished");
    shelf.append(WORKER, b"from worker\n", 30);
    running.expect("worker | from worker");
    std::fs::write(shelf.path(WORKER), "").unwrap();
    shelf.append(WORKER, b"emptied\n", 40);
    running.expect("worker | emptied");
    assert_eq!(running.told(), "", "nothing is left out");
    // Its next file nobody can give, which is said once; the others go on.
    shelf.rotate(WORKER);
    let deadline = Instant::now() + DEADLINE;
    while running.told().is_empty() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(10));
    }
    assert!(
        running.told().starts_with("waiting for the daemon"),
        "{}",
        running.told()
    );
    shelf.append(API, b"still\n", 50);
    running.expect("api    | still");
    assert_eq!(running.told().lines().count(), 1);
}

#[test]
fn following_goes_on_over_rotations() {
    let shelf = Shelf::new(&[API, API_ERR]);
    shelf.append(API, b"0\n", 0);
    let running = Running::new(&shelf.fake, &["logs", "api", "--stream", "out"]);
    running.expect("0");
    for n in 1..20 {
        shelf.append(API, format!("{n} begins").as_bytes(), n);
        shelf.append(API, format!(" and ends\n{n} before\n").as_bytes(), n);
        shelf.rotate(API);
        if n % 3 == 0 {
            // Several at once.
            shelf.append(API, format!("{n} between\n").as_bytes(), n);
            shelf.rotate(API);
        }
        shelf.append(API, format!("{n} after\n").as_bytes(), n);
        running.expect(&format!("{n} begins and ends"));
        running.expect(&format!("{n} before"));
        if n % 3 == 0 {
            running.expect(&format!("{n} between"));
        }
        running.expect(&format!("{n} after"));
    }
    assert_eq!(running.told(), "");
}

#[test]
fn the_filter_holds_for_what_comes() {
    let shelf = Shelf::new(&[API]);
    shelf.append(API, b"{\"level\":50,\"msg\":\"bad\"}\n", 0);
    let running = Running::new(
        &shelf.fake,
        &["logs", "--level", "error", "--grep", "bad|at"],
    );
    running.expect(r#"{"level":50,"msg":"bad"}"#);
    shelf.append(
        API,
        b"    at x.js\nfine at last\n{\"level\":60,\"msg\":\"good\"}\n",
        10,
    );
    shelf.append(API, b"{\"level\":60,\"msg\":\"bad again\"}\n", 20);
    running.expect("    at x.js");
    running.expect(r#"{"level":60,"msg":"bad again"}"#);
}

#[test]
fn new_instances_appear() {
    let shelf = Shelf::new(&[API]);
    shelf.append(API, b"first\n", 0);
    let running = Running::new(&shelf.fake, &["logs", "--json"]);
    running.expect(r#"{"time":"2026-11-22T14:45:00.000+00:00","app":"api","name":"api","instance":0,"stream":"out","line":"first"}"#);
    // From a time before, when there was another of this name.
    let second = ("api", 1, Stream::Out);
    shelf.append(second, b"long ago\n", 0);
    shelf.add(second);
    let now = i64::try_from(
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_millis(),
    )
    .unwrap();
    shelf.append(second, b"new\n", now + 1 - super::shelf::BEGAN);
    let line = running.next();
    assert!(
        line.contains(r#""instance":1,"stream":"out","line":"new""#),
        "{line}"
    );
}

#[test]
fn apps_without_any_output_are_waited_for() {
    let shelf = Shelf::new(&[]);
    let running = Running::new(&shelf.fake, &["logs"]);
    let deadline = Instant::now() + DEADLINE;
    while running.told().is_empty() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(
        running.told(),
        "there are no logs yet; what comes is shown\n"
    );
    shelf.add(API);
    shelf.append(API, b"hello\n", 4_000_000_000_000 - super::shelf::BEGAN);
    running.expect("hello");
}

#[test]
fn nothing_is_done_while_nothing_happens() {
    let shelf = Shelf::new(&[API, API_ERR, WORKER]);
    shelf.append(API, b"line\n", 0);
    let running = Running::new(&shelf.fake, &["logs"]);
    running.expect("api    | line");
    let switches = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
        let found = status
            .lines()
            .find(|line| line.starts_with("voluntary_ctxt"))
            .unwrap()
            .to_owned();
        found
            .split_whitespace()
            .last()
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    // Between two lists: it may be on its way to sleep at the first look.
    thread::sleep(Duration::from_millis(200));
    let before = switches();
    thread::sleep(Duration::from_secs(2));
    assert!(
        switches() - before <= 1,
        "it woke up {} times",
        switches() - before
    );
}

#[test]
fn following_ends_when_nobody_reads() {
    let shelf = Shelf::new(&[API]);
    shelf.append(API, b"line\n", 0);
    let mut child = shelf
        .fake
        .command(&["logs"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    assert_eq!(first, "line\n");
    // The reader is dropped, and nothing is ever written again.
    let (sender, ended) = mpsc::channel();
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    let waiter = thread::spawn(move || sender.send(child.wait().unwrap().code()));
    let code = ended.recv_timeout(DEADLINE);
    if code.is_err() {
        kill(pid, Signal::SIGKILL).unwrap();
    }
    waiter.join().unwrap().ok();
    assert_eq!(code, Ok(Some(0)));
}
