//! What ran runs again, what was stopped stays stopped, and the files where that is written are
//! nobody else's business.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use supervisor_tests::{Home, Output, proc, programs, testapp, wait_until};

fn sleeper(name: &str, rest: &str) -> String {
    testapp(name, &["sleep"], rest)
}

/// Name, id and whether it runs, in the order of the table.
fn table(home: &Home) -> Vec<(String, u64, bool)> {
    let of = |row: &Value| {
        let name = row["name"].as_str().expect("a name").to_owned();
        (
            name,
            row["id"].as_u64().expect("an id"),
            row["state"] == "running",
        )
    };
    home.status().iter().map(of).collect()
}

#[test]
fn what_ran_runs_again_and_what_was_stopped_stays_stopped() {
    let home = Home::new();
    home.up(&(sleeper("first", "") + &sleeper("second", "") + &sleeper("third", "")))
        .ok();
    home.ctl(&["delete", "first"]).ok();
    home.ctl(&["stop", "third"]).ok();
    let program = programs::testapp();
    let program = program.to_str().expect("the build folder's path is text");
    home.ctl(&["start", program, "--name", "fourth", "--", "sleep"])
        .ok();
    let before = table(&home);
    let expected = [("second", true), ("third", false), ("fourth", true)];
    let mut seen: Vec<_> = before
        .iter()
        .map(|(name, _, runs)| (name.as_str(), *runs))
        .collect();
    seen.sort_unstable_by_key(|(name, _)| expected.iter().position(|(other, _)| other == name));
    assert_eq!(seen, expected);

    for _ in 0..2 {
        let old = home.daemon();
        home.ctl(&["daemon", "stop"]).ok();
        wait_until(
            "both processes of the daemon end",
            Duration::from_secs(5),
            || (!proc::alive(old.keeper) && !proc::alive(old.engine)).then_some(()),
        );
        assert_eq!(
            home.processes(),
            [0; 0],
            "`daemon stop` has stopped the apps"
        );
        home.ctl(&["status"]).exits(5);
        home.start_daemon();
        wait_until("all is as before", Duration::from_secs(10), || {
            (table(&home) == before).then_some(())
        });
        assert_eq!(home.running("third", 0), [0; 0]);
        assert_eq!(home.running("first", 0), [0; 0]);
    }
    // What a file brought still belongs to the file.
    home.up(&sleeper("third", "")).ok();
    let names: Vec<_> = table(&home)
        .into_iter()
        .map(|(name, _, runs)| (name, runs))
        .collect();
    assert!(!names.iter().any(|(name, _)| name == "second"), "{names:?}");
    assert!(names.contains(&("fourth".to_owned(), true)), "{names:?}");
}

#[test]
fn boot_decides_what_a_new_daemon_starts() {
    let home = Home::new();
    let apps = sleeper("always", "boot = \"always\"") + &sleeper("never", "boot = \"never\"");
    home.up(&apps).ok();
    home.ctl(&["stop", "always"]).ok();
    home.ctl(&["daemon", "stop"]).ok();
    home.start_daemon();
    home.wait_row("always", "runs", |row| row["state"] == "running");
    let never = home.row("never");
    assert_eq!(never["state"], "stopped", "{never}");
}

#[test]
fn after_a_power_cut_all_is_as_was_acknowledged_last() {
    let home = Home::new();
    let apps = [
        sleeper("always", "boot = \"always\""),
        sleeper("never", "boot = \"never\""),
        sleeper("ran", ""),
        sleeper("stopped", ""),
        sleeper("back", ""),
        sleeper("gone", ""),
    ];
    home.up(&apps.concat()).ok();
    home.ctl(&["stop", "always", "stopped", "back"]).ok();
    home.ctl(&["delete", "gone"]).ok();
    // What is not waited for is acknowledged, too.
    home.ctl(&["start", "back", "--no-wait"]).ok();
    home.power_cut();
    home.start_daemon();
    let runs = |name: &str| home.row(name)["state"] == "running";
    wait_until("what is wanted runs", Duration::from_secs(10), || {
        ["always", "ran", "back"]
            .into_iter()
            .all(runs)
            .then_some(())
    });
    for name in ["never", "stopped"] {
        let row = home.row(name);
        assert_eq!(row["state"], "stopped", "{row}");
        assert_eq!(home.running(name, 0), [0; 0]);
    }
    assert_eq!(home.status().len(), 5, "what was deleted is gone");
    for name in ["always", "ran", "back"] {
        let row = home.row(name);
        // It is a start, and no crash of the run before.
        assert_eq!((&row["restarts"], &row["failures"]), (&0.into(), &0.into()));
        assert_eq!(home.running(name, 0).len(), 1, "{name} runs once");
    }
}

