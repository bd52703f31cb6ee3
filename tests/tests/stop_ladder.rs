//! A stop asks first and then makes sure: what ignores the signal is killed at its time, with
//! everything it has started.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use supervisor_tests::{Home, Output, proc, programs, testapp, wait_until};

/// The pids that `testapp tree` noted.
fn noted(home: &Home, file: &str) -> Vec<i32> {
    let text = fs::read_to_string(home.file(file)).unwrap_or_default();
    text.lines()
        .map(|line| line.parse().expect("a pid"))
        .collect()
}

fn wait_noted(home: &Home, file: &str, count: usize) -> Vec<i32> {
    wait_until("the children are there", Duration::from_secs(10), || {
        Some(noted(home, file)).filter(|children| children.len() == count)
    })
}

fn living(pids: &[i32]) -> Vec<i32> {
    pids.iter()
        .copied()
        .filter(|&pid| proc::alive(pid))
        .collect()
}

#[test]
fn deaf_with_two_hundred_deaf_children_is_gone_at_its_time() {
    let home = Home::new();
    let tree = home.text_of("tree");
    let stop = "[app.deaf.stop]\ntimeout = \"1500ms\"";
    home.up(&testapp("deaf", &["tree", "200", &tree, "ignore"], stop))
        .ok();
    let children = wait_noted(&home, "tree", 200);
    assert_eq!(living(&children).len(), 200);
    let pid = home.pid("deaf");

    let asked = Instant::now();
    let stop = thread::scope(|scope| {
        let stop = scope.spawn(|| home.ctl(&["stop", "deaf"]));
        home.wait_gone(pid);
        let took = asked.elapsed();
        assert!(
            (1500..1900).contains(&took.as_millis()),
            "killed after {took:?}"
        );
        stop.join().expect("the command does not panic")
    });
    assert_eq!(living(&children), [0; 0], "`stop` leaves none");
    stop.ok().says("kill");
    let row = home.row("deaf");
    assert_eq!(row["state"], "stopped", "{row}");
    assert_eq!(row["last_exit"]["signal"], "SIGKILL", "{row}");
}

#[test]
fn a_main_process_that_obeys_leaves_no_children_either() {
    let home = Home::new();
    let tree = home.text_of("tree");
    home.up(&testapp(
        "parent",
        &["tree", "10", &tree, "exit", "0", "600000"],
        "",
    ))
    .ok();
    let children = wait_noted(&home, "tree", 10);
    let took = home.ctl(&["stop", "parent"]).ok().took;
    assert!(
        took < Duration::from_secs(2),
        "the children cost it nothing: {took:?}"
    );
    assert_eq!(living(&children), [0; 0]);
    assert_eq!(home.row("parent")["last_exit"]["signal"], "SIGTERM");
}

#[test]
fn what_is_left_of_a_tree_is_killed_before_the_next_start() {
    let home = Home::new();
    let tree = home.text_of("tree");
    let restart = format!(
        "env = {{ STAMPS = {:?} }}\n[app.leaver.restart]\nstable_after = \"10ms\"",
        home.text_of("stamps")
    );
    home.write("supervisor.toml", &{
        testapp(
            "leaver",
            &["tree", "5", &tree, "exit", "3", "300"],
            &restart,
        )
    });
    home.ctl(&["up", "--no-wait"]).ok();
    for run in 2..=4 {
        // A run notes its start when its own five children are there.
        home.wait_stamps("stamps", run);
        let before = &noted(&home, "tree")[..5 * (run - 1)];
        assert_eq!(living(before), [0; 0], "of the runs before the {run}th");
    }
    home.ctl(&["delete", "leaver"]).ok();
    assert_eq!(living(&noted(&home, "tree")), [0; 0]);
}

#[test]
fn the_stop_signal_is_the_one_of_the_config() {
    let home = Home::new();
    let stop = |name: &str, signal: &str| format!("[app.{name}.stop]\nsignal = \"{signal}\"");
    home.up(
        &(testapp("interrupted", &["sleep"], &stop("interrupted", "SIGINT"))
            + &testapp("hung-up", &["sleep"], &stop("hung-up", "HUP"))
            + &testapp("by-default", &["sleep"], "")),
    )
    .ok();
    home.ctl(&["stop", "all"]).ok();
    for (name, signal) in [
        ("interrupted", "SIGINT"),
        ("hung-up", "SIGHUP"),
        ("by-default", "SIGTERM"),
    ] {
        let row = home.row(name);
        assert_eq!(row["last_exit"]["signal"], signal, "{row}");
    }
}

#[test]
fn a_restart_of_a_deaf_app_kills_it_first() {
    let home = Home::new();
    let stop = "[app.deaf.stop]\ntimeout = \"700ms\"";
    home.up(&testapp("deaf", &["ignore-term"], stop)).ok();
    let old = home.pid("deaf");
    let restart = home.ctl(&["restart", "deaf"]).ok().says(&old.to_string());
    assert!((700..1300).contains(&restart.took.as_millis()), "{restart}");
    assert!(!proc::alive(old));
    assert_eq!(home.running("deaf", 0), [home.pid("deaf")]);
}

#[test]
fn a_signal_to_the_daemon_in_the_foreground_stops_all() {
    let home = Home::new();
    let config = testapp("plain", &["sleep"], "") + &testapp("other", &["sleep"], "");
    let mut foreground = home.command(&programs::supervisor());
    let log = fs::File::create(home.file("foreground.err")).expect("the work folder");
    let foreground = foreground.stderr(log).spawn().expect("supervisor runs");
    let pid = foreground.id().cast_signed();
    wait_until("the daemon answers", Duration::from_secs(10), || {
        let answer: Output = home.ctl(&["daemon", "status", "--json"]);
        (answer.code == 0).then(|| assert_eq!(answer.json()["keeper_pid"], pid))
    });
    home.up(&config).ok();
    let apps = [home.pid("plain"), home.pid("other")];
    proc::kill(pid, nix::sys::signal::Signal::SIGTERM);
    let ended = foreground.wait_with_output().expect("it is our child");
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(living(&apps), [0; 0]);
    // What ran is remembered: it was the daemon that was stopped, not the apps.
    home.start_daemon();
    for name in ["plain", "other"] {
        home.wait_row(name, "runs again", |row| row["state"] == "running");
    }
}
