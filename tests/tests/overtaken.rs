//! What is asked while something else is still under way, and answers that are almost too large.

use std::fs;
use std::time::Duration;

use serde_json::Value;
use supervisor_tests::{Home, app, testapp, wait_until};

const SOON: Duration = Duration::from_secs(20);

/// An app that ignores SIGTERM for as long as `timeout`, and comes after `db`.
fn slow_api(timeout: &str) -> String {
    let rest = format!("after = [\"db\"]\nstop.timeout = \"{timeout}\"");
    testapp("db", &["sleep"], "") + &testapp("api", &["ignore-term"], &rest)
}

fn is(row: &Value, state: &str) -> bool {
    row["state"] == state
}

#[test]
fn a_definition_that_comes_while_the_old_one_is_being_started_is_not_lost() {
    let home = Home::new();
    let fleet = |value: &str| -> String {
        (0..150)
            .map(|n| {
                testapp(
                    &format!("a{n}"),
                    &["sleep"],
                    &format!("env.V = \"{value}\""),
                )
            })
            .collect()
    };
    let file = home.write("supervisor.toml", &fleet("1"));
    let file = file.display().to_string();
    home.ctl(&["up", &file, "--no-wait"]).ok();
    fs::write(&file, fleet("2")).expect("our own folder");
    home.ctl(&["up", &file, "--no-wait"]).ok();
    let pids = || -> Vec<(String, i64)> {
        let all = home.status();
        let pid = |row: &Value| Some((row["name"].to_string(), row["pid"].as_i64()?));
        all.iter()
            .filter(|row| is(row, "running"))
            .filter_map(pid)
            .collect()
    };
    let has_new = |(_, pid): &(String, i64)| {
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ
            .split(|&byte| byte == 0)
            .any(|entry| entry == b"V=2")
    };
    let before = wait_until("all run with the new definition", SOON, || {
        let pids = pids();
        (pids.len() == 150 && pids.iter().all(has_new)).then_some(pids)
    });
    home.kill_engine();
    assert_eq!(pids(), before, "the next engine restarted something");
}

#[test]
fn a_start_during_an_ordered_stop_counts() {
    let home = Home::new();
    home.up(&slow_api("2s")).ok();
    home.ctl(&["stop", "all", "--no-wait"]).ok();
    // Held up by the app that comes after it, it is still running.
    home.ctl(&["start", "db"]).ok();
    home.wait_row("api", "stopped", |row| is(row, "stopped"));
    let row = home.row("db");
    assert!(is(&row, "running"), "{row}");
}

#[test]
fn up_during_a_delete_is_answered() {
    let home = Home::new();
    home.up(&slow_api("2s")).ok();
    home.ctl(&["delete", "all", "--no-wait"]).ok();
    home.up(&slow_api("2s")).ok();
    for name in ["db", "api"] {
        home.wait_row(name, "running", |row| is(row, "running"));
    }
}

#[test]
fn a_job_that_is_done_does_not_run_again_for_a_change_of_rules() {
    let home = Home::new();
    let job = |rest: &str| {
        let never = format!(
            "restart.policy = \"never\"\nenv.STAMPS = \"{}\"\n{rest}",
            home.file("stamps").display()
        );
        testapp("job", &["exit", "0"], &never)
    };
    home.up(&job("")).ok();
    home.wait_row("job", "completed", |row| is(row, "completed"));
    home.up(&job("stop.timeout = \"3s\"")).ok().says("keeps");
    home.ctl(&["scale", "job", "2"]).ok();
    assert_eq!(home.wait_stamps("stamps", 2).len(), 2);
    home.up(&job("env.NEW = \"1\"")).ok();
    assert!(
        home.wait_stamps("stamps", 3).len() >= 3,
        "a new definition is tried"
    );
}

#[test]
fn typing_start_again_after_scale_means_the_same_app() {
    let home = Home::new();
    let start = ["start", "/bin/sleep", "--name", "s", "--", "1000"];
    home.ctl(&start).ok();
    home.ctl(&["scale", "s", "2"]).ok();
    home.ctl(&start).ok();
    assert_eq!(home.status().len(), 2);
}

#[test]
fn an_app_whose_dependency_goes_with_its_file_is_told_before() {
    let home = Home::new();
    let folder = home.path().join("conf.d");
    fs::create_dir_all(&folder).expect("our own folder");
    fs::write(folder.join("a.toml"), testapp("db", &["sleep"], "")).expect("our own folder");
    let api = testapp("api", &["sleep"], "after = [\"db\"]");
    fs::write(folder.join("b.toml"), api).expect("our own folder");
    home.start_daemon();
    home.ctl(&["daemon", "reload"]).ok();
    let before = home.pid("db");
    fs::remove_file(folder.join("a.toml")).expect("it is there");
    home.ctl(&["daemon", "reload"])
        .exits(1)
        .says("there is no app db");
    assert_eq!(home.pid("db"), before);
}

#[test]
fn a_target_of_many_stars_is_answered_at_once() {
    let home = Home::new();
    let name = "a".repeat(60);
    home.up(&testapp(&name, &["sleep"], "")).ok();
    let stars = "*a".repeat(14) + "*b";
    let began = std::time::Instant::now();
    home.ctl(&["status", &stars]).exits(4);
    home.ctl(&["status", &"*".repeat(100_000)]).ok();
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn large_trees_and_many_blockers_fit_into_an_answer() {
    let home = Home::new();
    // Twenty-five processes with 60 KB of arguments each.
    let script =
        "x=$(printf %060000d 0); for i in $(seq 25); do sh -c 'sleep 1000; :' $x & done; wait";
    let big = app("big", &["sh", "-c", script], "");
    home.up(&big).ok();
    wait_until("its processes", SOON, || {
        let shown = home.show("big");
        (shown["processes"].as_array()?.len() >= 25).then_some(())
    });
    let mut fleet: String = (0..80)
        .map(|n| {
            testapp(
                &format!("bad{n}"),
                &["exit", "1"],
                "restart.delay = \"30s\"",
            )
        })
        .collect();
    let names: Vec<String> = (0..80).map(|n| format!("\"bad{n}\"")).collect();
    for n in 0..120 {
        let after = format!("after = [{}]", names.join(", "));
        fleet += &testapp(&format!("waits{n}"), &["sleep"], &after);
    }
    let file = home.write("many.toml", &fleet);
    home.ctl(&["up", &file.display().to_string(), "--no-wait"])
        .ok();
    let note = home.row("waits0")["note"].to_string();
    assert!(note.contains("more") && note.len() < 600, "{note}");
    home.ctl(&["stop", "all"]).ok();
}
