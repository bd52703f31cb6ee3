//! Keeper and engine are killed in turn while apps write and end: here, and under a kernel that
//! does not tell how a process ended that is not our child.
//!
//! No app is restarted, no line is lost, and of each app that ended the code is right or "unknown",
//! and never another one.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use supervisor_tests::vm::{self, Call};
use supervisor_tests::writers::{Way, Writer};
use supervisor_tests::{Home, is_long, kernel_tells_exits, proc, testapp, wait_until};

/// Each of them is killed so often.
fn kills() -> i32 {
    if is_long() { 100 } else { 10 }
}

const WRITERS: usize = 16;
const RATE: u64 = 50;

#[test]
fn on_this_kernel() {
    let home = Home::new();
    let writers: Vec<Writer> = (0..WRITERS)
        .map(|number| {
            Writer::new(
                &format!("writer{number}"),
                Way::ALL[number % Way::ALL.len()],
            )
        })
        .collect();
    let mut text: String = writers
        .iter()
        .map(|writer| writer.lines(&home, RATE, ""))
        .collect();
    // Of each round two end in it, one just before the engine is killed and one just before the
    // keeper is.
    let stamps = format!("env = {{ STAMPS = {:?} }}", home.text_of("stamps"));
    for code in 1..=kills() * 2 {
        let (name, code) = (name_of(code), (code % 256).to_string());
        let rest = format!("{stamps}\n[app.{name}.restart]\npolicy = \"never\"");
        text += &testapp(&name, &["on-usr1", &code], &rest);
    }
    home.up(&text).ok();
    home.wait_stamps("stamps", usize::try_from(kills() * 2).expect("few"));
    let before = pids(&home);
    for round in 0..kills() {
        end(&before, round * 2 + 1);
        home.kill_engine();
        end(&before, round * 2 + 2);
        kill_keeper(&home);
    }
    let mut unknown = 0;
    for code in 1..=kills() * 2 {
        let row = home.wait_row(&name_of(code), "ends", |row| row["state"] == "completed");
        unknown += i32::from(is_unknown(&row, code % 256));
    }
    let writing = |rows: Vec<(String, i32)>| {
        let writing = rows
            .into_iter()
            .filter(|(name, _)| name.starts_with("writer"));
        writing.collect::<Vec<_>>()
    };
    assert_eq!(writing(pids(&home)), writing(before), "none was restarted");
    home.ctl(&["stop", "all"]).ok();
    let lines: u64 = writers.iter().map(|writer| writer.check(&home)).sum();
    println!(
        "{} keepers and engines killed; {lines} lines, each once and in order; of {} codes {unknown} \
         unknown, none wrong",
        kills() * 2,
        kills() * 2
    );
}

/// The same under Debian's kernel.
#[test]
fn on_an_older_kernel() {
    let storm = if is_long() { "long" } else { "short" };
    let limit = Duration::from_secs(if is_long() { 900 } else { 120 });
    let console = vm::run(&Call {
        words: &[
            "--exact",
            "on_this_kernel",
            "--nocapture",
            "--test-threads=1",
        ],
        env: &[("SUPERVISOR_STORM", storm)],
        limit,
    });
    assert!(console.contains("1 passed"), "no test ran");
}

fn name_of(code: i32) -> String {
    format!("ends{code}")
}

/// Names and pids of what runs.
fn pids(home: &Home) -> Vec<(String, i32)> {
    let one = |row: &Value| {
        let pid = i32::try_from(row["pid"].as_i64()?).ok()?;
        assert_eq!(row["restarts"], 0, "{row}");
        Some((row["name"].as_str()?.to_owned(), pid))
    };
    home.status().iter().filter_map(one).collect()
}

fn end(pids: &[(String, i32)], code: i32) {
    let name = name_of(code);
    let found = pids.iter().find(|(found, _)| *found == name);
    proc::kill(found.expect("it ran").1, Signal::SIGUSR1);
}

/// Whether nobody knows how it ended; it is the right code otherwise.
fn is_unknown(row: &Value, code: i32) -> bool {
    let exit = &row["last_exit"];
    assert_eq!(
        (&row["restarts"], &exit["signal"]),
        (&0.into(), &Value::Null),
        "{row}"
    );
    if exit["code"].is_null() && !kernel_tells_exits() {
        let reason = exit["reason"].as_str();
        assert!(reason.is_some_and(|reason| !reason.is_empty()), "{row}");
        return true;
    }
    assert_eq!(exit["code"], code, "{row}");
    false
}

fn kill_keeper(home: &Home) {
    let old = home.daemon();
    proc::kill(old.keeper, Signal::SIGKILL);
    home.wait_gone(old.keeper);
    wait_until("another keeper answers", Duration::from_secs(30), || {
        let answer = home.ctl(&["daemon", "status", "--json"]);
        (answer.code == 0 && answer.json()["keeper_pid"] != old.keeper).then_some(())
    });
}
