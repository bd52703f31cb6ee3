//! The keeper replaced in place: the same process, with all that it holds.

use std::time::Duration;

use nix::sys::signal::Signal;
use supervisor_tests::writers::{Way, Writer};
use supervisor_tests::{is_long, proc, programs, testapp, wait_until};

use super::{Installed, runs};

#[test]
fn it_keeps_its_pid_and_loses_no_line() {
    let installed = Installed::new();
    let home = &installed.home;
    let writers = ["a", "b", "c", "d"].map(|name| Writer::new(name, Way::Raw));
    let text: String = writers.iter().map(|w| w.lines(home, 2000, "")).collect();
    let quits = testapp(
        "quits",
        &["on-usr1", "7"],
        "[app.quits.restart]\npolicy = \"never\"",
    );
    home.up(&(text + &quits)).ok();
    let pids = || writers.each_ref().map(|writer| home.pid(&writer.name));
    let (before, keeper) = (pids(), installed.daemon().keeper);
    let quits = home.pid("quits");
    for round in 0..if is_long() { 50 } else { 10 } {
        let program = match round % 2 {
            0 => programs::other_supervisor(),
            _ => programs::supervisor(),
        };
        installed.install(&program);
        installed.upgrade(&["--keeper"]).ok();
        let daemon = installed.daemon();
        assert_eq!(daemon.keeper, keeper);
        assert_eq!(
            [daemon.keeper, daemon.engine].map(runs),
            [installed.file(); 2]
        );
        assert_eq!(proc::parent(daemon.engine), Some(keeper));
    }
    assert_eq!(pids(), before);
    // It is still the parent of what the keepers before it were told to hold.
    assert_eq!(proc::parent(quits), Some(keeper));
    proc::kill(quits, Signal::SIGUSR1);
    let row = home.wait_row("quits", "ends", |row| row["state"] == "completed");
    assert_eq!(row["last_exit"]["code"], 7, "{row}");
    home.ctl(&["stop", "all"]).ok();
    for writer in &writers {
        writer.check(home);
    }
    for row in home.status() {
        assert_eq!(
            (&row["restarts"], &row["logs"]["dropped_lines"]),
            (&0.into(), &0.into())
        );
    }
}

/// What is sent to the keeper while it is being replaced, is not lost.
#[test]
fn a_wish_to_stop_comes_through() {
    let installed = Installed::new();
    let home = &installed.home;
    home.up(&testapp("app", &["sleep"], "")).ok();
    let (app, keeper) = (home.pid("app"), installed.daemon().keeper);
    std::thread::scope(|scope| {
        // Either way is fine: it is asked to stop at the same time.
        scope.spawn(|| installed.upgrade(&["--keeper"]));
        proc::kill(keeper, Signal::SIGTERM);
        wait_until("all of it is gone", Duration::from_secs(20), || {
            (!proc::alive(keeper) && !proc::alive(app)).then_some(())
        });
    });
}

/// An app's exit in the very moment is written down by one of the two.
#[test]
fn exits_meanwhile_are_known() {
    let installed = Installed::new();
    let home = &installed.home;
    let never = |name: &str| format!("[app.{name}.restart]\npolicy = \"never\"");
    let rounds = if is_long() { 40 } else { 8 };
    let text: String = (1..=rounds)
        .map(|code: i32| {
            let name = format!("quits{code}");
            testapp(&name, &["on-usr1", &code.to_string()], &never(&name))
        })
        .collect();
    home.up(&text).ok();
    for code in 1..=rounds {
        let name = format!("quits{code}");
        let pid = home.pid(&name);
        std::thread::scope(|scope| {
            let upgrade = scope.spawn(|| installed.upgrade(&["--keeper"]));
            std::thread::sleep(Duration::from_millis(code.unsigned_abs().into()));
            proc::kill(pid, Signal::SIGUSR1);
            upgrade.join().expect("the command does not panic").ok();
        });
        let row = home.wait_row(&name, "ends", |row| row["state"] == "completed");
        assert_eq!(row["last_exit"]["code"], code, "{row}");
    }
}
