//! Where a folder of cgroups is the daemon's, nothing that an app starts gets away: not a process
//! that was forked twice, has a session of its own, ignores every signal and has nothing in its
//! environment.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use supervisor_tests::{Cgroups, Home, Output, proc, programs, testapp, wait_until};

/// The pids that `testapp lost` noted.
fn noted(home: &Home) -> Vec<i32> {
    let text = fs::read_to_string(home.file("lost")).unwrap_or_default();
    text.lines()
        .map(|line| line.parse().expect("a pid"))
        .collect()
}

fn wait_noted(home: &Home, count: usize) -> Vec<i32> {
    wait_until("the children are there", Duration::from_secs(20), || {
        Some(noted(home)).filter(|children| children.len() == count)
    })
}

fn living(pids: &[i32]) -> Vec<i32> {
    let pids = pids.iter().copied();
    pids.filter(|&pid| proc::alive(pid)).collect()
}

/// An app that starts so many lost processes and then does `words`.
fn lost(home: &Home, count: &str, words: &[&str], rest: &str) -> String {
    let file = home.text_of("lost");
    testapp("app", &[&["lost", count, &file], words].concat(), rest)
}

/// Kills keeper and engine at once; the engine is stopped before, or it could become a keeper.
fn kill_both(home: &Home) {
    let daemon = home.daemon();
    proc::kill(daemon.engine, Signal::SIGSTOP);
    proc::kill(daemon.keeper, Signal::SIGKILL);
    proc::kill(daemon.engine, Signal::SIGKILL);
    home.wait_gone(daemon.keeper);
    home.wait_gone(daemon.engine);
}

fn policy(home: &Home, name: &str) -> String {
    let show = home.show("app");
    let all = show["policies"].as_array().expect("a list");
    let found = all.iter().find(|policy| policy[0] == name);
    let found = found.unwrap_or_else(|| panic!("no {name} in {show}"));
    found[1].as_str().expect("text").to_owned()
}

#[test]
fn stop_leaves_none_of_two_hundred() {
    let Some(cgroups) = Cgroups::new() else {
        return;
    };
    let home = Home::new();
    cgroups.start_daemon(&home);
    let stop = "[app.app.stop]\ntimeout = \"1s\"";
    home.up(&lost(&home, "200", &["ignore-term"], stop)).ok();
    let children = wait_noted(&home, 200);
    assert_eq!(cgroups.members("app").len(), 201);
    let asked = Instant::now();
    home.ctl(&["stop", "app"]).ok().says("kill");
    let took = asked.elapsed();
    assert_eq!(living(&children), [0; 0], "`stop` leaves none");
    assert!((1000..2000).contains(&took.as_millis()), "{took:?}");
    cgroups.wait_count(0);
}

#[test]
fn one_that_obeys_leaves_none_and_is_not_killed_for_them() {
    let Some(cgroups) = Cgroups::new() else {
        return;
    };
    let home = Home::new();
    cgroups.start_daemon(&home);
    home.up(&lost(&home, "50", &["sleep"], "")).ok();
    let children = wait_noted(&home, 50);
    let took = home.ctl(&["stop", "app"]).ok().took;
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(living(&children), [0; 0]);
    assert_eq!(home.row("app")["last_exit"]["signal"], "SIGTERM");
    home.ctl(&["start", "app"]).ok();
    let children = wait_noted(&home, 100);
    home.ctl(&["delete", "app"]).ok();
    assert_eq!(living(&children), [0; 0]);
    cgroups.wait_count(0);
}

#[test]
fn what_an_exit_leaves_is_ended_before_the_next_run() {
    let Some(cgroups) = Cgroups::new() else {
        return;
    };
    let home = Home::new();
    cgroups.start_daemon(&home);
    let rest = format!(
        "env = {{ STAMPS = {:?} }}\n[app.app.restart]\nstable_after = \"10ms\"",
        home.text_of("stamps")
    );
    home.write(
        "supervisor.toml",
        &lost(&home, "5", &["exit", "3", "100"], &rest),
    );
    home.ctl(&["up", "--no-wait"]).ok();
    for run in 2..=5 {
        // A run notes its start when its own five children are there.
        home.wait_stamps("stamps", run);
        let before = &noted(&home)[..5 * (run - 1)];
        assert_eq!(living(before), [0; 0], "of the runs before the {run}th");
    }
    home.ctl(&["delete", "app"]).ok();
    assert_eq!(living(&noted(&home)), [0; 0]);
    cgroups.wait_count(0);
}

