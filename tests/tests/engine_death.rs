//! The engine is killed with SIGKILL at any moment, and nobody notices: not the apps, not their
//! exit codes, not their deadlines, not the person at the terminal.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use supervisor_tests::{Home, Rng, monotonic_ns, proc, testapp, wait_until};

/// State, pid and restarts of every instance.
fn essence(rows: &[Value]) -> Vec<[Value; 4]> {
    let of = |row: &Value| ["name", "state", "pid", "restarts"].map(|key| row[key].clone());
    rows.iter().map(of).collect()
}

#[test]
fn every_status_answers_while_engines_die() {
    let home = Home::new();
    home.up(&(1..=3)
        .map(|n| testapp(&format!("app{n}"), &["sleep"], ""))
        .collect::<String>())
        .ok();
    let before = essence(&home.status());
    let keeper = home.daemon().keeper;
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..40 {
                assert_eq!(home.kill_engine().keeper, keeper);
            }
            done.store(true, Ordering::Relaxed);
        });
        while !done.load(Ordering::Relaxed) {
            assert_eq!(essence(&home.status()), before);
        }
    });
    assert_eq!(essence(&home.status()), before);
    let told = home.ctl(&["daemon", "status", "--json"]).ok().json();
    assert_eq!(told["engine_restarts"], 40, "{told}");
}

/// Ends apps all at once, with the keeper stopped so that no engine can be there.
fn end_without_an_engine(home: &Home, by_usr1: &[i32], by_segv: i32) {
    let daemon = home.daemon();
    proc::kill(daemon.keeper, Signal::SIGSTOP);
    proc::kill(daemon.engine, Signal::SIGKILL);
    home.wait_gone(daemon.engine);
    by_usr1
        .iter()
        .for_each(|&pid| proc::kill(pid, Signal::SIGUSR1));
    proc::kill(by_segv, Signal::SIGSEGV);
    by_usr1.iter().for_each(|&pid| home.wait_gone(pid));
    proc::kill(daemon.keeper, Signal::SIGCONT);
}

#[test]
fn codes_of_apps_that_exit_while_the_engine_is_dead() {
    const APPS: i32 = 24;
    let home = Home::new();
    let stamps = format!("env = {{ STAMPS = {:?} }}", home.text_of("stamps"));
    let rest = |name: &str| format!("{stamps}\n[app.{name}.restart]\npolicy = \"never\"");
    let one = |code: i32| {
        let name = format!("exits{code}");
        testapp(&name, &["on-usr1", &code.to_string()], &rest(&name))
    };
    let text: String = (1..=APPS).map(one).collect();
    home.up(&(text + &testapp("killed", &["sleep"], &rest("killed"))))
        .ok();
    home.wait_stamps("stamps", usize::try_from(APPS).expect("few") + 1);
    let pids: Vec<i32> = (1..=APPS)
        .map(|code| home.pid(&format!("exits{code}")))
        .collect();
    let (first, second) = pids.split_at(pids.len() / 2);
    end_without_an_engine(&home, first, home.pid("killed"));
    for (index, &pid) in second.iter().enumerate() {
        let engine = (home.daemon().engine, Signal::SIGKILL);
        let app = (pid, Signal::SIGUSR1);
        let order = if index % 2 == 0 {
            [engine, app]
        } else {
            [app, engine]
        };
        order
            .iter()
            .for_each(|&(pid, signal)| proc::kill(pid, signal));
    }

    for code in 1..=APPS {
        let name = format!("exits{code}");
        let row = home.wait_row(&name, "ends", |row| row["state"] == "completed");
        assert_eq!(row["last_exit"]["code"], code, "{row}");
        assert_eq!(row["last_exit"]["signal"], Value::Null, "{row}");
        assert_eq!(row["restarts"], 0, "{row}");
    }
    let row = home.wait_row("killed", "ends", |row| row["state"] == "completed");
    assert_eq!(row["last_exit"]["signal"], "SIGSEGV", "{row}");
    assert_eq!(row["last_exit"]["code"], Value::Null, "{row}");
    assert_eq!(
        home.stamps("stamps").len(),
        usize::try_from(APPS).expect("few") + 1
    );
}

