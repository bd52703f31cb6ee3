//! The verbs that change how many instances there are, write to an app, count anew, empty logs
//! and restart several: `scale`, `send`, `reset`, `flush`, `reload`, `restart`; and what a
//! `TARGET` means.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use supervisor_tests::{Home, Output, app, lines, proc, programs, testapp, wait_until};

mod several;

const SOON: Duration = Duration::from_secs(10);

/// The pids of an app's instances, in their order.
#[track_caller]
fn pids(home: &Home, name: &str) -> Vec<i32> {
    let rows = home.status();
    let pid = |row: &Value| i32::try_from(row["pid"].as_i64()?).ok();
    let mut found: Vec<(u64, Option<i32>)> = rows
        .iter()
        .filter(|row| row["name"] == name)
        .map(|row| (row["instance"].as_u64().expect("a number"), pid(row)))
        .collect();
    found.sort_unstable();
    found.into_iter().filter_map(|(_, pid)| pid).collect()
}

/// What a verb says with `--json`: which instance, and what was done, in the order it was told.
#[track_caller]
fn outcomes(home: &Home, words: &[&str]) -> Vec<(String, String)> {
    let told = home.ctl(&[words, &["--json"]].concat()).ok().json();
    let list = told.as_array().expect("a list of outcomes");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let one = |outcome: &Value| {
        assert_eq!(outcome["ok"], true, "{outcome}");
        let instance = format!("{}:{}", text(&outcome["name"]), outcome["instance"]);
        (instance, text(&outcome["done"]))
    };
    list.iter().map(one).collect()
}

fn done(of: &[&str], what: &str) -> Vec<(String, String)> {
    let one = |instance: &&str| ((*instance).to_owned(), what.to_owned());
    of.iter().map(one).collect()
}

/// Kills the keeper and waits for the new pair.
fn kill_keeper(home: &Home) {
    let old = home.daemon();
    proc::kill(old.keeper, Signal::SIGKILL);
    home.wait_gone(old.keeper);
    wait_until("another keeper answers", SOON, || {
        let answer = home.ctl(&["daemon", "status", "--json"]);
        (answer.code == 0 && answer.json()["keeper_pid"] != old.keeper).then_some(())
    });
}

#[test]
fn scale_touches_only_those_that_come_and_go() {
    let home = Home::new();
    home.up(&testapp("app", &["sleep"], "")).ok();
    let first = pids(&home, "app");
    let mut told = outcomes(&home, &["scale", "app", "3"]);
    told.sort_unstable();
    assert_eq!(told, done(&["app:1", "app:2"], "started"));
    let three = pids(&home, "app");
    assert_eq!((three.len(), three[0]), (3, first[0]));

    let mut told = outcomes(&home, &["scale", "app", "+2"]);
    told.sort_unstable();
    assert_eq!(told, done(&["app:3", "app:4"], "started"));
    let five = pids(&home, "app");
    assert_eq!((five.len(), &five[..3]), (5, &three[..]));

    let told = outcomes(&home, &["scale", "app", "-1"]);
    assert_eq!(told, done(&["app:4"], "deleted"));
    assert_eq!(pids(&home, "app"), five[..4]);
    assert!(!proc::alive(five[4]));
    let mut told = outcomes(&home, &["scale", "app", "2"]);
    told.sort_unstable();
    assert_eq!(told, done(&["app:2", "app:3"], "deleted"));
    assert_eq!(pids(&home, "app"), five[..2]);
    assert_eq!(outcomes(&home, &["scale", "app", "2"]), []);

    for (number, code) in [
        ("513", 2),
        ("4294967295", 2),
        ("+511", 2),
        ("0", 2),
        ("-2", 2),
    ] {
        home.ctl(&["scale", "app", number]).exits(code).says("app");
        assert_eq!(pids(&home, "app"), five[..2], "{number}");
    }
    home.ctl(&["scale", "other", "2"]).exits(4).says("other");
}

#[test]
fn a_stopped_app_scaled_up_stays_stopped() {
    let home = Home::new();
    home.up(&testapp("app", &["sleep"], "")).ok();
    home.ctl(&["stop", "app"]).ok();
    home.ctl(&["scale", "app", "3"]).ok();
    let rows = home.status();
    let states: Vec<&Value> = rows.iter().map(|row| &row["state"]).collect();
    assert_eq!(states, ["stopped"; 3]);
    for instance in 0..3 {
        assert_eq!(home.running("app", instance), [0; 0]);
    }
    home.ctl(&["start", "app"]).ok();
    assert_eq!(pids(&home, "app").len(), 3);
}

#[test]
fn send_reaches_the_app_whoever_was_killed() {
    let home = Home::new();
    home.up(&app("echo", &["cat"], "stdin = \"pipe\"")).ok();
    let pid = home.pid("echo");
    let mut expected = String::new();
    let mut send = |line: &str| {
        home.ctl(&["send", "echo", line]).ok();
        expected.push_str(line);
        expected.push('\n');
        wait_until(&format!("{line:.20} comes back"), SOON, || {
            (home.log("echo", "out") == expected).then_some(())
        });
    };
    send("one");
    home.kill_engine();
    send("after the engine was killed");
    kill_keeper(&home);
    send("after the keeper was killed");
    home.kill_engine();
    kill_keeper(&home);
    send("-- 'after' \"both\" \\ were killed; ünïcode");
    send(&"x".repeat(4095));
    assert_eq!(home.pid("echo"), pid, "it was never restarted");

    let all = "seq 1 50 | \"$0\" send echo -";
    let mut many = home.command(Path::new("sh"));
    Output::of(many.args(["-c", all]).arg(programs::supervisorctl())).ok();
    let numbers: String = (1..=50).map(|number| format!("{number}\n")).collect();
    wait_until("50 lines in their order", SOON, || {
        home.log("echo", "out").ends_with(&numbers).then_some(())
    });
    // A successor has a standard input, too.
    home.ctl(&["restart", "echo"]).ok();
    home.ctl(&["send", "echo", "to the next"]).ok();
    wait_until("the next one answers", SOON, || {
        home.log("echo", "out")
            .ends_with("to the next\n")
            .then_some(())
    });
}