#[test]
fn the_next_engine_and_the_next_daemon_know_them_all() {
    let Some(cgroups) = Cgroups::new() else {
        return;
    };
    let home = Home::new();
    cgroups.start_daemon(&home);
    let others = cgroups.path().join("app.0.others");
    fs::create_dir(&others).expect("a cgroup");
    let stamps = format!("env = {{ STAMPS = {:?} }}", home.text_of("stamps"));
    home.up(&lost(&home, "20", &["sleep"], &stamps)).ok();
    let mut children = wait_noted(&home, 20);
    for round in 2..=5 {
        let (pid, began) = (home.pid("app"), home.stamps("stamps").len());
        match round {
            // The engine, or its keeper, and the app is stopped by the one that comes.
            2 => drop(home.kill_engine()),
            3 => {
                let daemon = home.daemon();
                proc::kill(daemon.keeper, Signal::SIGKILL);
                home.wait_gone(daemon.keeper);
                wait_until("a daemon answers", Duration::from_secs(10), || {
                    (home.ctl(&["daemon", "status"]).code == 0).then_some(())
                });
            }
            // Both, and then the app's main process, with nobody to see it.
            4 => {
                kill_both(&home);
                proc::kill(pid, Signal::SIGKILL);
                home.wait_gone(pid);
                cgroups.start_daemon(&home);
            }
            _ => {
                kill_both(&home);
                cgroups.start_daemon(&home);
            }
        }
        if round != 4 {
            assert_eq!(home.pid("app"), pid, "it runs on");
            assert_eq!(living(&children).len(), 20, "with all it has");
            home.ctl(&["restart", "app"]).ok();
        }
        // It notes its start when its own children are there.
        home.wait_stamps("stamps", began + 1);
        assert_eq!(living(&children), [0; 0], "in round {round}");
        children = wait_noted(&home, 20 * round)[20 * (round - 1)..].to_vec();
    }
    home.ctl(&["delete", "app"]).ok();
    assert_eq!(living(&children), [0; 0]);
    cgroups.wait_count(1);
    assert_eq!(cgroups.names(), ["app.0.others"], "others' are not touched");
    fs::remove_dir(others).expect("nobody is in it");
}

#[test]
fn what_a_dead_engine_forgot_is_swept_and_nothing_else() {
    let Some(cgroups) = Cgroups::new() else {
        return;
    };
    let home = Home::new();
    cgroups.start_daemon(&home);
    home.up(&testapp("app", &["sleep"], "")).ok();
    let name = cgroups.names().remove(0);
    assert!(policy(&home, "processes").ends_with(&name));
    let (own, _run) = name.rsplit_once('.').expect("the run is last");
    let [left, foreign] = [format!("{own}.77"), name.replace("app.0.", "app.0.9")];
    for folder in [&left, &foreign] {
        fs::create_dir(cgroups.path().join(folder)).expect("a cgroup");
    }
    let mut stray = std::process::Command::new("sleep");
    let mut stray = stray.arg("1000").spawn().expect("sleep runs");
    let procs = cgroups.path().join(&left).join("cgroup.procs");
    fs::write(procs, stray.id().to_string()).expect("it may be moved");
    let pid = home.pid("app");
    home.kill_engine();
    cgroups.wait_count(2);
    assert!(cgroups.names().contains(&name) && cgroups.names().contains(&foreign));
    assert!(!stray.wait().expect("it is our child").success());
    assert_eq!(home.pid("app"), pid);
    fs::remove_dir(cgroups.path().join(foreign)).expect("nobody is in it");
    home.ctl(&["daemon", "stop"]).ok();
    assert_eq!(cgroups.names(), [""; 0], "`daemon stop` leaves none");
}