#[test]
fn the_back_off_goes_on_where_it_was() {
    let home = Home::new();
    let stamps = format!("env = {{ STAMPS = {:?} }}", home.text_of("stamps"));
    // It fails at once, and the command says so.
    home.up(&testapp("crash", &["exit", "9"], &stamps)).exits(1);
    let before = home.wait_row("crash", "six quick exits", |row| {
        row["failures"].as_u64() >= Some(6) && row["state"] == "backoff"
    });
    let looked = monotonic_ns();
    let starts = home.stamps("stamps").len();
    let wait_ms = before["next_start_in_ms"]
        .as_u64()
        .expect("a back-off has its next try");
    for _ in 0..3 {
        home.kill_engine();
    }
    let after = home.row("crash");
    // That the next try keeps its time is seen below, by when it comes.
    for key in ["failures", "restarts", "last_exit", "state"] {
        assert_eq!(after[key], before[key], "{key} in {after}");
    }
    assert_eq!(home.stamps("stamps").len(), starts);
    let (next, _) = home.wait_stamps("stamps", starts + 1)[starts];
    let waited_ms = next.saturating_sub(looked) / 1_000_000;
    assert!(
        (wait_ms.saturating_sub(100)..wait_ms + 250).contains(&waited_ms),
        "the next try was to be in {wait_ms} ms, and was after {waited_ms} ms"
    );
}

#[test]
fn a_stop_under_way_ends_at_its_time() {
    let home = Home::new();
    let text = testapp(
        "deaf",
        &["ignore-term"],
        "[app.deaf.stop]\ntimeout = \"2s\"",
    );
    home.up(&text).ok();
    let pid = home.pid("deaf");
    thread::scope(|scope| {
        let asked = Instant::now();
        let stop = scope.spawn(|| home.ctl(&["stop", "deaf"]));
        home.wait_row("deaf", "is being stopped", |row| row["state"] == "stopping");
        while asked.elapsed() < Duration::from_millis(1600) {
            home.kill_engine();
            assert_eq!(home.row("deaf")["pid"], pid, "it has 2 s");
        }
        home.wait_gone(pid);
        let took = asked.elapsed();
        assert!(
            (2000..2500).contains(&took.as_millis()),
            "gone after {took:?}"
        );
        stop.join().expect("the command does not panic").ok();
    });
    let row = home.row("deaf");
    assert_eq!(row["state"], "stopped", "{row}");
    assert_eq!(row["last_exit"]["signal"], "SIGKILL", "{row}");
}

/// While engines die every 20 to 60 ms and every app is started, stopped and restarted: never two
/// processes of an instance, every command does what it was asked, and at the end there is one.
#[test]
fn one_process_per_instance_while_engines_die_and_commands_come() {
    const APPS: u64 = 6;
    let home = Home::new();
    let name = |n: u64| format!("app{n}");
    home.up(&(0..APPS)
        .map(|n| testapp(&name(n), &["sleep"], ""))
        .collect::<String>())
        .ok();
    let keeper = home.daemon().keeper;
    let end = Instant::now() + Duration::from_secs(10);
    let working = || Instant::now() < end;
    let killed = thread::scope(|scope| {
        for n in 0..APPS {
            let home = &home;
            scope.spawn(move || {
                let mut rng = Rng::new(n);
                while working() {
                    let verb = ["restart", "stop", "start"][rng.within(0..3) as usize];
                    home.ctl(&[verb, &name(n)]).ok();
                    let expected = usize::from(verb != "stop");
                    // It has exec'd, but while the kernel is still setting up its environment,
                    // nothing shows whose it is.
                    wait_until(&format!("{verb} is done"), Duration::from_secs(1), || {
                        Some(home.running(&name(n), 0)).filter(|found| found.len() == expected)
                    });
                }
            });
        }
        scope.spawn(|| {
            while working() {
                assert_eq!(doubles(&home, APPS), None);
                thread::sleep(Duration::from_millis(10));
            }
        });
        let mut rng = Rng::new(99);
        let mut killed = 0;
        while working() {
            thread::sleep(Duration::from_millis(rng.within(20..60)));
            if let Some(engine) = proc::engine_of(keeper) {
                proc::kill(engine, Signal::SIGKILL);
                killed += 1;
            }
        }
        killed
    });
    assert!(killed > 20, "only {killed} engines were killed");
    assert_eq!(home.daemon().keeper, keeper);
    home.ctl(&["start", "all"]).ok();
    for n in 0..APPS {
        let row = home.row(&name(n));
        assert_eq!(row["state"], "running", "{row}");
        let found = wait_until("one process", Duration::from_secs(2), || {
            Some(home.running(&name(n), 0)).filter(|found| found.len() == 1)
        });
        assert_eq!(row["pid"], found[0], "{row}");
    }
}

/// An instance with two processes at one moment.
fn doubles(home: &Home, apps: u64) -> Option<String> {
    (0..apps).find_map(|n| {
        let name = format!("app{n}");
        let found = home.running(&name, 0);
        // Looked at one after the other, the first may have ended when the second began.
        let still = found
            .iter()
            .filter(|&&pid| proc::variable(pid, "SUPERVISOR_APP").is_some());
        let still: Vec<&i32> = still.collect();
        (still.len() > 1).then(|| format!("{name} has {still:?}"))
    })
}
