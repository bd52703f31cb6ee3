//! The keeper is killed with SIGKILL, alone or together with its engine.
//!
//! Without systemd the engine that outlives its keeper becomes the keeper and starts an engine.
//! With both dead, nobody is left to bring them back; the next daemon takes over the apps as
//! they are and starts no second copy.

use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use supervisor_tests::{
    Daemon, Home, is_long, kernel_tells_exits, proc, programs, testapp, wait_until,
};

mod storm;

/// Kills the keeper and waits for the new pair.
fn kill_keeper(home: &Home) -> Daemon {
    let old = home.daemon();
    proc::kill(old.keeper, Signal::SIGKILL);
    home.wait_gone(old.keeper);
    let new = wait_until(
        "a keeper and an engine are back",
        Duration::from_secs(10),
        || {
            let answer = home.ctl(&["daemon", "status", "--json"]);
            if answer.code != 0 {
                return None;
            }
            let pid = |key: &str| i32::try_from(answer.json()[key].as_i64().expect("a pid"));
            let new = Daemon {
                keeper: pid("keeper_pid").expect("a pid"),
                engine: pid("engine_pid").expect("a pid"),
            };
            (new.keeper != old.keeper).then_some(new)
        },
    );
    assert_eq!(new.keeper, old.engine, "the engine became the keeper");
    assert_ne!(new.engine, old.engine);
    assert_eq!(proc::parent(new.engine), Some(new.keeper));
    new
}

#[test]
fn ten_dead_keepers_and_not_a_line_lost() {
    let home = Home::new();
    let writers = storm::start(&home, 20, "");
    let before = storm::pids(&home);
    for _ in 0..10 {
        kill_keeper(&home);
        assert_eq!(storm::pids(&home), before, "no app was restarted");
    }
    let lines = writers.stop_and_check(&home);
    println!("10 keepers killed; {lines} lines, each once and in order");
}

/// Both are killed, one after the other, again and again: nothing is restarted, nothing is lost, and of
/// the apps that end meanwhile nobody says a wrong code.
#[test]
fn keeper_and_engine_killed_in_turn() {
    let rounds = if is_long() { 200 } else { 16 };
    let home = Home::new();
    let ends = |n: i32| format!("ends{n}");
    let never = "[app.NAME.restart]\npolicy = \"never\"";
    let rest: String = (1..=4)
        .map(|n| {
            let rest = never.replace("NAME", &ends(n));
            testapp(&ends(n), &["on-usr1", &n.to_string()], &rest)
        })
        .collect();
    let writers = storm::start(&home, 16, &rest);
    let before = storm::pids(&home);
    let (mut known, mut unknown) = (0, 0);
    for round in 0..rounds {
        // One ends before, or just after, or is only started by those that come.
        let code = round % 4 + 1;
        let name = ends(code);
        home.ctl(&["start", &name]).ok();
        let end = || proc::kill(home.pid(&name), Signal::SIGUSR1);
        if code % 2 == 0 {
            end();
        }
        if round % 2 == 0 {
            kill_keeper(&home);
        } else {
            home.kill_engine();
        }
        if code % 2 == 1 {
            end();
        }
        let row = home.wait_row(&name, "ends", |row| row["state"] == "completed");
        let exit = &row["last_exit"];
        match (exit["code"].as_i64(), exit["signal"].as_str()) {
            (Some(said), None) if said == i64::from(code) => known += 1,
            (None, None) => unknown += 1,
            _ => panic!("it ended with {code}: {row}"),
        }
        assert_eq!(storm::pids(&home), before, "no app was restarted");
    }
    let lines = writers.stop_and_check(&home);
    println!("{rounds} killed in turn; {lines} lines, {known} codes known, {unknown} unknown");
    if kernel_tells_exits() {
        assert_eq!(unknown, 0);
    }
}

#[test]
fn codes_after_the_keeper_died_are_right_or_unknown() {
    let home = Home::new();
    let stamps = format!("env = {{ STAMPS = {:?} }}", home.text_of("stamps"));
    let rest = |name: &str| format!("{stamps}\n[app.{name}.restart]\npolicy = \"never\"");
    let text = testapp("seven", &["on-usr1", "7"], &rest("seven"))
        + &testapp("zero", &["on-usr1", "0"], &rest("zero"))
        + &testapp("killed", &["sleep"], &rest("killed"));
    home.up(&text).ok();
    home.wait_stamps("stamps", 3);
    let pids = ["seven", "zero", "killed"].map(|name| home.pid(name));
    kill_keeper(&home);
    proc::kill(pids[0], Signal::SIGUSR1);
    proc::kill(pids[1], Signal::SIGUSR1);
    proc::kill(pids[2], Signal::SIGKILL);
    let expected = [
        ("seven", Value::from(7), Value::Null),
        ("zero", Value::from(0), Value::Null),
        ("killed", Value::Null, Value::from("SIGKILL")),
    ];
    for (name, code, signal) in expected {
        let row = home.wait_row(name, "ends", |row| row["state"] == "completed");
        let exit = &row["last_exit"];
        if kernel_tells_exits() {
            assert_eq!((&exit["code"], &exit["signal"]), (&code, &signal), "{row}");
        } else {
            assert_eq!(
                (&exit["code"], &exit["signal"]),
                (&Value::Null, &Value::Null),
                "{row}"
            );
            assert!(
                exit["reason"]
                    .as_str()
                    .is_some_and(|reason| !reason.is_empty()),
                "{row}"
            );
        }
    }
}

