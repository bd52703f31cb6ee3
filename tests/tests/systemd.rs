//! The keeper as a service of systemd: it may be killed, alone or together with its engine, at any
//! moment, and what systemd starts next goes on with everything. systemd itself is played by the test.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use supervisor_tests::fake_systemd::{FakeSystemd, systemctl_with_job};
use supervisor_tests::{Home, Rng, is_long, lines, proc, programs, testapp, wait_until};

mod storm;

/// From the start of a keeper to the moment in which everything is taken over.
const ADOPTED: Duration = Duration::from_secs(1);

fn kill_keeper(systemd: &mut FakeSystemd<'_>) -> Duration {
    proc::kill(systemd.main_pid(), Signal::SIGKILL);
    systemd.wait();
    systemd.start()
}

/// SIGTERM, as `systemctl stop` sends it.
fn stop(systemd: &mut FakeSystemd<'_>) {
    proc::kill(systemd.main_pid(), Signal::SIGTERM);
    let status = systemd.wait();
    assert_eq!(status.code(), Some(0), "{status}");
}

#[test]
fn it_is_ready_lives_and_ends_and_only_systemd_hears_of_it() {
    let home = Home::new();
    let mut systemd = FakeSystemd::new(&home, Some(Duration::from_millis(600)));
    systemd.start();
    home.up(&testapp("app", &["sleep"], "env = { OWN = 'yes' }"))
        .ok();
    let daemon = home.daemon();
    assert_eq!(daemon.keeper, systemd.main_pid());
    for pid in [daemon.engine, home.pid("app")] {
        for name in [
            "NOTIFY_SOCKET",
            "WATCHDOG_USEC",
            "LISTEN_PID",
            "LISTEN_FDS",
            "FDSTORE",
        ] {
            assert_eq!(proc::variable(pid, name), None, "{name}");
        }
    }
    home.ctl(&["daemon", "status"])
        .ok()
        .hides("not under systemd");
    let beats = || {
        let said = systemd.said();
        said.iter().filter(|text| *text == "WATCHDOG=1").count()
    };
    let (before, since) = (beats(), Instant::now());
    wait_until("ten beats of the watchdog", Duration::from_secs(10), || {
        (beats() >= before + 10).then_some(())
    });
    let took = since.elapsed();
    assert!(
        (1500..3500).contains(&took.as_millis()),
        "each 200 ms: {took:?}"
    );
    home.ctl(&["daemon", "stop"]).ok();
    assert_eq!(systemd.wait().code(), Some(0));
    let said = systemd.said();
    assert!(
        said.iter().any(|text| text.contains("STOPPING=1")),
        "{said:?}"
    );
    assert_eq!(systemd.strangers(), 0);
}

#[test]
fn a_killed_keeper_and_not_a_line_lost() {
    let home = Home::new();
    let mut systemd = FakeSystemd::new(&home, None);
    systemd.start();
    let writers = storm::start(&home, 16, "");
    let before = storm::pids(&home);
    let mut slowest = Duration::ZERO;
    for _ in 0..10 {
        slowest = slowest.max(kill_keeper(&mut systemd));
        assert_eq!(storm::pids(&home), before, "no app was restarted");
    }
    let lines = writers.stop_and_check(&home);
    stop(&mut systemd);
    println!("10 keepers killed; {lines} lines; the slowest took over in {slowest:?}");
}

#[test]
fn keeper_and_engine_killed_at_once_and_not_a_line_lost() {
    let home = Home::new();
    let mut systemd = FakeSystemd::new(&home, None);
    systemd.start();
    let writers = storm::start(&home, 16, "");
    let before = storm::pids(&home);
    let mut slowest = Duration::ZERO;
    for round in 0..30 {
        let daemon = home.daemon();
        let mut both = [daemon.keeper, daemon.engine];
        if round % 2 == 0 {
            both.reverse();
        }
        both.iter()
            .for_each(|&pid| proc::kill(pid, Signal::SIGKILL));
        systemd.wait();
        slowest = slowest.max(systemd.start());
        assert_eq!(storm::pids(&home), before, "no app was restarted");
    }
    let lines = writers.stop_and_check(&home);
    stop(&mut systemd);
    println!("30 times both killed; {lines} lines; the slowest took over in {slowest:?}");
    assert!(slowest < ADOPTED, "took over in {slowest:?}");
}

