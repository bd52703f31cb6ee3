//! How fast a crashing app is started again, for how long, and what an operator sees of it.

use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use supervisor_tests::{Home, testapp};

/// Milliseconds between the starts that were noted.
fn gaps(home: &Home, file: &str) -> Vec<u64> {
    let stamps = home.stamps(file);
    stamps
        .windows(2)
        .map(|pair| (pair[1].0 - pair[0].0) / 1_000_000)
        .collect()
}

/// A wait with its jitter of 10 % either way, and what a busy machine adds.
fn about(ms: u64) -> Range<u64> {
    ms * 9 / 10..ms * 11 / 10 + 150
}

fn with_stamps(home: &Home, file: &str, rest: &str) -> String {
    format!("env = {{ STAMPS = {:?} }}\n{rest}", home.text_of(file))
}

#[test]
fn starts_follow_the_table() {
    let home = Home::new();
    let rest = with_stamps(&home, "stamps", "");
    home.up(&testapp("crash", &["exit", "3"], &rest))
        .exits(1)
        .says("crash");
    home.wait_stamps("stamps", 8);
    for (gap, wait) in gaps(&home, "stamps")
        .iter()
        .zip([0, 100, 200, 400, 800, 1600, 3200])
    {
        assert!(
            about(wait).contains(gap),
            "{gap} ms where {wait} ms was due"
        );
    }
    let row = home.wait_row("crash", "the eighth exit", |row| row["failures"] == 8);
    assert_eq!(row["state"], "backoff", "{row}");
    assert_eq!(row["restarts"], 7, "{row}");
    assert_eq!(row["last_exit"]["code"], 3, "{row}");
    assert_eq!(row["pid"], Value::Null, "{row}");
    let left = row["next_start_in_ms"]
        .as_u64()
        .expect("the next try has its time");
    assert!((4000..=7040).contains(&left), "{row}");
    assert!(
        row["next_start_at"]
            .as_str()
            .is_some_and(|at| at.contains('T')),
        "{row}"
    );
    home.ctl(&["status"]).ok().says("backoff");
    home.ctl(&["show", "crash"]).ok().says("backoff").says("3");
    home.ctl(&["status", "crash"]).exits(3);

    // An operator does not have to wait, and a stop ends it.
    home.ctl(&["start", "crash"]).exits(1);
    assert!(home.stamps("stamps").len() > 8);
    home.ctl(&["stop", "crash"]).ok();
    assert_eq!(home.row("crash")["next_start_at"], Value::Null);
}

#[test]
fn starts_follow_the_table_while_engines_die() {
    let home = Home::new();
    let rest = with_stamps(&home, "stamps", "");
    home.up(&testapp("crash", &["exit", "3"], &rest)).exits(1);
    let end = Instant::now() + Duration::from_secs(6);
    while Instant::now() < end {
        home.kill_engine();
        thread::sleep(Duration::from_millis(150));
    }
    home.wait_stamps("stamps", 8);
    for (gap, wait) in gaps(&home, "stamps")
        .iter()
        .zip([0, 100, 200, 400, 800, 1600, 3200])
    {
        let wanted = about(wait);
        // What a new engine adds when it has to begin first.
        assert!(
            (wanted.start..wanted.end + 250).contains(gap),
            "{gap} ms where {wait} was due"
        );
    }
    let row = home.wait_row("crash", "the eighth exit", |row| row["failures"] == 8);
    assert_eq!(row["restarts"], 7, "{row}");
}

#[test]
fn delay_and_max_delay_bound_the_waits() {
    let home = Home::new();
    let rest = with_stamps(&home, "slow", "[app.slow.restart]\ndelay = \"400ms\"\n")
        + "max_delay = \"800ms\"";
    home.write("supervisor.toml", &testapp("slow", &["exit", "1"], &rest));
    home.ctl(&["up", "--no-wait"]).ok();
    home.wait_stamps("slow", 6);
    for (gap, wait) in gaps(&home, "slow").iter().zip([400, 400, 800, 800, 800]) {
        assert!(
            about(wait).contains(gap),
            "{gap} ms where {wait} ms was due"
        );
    }
}

#[test]
fn a_run_that_was_stable_starts_the_table_anew() {
    let home = Home::new();
    let rest = with_stamps(
        &home,
        "stamps",
        "[app.steady.restart]\nstable_after = \"200ms\"",
    );
    home.write(
        "supervisor.toml",
        &testapp("steady", &["exit", "1", "300"], &rest),
    );
    home.ctl(&["up", "--no-wait"]).ok();
    home.wait_stamps("stamps", 6);
    for gap in gaps(&home, "stamps") {
        assert!(
            (290..450).contains(&gap),
            "{gap} ms, where 300 ms of life and no wait were due"
        );
    }
    let row = home.row("steady");
    assert!(row["failures"].as_u64() <= Some(1), "{row}");
    assert!(row["restarts"].as_u64() >= Some(5), "{row}");
}

#[test]
fn max_restarts_gives_up_and_an_operator_can_begin_again() {
    let home = Home::new();
    let rest = with_stamps(&home, "stamps", "[app.hopeless.restart]\nmax_restarts = 3");
    home.write(
        "supervisor.toml",
        &testapp("hopeless", &["exit", "5"], &rest),
    );
    home.ctl(&["up", "--no-wait"]).ok();
    let row = home.wait_row("hopeless", "is given up", |row| row["state"] == "errored");
    assert_eq!(row["last_exit"]["code"], 5, "{row}");
    assert_eq!(row["next_start_at"], Value::Null, "{row}");
    assert!(row["note"].as_str().is_some(), "it says why: {row}");
    let tried = home.stamps("stamps").len();
    assert!((3..=4).contains(&tried), "{tried} starts");
    home.kill_engine();
    assert_eq!(home.row("hopeless")["state"], "errored");
    assert_eq!(home.stamps("stamps").len(), tried, "given up is given up");
    home.ctl(&["start", "hopeless"]).exits(1);
    home.wait_stamps("stamps", tried + 1);
}

#[test]
fn policies_decide_whether_there_is_a_next_start() {
    let home = Home::new();
    let restart =
        |name: &str, rest: &str| with_stamps(&home, name, &format!("[app.{name}.restart]\n{rest}"));
    let cases = [
        ("clean", vec!["exit", "0"], "policy = \"on-failure\"", false),
        ("dirty", vec!["exit", "1"], "policy = \"on-failure\"", true),
        (
            "agreed",
            vec!["exit", "4"],
            "policy = \"on-failure\"\nsuccess = [0, 4]",
            false,
        ),
        (
            "signal",
            vec!["raise", "SIGKILL"],
            "policy = \"on-failure\"",
            true,
        ),
        (
            "term",
            vec!["raise", "SIGTERM"],
            "policy = \"on-failure\"\nsuccess = [\"SIGTERM\"]",
            false,
        ),
        ("never", vec!["exit", "1"], "policy = \"never\"", false),
        ("always", vec!["exit", "0"], "policy = \"always\"", true),
    ];
    let text: String = cases
        .iter()
        .map(|(name, words, rest, _)| testapp(name, words, &restart(name, rest)))
        .collect();
    home.write("supervisor.toml", &text);
    home.ctl(&["up", "--no-wait"]).ok();
    for (name, _, _, again) in &cases {
        if *again {
            home.wait_stamps(name, 3);
        } else {
            home.wait_row(name, "is over", |row| row["state"] == "completed");
            assert_eq!(home.stamps(name).len(), 1, "{name}");
        }
    }
}
