//! Who may do what: the groups of the daemon, the limits of an app, who asked last; and a daemon of
//! an ordinary user, which has everything but the rights of root.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::unistd::{Gid, Group};
use serde_json::Value;
use supervisor_tests::{Home, Output, app, is_root, proc, programs, testapp, wait_until};

/// `nobody`, who owns nothing here.
const NOBODY: u32 = 65534;
const OPS: &str = "games";
const STAFF: &str = "users";
const SECRET: &str = "hunter2-is-my-secret";

fn needs_root(what: &str) -> bool {
    if !is_root() {
        println!("skipped: {what} needs root");
    }
    is_root()
}

fn number(group: &str) -> Gid {
    let found = Group::from_name(group).expect("the database answers");
    found.expect("every Debian has this group").gid
}

/// `supervisorctl` as nobody, in this group beside nobody's own.
struct Member {
    home: PathBuf,
    ctl: PathBuf,
    group: Option<Gid>,
}

impl Member {
    fn of(home: &Home, ctl: &Path, group: Option<&str>) -> Member {
        Member {
            home: home.path(),
            ctl: ctl.to_owned(),
            group: group.map(number),
        }
    }

    #[track_caller]
    fn ctl(&self, words: &[&str]) -> Output {
        let mut command = Command::new("setpriv");
        let groups = match self.group {
            Some(group) => format!("--groups={group}"),
            None => "--clear-groups".to_owned(),
        };
        command
            .args(["--reuid=65534", "--regid=65534", &groups])
            .arg(&self.ctl)
            .args(words)
            .env("SUPERVISOR_HOME", &self.home)
            .current_dir("/");
        Output::of(&mut command)
    }
}

/// Has the daemon's own file say this, and nothing of apps.
#[track_caller]
fn settings(home: &Home, text: &str) -> Output {
    let file = home.path().join("supervisor.toml");
    fs::write(file, format!("[daemon]\n{text}\n")).expect("own folder");
    home.ctl(&["daemon", "reload"])
}

fn modes(home: &Home) -> [(u32, u32); 2] {
    let run = home.path().join("run");
    [run.clone(), run.join("supervisor.sock")].map(|path| {
        let found = fs::symlink_metadata(path).expect("it is there");
        (found.mode() & 0o7777, found.gid())
    })
}

#[test]
fn groups_let_in_whom_they_name_and_from_that_moment_on() {
    if !needs_root("to become members of groups") {
        return;
    }
    let home = Home::new();
    let secret = format!("env = {{ PASSWORD = {SECRET:?} }}");
    home.up(&testapp("api", &["sleep"], &secret)).ok();
    let ctl = home.copy(&programs::supervisorctl(), "ctl");
    let [ops, staff, nobody] =
        [Some(OPS), Some(STAFF), None].map(|group| Member::of(&home, &ctl, group));
    assert_eq!(modes(&home), [(0o700, 0), (0o600, 0)]);
    ops.ctl(&["status"]).exits(1).hides("api");

    settings(&home, &format!("group = {OPS:?}")).ok();
    let gid = number(OPS).as_raw();
    assert_eq!(modes(&home), [(0o710, gid), (0o660, gid)]);
    ops.ctl(&["status"]).ok().says("api");
    ops.ctl(&["restart", "api"]).ok();
    staff.ctl(&["status"]).exits(1).hides("api");

    settings(&home, &format!("group = {OPS:?}\nviewers = {STAFF:?}")).ok();
    assert_eq!(modes(&home), [(0o711, gid), (0o666, gid)]);
    for words in [
        &["status"][..],
        &["show", "api"],
        &["logs", "api", "--no-follow"],
        &["daemon", "status"],
    ] {
        staff.ctl(words).ok().hides(SECRET);
        nobody.ctl(words).exits(1).says("belongs to another user");
    }
    let pid = home.pid("api");
    for words in [
        &["stop", "api"][..],
        &["restart", "api"],
        &["delete", "api"],
        &["signal", "KILL", "api"],
        &["reset", "api"],
        &["flush", "api"],
        &["scale", "api", "2"],
        &["start", "true", "--name", "mine"],
        &["daemon", "stop"],
        &["daemon", "reload"],
        &["daemon", "reload-logs"],
    ] {
        staff.ctl(words).exits(1).says("change nothing");
    }
    assert_eq!(home.running("api", 0), [pid]);
    // What is secret is the owner's, whoever may do the rest.
    for member in [&ops, &staff] {
        let refused = member.ctl(&["show", "api", "--show-env"]);
        refused.exits(1).says("owner and root only").hides(SECRET);
    }
    home.ctl(&["show", "api", "--show-env"]).ok().says(SECRET);

    // Whoever starts a second daemon shuts nobody out.
    let open = modes(&home);
    let second = Output::of(&mut home.command(&programs::supervisor()));
    second.exits(10).says("already running");
    assert_eq!(modes(&home), open);
    // The next engine lets the same ones in.
    home.kill_engine();
    ops.ctl(&["restart", "api"]).ok();
    staff.ctl(&["stop", "api"]).exits(1).says("change nothing");
    settings(&home, "").ok();
    assert_eq!(modes(&home), [(0o700, 0), (0o600, 0)]);
    ops.ctl(&["status"]).exits(1).hides("api");

    settings(&home, "group = \"no-such-group-here\"")
        .exits(1)
        .says("no-such-group-here")
        .says("daemon.group");
    settings(&home, "viewers = \"-1\"").exits(1).says("-1");
}