#[test]
fn commands_work_as_before_under_a_new_keeper() {
    let home = Home::new();
    let stop = "[app.deaf.stop]\ntimeout = \"500ms\"";
    home.up(&(testapp("plain", &["sleep"], "") + &testapp("deaf", &["ignore-term"], stop)))
        .ok();
    let before = [home.pid("plain"), home.pid("deaf")];
    for _ in 0..3 {
        kill_keeper(&home);
    }
    assert_eq!([home.pid("plain"), home.pid("deaf")], before);
    home.ctl(&["restart", "all"]).ok();
    for (name, old) in [("plain", before[0]), ("deaf", before[1])] {
        assert!(!proc::alive(old));
        assert_eq!(home.running(name, 0), [home.pid(name)]);
    }
    // A crash is seen and made good: of an app that the new keeper has started, and of one that
    // it took over.
    kill_keeper(&home);
    let old = home.pid("plain");
    proc::kill(old, Signal::SIGKILL);
    home.wait_row("plain", "a new process", |row| {
        row["state"] == "running" && row["pid"] != old
    });
    let old = home.pid("plain");
    proc::kill(old, Signal::SIGKILL);
    home.wait_row("plain", "a new process", |row| {
        row["state"] == "running" && row["pid"] != old
    });
}

#[test]
fn both_dead_no_second_copy() {
    let home = Home::new();
    home.up(&(0..5)
        .map(|n| testapp(&format!("app{n}"), &["sleep"], ""))
        .collect::<String>())
        .ok();
    home.ctl(&["stop", "app4"]).ok();
    let pids: Vec<i32> = (0..4).map(|n| home.pid(&format!("app{n}"))).collect();
    for round in 0..3 {
        let daemon = home.daemon();
        // The engine first, stopped: else it could become a keeper in between.
        proc::kill(daemon.engine, Signal::SIGSTOP);
        proc::kill(daemon.keeper, Signal::SIGKILL);
        proc::kill(daemon.engine, Signal::SIGKILL);
        home.wait_gone(daemon.keeper);
        home.wait_gone(daemon.engine);
        home.ctl(&["status"]).exits(5);
        for (n, &pid) in pids.iter().enumerate() {
            assert_eq!(home.running(&format!("app{n}"), 0), [pid], "apps run on");
        }
        if round == 1 {
            // The next command that needs a daemon starts one.
            home.ctl(&["up"]).ok();
        } else {
            home.start_daemon();
        }
        let watched_until = Instant::now() + Duration::from_millis(500);
        while Instant::now() < watched_until {
            for (n, &pid) in pids.iter().enumerate() {
                assert_eq!(
                    home.running(&format!("app{n}"), 0),
                    [pid],
                    "one copy, the old one"
                );
            }
            assert_eq!(home.running("app4", 0), [0; 0], "stopped stays stopped");
            thread::sleep(Duration::from_millis(10));
        }
        for (n, &pid) in pids.iter().enumerate() {
            let row = home.row(&format!("app{n}"));
            assert_eq!(
                (&row["pid"], &row["state"]),
                (&pid.into(), &"running".into()),
                "{row}"
            );
        }
    }
    // They are ours again: stop and crash are dealt with.
    home.ctl(&["stop", "app0"]).ok();
    assert!(!proc::alive(pids[0]));
    proc::kill(pids[1], Signal::SIGKILL);
    home.wait_row("app1", "a new process", |row| {
        row["state"] == "running" && row["pid"] != pids[1]
    });
}

/// Where systemd has started the keeper, it starts the next one, too: two keepers must never be.
#[test]
fn under_systemd_the_engine_ends_with_its_keeper_and_the_apps_run_on() {
    let home = Home::new();
    let mut foreground = home.command(&programs::supervisor());
    let foreground = foreground.env("NOTIFY_SOCKET", home.file("notify"));
    let mut keeper = foreground.spawn().expect("supervisor runs");
    wait_until("the daemon answers", Duration::from_secs(10), || {
        (home.ctl(&["daemon", "status"]).code == 0).then_some(())
    });
    home.up(&testapp("app", &["sleep"], "")).ok();
    let (daemon, app) = (home.daemon(), home.pid("app"));
    keeper.kill().expect("it is our child");
    keeper.wait().expect("it is our child");
    home.wait_gone(daemon.engine);
    assert_eq!(home.running("app", 0), [app]);
    home.ctl(&["status"]).exits(5);
    // What systemd would do next.
    home.start_daemon();
    assert_eq!(home.pid("app"), app);
}

/// A terminal or a runner of jobs that is a service of systemd hands on what systemd told it alone.
#[test]
fn what_a_service_has_inherited_makes_no_service() {
    let home = Home::new();
    let mut foreground = home.command(&programs::supervisor());
    let foreground = foreground.env("NOTIFY_SOCKET", home.file("notify"));
    let mut keeper = foreground
        .env("SYSTEMD_EXEC_PID", std::process::id().to_string())
        .spawn()
        .expect("supervisor runs");
    wait_until("the daemon answers", Duration::from_secs(10), || {
        (home.ctl(&["daemon", "status"]).code == 0).then_some(())
    });
    home.up(&testapp("app", &["sleep"], "")).ok();
    let (daemon, app) = (home.daemon(), home.pid("app"));
    keeper.kill().expect("it is our child");
    keeper.wait().expect("it is our child");
    wait_until(
        "the engine takes its place",
        Duration::from_secs(10),
        || {
            let status = home.ctl(&["daemon", "status"]);
            (status.code == 0)
                .then(|| home.daemon())
                .filter(|new| new.keeper == daemon.engine)
        },
    );
    assert_eq!(home.pid("app"), app);
}