#[test]
fn those_that_come_after_others_do_so_at_boot_too() {
    let home = Home::new();
    let stamped = |name: &str, words: &[&str], rest: &str| {
        let file = home.text_of(name);
        testapp(
            name,
            words,
            &format!("env = {{ STAMPS = {file:?} }}\n{rest}"),
        )
    };
    // Against the order of their names.
    let last = stamped("a", &["sleep"], "after = [\"b\", \"c\"]");
    let middle = stamped("b", &["sleep"], "after = [\"c\"]");
    let once = "boot = \"always\"\n[app.c.restart]\npolicy = \"never\"";
    let first = stamped("c", &["exit", "0", "300"], once);
    home.up(&(last + &middle + &first)).ok();
    home.power_cut();
    let cut = supervisor_tests::monotonic_ns();
    home.start_daemon();
    let mut before = cut;
    for name in ["c", "b", "a"] {
        let at = home.wait_stamps(name, 2)[1].0;
        assert!(at > before, "{name} comes too early");
        before = at;
    }
}

#[test]
fn a_second_daemon_is_refused_and_disturbs_nothing() {
    let home = Home::new();
    home.up(&sleeper("only", "")).ok();
    let (daemon, pid) = (home.daemon(), home.pid("only"));
    let second = Output::of(home.command(&programs::supervisor()).arg("--daemonize"));
    assert_ne!(second.code, 0, "{second}");
    let second = Output::of(&mut home.command(&programs::supervisor()));
    // The unit has systemd try no further after this code.
    second.exits(10).says("already running");
    assert_eq!(home.daemon(), daemon);
    assert_eq!(home.running("only", 0), [pid]);
}

#[test]
fn modes_are_the_same_under_every_umask() {
    for umask in ["000", "077", "022"] {
        let home = Home::new();
        let report = home.text_of("report");
        let shy = testapp(
            "shy",
            &["report", &report, "60000"],
            "env = { SECRET = \"x\" }",
        );
        home.write("supervisor.toml", &shy);
        let script = format!("umask {umask}; exec \"$0\" up");
        let mut up = home.command(Path::new("sh"));
        Output::of(up.args(["-c", &script]).arg(programs::supervisorctl())).ok();
        home.ctl(&["restart", "shy"]).ok();

        let mode = |path: &Path| {
            let data = fs::symlink_metadata(path).expect("listed a moment ago");
            (data.file_type(), data.permissions().mode() & 0o7777)
        };
        for (name, expected) in [("run", 0o700), ("state", 0o700), ("logs", 0o750)] {
            let folder = home.path().join(name);
            assert_eq!(
                mode(&folder).1,
                expected,
                "{} with umask {umask}",
                folder.display()
            );
            for path in below(&folder) {
                let (kind, mode) = mode(&path);
                if kind.is_symlink() {
                    continue; // its own mode means nothing; what it points to is looked at, too
                }
                let allowed = match (name, kind.is_dir()) {
                    ("logs", true) => 0o750,
                    ("logs", false) => 0o640,
                    (_, true) => 0o700,
                    (_, false) if kind.is_socket() => 0o777, // the folder keeps others out
                    (_, false) => 0o600,
                };
                let told = format!("{} is {mode:o} with umask {umask}", path.display());
                assert_eq!(mode & !allowed, 0, "{told}");
                assert_eq!(mode & 0o400, 0o400, "{told}");
                if name == "logs" {
                    assert_eq!(mode, allowed, "{told}");
                }
            }
        }
        let report = wait_until("the report", Duration::from_secs(5), || {
            let text = fs::read_to_string(&report).ok()?;
            serde_json::from_str::<Value>(text.lines().next()?).ok()
        });
        assert_eq!(report["umask"], "0022", "the app's own, with umask {umask}");
    }
}

/// Every file and folder below a folder.
fn below(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).expect("the daemon made it");
    let paths = entries.map(|entry| entry.expect("readable").path());
    let deeper = |path: std::path::PathBuf| {
        let inside = if path.is_dir() {
            below(&path)
        } else {
            Vec::new()
        };
        std::iter::once(path).chain(inside)
    };
    paths.flat_map(deeper).collect()
}

#[test]
fn a_daemon_that_cannot_begin_can_be_stopped() {
    let home = Home::new();
    home.up(&sleeper("app", "")).ok();
    let (daemon, app) = (home.daemon(), home.pid("app"));
    let state = home.path().join("state");
    let read = |name: &str| fs::read(state.join(name)).expect("own state");
    let good = read("desired.json");
    for name in ["desired.json", "desired.json.1"] {
        fs::write(state.join(name), "x").expect("own state");
    }
    proc::kill(daemon.engine, Signal::SIGKILL);
    home.wait_gone(daemon.engine);
    proc::kill(daemon.keeper, Signal::SIGTERM);
    wait_until("it leaves", Duration::from_secs(30), || {
        (!proc::alive(daemon.keeper)).then_some(())
    });
    assert!(proc::alive(app), "nobody could say how to stop it");
    for name in ["desired.json", "desired.json.1"] {
        fs::write(state.join(name), &good).expect("own state");
    }
    home.start_daemon();
    assert_eq!(home.pid("app"), app);
}