#[test]
fn whoever_asked_last_is_told_and_survives_the_engine() {
    if !needs_root("to become members of groups") {
        return;
    }
    let home = Home::new();
    let two = testapp("api", &["sleep"], "instances = 2");
    home.up(&(two + &testapp("web", &["sleep"], ""))).ok();
    settings(&home, &format!("group = {OPS:?}")).ok();
    let ctl = home.copy(&programs::supervisorctl(), "ctl");
    let ops = Member::of(&home, &ctl, Some(OPS));
    let asked = |target: &str| -> (String, u64) {
        let asked = &home.show(target)["asked"];
        let what = asked["what"].as_str().expect("a word").to_owned();
        (what, asked["uid"].as_u64().expect("a number"))
    };
    assert_eq!(asked("api:0"), ("defined".to_owned(), 0));
    ops.ctl(&["stop", "api:1"]).ok();
    ops.ctl(&["restart", "web"]).ok();
    let stopped = ("stopped".to_owned(), u64::from(NOBODY));
    let restarted = ("restarted".to_owned(), u64::from(NOBODY));
    assert_eq!(asked("api:1"), stopped);
    assert_eq!(asked("web"), restarted);
    assert_eq!(asked("api:0"), ("defined".to_owned(), 0));
    home.ctl(&["show", "api:1"])
        .ok()
        .says("stopped by nobody (uid 65534)");
    // To ask for what is so already changes nothing of it.
    home.ctl(&["stop", "api:1"]).ok();
    assert_eq!(asked("api:1"), stopped);
    // Who restarted is written down a moment later, since nobody waits for that.
    let desired = home.path().join("state/desired.json");
    wait_until("that it is on disk", Duration::from_secs(10), || {
        let text = fs::read_to_string(&desired).unwrap_or_default();
        text.contains("\"restarted\"").then_some(())
    });
    home.kill_engine();
    assert_eq!(asked("api:1"), stopped);
    assert_eq!(asked("web"), restarted);
    ops.ctl(&["signal", "CONT", "web"]).ok();
    let log = wait_until("the log", Duration::from_secs(10), || {
        Some(home.daemon_log()).filter(|log| log.contains("SIGCONT"))
    });
    for line in [
        "api:1: Stop, as nobody (uid 65534) asked",
        "web:0: SIGCONT, as nobody (uid 65534) asked",
        "defined, as root (uid 0) asked: api, web",
    ] {
        assert!(log.contains(line), "{line:?} is not in\n{log}");
    }
}

