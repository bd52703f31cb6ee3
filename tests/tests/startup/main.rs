//! `startup`, `unstartup`, and who starts the daemon, on a machine whose systemd only takes notes.
//! (What a real one makes of the units is tested where one boots.)

mod machine;

use std::fs;
use std::path::Path;
use std::process::Command;

use machine::{Machine, SOMEBODY, Who};
use supervisor_tests::{Home, Output, programs};

const ENABLE: &str = "systemctl enable supervisor.service";
const START: &str = "systemctl start supervisor.service";
const RELOAD: &str = "systemctl daemon-reload";

#[test]
fn startup_writes_enables_and_starts_once() {
    let home = Home::new();
    let Some(machine) = Machine::new(&home, Who::Root) else {
        return;
    };
    let first = machine.ctl(&["startup"]).ok();
    let said: Vec<_> = first.stdout.lines().collect();
    assert_eq!(said[0], "wrote /etc/systemd/system/supervisor-apps.service");
    assert_eq!(said[1], "wrote /etc/systemd/system/supervisor.service");
    assert_eq!(
        said[2],
        "enabled supervisor.service: it starts at every boot"
    );
    assert!(
        said[3].starts_with("started supervisor.service: the daemon runs (pid "),
        "{first}"
    );
    assert_eq!(machine.told(), [RELOAD, ENABLE, START]);
    let home_line = format!(
        "Environment=\"SUPERVISOR_HOME={}\"\n",
        home.path().display()
    );
    assert!(machine.unit().contains(&home_line), "{}", machine.unit());
    let keeper = home.daemon().keeper;

    machine
        .ctl(&["startup", "systemd"])
        .ok()
        .says("nothing to do");
    assert!(machine.told().is_empty(), "nothing was done");

    // After an upgrade that changed the text.
    let old = machine.unit().replace("WatchdogSec=30\n", "");
    fs::write(machine.units().join("supervisor.service"), old).expect("own file");
    let again = machine.ctl(&["startup"]).ok();
    again
        .says("wrote /etc/systemd/system/supervisor.service")
        .says("touches no app");
    assert_eq!(machine.told(), [RELOAD]);
    assert_eq!(home.daemon().keeper, keeper, "the daemon was left alone");
}

#[test]
fn a_daemon_that_was_started_by_hand_goes_on() {
    let home = Home::new();
    let Some(machine) = Machine::new(&home, Who::Root) else {
        return;
    };
    home.start_daemon();
    home.up(&supervisor_tests::testapp("app", &["sleep"], ""))
        .ok();
    let (daemon, app) = (home.daemon(), home.pid("app"));
    let said = machine.ctl(&["startup"]).ok();
    said.says("was started by hand")
        .says("supervisorctl daemon stop && supervisorctl daemon start");
    assert_eq!(
        machine.told(),
        [RELOAD, ENABLE],
        "no second one was started"
    );
    assert_eq!((home.daemon(), home.pid("app")), (daemon, app));

    // What was said to be done brings it under systemd.
    machine.ctl(&["daemon", "stop"]).ok();
    machine.ctl(&["daemon", "start"]).ok();
    assert_eq!(machine.told(), [START]);
    machine
        .ctl(&["startup"])
        .ok()
        .says("the daemon runs under it");
    home.wait_row("app", "what ran runs again", |row| {
        row["state"] == "running"
    });
}

#[test]
fn a_daemon_that_is_needed_is_started_by_systemd_where_that_is_in_charge() {
    let home = Home::new();
    let Some(machine) = Machine::new(&home, Who::Root) else {
        return;
    };
    let app = ["start", "sleep 1000", "--name", "app", "--no-wait"];
    machine.ctl(&app).ok();
    assert!(machine.told().is_empty(), "no unit, no systemctl");
    machine.ctl(&["daemon", "stop"]).ok();

    machine.ctl(&["startup"]).ok();
    machine.ctl(&["daemon", "stop"]).ok();
    machine.told();
    machine.ctl(&["start", "app", "--no-wait"]).ok();
    assert_eq!(machine.told(), [START]);
    machine.ctl(&["daemon", "stop"]).ok();
    machine.ctl(&["daemon", "start"]).ok();
    assert_eq!(machine.told(), [START]);
    machine.ctl(&["daemon", "stop"]).ok();

    // systemd's words are passed on, and nobody starts one behind its back.
    machine.fails("start");
    let failed = machine.ctl(&["daemon", "start"]).exits(1);
    failed
        .says("failed because of a test")
        .says("journalctl -u supervisor -n 30");
    assert!(home.processes().is_empty());
    machine.fails("");

    // A unit that is not enabled is not in charge.
    machine.ctl(&["unstartup"]).ok();
    machine.told();
    machine.ctl(&["daemon", "start"]).ok();
    assert!(machine.told().is_empty());
}