#[test]
fn a_storm_of_starts_loses_nothing() {
    const INSTANCES: usize = 20;
    const STARTS: usize = 2000;
    let Some(cgroups) = Cgroups::new() else {
        return;
    };
    let home = Home::new();
    cgroups.start_daemon(&home);
    let rest = format!(
        "instances = {INSTANCES}\nenv = {{ STAMPS = {:?} }}\n[app.app.restart]\nstable_after = \"1ms\"",
        home.text_of("stamps")
    );
    home.write(
        "supervisor.toml",
        &testapp("app", &["exit", "0", "2"], &rest),
    );
    home.ctl(&["up", "--no-wait"]).ok();
    home.wait_stamps("stamps", STARTS);
    assert!(!cgroups.names().is_empty(), "they are in cgroups");
    home.kill_engine();
    home.wait_stamps("stamps", 2 * STARTS);
    home.ctl(&["stop", "all"]).ok();
    let (mut runs, mut ran) = (0, 0);
    for row in home.status() {
        runs += row["run"].as_u64().expect("a number");
        ran += u64::from(row["last_exit"]["code"] == 0 || !row["last_exit"]["signal"].is_null());
    }
    let stamps = home.stamps("stamps").len() as u64;
    println!("{runs} runs, {stamps} of them came to note it");
    assert_eq!(ran, INSTANCES as u64, "every end is known");
    // Those that the last stop caught before their first line.
    assert!(stamps <= runs && runs <= stamps + 2 * INSTANCES as u64);
    let log = home.daemon_log();
    assert!(!log.contains("without a cgroup"), "{log}");
    cgroups.wait_count(0);
    let open = proc::descriptors(home.daemon().engine);
    assert!(open < 100, "{open} descriptors");
}

#[test]
fn a_run_from_before_goes_on_without() {
    let Some(cgroups) = Cgroups::new() else {
        return;
    };
    let home = Home::new();
    home.up(&testapp("app", &["sleep"], "")).ok();
    let pid = home.pid("app");
    kill_both(&home);
    cgroups.start_daemon(&home);
    assert_eq!(home.pid("app"), pid);
    assert!(policy(&home, "processes").contains("before there were cgroups"));
    home.ctl(&["restart", "app"]).ok();
    assert_eq!(cgroups.members("app"), [home.pid("app")]);
    assert!(policy(&home, "processes").contains("by its cgroup app.0."));
}

#[test]
fn limits_that_cannot_be_kept_are_told_and_the_app_runs() {
    let home = Home::new();
    let mut command = home.command(&programs::supervisor());
    command.arg("--daemonize").env("SUPERVISOR_CGROUP", "/tmp");
    Output::of(&mut command).ok();
    let limits = "[app.app.limits]\nmemory_hard = \"512MB\"\npids = 20";
    home.up(&testapp("app", &["sleep"], limits)).ok();
    let why = "/tmp: it is not in a file system of cgroups of version 2";
    let unkept = format!("limits.memory_hard, limits.pids are not kept here (no cgroups: {why})");
    assert_eq!(
        policy(&home, "ceilings"),
        format!("limits.memory_hard 512MB, limits.pids 20; {unkept}")
    );
    assert_eq!(home.row("app")["note"], *unkept);
    home.ctl(&["daemon", "status"]).ok().says(why);
    home.ctl(&["restart", "app"]).ok();
    let told = || {
        let log = home.daemon_log();
        Some(log.matches(&unkept).count()).filter(|&count| count > 0)
    };
    assert_eq!(wait_until("the log", Duration::from_secs(5), told), 1);
}

#[test]
fn a_cgroup_that_cannot_be_made_stops_nobody() {
    let Some(cgroups) = Cgroups::new() else {
        return;
    };
    let home = Home::new();
    cgroups.start_daemon(&home);
    // Nobody may make another one now.
    fs::write(cgroups.path().join("cgroup.max.descendants"), "0").expect("it is ours");
    home.up(&testapp("app", &["sleep"], "")).ok();
    assert_eq!(cgroups.names(), [""; 0]);
    assert!(policy(&home, "processes").contains("it cannot be made"));
    let told = || home.daemon_log().contains("without a cgroup").then_some(());
    wait_until("the log says it", Duration::from_secs(5), told);
    fs::write(cgroups.path().join("cgroup.max.descendants"), "max").expect("it is ours");
    home.ctl(&["restart", "app"]).ok();
    assert_eq!(cgroups.members("app"), [home.pid("app")]);
    home.ctl(&["stop", "app"]).ok();
    cgroups.wait_count(0);
}