/// What an app finds at its start.
fn report(home: &Home, name: &str) -> Value {
    let file = home.file(name);
    let text = wait_until("a report", Duration::from_secs(10), || {
        let text = fs::read_to_string(&file).ok()?;
        text.ends_with('\n').then_some(text)
    });
    serde_json::from_str(text.lines().last().expect("a line")).expect("JSON")
}

#[test]
fn an_app_gets_its_limits() {
    let home = Home::new();
    let file = home.text_of("report");
    let limits = "limits = { nofile = 77, nice = 7, oom_score_adj = 900, umask = \"027\", no_new_privs = true }";
    home.up(&testapp("app", &["report", &file, "60000"], limits))
        .ok();
    let found = report(&home, "report");
    assert_eq!(found["nofile"], serde_json::json!([77, 77]));
    assert_eq!(found["nice"], 7);
    assert_eq!(found["oom_score_adj"], "900");
    assert_eq!(found["umask"], "0027");
    assert_eq!(found["no_new_privs"], "1");
    home.ctl(&["show", "app"])
        .ok()
        .says("77 open files, nice 7, OOM score 900, umask 027, no new privileges");

    let plain = home.text_of("plain");
    home.up(&testapp("app", &["report", &plain, "60000"], ""))
        .ok();
    let found = report(&home, "plain");
    assert_eq!(found["umask"], "0022");
    assert_eq!(found["no_new_privs"], "0");
    assert_ne!(found["nofile"], serde_json::json!([77, 77]));
    // More than the kernel allows is nobody's to give.
    let limits = "limits = { nofile = 1073741816 }";
    home.up(&testapp("app", &["sleep"], limits))
        .exits(1)
        .says("limits.nofile")
        .says("fs.nr_open");
}

#[test]
fn a_user_has_the_supplementary_groups_that_the_database_says() {
    if !needs_root("to become another user") {
        return;
    }
    let home = Home::new();
    home.copy(&programs::testapp(), "testapp");
    let folder = home.file("out");
    fs::create_dir(&folder).expect("own folder");
    fs::set_permissions(&folder, Permissions::from_mode(0o777)).expect("own folder");
    let file = home.text_of("out/report");
    let user = "user = \"nobody\"\nlimits = { nice = -5 }";
    home.up(&app("app", &["./testapp", "report", &file, "60000"], user))
        .ok();
    let found = report(&home, "out/report");
    let groups = Output::of(Command::new("id").args(["-G", "nobody"])).ok();
    let groups: Vec<&str> = groups.stdout.split_whitespace().collect();
    assert_eq!(found["groups"], serde_json::json!(groups));
    assert_eq!(found["uid"][0], "65534");
    // A daemon of root gives more than the user could take.
    assert_eq!(found["nice"], -5);
}

/// Programs that nobody may run, in a home that is nobody's.
fn home_of_nobody() -> (Home, PathBuf) {
    let home = Home::new();
    for (program, name) in [
        (programs::supervisorctl(), "supervisorctl"),
        (programs::supervisor(), "supervisor"),
        (programs::testapp(), "testapp"),
    ] {
        home.copy(&program, name);
    }
    for folder in [home.path(), home.work()] {
        chown(folder, Some(NOBODY), Some(NOBODY)).expect("root may");
    }
    let ctl = home.file("supervisorctl");
    (home, ctl)
}

