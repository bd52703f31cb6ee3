//! Whatever happens to the daemon under systemd, the backend that it runs does not notice, and
//! neither does anybody who asks the backend.

use std::time::{Duration, Instant};

use serde_json::Value;
use supervisor_tests::boot::{Machine, step};
use supervisor_tests::{Daemon, wait_until};

use crate::{CONFIG, PORT, active, backend, part, possible, server, serves};

/// Another daemon has to have taken over by then.
pub const SOON: Duration = Duration::from_secs(1);

#[test]
fn nobody_notices_what_happens_to_the_daemon() {
    if !possible() {
        return;
    }
    let config = backend() + &part("worker", "");
    let machine = server(&config);
    let pid = serves(&machine);
    let load = machine.load(PORT, "/health");
    // One more request by `serves` than by the load, and one at the end.
    let mut asked = 1;

    step("kill -9 of the engine", || {
        replaced(
            &machine,
            SOON,
            |old| machine.kill(&[old.engine]),
            other_engine,
        );
    });
    step("kill -9 of the keeper", || {
        replaced(
            &machine,
            SOON,
            |old| machine.kill(&[old.keeper]),
            both_others,
        );
    });
    step("kill -9 of both", || {
        let both = |old: Daemon| machine.kill(&[old.keeper, old.engine]);
        replaced(&machine, SOON, both, both_others);
    });
    for _ in 0..3 {
        step("systemctl restart", || {
            let restart = |_| systemctl(&machine, &["restart", "supervisor"]);
            replaced(&machine, SOON * 2, restart, both_others);
        });
    }
    step("systemctl daemon-reload", || {
        unchanged(&machine, || systemctl(&machine, &["daemon-reload"]));
    });
    step(
        "systemctl daemon-reexec, then kill -9 of the keeper",
        || {
            unchanged(&machine, || systemctl(&machine, &["daemon-reexec"]));
            replaced(
                &machine,
                SOON,
                |old| machine.kill(&[old.keeper]),
                both_others,
            );
        },
    );
    step("systemctl reload", || reload(&machine, &config));
    step("the apps are below the other unit", || placed(&machine));
    step("an app's own messages do not reach systemd", || {
        messages(&machine, &config);
    });

    assert_eq!(serves(&machine), pid, "its pid is what it was");
    asked += 1;
    asked += load.stop().good;
    step("every request has its line in the log", || {
        every_line(&machine, asked);
    });
    untouched(&machine);
}

/// Either of them hangs: the keeper is replaced by systemd, the engine by the keeper.
#[test]
fn who_hangs_is_replaced() {
    if !possible() {
        return;
    }
    let machine = server(&(backend() + &part("worker", "")));
    let pid = serves(&machine);
    let load = machine.load(PORT, "/health");
    let stop = |pid: i32| drop(machine.sh(&format!("kill -STOP {pid}")).ok());
    step("SIGSTOP of the engine", || {
        replaced(
            &machine,
            // Killed within 6 s; another one has to start then.
            Duration::from_millis(6500),
            |old| stop(old.engine),
            other_engine,
        );
    });
    step("SIGSTOP of the keeper, which systemd waits 2 s for", || {
        let folder = "/etc/systemd/system/supervisor.service.d";
        let quick = "[Service]\\nWatchdogSec=2s\\n";
        machine
            .sh(&format!(
                "mkdir -p {folder}; printf '{quick}' >{folder}/quick.conf"
            ))
            .ok();
        systemctl(&machine, &["daemon-reload"]);
        systemctl(&machine, &["restart", "supervisor"]);
        replaced(
            &machine,
            Duration::from_secs(6),
            |old| stop(old.keeper),
            both_others,
        );
    });
    assert_eq!(serves(&machine), pid);
    load.stop();
    untouched(&machine);
}

pub fn other_engine(old: Daemon, new: Daemon) -> bool {
    old.keeper == new.keeper && old.engine != new.engine
}

pub fn both_others(old: Daemon, new: Daemon) -> bool {
    old.keeper != new.keeper && old.engine != new.engine
}

fn daemon(machine: &Machine) -> Daemon {
    wait_until("the daemon answers", Duration::from_secs(10), || {
        machine.daemon()
    })
}

/// Fails the test unless it succeeds.
#[track_caller]
pub fn systemctl(machine: &Machine, words: &[&str]) {
    machine.run(&[&["systemctl"], words].concat()).ok();
}

/// Does something to the daemon; within `limit` another one answers that has the apps as they were.
#[track_caller]
pub fn replaced(
    machine: &Machine,
    limit: Duration,
    act: impl FnOnce(Daemon),
    is: impl Fn(Daemon, Daemon) -> bool,
) {
    let (old, apps) = (daemon(machine), essence(machine));
    let started = Instant::now();
    act(old);
    let new = wait_until("another daemon answers", Duration::from_secs(20), || {
        machine.daemon().filter(|&new| is(old, new))
    });
    let took = started.elapsed();
    println!("    {old:?} → {new:?} after {} ms", took.as_millis());
    assert!(took < limit, "only after {took:?}");
    assert_eq!(essence(machine), apps);
}

