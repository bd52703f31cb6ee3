//! What a person does on the first day: start the example backend, look at it, kill it, restart
//! it, change its file.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use supervisor_tests::{Home, http, proc, programs, testapp, wait_until};

const SOON: Duration = Duration::from_secs(10);

/// The example in the work folder, started as a PM2 user types it, on a port of its own.
fn started_backend() -> (Home, u16) {
    let home = Home::new();
    let port = http::free_port();
    let folder = home.copy(&programs::example(), "backend");
    let mut start = home.command(&programs::supervisorctl());
    let port_variable = format!("PORT={port}");
    start
        .current_dir(&folder)
        .args(["start", "dist/index.js", "--name", "smd-backend"]);
    start.args(["--env", &port_variable, "--env", "TROUBLE=1"]);
    supervisor_tests::Output::of(&mut start)
        .ok()
        .says("smd-backend");
    (home, port)
}

/// The pid that the backend itself gives, once it answers.
fn served_by(port: u16) -> i32 {
    wait_until("/health answers", SOON, || {
        let (status, health) = http::get(port, "/health").ok()?;
        assert_eq!(status, 200, "{health}");
        i32::try_from(health["pid"].as_i64()?).ok()
    })
}

#[test]
fn start_a_script_as_a_pm2_user_types_it() {
    let (home, port) = started_backend();
    let row = home.row("smd-backend");
    assert_eq!(row["state"], "running", "{row}");
    assert_eq!(row["restarts"], 0, "{row}");
    assert!(row["uptime_ms"].as_u64().is_some(), "{row}");
    assert!(row["memory_bytes"].as_u64() > Some(1 << 20), "{row}");
    assert_eq!(served_by(port), home.pid("smd-backend"));
    home.ctl(&["status"])
        .ok()
        .says("smd-backend")
        .says("running");
    home.ctl(&["list"]).ok().says("smd-backend");

    let shown = home.show("smd-backend");
    assert_eq!(shown["service"]["name"], "smd-backend", "{shown}");
    assert!(
        shown["command"].to_string().contains("dist/index.js"),
        "{shown}"
    );
    home.ctl(&["show", "smd-backend"])
        .ok()
        .says("dist/index.js")
        .says("backend");

    home.ctl(&["start", "smd-backend"])
        .ok()
        .says("already running");
    assert_eq!(home.status().len(), 1);
}

#[test]
fn killed_with_9_a_new_one_serves() {
    let (home, port) = started_backend();
    let first = served_by(port);
    proc::kill(first, Signal::SIGKILL);
    let second = wait_until("another process serves", SOON, || {
        let (_, health) = http::get(port, "/health").ok()?;
        i32::try_from(health["pid"].as_i64()?)
            .ok()
            .filter(|&pid| pid != first)
    });
    let row = home.row("smd-backend");
    assert_eq!(row["pid"], second, "{row}");
    assert_eq!(row["restarts"], 1, "{row}");
    assert_eq!(row["last_exit"]["signal"], "SIGKILL", "{row}");
    assert_eq!(row["last_exit"]["code"], serde_json::Value::Null, "{row}");

    http::post(port, "/trouble/exit?code=7").expect("the backend answers before it exits");
    let row = home.wait_row("smd-backend", "is restarted after its exit with 7", |row| {
        row["last_exit"]["code"] == 7 && row["state"] == "running"
    });
    assert_eq!(row["restarts"], 2, "{row}");
}

#[test]
fn restart_stop_start_delete() {
    let (home, port) = started_backend();
    let first = served_by(port);
    let restarted = home
        .ctl(&["restart", "smd-backend"])
        .ok()
        .says(&first.to_string());
    let second = served_by(port);
    assert_ne!(first, second);
    let restarted = restarted.says(&second.to_string());
    assert!(restarted.text().contains(" ms"), "{restarted}");
    let row = home.row("smd-backend");
    assert_eq!(
        row["restarts"], 0,
        "a restart that was asked for does not count: {row}"
    );
    assert_eq!(
        row["last_exit"]["code"], 0,
        "the backend ends cleanly: {row}"
    );

    home.ctl(&["stop", "smd-backend"]).ok();
    assert!(!proc::alive(second));
    assert!(http::get(port, "/health").is_err());
    let row = home.row("smd-backend");
    assert_eq!(row["state"], "stopped", "{row}");
    assert_eq!(row["pid"], serde_json::Value::Null, "{row}");
    home.ctl(&["stop", "smd-backend"]).ok();

    let id = home.row("smd-backend")["id"].to_string();
    home.ctl(&["start", &id]).ok();
    served_by(port);
    home.ctl(&["stop", "all"]).ok();
    home.ctl(&["restart", "smd-*"]).ok();
    let last = served_by(port);
    home.ctl(&["delete", "smd-backend:0"]).ok();
    assert!(!proc::alive(last));
    assert_eq!(home.status().len(), 0);
    let log = home.log("smd-backend", "out");
    assert!(log.contains("listening"), "the logs stay: {log:?}");
}