#[test]
fn a_daemon_of_an_ordinary_user_does_all_but_what_only_root_may() {
    if !needs_root("to become another user") {
        return;
    }
    let (home, ctl) = home_of_nobody();
    let user = Member::of(&home, &ctl, None);
    let file = home.text_of("supervisor.toml");
    let up = |text: &str| {
        fs::write(&file, text).expect("own folder");
        chown(&file, Some(NOBODY), None).expect("root may");
        user.ctl(&["up", &file])
    };
    let words = ["./testapp", "sleep"];
    up(&app("api", &words, "")).ok().says("started");
    let daemon = home.daemon();
    for pid in [daemon.keeper, daemon.engine, home.pid("api")] {
        let owner = fs::metadata(format!("/proc/{pid}")).expect("it runs").uid();
        assert_eq!(owner, NOBODY);
    }
    user.ctl(&["restart", "api"]).ok().says("restarted");
    user.ctl(&["stop", "api"]).ok();
    user.ctl(&["start", "api"]).ok();
    user.ctl(&[
        "start",
        "echo",
        "--name",
        "once",
        "--no-autorestart",
        "--",
        "hello",
    ])
    .ok();
    wait_until("what it wrote", Duration::from_secs(10), || {
        let shown = user.ctl(&["logs", "once", "--no-follow"]).ok();
        shown.stdout.contains("hello").then_some(())
    });
    let pid = home.pid("api");
    home.kill_engine();
    user.ctl(&["status"]).ok().says("api");
    assert_eq!(home.pid("api"), pid);
    proc::kill(home.daemon().keeper, nix::sys::signal::Signal::SIGKILL);
    home.wait_gone(daemon.keeper);
    user.ctl(&["status"]).ok().says("api");
    assert_eq!(home.pid("api"), pid);

    for (rest, key, why) in [
        ("user = \"root\"", "user", "root"),
        ("limits = { nice = -1 }", "limits.nice", "nice 0"),
        (
            "limits = { oom_score_adj = -1000 }",
            "limits.oom_score_adj",
            "-1000",
        ),
        (
            "limits = { nofile = 1073741816 }",
            "limits.nofile",
            "1073741816",
        ),
    ] {
        let refused = up(&app("api", &words, rest)).exits(1);
        refused.says(key).says(if key == "limits.nofile" {
            "open files"
        } else {
            why
        });
    }
    assert_eq!(home.pid("api"), pid);
    // Its socket can be given only to a group that it is in.
    let own = home.path().join("supervisor.toml");
    fs::write(&own, format!("[daemon]\ngroup = {OPS:?}\n")).expect("root may");
    chown(&own, Some(NOBODY), None).expect("root may");
    user.ctl(&["daemon", "reload"])
        .exits(1)
        .says("daemon.group");
    user.ctl(&["daemon", "stop"]).ok();
}

/// Has folders of its own in the place of the system's, and tries the daemon of the system in them.
const PRIVATE: &str = include_str!("private.sh");

#[test]
fn a_member_finds_the_daemon_of_the_system() {
    if !needs_root("to have folders of the system of one's own") {
        return;
    }
    let home = Home::new();
    for (program, name) in [
        (programs::supervisorctl(), "supervisorctl"),
        (programs::supervisor(), "supervisor"),
        (programs::testapp(), "testapp"),
    ] {
        home.copy(&program, name);
    }
    home.write(
        "apps.toml",
        &app("api", &[&home.text_of("testapp"), "sleep"], ""),
    );
    let mut script = home.command(Path::new("unshare"));
    script
        .args(["--mount", "--propagation", "private", "sh", "-c", PRIVATE])
        .env("T", home.work());
    let output = Output::of(&mut script).ok();
    let parts: Vec<&str> = output.stdout.split("== exit ").collect();
    let expected = [
        ("5", "no daemon is running"),
        // Who has never had a daemon means the one that lets them in.
        ("0", "running"),
        ("0", "restarted"),
        ("0", "already running"),
        // Who has one, and finds it stopped, does not act on the other by mistake.
        ("5", "supervisorctl --system status"),
        ("0", "running"),
        ("0", "stopped"),
        // What is new is started with one's own rights.
        ("0", "mine"),
        ("0", ""),
        ("0", "stopped"),
    ];
    for (index, (code, said)) in expected.into_iter().enumerate() {
        let (part, after) = (parts[index], parts[index + 1]);
        assert!(
            part.contains(said),
            "{index}: {said:?} is not in {part}\nof {output}"
        );
        assert!(after.starts_with(code), "{index}: not {code}: {output}");
    }
    assert!(!parts[9].contains("mine"), "{output}");
}