#[test]
fn an_engine_that_hangs_is_no_obstacle_for_the_next_keeper() {
    let home = Home::new();
    let mut systemd = FakeSystemd::new(&home, None);
    systemd.start();
    home.up(&testapp("app", &["sleep"], "")).ok();
    let (daemon, app) = (home.daemon(), home.pid("app"));
    proc::kill(daemon.engine, Signal::SIGSTOP);
    let took = kill_keeper(&mut systemd);
    assert!(!proc::alive(daemon.engine));
    assert_eq!(home.pid("app"), app);
    assert!(took < ADOPTED, "took over in {took:?}");
    stop(&mut systemd);
}

#[test]
fn a_daemon_that_was_started_by_hand_is_left_alone() {
    let home = Home::new();
    home.start_daemon();
    let daemon = home.daemon();
    let mut systemd = FakeSystemd::new(&home, None);
    systemd.start_only();
    // The unit says that this one is not tried again.
    assert_eq!(systemd.wait().code(), Some(10));
    assert_eq!(home.daemon(), daemon);
}

#[test]
fn input_codes_and_commands_go_on_under_the_next_keeper() {
    let home = Home::new();
    let mut systemd = FakeSystemd::new(&home, None);
    systemd.start();
    let shell = "while read word; do echo got $word; done";
    let text = supervisor_tests::app("reader", &["/bin/sh", "-c", shell], "stdin = 'pipe'")
        + &testapp("plain", &["sleep"], "");
    home.up(&text).ok();
    let pids = [home.pid("reader"), home.pid("plain")];
    for word in ["one", "two", "three"] {
        let daemon = home.daemon();
        proc::kill(daemon.keeper, Signal::SIGKILL);
        proc::kill(daemon.engine, Signal::SIGKILL);
        systemd.wait();
        systemd.start();
        assert_eq!([home.pid("reader"), home.pid("plain")], pids);
        home.ctl(&["send", "reader", word]).ok();
        wait_until("it reads", Duration::from_secs(5), || {
            home.log("reader", "out").contains(word).then_some(())
        });
    }
    assert_eq!(home.log("reader", "out"), "got one\ngot two\ngot three\n");
    proc::kill(pids[1], Signal::SIGKILL);
    home.wait_row("plain", "a new process", |row| {
        row["state"] == "running" && row["pid"] != pids[1]
    });
    home.ctl(&["restart", "all"]).ok();
    assert!(!proc::alive(pids[0]));
    stop(&mut systemd);
}

/// With nobody there to see it, an exit is known from what is left of it, or it is unknown.
#[test]
fn codes_of_apps_that_end_while_nobody_is_there_are_right_or_unknown() {
    let home = Home::new();
    let mut systemd = FakeSystemd::new(&home, None);
    systemd.start();
    let stamps = format!("env = {{ STAMPS = {:?} }}", home.text_of("stamps"));
    let one = |n: usize| {
        let (name, code) = (format!("app{n}"), (n * 7).to_string());
        let rest = format!("{stamps}\n[app.{name}.restart]\npolicy = \"never\"");
        testapp(&name, &["on-usr1", &code], &rest)
    };
    home.up(&(0..6).map(one).collect::<String>()).ok();
    home.wait_stamps("stamps", 6);
    let pids: Vec<i32> = (0..6).map(|n| home.pid(&format!("app{n}"))).collect();
    let daemon = home.daemon();
    let end = |pids: &[i32]| {
        for &pid in pids {
            proc::kill(pid, Signal::SIGUSR1);
        }
    };
    // Seen by the keeper alone; by nobody; by the next ones.
    proc::kill(daemon.engine, Signal::SIGSTOP);
    end(&pids[..2]);
    pids[..2].iter().for_each(|&pid| home.wait_gone(pid));
    proc::kill(daemon.keeper, Signal::SIGKILL);
    systemd.wait();
    end(&pids[2..4]);
    pids[2..4].iter().for_each(|&pid| home.wait_gone(pid));
    systemd.start();
    end(&pids[4..]);
    for n in 0..6 {
        let row = home.wait_row(&format!("app{n}"), "ends", |row| {
            row["state"] == "completed"
        });
        let code = &row["last_exit"]["code"];
        let known = *code == n * 7;
        assert!(known || (n >= 2 && code.is_null()), "{row}");
        assert_eq!(row["restarts"], 0, "{row}");
    }
    stop(&mut systemd);
}

