//! What is wrong is said where the person looks: in the command's own output, in `status`, in
//! `show`; and what could not be done has changed nothing.

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use supervisor_tests::{Home, app, is_root, proc, programs, testapp, wait_until};

/// No app is known, whether a daemon runs or not.
fn nothing_was_added(home: &Home) {
    let status = home.ctl(&["status", "--json"]);
    assert!(
        status.code == 5 || status.json() == Value::Array(vec![]),
        "{status}"
    );
}

#[test]
fn start_of_what_is_not_there_adds_nothing() {
    let home = Home::new();
    home.ctl(&["start", "dist/nope.js"])
        .exits(1)
        .says("nope.js");
    nothing_was_added(&home);
    home.ctl(&["start", "./no-such-program", "--name", "x"])
        .exits(1)
        .says("no-such-program");
    nothing_was_added(&home);
    let program = programs::testapp();
    let program = program.to_str().expect("the build folder's path is text");
    let start = ["start", program, "--name", "x"];
    home.ctl(&[&start[..], &["--cwd", "/no/such/folder", "--", "sleep"]].concat())
        .exits(1)
        .says("/no/such/folder");
    nothing_was_added(&home);
    if is_root() {
        home.ctl(&[&start[..], &["--user", "no-such-user", "--", "sleep"]].concat())
            .exits(1)
            .says("no-such-user");
        nothing_was_added(&home);
    }
    home.ctl(&["start", "ecosystem.config.js"]).exits(1);
    nothing_was_added(&home);
}

#[test]
fn a_file_with_faults_changes_nothing() {
    let home = Home::new();
    let good = testapp("good", &["sleep"], "");
    home.up(&good).ok();
    let pid = home.pid("good");
    let sleep = |rest: &str| testapp("bad", &["sleep"], rest);
    let cases: &[(String, &[&str])] = &[
        (
            "[app.bad\ncommand = 1".to_owned(),
            &["supervisor.toml", "1"],
        ),
        (sleep("directroy = \"/tmp\""), &["directroy", "directory"]),
        (sleep("instances = -1"), &["instances"]),
        (sleep("after = [\"missing\"]"), &["missing"]),
        (
            sleep("schedule = \"0 3 * * *\""),
            &["schedule", "not carried out yet"],
        ),
        (
            sleep("[app.bad.restart]\npolicy = \"sometimes\""),
            &["policy", "on-failure"],
        ),
        (
            sleep("[app.bad.stop]\ntimeout = \"10 parsecs\""),
            &["timeout", "parsecs"],
        ),
        (sleep("[app.bad.stop]\nsignal = \"SIGNOPE\""), &["SIGNOPE"]),
        (
            sleep("[app.bad.limits]\nmemory = \"1GB\""),
            &["memory", "not carried out yet"],
        ),
        (app("all", &["true"], ""), &["all"]),
        (app("bad", &[], ""), &["command"]),
        (
            sleep("after = [\"good\"]") + &testapp("good", &["sleep"], "after = [\"bad\"]"),
            &["after"],
        ),
    ];
    for (text, words) in cases {
        // The good app in its place would be changed, if anything were.
        let text = text.clone()
            + if text.contains("[app.good]") {
                ""
            } else {
                &good
            };
        let text = text.replace("[app.good]", "[app.good]\nenv = { CHANGED = \"1\" }");
        let output = home.up(&text).exits(1);
        for word in *words {
            assert!(
                output.text().contains(word),
                "should have said {word:?}: {output}"
            );
        }
        assert_eq!(home.pid("good"), pid, "{output}");
        assert_eq!(home.status().len(), 1, "{output}");
    }
    home.ctl(&["up", "no-such-file.toml"])
        .exits(1)
        .says("no-such-file.toml");
}

#[test]
fn up_of_what_cannot_start_says_so() {
    let home = Home::new();
    let nowhere = home.text_of("nowhere");
    let sleep = |rest: &str| testapp("bad", &["sleep"], rest);
    let mut cases = vec![
        (app("bad", &["./no-such-program"], ""), "no-such-program"),
        (sleep(&format!("directory = {nowhere:?}")), "nowhere"),
        (sleep("env_file = [\"missing.env\"]"), "missing.env"),
    ];
    if is_root() {
        cases.push((sleep("user = \"no-such-user\""), "no-such-user"));
        cases.push((sleep("group = \"no-such-group\""), "no-such-group"));
    }
    for (text, word) in cases {
        home.up(&text).exits(1).says(word);
        // Either refused as a whole, or there with the reason.
        if let Some(row) = home.status().first() {
            assert_eq!(row["state"], "backoff", "{row}");
            assert!(row["note"].to_string().contains(word), "{row}");
            home.ctl(&["show", "bad"]).ok().says(word);
            home.ctl(&["delete", "bad"]).ok();
        }
    }
    home.up(&sleep("env_file = [\"missing.env?\"]")).ok();
}

#[test]
fn a_program_that_vanishes_is_waited_for_with_the_reason() {
    let home = Home::new();
    home.copy(&programs::testapp(), "program");
    home.up(&app("fickle", &["./program", "sleep"], "")).ok();
    fs::remove_file(home.file("program")).expect("it is there");
    let pid = home.pid("fickle");
    proc::kill(pid, Signal::SIGKILL);
    let row = home.wait_row("fickle", "cannot start", |row| {
        row["state"] == "backoff" && row["failures"].as_u64() >= Some(2)
    });
    assert!(row["note"].to_string().contains("program"), "{row}");
    home.ctl(&["status"]).ok().says("backoff");
    home.ctl(&["show", "fickle"]).ok().says("No such file");
    home.ctl(&["restart", "fickle"]).exits(1).says("program");
    // It comes back, and so does the app.
    home.copy(&programs::testapp(), "program");
    home.wait_row("fickle", "runs", |row| row["state"] == "running");
}

