//! Down and up again: the desired state is what was acknowledged last, and going down is stopping
//! in order.

use std::time::Duration;

use supervisor_tests::boot::{Machine, step};

use crate::{NOTES, active, backend, part, possible, server, serves};

fn config() -> String {
    backend()
        + &part("database", "")
        + &part("queue", "after = [\"database\"]")
        + &part("mailer", "after = [\"queue\"]")
        + &part("report", "")
        + &part("always", "boot = \"always\"")
        + &part("never", "boot = \"never\"")
}

/// What each app that is named here is, soon.
#[track_caller]
fn are(machine: &Machine, state: &str, names: &[&str]) {
    for name in names {
        let row = machine.wait_row(name, state, |row| row["state"] == state);
        assert_eq!(row["restarts"], 0, "{row}");
    }
}

/// Since `from` lines were noted, these stopped in this order, each before the next one was told to.
#[track_caller]
fn stopped_in_order(machine: &Machine, from: usize) {
    let notes = machine.read(NOTES);
    let stopped: Vec<&str> = notes
        .lines()
        .skip(from)
        .filter_map(|line| line.strip_suffix(" stopped"))
        .filter(|name| ["mailer", "queue", "database"].contains(name))
        .collect();
    assert_eq!(stopped, ["mailer", "queue", "database"], "{notes}");
    let log = machine.read("/var/log/supervisor/smd-backend/0.out.log");
    let last = log.lines().next_back().unwrap_or_default();
    assert!(
        last.contains("\"stopped\""),
        "the backend ended by itself: {last}"
    );
}

fn noted(machine: &Machine) -> usize {
    machine.read(NOTES).lines().count()
}

fn boot_id(machine: &Machine) -> String {
    machine
        .sh("cat /proc/sys/kernel/random/boot_id")
        .ok()
        .stdout
}

#[test]
fn what_ran_runs_again_and_what_was_stopped_stays_stopped() {
    if !possible() {
        return;
    }
    let mut machine = server(&config());
    serves(&machine);
    are(
        &machine,
        "running",
        &["database", "queue", "mailer", "always", "never"],
    );
    let first = boot_id(&machine);

    step("a stop is remembered over a reboot", || {
        machine.ctl(&["stop", "mailer", "always"]).ok();
        machine.reboot();
        serves(&machine);
        are(&machine, "running", &["database", "queue", "always"]);
        are(&machine, "stopped", &["mailer", "never"]);
    });
    step("what was acknowledged outlives a power cut", || {
        machine.ctl(&["start", "mailer"]).ok();
        machine.ctl(&["stop", "report"]).ok();
        machine.power_cut();
        serves(&machine);
        are(&machine, "running", &["database", "queue", "mailer"]);
        are(&machine, "stopped", &["report", "never"]);
    });
    assert_ne!(boot_id(&machine), first, "it is another boot");

    step("systemctl stop stops in order", || stop_and_start(&machine));
    step("a shutdown stops in order", || {
        let from = noted(&machine);
        let took = machine.shut_down();
        assert!(took < Duration::from_secs(20), "down after {took:?}");
        stopped_in_order(&machine, from);
    });
    step("and it boots again", || {
        machine.boot();
        serves(&machine);
        are(
            &machine,
            "running",
            &["database", "queue", "mailer", "always"],
        );
        active(&machine, "supervisor-apps.service");
    });
}

fn stop_and_start(machine: &Machine) {
    let from = noted(machine);
    machine.run(&["systemctl", "stop", "supervisor"]).ok();
    stopped_in_order(machine, from);
    machine
        .run(&["systemctl", "is-active", "supervisor"])
        .exits(3);
    // systemd would have noted that it took too long, or that something was left.
    assert_eq!(machine.property("supervisor", "Result"), "success");
    machine.run(&["pgrep", "-f", "node|part.sh"]).exits(1);
    machine.run(&["systemctl", "start", "supervisor"]).ok();
    serves(machine);
    are(machine, "running", &["database", "queue", "mailer"]);
}