#[test]
fn send_refuses_what_cannot_arrive_whole() {
    let home = Home::new();
    let pipe = "stdin = \"pipe\"";
    home.up(&(testapp("deaf", &["sleep"], pipe) + &testapp("none", &["sleep"], "")))
        .ok();
    home.ctl(&["send", "none", "hello"])
        .exits(1)
        .says("none")
        .says("stdin = \"pipe\"");
    home.ctl(&["send", "deaf", &"x".repeat(4096)])
        .exits(2)
        .says("4095 bytes");
    home.ctl(&["send", "deaf", "two\nlines"]).exits(2);
    home.ctl(&["send", "deaf", ""]).exits(2).says("empty");
    home.ctl(&["send", "nobody", "hello"]).exits(4);

    // A pipe holds 64 KiB of what nobody reads.
    let line = "x".repeat(4000);
    let refused = (0..40).find_map(|_| {
        let output = home.ctl(&["send", "deaf", &line]);
        (output.code != 0).then_some(output)
    });
    let refused = refused.expect("a pipe that nobody reads is full at some time");
    assert!(refused.took < Duration::from_secs(2), "{refused}");
    refused.exits(1).says("deaf").says("full");
    home.ctl(&["stop", "deaf"]).ok();
    home.ctl(&["send", "deaf", "hello"])
        .exits(1)
        .says("not running");
}

#[test]
fn reset_counts_from_zero_again() {
    let home = Home::new();
    home.up(&testapp("app", &["sleep"], "")).ok();
    for count in 1..=3 {
        let pid = home.wait_row("app", "runs", |row| row["state"] == "running")["pid"].clone();
        let pid = i32::try_from(pid.as_i64().expect("a pid")).expect("a pid");
        proc::kill(pid, Signal::SIGKILL);
        home.wait_row("app", "is back", |row| {
            row["restarts"] == count && row["state"] == "running"
        });
    }
    let before = home.row("app");
    assert_eq!(before["failures"], 3, "{before}");
    home.ctl(&["reset", "app"]).ok().says("app");
    let after = home.row("app");
    assert_eq!(
        (&after["restarts"], &after["failures"], &after["pid"]),
        (&Value::from(0), &Value::from(0), &before["pid"]),
        "{after}"
    );
    // So it is for an engine that comes later.
    home.kill_engine();
    let adopted = home.row("app");
    assert_eq!(
        (&adopted["restarts"], &adopted["failures"], &adopted["pid"]),
        (&Value::from(0), &Value::from(0), &before["pid"]),
        "{adopted}"
    );
    home.ctl(&["reset", "nobody"]).exits(4);
}

#[test]
fn flush_empties_both_files_and_leaves_no_hole() {
    let home = Home::new();
    let folder = home.text_of("");
    let both = ["sh", "-c", "echo out; echo err >&2; exec sleep 1000"];
    home.up(&(testapp("writer", &["lines", "100000", &folder], "") + &app("both", &both, "")))
        .ok();
    wait_until("both streams have a line", SOON, || {
        let said = (home.log("both", "out"), home.log("both", "err"));
        (said == ("out\n".to_owned(), "err\n".to_owned())).then_some(())
    });
    home.ctl(&["flush", "both"]).ok();
    assert_eq!(
        (home.log("both", "out"), home.log("both", "err")),
        (String::new(), String::new())
    );

    let file = home.path().join("logs/writer/0.out.log");
    let size = || fs::metadata(&file).map_or(0, |data| data.len());
    for round in 0..5 {
        wait_until("a megabyte is written", SOON, || {
            (size() > 1_000_000).then_some(())
        });
        home.ctl(&["flush", "writer"]).ok();
        // At 5.5 MB a second; what was written while the answer was on its way.
        let left = size();
        assert!(left < 1_000_000, "round {round}: {left} bytes are left");
    }
    wait_until("it goes on", SOON, || (size() > 100_000).then_some(()));
    home.ctl(&["stop", "all"]).ok();
    let written =
        lines::written(&home.file("writer.0.count")).expect("the writer was ended by SIGTERM");
    let log = fs::read(&file).expect("the log");
    let hole = log.iter().position(|&byte| byte == 0);
    assert_eq!(hole, None, "a NUL byte in a log of {} bytes", log.len());
    check_tail(&log, written);
}

/// The first line may be the end of one whose beginning was thrown away; from the next on, none
/// is missing up to the last one that was written.
fn check_tail(log: &[u8], written: u64) {
    let text = std::str::from_utf8(log).expect("the writer writes text");
    let whole: Vec<&str> = text.split_inclusive('\n').skip(1).collect();
    let first = written + 1 - whole.len() as u64;
    for (number, line) in (first..).zip(&whole) {
        let expected = format!("{number:010} the quick brown fox jumps over the lazy dog\n");
        assert_eq!(**line, expected, "of {first} to {written}");
    }
    assert!(first > 1 && whole.len() > 100, "{first} to {written}");
}
