//! Several instances at once: which ones a target means, and in which order they go and come.

use std::fs;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use supervisor_tests::{Home, app, proc, programs, testapp, wait_until};

use crate::{SOON, done, outcomes, pids};

/// An app that notes its start and, some time after it was asked to stop, its end.
fn slow_to_go(home: &Home, name: &str, rest: &str) -> String {
    let script =
        "trap 'sleep 0.3; echo end $SUPERVISOR_APP:$SUPERVISOR_INSTANCE >>order; exit 0' TERM
        echo start $SUPERVISOR_APP:$SUPERVISOR_INSTANCE >>order
        while :; do sleep 0.05; done";
    home.write("slow.sh", script);
    app(name, &["sh", "slow.sh"], rest)
}

/// What such apps noted, from line `from` on.
#[track_caller]
fn wait_order(home: &Home, from: usize, count: usize) -> Vec<String> {
    wait_until(&format!("{count} notes"), SOON, || {
        let text = fs::read_to_string(home.file("order")).unwrap_or_default();
        let notes: Vec<String> = text.lines().skip(from).map(str::to_owned).collect();
        (notes.len() >= count).then_some(notes)
    })
}

#[test]
fn reload_takes_one_instance_after_the_other() {
    let home = Home::new();
    home.up(&slow_to_go(&home, "app", "instances = 2")).ok();
    wait_order(&home, 0, 2);
    let before = pids(&home, "app");
    let mut reload = home.command(&programs::supervisorctl());
    let mut reload = start(reload.args(["reload", "app"]));
    let mut fewest = before.len();
    let status = loop {
        fewest = fewest.min(
            pids(&home, "app")
                .into_iter()
                .filter(|&pid| proc::alive(pid))
                .count(),
        );
        if let Some(status) = reload.try_wait().expect("it is our child") {
            break status;
        }
    };
    assert!(status.success());
    // That one is away for a moment is too short to be seen each time; the notes below tell it.
    assert!(fewest >= 1, "never are both away");
    let after = pids(&home, "app");
    assert_eq!(after.len(), 2);
    assert!(after.iter().all(|pid| !before.contains(pid)));
    assert_eq!(
        wait_order(&home, 2, 4),
        ["end app:0", "start app:0", "end app:1", "start app:1"]
    );
}

fn start(command: &mut Command) -> Child {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null());
    quiet.spawn().expect("supervisorctl runs")
}

#[test]
fn restart_all_keeps_the_order_of_after() {
    let home = Home::new();
    // Named so that neither the alphabet nor the order of the file gives the right answer.
    let text = slow_to_go(&home, "m-web", "after = [\"z-api\"]")
        + &slow_to_go(&home, "z-api", "after = [\"a-db\"]")
        + &slow_to_go(&home, "a-db", "");
    home.up(&text).ok();
    wait_order(&home, 0, 3);
    let names = ["a-db", "z-api", "m-web"];
    let before = names.map(|name| home.pid(name));
    home.ctl(&["restart", "all"]).ok();
    let order = wait_order(&home, 3, 6);
    assert_eq!(
        order[..3],
        ["end m-web:0", "end z-api:0", "end a-db:0"],
        "{order:?}"
    );
    // A note of a start comes a moment after it; the kernel knows the start itself.
    let born = names.map(|name| {
        let pid = home.pid(name);
        (proc::started(pid).expect("it runs"), pid)
    });
    assert!(born.is_sorted(), "{names:?} started as {born:?}");
    assert!(born.iter().all(|(_, pid)| !before.contains(pid)));
}

/// The instances that a target means, sorted.
#[track_caller]
fn meant(home: &Home, target: &[&str]) -> Vec<String> {
    let rows = home.ctl(&[&["status", "--json"], target].concat());
    let rows = rows.ok().json();
    let rows = rows.as_array().expect("a list");
    let text = |row: &Value| {
        format!(
            "{}:{}",
            row["name"].as_str().expect("text"),
            row["instance"]
        )
    };
    let mut found: Vec<String> = rows.iter().map(text).collect();
    found.sort_unstable();
    found
}

#[test]
fn targets_mean_what_they_say() {
    let home = Home::new();
    let sleeper = |name, rest| testapp(name, &["sleep"], rest);
    home.up(&(sleeper("web", "instances = 2\nnamespace = \"shop\"")
        + &sleeper("api", "namespace = \"shop\"")
        + &sleeper("web-cache", "")))
        .ok();
    let id = home.row("api")["id"].to_string();
    let all = ["api:0", "web-cache:0", "web:0", "web:1"];
    assert_eq!(meant(&home, &["web"]), ["web:0", "web:1"]);
    assert_eq!(meant(&home, &["web:1"]), ["web:1"]);
    assert_eq!(meant(&home, &[&id]), ["api:0"]);
    assert_eq!(meant(&home, &["shop/"]), ["api:0", "web:0", "web:1"]);
    assert_eq!(meant(&home, &["web*"]), ["web-cache:0", "web:0", "web:1"]);
    assert_eq!(meant(&home, &["all"]), all);
    assert_eq!(meant(&home, &[]), all);

    let everything = pids(&home, "web");
    let words: Vec<&str> = ["restart"]
        .into_iter()
        .chain(
            ["web:1", "api", id.as_str(), "shop/"]
                .into_iter()
                .cycle()
                .take(999),
        )
        .collect();
    let mut unknown = words.clone();
    unknown.push("nobody");
    home.ctl(&unknown).exits(4).says("nobody");
    assert_eq!(pids(&home, "web"), everything, "nothing was restarted");
    let mut told = outcomes(&home, &[&words[..], &["web:0"]].concat());
    told.sort_unstable();
    assert_eq!(
        told,
        done(&["api:0", "web:0", "web:1"], "restarted"),
        "1,000 words, each instance once"
    );

    for target in ["nobody", "web:2", "99", "nowhere/", "x*", "web:x", "../web"] {
        for verb in [
            "status", "restart", "stop", "delete", "reset", "flush", "reload", "show",
        ] {
            home.ctl(&[verb, target]).exits(4).says(target);
        }
    }
    assert_eq!(meant(&home, &[]), all);
    home.ctl(&["stop", "shop/"]).ok();
    home.ctl(&["status", "shop/"]).exits(3);
    home.ctl(&["status", "web-cache"]).ok();
    assert_eq!(home.running("web-cache", 0).len(), 1);
}