#[test]
fn the_store_has_what_is_held_and_no_more() {
    let home = Home::new();
    let mut systemd = FakeSystemd::new(&home, None);
    systemd.start();
    home.up(&testapp("one", &["sleep"], "")).ok();
    let small = wait_until("the store is quiet", Duration::from_secs(5), || {
        let before = systemd.stored();
        home.ctl(&["status"]).ok();
        Some(before.len()).filter(|_| before == systemd.stored() && before.len() > 4)
    });
    let more: String = (0..8)
        .map(|n| testapp(&format!("app{n}"), &["sleep"], ""))
        .collect();
    for _ in 0..3 {
        home.up(&(testapp("one", &["sleep"], "") + &more)).ok();
        wait_until("two pipes for each app", Duration::from_secs(5), || {
            (systemd.stored().len() == small + 16).then_some(())
        });
        home.ctl(&["restart", "all"]).ok();
        kill_keeper(&mut systemd);
        wait_until(
            "still two pipes for each app",
            Duration::from_secs(5),
            || (systemd.stored().len() == small + 16).then_some(()),
        );
        let names = (0..8).map(|n| format!("app{n}"));
        let words: Vec<String> = ["delete".to_owned()].into_iter().chain(names).collect();
        home.ctl(&words).ok();
        wait_until("they are gone", Duration::from_secs(5), || {
            (systemd.stored().len() == small).then_some(())
        });
    }
    let names = systemd.stored();
    assert!(names.iter().all(|name| name.len() <= 8), "{names:?}");
    stop(&mut systemd);
}

#[test]
fn a_systemd_that_does_not_listen_for_a_while_is_told_later() {
    let home = Home::new();
    let mut systemd = FakeSystemd::new(&home, Some(Duration::from_millis(300)));
    systemd.start();
    systemd.pause(true);
    let folder = home.work();
    let words = ["lines", "500", folder.to_str().expect("plain names")];
    let text: String = (0..10)
        .map(|n| testapp(&format!("app{n}"), &words, ""))
        .collect();
    home.up(&text).ok();
    home.ctl(&["restart", "all"]).ok();
    home.kill_engine();
    let pids: Vec<i32> = (0..10).map(|n| home.pid(&format!("app{n}"))).collect();
    // All is as ever meanwhile, and the keeper does not burn its time on trying.
    let keeper = systemd.main_pid();
    let (since, before) = (Instant::now(), proc::cpu_ns(keeper).expect("it lives"));
    while since.elapsed() < Duration::from_secs(2) {
        home.ctl(&["status"]).ok();
    }
    let used = Duration::from_nanos(proc::cpu_ns(keeper).expect("it lives") - before);
    assert!(used < Duration::from_millis(10), "{used:?} in 2 s");
    systemd.pause(false);
    wait_until("everything is stored", Duration::from_secs(5), || {
        (systemd.stored().len() >= 20 + 5).then_some(())
    });
    let daemon = home.daemon();
    proc::kill(daemon.engine, Signal::SIGKILL);
    kill_keeper(&mut systemd);
    let now: Vec<i32> = (0..10).map(|n| home.pid(&format!("app{n}"))).collect();
    assert_eq!(now, pids);
    home.ctl(&["stop", "all"]).ok();
    for n in 0..10 {
        let written = wait_until("the app's own count", Duration::from_secs(5), || {
            lines::written(&home.file(&format!("app{n}.0.count")))
        });
        let log = home.log(&format!("app{n}"), "out");
        // The first run was over when it was restarted.
        let second = log.rfind("0000000001 ").expect("a second run");
        lines::check(&log.as_bytes()[second..], written).expect("all of it");
    }
    stop(&mut systemd);
}

#[test]
fn a_restart_hands_over_and_a_stop_stops() {
    let home = Home::new();
    let mut systemd = FakeSystemd::new(&home, None);
    systemd.set_path(systemctl_with_job(&home, "restart"));
    systemd.start();
    home.up(&testapp("app", &["sleep"], "")).ok();
    let app = home.pid("app");
    for hangs in [false, true] {
        let daemon = home.daemon();
        if hangs {
            proc::kill(daemon.engine, Signal::SIGSTOP);
        }
        stop(&mut systemd);
        assert!(!proc::alive(daemon.engine));
        assert_eq!(home.running("app", 0), [app], "not touched");
        systemd.start();
        assert_eq!(home.pid("app"), app);
    }
    let calls = std::fs::read_to_string(home.file("systemctl.calls")).expect("it was asked");
    assert!(calls.contains("list-jobs"), "{calls}");
    systemd.set_path(systemctl_with_job(&home, "stop"));
    stop(&mut systemd);
    assert_eq!(home.running("app", 0), [0; 0]);
}