#[test]
fn unstartup_takes_no_app_away() {
    let home = Home::new();
    let Some(machine) = Machine::new(&home, Who::Root) else {
        return;
    };
    machine.ctl(&["unstartup"]).ok().says("nothing to do");
    machine.ctl(&["startup"]).ok();
    let daemon = home.daemon();
    machine.told();
    let said = machine.ctl(&["unstartup"]).ok();
    said.says("does not start at boot any more")
        .says("goes on, with its apps");
    assert_eq!(machine.told(), ["systemctl disable supervisor.service"]);
    assert_eq!(home.daemon(), daemon);
    assert!(
        machine.unit().contains("KillMode=process"),
        "it is treated as before"
    );

    machine.ctl(&["daemon", "stop"]).ok();
    let said = machine.ctl(&["unstartup"]).ok();
    said.says("removed /etc/systemd/system/supervisor.service")
        .says("removed /etc/systemd/system/supervisor-apps.service");
    // First the process goes that keeps the cgroup of the apps.
    assert_eq!(
        machine.told(),
        ["systemctl kill supervisor-apps.service", RELOAD]
    );
    assert_eq!(
        fs::read_dir(machine.units()).expect("own folder").count(),
        0
    );
}

#[test]
fn units_of_others_are_left_alone() {
    let home = Home::new();
    let Some(machine) = Machine::new(&home, Who::Root) else {
        return;
    };
    let theirs = "[Service]\nExecStart=/usr/bin/supervisord -n\n";
    let file = home.write("packages/supervisor.service", theirs);
    for verb in ["startup", "unstartup"] {
        machine
            .ctl(&[verb])
            .exits(1)
            .says("/usr/lib/systemd/system/supervisor.service was not written by supervisorctl");
    }
    assert_eq!(fs::read_to_string(&file).expect("own file"), theirs);
    assert!(machine.told().is_empty());
    fs::remove_file(&file).expect("own file");

    // One supervisor does not take another one's place at boot.
    let text = machine.ctl(&["startup", "--print"]).ok().stdout;
    let (_, unit) = text
        .split_once("# /etc/systemd/system/supervisor.service\n")
        .expect("both");
    let other = unit.replace("SUPERVISOR_HOME=", "SUPERVISOR_HOME=/srv/other");
    home.write("units/supervisor.service", &other);
    home.write("sd/enabled", "");
    machine
        .ctl(&["startup"])
        .exits(1)
        .says("starts another supervisor already");
    assert_eq!(machine.unit(), other);
}

#[test]
fn what_root_would_run_at_boot_belongs_to_root() {
    let home = Home::new();
    let Some(machine) = Machine::new(&home, Who::Root) else {
        return;
    };
    let program = home.file("bin/supervisor");
    std::os::unix::fs::chown(&program, Some(SOMEBODY), None).expect("root may");
    let refused = |what: &Path| {
        let refused = machine.ctl(&["startup"]).exits(1);
        refused
            .says(&format!("others than root may change {}", what.display()))
            .says("install");
    };
    refused(&program);
    // Nor what a link of root's leads to.
    let elsewhere = home.file("elsewhere");
    fs::create_dir(&elsewhere).expect("own folder");
    let real = elsewhere.join("supervisor");
    fs::rename(&program, &real).expect("own file");
    std::os::unix::fs::chown(&real, Some(0), None).expect("root may");
    std::os::unix::fs::chown(&elsewhere, Some(SOMEBODY), None).expect("root may");
    std::os::unix::fs::symlink(&real, &program).expect("own folder");
    refused(&elsewhere);
    assert_eq!(
        fs::read_dir(machine.units()).expect("own folder").count(),
        0
    );
}

