//! Ten thousand spawns, a hundred instances at a time, and each child finds exactly what it
//! should: three descriptors, its user and groups, its umask, no blocked and no ignored signal,
//! its own session, and an environment with nothing of ours in it.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::{Gid, Uid, User};
use serde_json::{Value, json};
use supervisor_tests::{Daemon, Home, app, is_root, proc, programs, wait_until};

const INSTANCES: usize = 100;
const SPAWNS: usize = 10_000;

/// What every child is to find.
struct Expected {
    uid: u32,
    gid: u32,
    groups: BTreeSet<u32>,
    nofile: Value,
    oom_score_adj: String,
}

impl Expected {
    fn new() -> Expected {
        let user = if is_root() {
            User::from_name("nobody")
                .expect("the user database")
                .expect("every system has nobody")
        } else {
            User::from_uid(Uid::current())
                .expect("the user database")
                .expect("we have an account")
        };
        let name = std::ffi::CString::new(user.name.as_str()).expect("a name has no NUL");
        let groups: Vec<Gid> = if is_root() {
            nix::unistd::getgrouplist(&name, user.gid).expect("the group database")
        } else {
            nix::unistd::getgroups().expect("own groups")
        };
        let own = fs::read_to_string("/proc/self/oom_score_adj").expect("/proc");
        Expected {
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
            groups: groups.into_iter().map(Gid::as_raw).collect(),
            nofile: json!(getrlimit(Resource::RLIMIT_NOFILE).expect("a limit")),
            oom_score_adj: own.trim().to_owned(),
        }
    }

    fn compare(&self, report: &Value) {
        let four = |id: u32| {
            json!([
                id.to_string(),
                id.to_string(),
                id.to_string(),
                id.to_string()
            ])
        };
        assert_eq!(report["uid"], four(self.uid), "{report}");
        assert_eq!(report["gid"], four(self.gid), "{report}");
        let groups = report["groups"].as_array().expect("a list").iter();
        let groups = groups.map(|group| group.as_str().and_then(|group| group.parse().ok()));
        assert_eq!(
            groups.collect::<Option<BTreeSet<u32>>>().as_ref(),
            Some(&self.groups),
            "{report}"
        );
        assert_eq!(report["umask"], "0022", "{report}");
        assert_eq!(report["blocked"], "0000000000000000", "{report}");
        assert_eq!(report["ignored"], "0000000000000000", "{report}");
        assert_eq!(report["session"], report["pid"], "{report}");
        assert_eq!(report["nofile"], self.nofile, "{report}");
        assert_eq!(report["oom_score_adj"], self.oom_score_adj, "{report}");

        let open = report["descriptors"].as_array().expect("a list");
        let numbers: Vec<&Value> = open.iter().map(|one| &one[0]).collect();
        assert_eq!(numbers, [0, 1, 2], "{report}");
        assert_eq!(open[0][1], "/dev/null", "{report}");
        for stream in [&open[1][1], &open[2][1]] {
            assert!(
                stream.as_str().is_some_and(|to| to.starts_with("pipe:")),
                "{report}"
            );
        }
        assert_ne!(open[1][1], open[2][1], "{report}");

        for name in report["environment"].as_object().expect("a table").keys() {
            let known = [
                "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "MINE",
            ];
            let ours = [
                "SUPERVISOR_APP",
                "SUPERVISOR_INSTANCE",
                "SUPERVISOR_RUN",
                "SUPERVISOR_HOME",
            ];
            assert!(
                known.contains(&name.as_str())
                    || ours.contains(&name.as_str())
                    || name.starts_with("LC_"),
                "{name} has leaked: {report}"
            );
        }
        assert_eq!(report["environment"]["SUPERVISOR_APP"], "storm", "{report}");
        assert_eq!(report["environment"]["MINE"], "yes", "{report}");
    }
}

/// Open descriptors of the two processes of the daemon.
fn descriptors(daemon: Daemon) -> [usize; 2] {
    [
        proc::descriptors(daemon.keeper),
        proc::descriptors(daemon.engine),
    ]
}

#[test]
fn every_child_finds_what_it_should() {
    let home = Home::new();
    home.copy(&programs::testapp(), "testapp");
    let file = home.write("reports", "");
    fs::set_permissions(&file, Permissions::from_mode(0o666)).expect("our own file");
    let user = if is_root() { "user = \"nobody\"\n" } else { "" };
    // Each run counts as stable, so that the next one starts at once.
    let rest = format!(
        "instances = {INSTANCES}\n{user}env = {{ MINE = \"yes\" }}\n\
         [app.storm.restart]\nstable_after = \"1ms\""
    );
    home.write(
        "supervisor.toml",
        &app("storm", &["./testapp", "report", "reports", "2"], &rest),
    );
    let count = || {
        let reader = BufReader::new(fs::File::open(&file).expect("it was made above"));
        reader.split(b'\n').count()
    };
    home.ctl(&["up", "--no-wait"]).ok();
    wait_until("a first round", Duration::from_secs(30), || {
        (count() >= INSTANCES).then_some(())
    });
    home.ctl(&["stop", "all"]).ok();
    let daemon = home.daemon();
    let before = descriptors(daemon);
    home.ctl(&["start", "all"]);
    wait_until("10,000 spawns", Duration::from_secs(120), || {
        // Reading all of it is not for free either.
        std::thread::sleep(Duration::from_millis(200));
        (count() >= SPAWNS).then_some(())
    });
    home.ctl(&["stop", "all"]).ok();

    let expected = Expected::new();
    let text = fs::read_to_string(&file).expect("the reports");
    let mut pids = BTreeSet::new();
    let mut instances = BTreeSet::new();
    let mut torn = 0;
    for line in text.lines() {
        // The kernel ends a write between two pages when its process is killed.
        let Ok(report) = serde_json::from_str::<Value>(line) else {
            torn += 1;
            continue;
        };
        expected.compare(&report);
        instances.insert(report["environment"]["SUPERVISOR_INSTANCE"].to_string());
        pids.insert(report["pid"].as_i64());
    }
    assert!(torn <= INSTANCES, "{torn} reports cannot be read");
    assert_eq!(instances.len(), INSTANCES);
    println!("{} reports of {} pids", text.lines().count(), pids.len());

    assert_eq!(home.daemon(), daemon, "nobody died of it");
    let after = descriptors(daemon);
    assert!(
        after
            .iter()
            .zip(before)
            .all(|(after, before)| *after <= before + 4),
        "descriptors of keeper and engine: {before:?} before, {after:?} after"
    );
    assert_eq!(home.running("storm", 0), [0; 0]);
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", daemon.keeper));
    let children = children.expect("the keeper is there");
    let children: Vec<&str> = children.split_whitespace().collect();
    assert_eq!(children, [daemon.engine.to_string()], "no zombie");
}