#[test]
fn an_env_file_is_read_at_each_start() {
    let home = Home::new();
    home.write(
        "app.env",
        "# a comment\nexport A='one two'\nB=\"x\\\"y\" # more\n\nC=plain\n",
    );
    let report = home.text_of("report");
    let text = "env_file = [\"app.env\"]\nenv = { C = \"wins\" }";
    home.up(&testapp("reader", &["report", &report, "600000"], text))
        .ok();
    let environment = |run: usize| {
        let report: Value = wait_until("the report", Duration::from_secs(5), || {
            let text = fs::read_to_string(&report).ok()?;
            serde_json::from_str(text.lines().nth(run)?).ok()
        });
        report["environment"].clone()
    };
    let found = environment(0);
    assert_eq!(found["A"], "one two", "{found}");
    assert_eq!(found["B"], "x\"y", "{found}");
    assert_eq!(found["C"], "wins", "{found}");
    home.write("app.env", "A=changed\n");
    home.ctl(&["restart", "reader"]).ok();
    let found = environment(1);
    assert_eq!(found["A"], "changed", "{found}");
    assert_eq!(found["B"], Value::Null, "{found}");
    fs::remove_file(home.file("app.env")).expect("it is there");
    // What runs is not stopped for something that could not be started.
    let before = home.pid("reader");
    home.ctl(&["restart", "reader"]).exits(1).says("app.env");
    assert_eq!(home.pid("reader"), before);
    proc::kill(before, Signal::SIGKILL);
    let row = home.wait_row("reader", "cannot start", |row| row["state"] == "backoff");
    assert!(row["note"].to_string().contains("app.env"), "{row}");
}

#[test]
fn a_port_in_use_is_told_with_the_apps_own_words() {
    let home = Home::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let port = taken
        .local_addr()
        .expect("a bound socket has an address")
        .port();
    let folder = home.copy(&programs::example(), "backend");
    let script = folder.join("dist/index.js");
    let script = script.to_str().expect("plain names");
    let variable = format!("PORT={port}");
    home.ctl(&["start", script, "--name", "smd-backend", "--env", &variable])
        .exits(1)
        .says("EADDRINUSE");
    let row = home.wait_row("smd-backend", "fails", |row| row["state"] == "backoff");
    assert_eq!(row["last_exit"]["code"], 1, "{row}");
    home.ctl(&["status"]).ok().says("backoff");
    home.ctl(&["show", "smd-backend"]).ok().says("EADDRINUSE");
    // As soon as the port is free, it comes up by itself.
    drop(taken);
    home.wait_row("smd-backend", "runs", |row| {
        row["state"] == "running" && row["uptime_ms"].as_u64() > Some(500)
    });
}

#[test]
fn exit_codes() {
    let home = Home::new();
    let none = home.ctl(&["status"]).exits(5);
    assert_eq!(
        none.text().trim().lines().count(),
        1,
        "one line that says how to start it: {none}"
    );
    assert!(none.text().contains("supervisor"), "{none}");
    for words in [&["stop", "x"][..], &["daemon", "status"], &["show", "x"]] {
        home.ctl(words).exits(5);
    }
    for words in [
        &["no-such-verb"][..],
        &["status", "--no-such-option"],
        &["signal"],
        &["stop"],
    ] {
        home.ctl(words).exits(2);
    }
    home.up(&(testapp("up", &["sleep"], "") + &testapp("down", &["sleep"], "")))
        .ok();
    home.ctl(&["stop", "down"]).ok();
    home.ctl(&["status"]).ok();
    home.ctl(&["status", "up"]).ok();
    home.ctl(&["status", "down"]).exits(3);
    home.ctl(&["status", "up", "down"]).exits(3);
    for verb in ["status", "stop", "restart", "delete", "show", "logs"] {
        home.ctl(&[verb, "nobody"]).exits(4).says("nobody");
    }
    home.ctl(&["signal", "TERM", "nobody"])
        .exits(4)
        .says("nobody");
    home.ctl(&["signal", "SIGNOPE", "up"])
        .exits(2)
        .says("SIGNOPE");
    home.ctl(&["signal", "TERM", "down"]).exits(1);
    // Part of it failed: said, and 1.
    let cannot = testapp("fails", &["exit", "3"], "");
    let output = home.up(&(testapp("up", &["sleep"], "") + &cannot)).exits(1);
    assert!(output.text().contains("fails"), "{output}");
    assert_eq!(home.row("up")["state"], "running");
}

#[test]
fn a_home_that_is_too_deep_for_a_socket_is_told_with_the_limit() {
    let home = Home::new();
    let deep = home.path().join("x".repeat(100));
    for program in [programs::supervisor(), programs::supervisorctl()] {
        let mut command = home.command(&program);
        command.env("SUPERVISOR_HOME", &deep);
        command.arg(if program.ends_with("supervisor") {
            "--daemonize"
        } else {
            "status"
        });
        let output = supervisor_tests::Output::of(&mut command);
        assert_ne!(output.code, 0, "{output}");
        output.says("107");
    }
}