#[test]
fn logs_show_the_last_lines_and_follow() {
    let (home, port) = started_backend();
    served_by(port);
    http::get(port, "/api/products/2").expect("the backend answers");
    let last = wait_until("the request is logged", SOON, || {
        let last = home
            .ctl(&["logs", "smd-backend", "--no-follow", "-n", "1"])
            .ok();
        last.stdout.contains("/api/products/2").then_some(last)
    });
    assert_eq!(
        last.stdout.matches("\"msg\"").count(),
        1,
        "one line: {last}"
    );
    home.ctl(&["logs", "--nostream", "--lines", "50"])
        .ok()
        .says("listening");

    let mut follow = home.command(&programs::supervisorctl());
    follow
        .args(["logs", "smd-backend"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut follow = follow.spawn().expect("supervisorctl runs");
    let (sender, seen) = mpsc::channel();
    let out = BufReader::new(follow.stdout.take().expect("a pipe was asked for"));
    let reader = thread::spawn(move || {
        // The receiver goes away when the test has seen enough.
        out.lines()
            .map_while(Result::ok)
            .all(|line| sender.send(line).is_ok())
    });
    let wait_line = |text: &str| {
        while !seen.recv_timeout(SOON).expect(text).contains(text) {}
    };
    wait_line("/api/products/2");
    http::get(port, "/api/products/3").expect("the backend answers");
    wait_line("/api/products/3");
    // A restart does not end it.
    home.ctl(&["restart", "smd-backend"]).ok();
    served_by(port);
    http::get(port, "/api/products/4").expect("the backend answers");
    wait_line("/api/products/4");
    proc::kill(follow.id().cast_signed(), Signal::SIGTERM);
    follow.wait().expect("it is our child");
    drop(seen);
    reader.join().expect("reading does not fail");
}

#[test]
fn signal_reaches_the_app() {
    let home = Home::new();
    let stamps = format!("env = {{ STAMPS = {:?} }}", home.text_of("stamps"));
    home.up(&testapp("listener", &["on-usr1", "0"], &stamps))
        .ok();
    home.wait_stamps("stamps", 1);
    home.ctl(&["signal", "USR1", "listener"]).ok();
    home.wait_stamps("stamps", 2);
    home.ctl(&["signal", "SIGUSR1", "listener"]).ok();
    let row = home.wait_row("listener", "ends again", |row| row["restarts"] == 2);
    assert_eq!(row["last_exit"]["code"], 0, "{row}");
}

#[test]
fn the_example_file_and_what_up_does_to_a_changed_one() {
    let home = Home::new();
    let port = http::free_port().to_string();
    let folder = home.copy(&programs::example(), "backend");
    let file = folder.join("supervisor.toml");
    let example = std::fs::read_to_string(&file).expect("the example has a config");
    let backend = example.replace("3001", &port);
    let idle = testapp("idle", &["sleep"], "");
    let up = |text: &str| {
        std::fs::write(&file, text).expect("the work folder can be written");
        home.ctl(&["up", file.to_str().expect("plain names")])
    };
    let pids = || ["smd-backend", "idle"].map(|name| home.pid(name));

    up(&format!("{backend}\n{idle}")).ok();
    assert_eq!(
        served_by(port.parse().expect("a port")),
        home.pid("smd-backend")
    );
    let first = pids();
    up(&format!("{backend}\n# a comment\n{idle}")).ok();
    assert_eq!(pids(), first, "nothing changed, nothing is touched");

    let changed = testapp("idle", &["sleep"], "env = { A = \"1\" }");
    let text = format!("{backend}\n{changed}");
    std::fs::write(&file, &text).expect("the work folder can be written");
    let file_text = file.to_str().expect("plain names");
    home.ctl(&["up", "--dry-run", file_text])
        .ok()
        .says("idle")
        .says("env");
    assert_eq!(pids(), first, "a dry run touches nothing");
    up(&text).ok().says("idle");
    let second = pids();
    assert_eq!(second[0], first[0], "the app that did not change");
    assert_ne!(second[1], first[1], "the app that changed");

    home.ctl(&["stop", "idle"]).ok();
    up(&text).ok().says("idle").says("stopped");
    assert_eq!(
        home.row("idle")["state"],
        "stopped",
        "the operator stopped it"
    );

    up(&backend).ok().says("idle");
    let names: Vec<_> = home
        .status()
        .iter()
        .map(|row| row["name"].clone())
        .collect();
    assert_eq!(names, ["smd-backend"], "gone from the file, gone");
    assert_eq!(home.pid("smd-backend"), first[0]);
}

#[test]
fn instances_are_started_and_told_apart() {
    let home = Home::new();
    home.up(&testapp("many", &["sleep"], "instances = 3")).ok();
    let rows = home.status();
    assert_eq!(rows.len(), 3);
    for (number, row) in (0..).zip(&rows) {
        assert_eq!(row["instance"], number, "{row}");
        let found = home.running("many", number);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(row["pid"], found[0], "{row}");
    }
    home.ctl(&["stop", "many:1"]).ok();
    assert_eq!(
        [0, 1, 2].map(|number| home.running("many", number).len()),
        [1, 0, 1]
    );
    home.up(&testapp("many", &["sleep"], "instances = 1")).ok();
    assert_eq!(home.status().len(), 1);
    assert_eq!(
        [0, 1, 2].map(|number| home.running("many", number).len()),
        [1, 0, 0]
    );
}

#[test]
fn programs_say_who_they_are() {
    let home = Home::new();
    for program in [programs::supervisor(), programs::supervisorctl()] {
        let version = |word| supervisor_tests::Output::of(Command::new(&program).arg(word)).ok();
        version("--version").says(env!("CARGO_PKG_VERSION"));
        version("--help").says("Usage");
    }
    for verb in [
        "up", "start", "stop", "restart", "delete", "status", "show", "logs", "signal",
    ] {
        home.ctl(&[verb, "--help"])
            .ok()
            .says("xample")
            .says(&format!("supervisorctl {verb}"));
    }
}