#[test]
fn a_user_needs_no_root() {
    let home = Home::new();
    let Some(machine) = Machine::new(&home, Who::Somebody) else {
        return;
    };
    let said = machine.ctl(&["startup"]).ok();
    said.says(&format!("lingering is on for {SOMEBODY}"));
    let own = [
        "daemon-reload",
        "enable supervisor.service",
        "start supervisor.service",
    ];
    let mut expected = vec!["loginctl --no-ask-password enable-linger".to_owned()];
    expected.extend(own.map(|words| format!("systemctl --user {words}")));
    assert_eq!(machine.told(), expected);
    let unit = machine.unit();
    assert!(
        unit.contains("WantedBy=default.target") && !unit.contains("OOMScoreAdjust"),
        "{unit}"
    );
    machine.ctl(&["daemon", "stop"]).ok();

    // Where that is not allowed, the command is told, and the rest is done.
    home.write("sd/nolinger", "");
    let said = machine.ctl(&["startup"]).ok();
    said.says(&format!("sudo loginctl enable-linger {SOMEBODY}"))
        .says("Access denied");
    machine.ctl(&["daemon", "stop"]).ok();
    machine.ctl(&["unstartup"]).ok().says("removed");
}

/// The variable is set in a login and in what systemd starts; not by cron, and not by `su`.
#[test]
fn a_users_daemon_is_found_with_and_without_a_runtime_folder() {
    let home = Home::new();
    let Some(machine) = Machine::new(&home, Who::Somebody) else {
        return;
    };
    let ctl = |runtime: bool, words: &[&str]| {
        let mut command = machine.command();
        command
            .env_remove("SUPERVISOR_HOME")
            .env_remove("XDG_CONFIG_HOME")
            .env("HOME", home.work());
        if runtime {
            command.env("XDG_RUNTIME_DIR", home.path());
        }
        Output::of(command.arg(home.file("bin/supervisorctl")).args(words))
    };
    for started_with in [true, false] {
        ctl(started_with, &["daemon", "start"]).ok();
        let found = [true, false].map(|runtime| ctl(runtime, &["daemon", "status"]).code);
        ctl(started_with, &["daemon", "stop"]).ok();
        assert_eq!(found, [0, 0], "started with it: {started_with}");
    }
}

/// systemd itself says whether it reads the path as it was meant: it looks for the program.
#[test]
fn systemd_reads_the_units_as_they_were_meant() {
    let home = Home::new();
    let folder = home.file("it's 100%n $HOME;#é @ \u{2028}x".replace('\'', "").as_str());
    fs::create_dir(&folder).expect("own folder");
    for program in [programs::supervisor(), programs::supervisorctl()] {
        let to = folder.join(program.file_name().expect("a name"));
        Output::of(Command::new("cp").arg(&program).arg(&to)).ok();
    }
    let odd = home.path().join("\"a\\b' %h");
    let mut print = home.command(&folder.join("supervisorctl"));
    let print = Output::of(
        print
            .env("SUPERVISOR_HOME", odd)
            .args(["startup", "--print"]),
    )
    .ok();
    let units = home.file("units");
    fs::create_dir(&units).expect("own folder");
    let (apps, daemon) = print.stdout.split_once("\n# /").expect("two units");
    fs::write(units.join("supervisor-apps.service"), apps).expect("own folder");
    let unit = units.join("supervisor.service");
    fs::write(&unit, format!("# /{daemon}")).expect("own folder");

    let verify = |unit: &Path| {
        let mut command = home.command(Path::new("systemd-analyze"));
        Output::of(command.args(["verify", "--man=no"]).arg(unit))
    };
    let output = verify(&unit).ok();
    assert_eq!(output.stderr, "", "no warning");
    // It does look there.
    fs::remove_file(folder.join("supervisor")).expect("own file");
    assert_ne!(verify(&unit).code, 0);
}