/// Does something that is nothing to the daemon.
#[track_caller]
pub fn unchanged(machine: &Machine, act: impl FnOnce()) {
    let (old, apps) = (daemon(machine), essence(machine));
    act();
    assert_eq!(daemon(machine), old);
    assert_eq!(essence(machine), apps);
}

/// Name, state, pid and restarts of every app.
#[track_caller]
fn essence(machine: &Machine) -> Vec<[Value; 4]> {
    let rows = machine.ctl(&["status", "--json"]).ok().json();
    let of = |row: &Value| ["name", "state", "pid", "restarts"].map(|key| row[key].clone());
    rows.as_array().expect("a list").iter().map(of).collect()
}

/// Writes the configured file.
fn write(machine: &Machine, text: &str) {
    machine
        .run(&["sh", "-ec", "printf %s \"$1\" >\"$0\"", CONFIG, text])
        .ok();
}

/// The file is read; a faulty one changes nothing, and systemd says so.
fn reload(machine: &Machine, config: &str) {
    write(machine, &(config.to_owned() + &part("extra", "")));
    systemctl(machine, &["reload", "supervisor"]);
    machine.wait_row("extra", "runs", |row| row["state"] == "running");
    unchanged(machine, || {
        write(machine, &format!("{config}[app.worker]\nnonsense = 1\n"));
        let told = machine.run(&["systemctl", "reload", "supervisor"]);
        assert_ne!(told.code, 0, "{told}");
        active(machine, "supervisor");
    });
    write(machine, config);
    systemctl(machine, &["reload", "supervisor"]);
    assert_eq!(
        essence(machine).len(),
        2,
        "what is gone from the file is gone"
    );
}

/// Were they below the daemon's own unit, systemd could not start it again while they run, as soon as
/// controllers are switched on there.
fn placed(machine: &Machine) {
    let group = machine.sh("cat /proc/$(pgrep -o node)/cgroup").ok();
    group.says("/supervisor-apps.service/");
    // What keeps that unit's cgroup there may die, too.
    let holder = machine
        .property("supervisor-apps", "MainPID")
        .parse()
        .expect("a pid");
    assert!(holder > 1, "{holder}");
    unchanged(machine, || machine.kill(&[holder]));
}

/// An app knows nothing of systemd's socket; one that finds it all the same is not listened to. (One
/// that runs as root may say that it is the keeper, as root may do anything.)
fn messages(machine: &Machine, config: &str) {
    let environment = machine
        .sh("tr '\\0' '\\n' </proc/$(pgrep -o node)/environ")
        .ok();
    for name in ["NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_", "UNDER_SYSTEMD"] {
        assert!(!environment.stdout.contains(name), "{environment}");
    }
    let liar = "[app.liar]\n\
        command = [\"systemd-notify\", \"--status=a lie\", \"STOPPING=1\"]\n\
        user = \"www-data\"\n\
        env = { NOTIFY_SOCKET = \"/run/systemd/notify\" }\n\
        restart = { policy = \"never\" }\n";
    let told = |unit: &str| ["StatusText", "ActiveState"].map(|name| machine.property(unit, name));
    let units = ["supervisor", "supervisor-apps"];
    let before = units.map(told);
    write(machine, &format!("{config}{liar}"));
    machine.run(&["systemctl", "reload", "supervisor"]);
    let row = machine.wait_row("liar", "has ended", |row| row["state"] == "completed");
    assert_eq!(row["last_exit"]["code"], 0, "it was sent: {row}");
    // systemd reads messages before it answers anybody who asks later.
    assert_eq!(units.map(told), before);
    machine.ctl(&["delete", "liar"]).ok();
}

/// The backend writes a line for each request; nothing of that is lost or doubled.
fn every_line(machine: &Machine, asked: u64) {
    let count = || {
        let log = machine.read("/var/log/supervisor/smd-backend/0.out.log");
        log.lines()
            .filter(|line| line.contains("\"request\""))
            .count() as u64
    };
    let told = wait_until("all lines", Duration::from_secs(5), || {
        Some(count()).filter(|&count| count >= asked)
    });
    assert_eq!(told, asked);
}

/// No app was ever restarted, and systemd thinks that all is well.
pub fn untouched(machine: &Machine) {
    for [name, state, _, restarts] in essence(machine) {
        assert_eq!((state, restarts), ("running".into(), 0.into()), "{name}");
    }
    active(machine, "supervisor");
}
