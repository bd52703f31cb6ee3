//! Programs that are of no use: the one before serves again within six seconds, and the command says
//! why.

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;
use supervisor_tests::{proc, programs, testapp, wait_until};

use super::{Installed, runs};

/// Installs something broken, asks for it, and looks whether all is as it was.
fn is_found_out(install: impl Fn(&Installed), why: [&str; 2]) {
    let installed = Installed::new();
    let home = &installed.home;
    home.up(&testapp("app", &["sleep"], "")).ok();
    let (app, keeper, good) = (home.pid("app"), installed.daemon().keeper, installed.file());
    install(&installed);
    assert_ne!(installed.file(), good);
    for (words, why) in [(&[][..], why[0]), (&["--keeper"], why[1])] {
        let told = installed.upgrade(words).exits(1).says(why);
        assert!(told.took < Duration::from_secs(6), "{told}");
        let daemon = installed.daemon();
        assert_eq!((daemon.keeper, runs(daemon.engine)), (keeper, good));
        assert_eq!(runs(keeper), good);
    }
    assert_eq!(home.pid("app"), app);
    home.ctl(&["restart", "app"]).ok();
    // And then a good one.
    installed.install(&programs::supervisor());
    installed.upgrade(&[]).ok();
    assert_eq!(runs(installed.daemon().engine), installed.file());
    assert_eq!(installed.state(), "on_trial");
}

#[test]
fn one_that_exits() {
    let why = "exited with code 1";
    is_found_out(|installed| installed.install_faulty("exit 1"), [why, why]);
}

/// Nothing that ends well is therefore a keeper.
#[test]
fn one_that_exits_with_0() {
    let why = "exited with code 0";
    is_found_out(|installed| installed.install_faulty("exit 0"), [why, why]);
}

#[test]
fn one_that_crashes() {
    let why = "was killed by SIGSEGV";
    is_found_out(|installed| installed.install_faulty("segv"), [why, why]);
}

#[test]
fn one_that_hangs() {
    let why = ["was not ready within 5 s", "did not end within 5 s"];
    is_found_out(|installed| installed.install_faulty("hang"), why);
}

#[test]
fn one_that_is_not_whole() {
    let cut = |installed: &Installed| {
        let bytes = fs::read(programs::supervisor()).expect("it can be read");
        installed.install_bytes(&bytes[..bytes.len() / 2], "755");
    };
    is_found_out(cut, ["is cut short"; 2]);
}

#[test]
fn one_that_may_not_be_executed() {
    let without_x = |installed: &Installed| {
        let bytes = fs::read(programs::supervisor()).expect("it can be read");
        installed.install_bytes(&bytes, "644");
    };
    is_found_out(without_x, ["may not be executed"; 2]);
}

#[test]
fn a_script_and_nothing_at_all() {
    let script = |installed: &Installed| installed.install_bytes(b"#!/bin/sh\nexit 0\n", "755");
    is_found_out(script, ["is not a program of this machine"; 2]);
    let empty = |installed: &Installed| installed.install_bytes(b"", "755");
    is_found_out(empty, ["is empty"; 2]);
}

/// One that gets ready, and dies soon after.
#[test]
fn one_whose_engines_die_three_times() {
    let installed = Installed::new();
    let home = &installed.home;
    home.up(&testapp("app", &["sleep"], "")).ok();
    let (app, good) = (home.pid("app"), installed.file());
    installed.install(&programs::supervisor());
    installed.upgrade(&[]).ok();
    let new = installed.file();
    for death in 1..=3 {
        let engine = installed.daemon().engine;
        assert_eq!(runs(engine), new, "before death {death}");
        proc::kill(engine, Signal::SIGKILL);
        home.wait_gone(engine);
    }
    let daemon = wait_until("the one before", Duration::from_secs(6), || {
        let daemon = installed.daemon();
        (runs(daemon.engine) == good).then_some(daemon)
    });
    assert_eq!(installed.state(), "failed");
    home.ctl(&["daemon", "status"])
        .ok()
        .says("died three times");
    // From then on it is as before: deaths change nothing.
    proc::kill(daemon.engine, Signal::SIGKILL);
    home.wait_gone(daemon.engine);
    assert_eq!(runs(installed.daemon().engine), good);
    assert_eq!(home.pid("app"), app);
}

/// After a minute the new program is the good one: no number of deaths brings back the one before.
#[test]
fn one_that_has_run_for_a_minute_stays() {
    let installed = Installed::new();
    installed.install(&programs::supervisor());
    installed.upgrade(&[]).ok();
    let (new, engine) = (installed.file(), installed.daemon().engine);
    wait_until("the trial is over", Duration::from_secs(75), || {
        std::thread::sleep(Duration::from_millis(500));
        (installed.state() == "done").then_some(())
    });
    assert_eq!(installed.daemon().engine, engine);
    for _ in 0..5 {
        let engine = installed.daemon().engine;
        proc::kill(engine, Signal::SIGKILL);
        installed.home.wait_gone(engine);
        assert_eq!(runs(installed.daemon().engine), new);
    }
    assert_eq!(installed.state(), "done");
}