/// A systemd that does not answer does not keep anything from being stopped.
#[test]
fn no_answer_is_a_stop() {
    let home = Home::new();
    let mut systemd = FakeSystemd::new(&home, None);
    let path = systemctl_with_job(&home, "restart");
    home.write("bin/systemctl", "#!/bin/sh\nexec sleep 600\n");
    systemd.set_path(path);
    systemd.start();
    let slow = "[app.app.stop]\ntimeout = \"1s\"";
    home.up(&testapp("app", &["ignore-term"], slow)).ok();
    let asked = Instant::now();
    stop(&mut systemd);
    let took = asked.elapsed();
    assert!((4000..8000).contains(&took.as_millis()), "{took:?}");
    // systemd is to wait for as long as that takes.
    let said = systemd.said();
    let more = |text: &String| text == "EXTEND_TIMEOUT_USEC=30000000";
    assert!(said.iter().any(more), "{said:?}");
    assert_eq!(home.running("app", 0), [0; 0]);
}

/// A keeper that is asked to end, and then to let another one follow, has not forgotten the first.
#[test]
fn an_upgrade_does_not_forget_a_stop() {
    let home = Home::new();
    let mut systemd = FakeSystemd::new(&home, None);
    let path = systemctl_with_job(&home, "stop");
    home.write("bin/systemctl", "#!/bin/sh\nsleep 2\n");
    systemd.set_path(path);
    systemd.start();
    home.up(&testapp("app", &["sleep"], "")).ok();
    let engine = home.daemon().engine;
    proc::kill(systemd.main_pid(), Signal::SIGTERM);
    let mut upgrade = home.command(&programs::supervisorctl());
    let mut upgrade = upgrade
        .args(["daemon", "upgrade", "--keeper"])
        .spawn()
        .expect("supervisorctl runs");
    home.wait_gone(engine);
    assert_eq!(systemd.wait().code(), Some(0));
    assert_eq!(home.running("app", 0), [0; 0]);
    // It may wait for an engine that will not come.
    let _ = upgrade.kill();
    upgrade.wait().expect("it is our child");
}

/// Keeper and engine are killed in turn, at any moment, also one that is just beginning.
#[test]
fn keepers_and_engines_killed_in_turn() {
    let rounds = if is_long() { 200 } else { 30 };
    let home = Home::new();
    let mut systemd = FakeSystemd::new(&home, None);
    systemd.start();
    let writers = storm::start(&home, 16, "");
    let before = storm::pids(&home);
    let mut rng = Rng::new(11);
    for round in 0..rounds {
        std::thread::sleep(Duration::from_millis(rng.within(0..40)));
        if round % 2 == 0 {
            let engine = wait_until("an engine", Duration::from_secs(10), || {
                proc::engine_of(systemd.main_pid())
            });
            proc::kill(engine, Signal::SIGKILL);
        } else {
            proc::kill(systemd.main_pid(), Signal::SIGKILL);
            systemd.wait();
            systemd.start_only();
        }
    }
    assert_eq!(storm::pids(&home), before, "no app was restarted");
    let lines = writers.stop_and_check(&home);
    wait_until(
        "nothing of the apps is stored",
        Duration::from_secs(5),
        || (systemd.stored().len() < 10).then_some(()),
    );
    stop(&mut systemd);
    println!("{rounds} kills in turn; {lines} lines, each once and in order");
}

/// A keeper that was upgraded in place is still systemd's, and so is the one after it.
#[test]
fn an_upgraded_keeper_is_still_a_service() {
    let home = Home::new();
    let mut systemd = FakeSystemd::new(&home, Some(Duration::from_millis(600)));
    systemd.start();
    home.up(&testapp("app", &["sleep"], "")).ok();
    let (daemon, app) = (home.daemon(), home.pid("app"));
    home.ctl(&["daemon", "upgrade", "--keeper"]).ok();
    let new = home.daemon();
    assert_eq!(new.keeper, daemon.keeper, "in place");
    assert_ne!(new.engine, daemon.engine);
    for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC"] {
        assert_eq!(proc::variable(new.engine, name), None, "{name}");
    }
    let ready = |text: &String| text.starts_with("READY=1");
    wait_until("it says so again", Duration::from_secs(5), || {
        (systemd.said().into_iter().filter(ready).count() == 2).then_some(())
    });
    proc::kill(new.engine, Signal::SIGKILL);
    kill_keeper(&mut systemd);
    assert_eq!(home.pid("app"), app);
    stop(&mut systemd);
}
