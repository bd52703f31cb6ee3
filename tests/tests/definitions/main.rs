//! Files of definitions: what `up` and `daemon reload` plan and do, whose an app is, and that a
//! faulty file changes nothing and is told whole.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use supervisor_tests::{Home, Output, proc, programs, testapp, wait_until};

mod examples;
mod faults;
#[path = "../untouched/mod.rs"]
mod untouched;

use untouched::untouched;

const SOON: Duration = Duration::from_secs(10);

fn sleeper(name: &str, rest: &str) -> String {
    testapp(name, &["sleep"], rest)
}

/// Writes a file of the config folder.
fn configure(home: &Home, name: &str, text: &str) {
    let file = home.path().join(name);
    fs::create_dir_all(file.parent().expect("it has a folder")).expect("our own folder");
    fs::write(file, text).expect("our own folder");
}

/// The names of the apps that there are.
#[track_caller]
fn names(home: &Home) -> Vec<String> {
    let rows = home.status();
    let name = |row: &Value| row["name"].as_str().expect("a name").to_owned();
    let mut names: Vec<String> = rows.iter().map(name).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The one plan of an `up --json` or `daemon reload --json`.
#[track_caller]
fn plan(output: Output) -> Value {
    let told = output.ok().json();
    let plans = told["plans"].as_array().expect("a list of plans");
    assert_eq!(plans.len(), 1, "{told}");
    plans[0].clone()
}

/// What a plan changes: app, effect, and the keys.
fn changes(plan: &Value) -> Vec<(&str, &str, Vec<&str>)> {
    plan["change"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|change| {
            let keys = change["keys"].as_array().expect("a list").iter();
            (
                change["name"].as_str().expect("a name"),
                change["effect"].as_str().expect("an effect"),
                keys.map(|key| key["key"].as_str().expect("a key"))
                    .collect(),
            )
        })
        .collect()
}

#[test]
fn a_plan_tells_what_comes_and_what_it_does() {
    let home = Home::new();
    let first = sleeper("same", "")
        + &sleeper("rules", "")
        + &sleeper("process", "env = { A = \"1\", B = \"2\" }")
        + &sleeper("number", "instances = 2")
        + &sleeper("gone", "");
    home.up(&first).ok();
    let kept = ["same", "rules", "number"];
    let pids = kept.map(|name| home.pid(name));
    let restarted = home.pid("process");
    let second = sleeper("same", "# a comment")
        + &sleeper(
            "rules",
            "[app.rules.restart]\ndelay = \"3s\"\npolicy = \"on-failure\"",
        )
        + &sleeper("process", "env = { A = \"other\", C = \"3\" }")
        + &sleeper("number", "instances = 4")
        + &sleeper("new", "");
    home.write("supervisor.toml", &second);

    let before = untouched(&home);
    let dry = plan(home.ctl(&["up", "--dry-run", "--json"]));
    home.ctl(&["up", "--dry-run"])
        .ok()
        .says("new")
        .says("restart.delay")
        .says("gone")
        .hides("other");
    assert_eq!(untouched(&home), before, "a dry run changes nothing");

    let real = plan(home.ctl(&["up", "--json"]));
    assert_eq!(real, dry, "it does what it said");
    assert_eq!(real["create"], json!(["new"]));
    assert_eq!(real["remove"], json!(["gone"]));
    assert_eq!(real["untouched"], json!(["same"]));
    assert_eq!(real["stopped"], json!([]));
    let mut changed = changes(&real);
    changed
        .iter_mut()
        .for_each(|(_, _, keys)| keys.sort_unstable());
    assert_eq!(
        changed,
        [
            ("number", "scales", vec!["instances"]),
            ("process", "restarts", vec!["env.A", "env.B", "env.C"]),
            ("rules", "keeps", vec!["restart.delay", "restart.policy"]),
        ]
    );
    assert_eq!(kept.map(|name| home.pid(name)), pids);
    assert_ne!(home.pid("process"), restarted);
    assert_eq!(
        proc::variable(home.pid("process"), "A").as_deref(),
        Some("other")
    );
    assert_eq!(proc::variable(home.pid("process"), "B"), None);
    assert_eq!(
        (0..5)
            .map(|i| home.running("number", i).len())
            .sum::<usize>(),
        4
    );
    assert_eq!(names(&home), ["new", "number", "process", "rules", "same"]);

    let again = plan(home.ctl(&["up", "--json"]));
    assert_eq!(again["change"], json!([]), "all is so already");
    assert_eq!(again["untouched"].as_array().map(Vec::len), Some(5));
}

#[test]
fn a_new_rule_is_in_force_without_a_restart() {
    let home = Home::new();
    home.up(&sleeper("app", "")).ok();
    let pid = home.pid("app");
    home.up(&sleeper("app", "restart.policy = \"never\"")).ok();
    assert_eq!(home.pid("app"), pid);
    proc::kill(pid, nix::sys::signal::Signal::SIGKILL);
    home.wait_row("app", "is not started again", |row| {
        row["state"] == "completed"
    });
}

#[test]
fn a_name_belongs_to_the_file_it_came_from() {
    let home = Home::new();
    let first = home.write("first.toml", &sleeper("app", ""));
    let text_of = |file: &Path| file.to_str().expect("plain names").to_owned();
    home.ctl(&["up", &text_of(&first)]).ok();
    let second = home.write("second.toml", &(sleeper("other", "") + &sleeper("app", "")));
    let before = untouched(&home);
    home.ctl(&["up", &text_of(&second)])
        .exits(1)
        .says("app")
        .says("first.toml")
        .says("second.toml:5:6");
    assert_eq!(untouched(&home), before);

    let program = text_of(&programs::testapp());
    home.ctl(&["start", &program, "--name", "typed", "--", "sleep"])
        .ok();
    home.write("second.toml", &sleeper("typed", ""));
    let before = untouched(&home);
    home.ctl(&["up", &text_of(&second)])
        .exits(1)
        .says("typed")
        .says("supervisorctl start");
    assert_eq!(untouched(&home), before);

    // What its file has given up, another may take.
    home.ctl(&["delete", "typed"]).ok();
    home.ctl(&["up", &text_of(&second)]).ok();
    assert_eq!(names(&home), ["app", "typed"]);
}

#[test]
fn an_app_moves_between_configured_files_as_it_is() {
    let home = Home::new();
    configure(
        &home,
        "conf.d/a.toml",
        &(sleeper("moves", "") + &sleeper("stays", "")),
    );
    configure(&home, "conf.d/b.toml", &sleeper("other", ""));
    home.ctl(&["up"]).ok();
    let apps = ["moves", "stays", "other"];
    let pids = apps.map(|name| home.pid(name));
    configure(&home, "conf.d/a.toml", &sleeper("stays", ""));
    configure(
        &home,
        "conf.d/b.toml",
        &(sleeper("other", "") + &sleeper("moves", "")),
    );
    home.ctl(&["daemon", "reload"]).ok().says("moves");
    assert_eq!(apps.map(|name| home.pid(name)), pids);
    // It is the other file's now.
    configure(
        &home,
        "conf.d/a.toml",
        &(sleeper("stays", "") + &sleeper("moves", "")),
    );
    home.ctl(&["daemon", "reload"])
        .exits(1)
        .says("b.toml")
        .says("moves");
    assert_eq!(apps.map(|name| home.pid(name)), pids);
}

#[test]
fn a_file_that_is_gone_takes_its_apps_with_it() {
    let home = Home::new();
    configure(&home, "conf.d/a.toml", &sleeper("kept", ""));
    configure(
        &home,
        "conf.d/b.toml",
        &(sleeper("one", "") + &sleeper("two", "")),
    );
    home.ctl(&["up"]).ok();
    let program = programs::testapp();
    let program = program.to_str().expect("plain names");
    home.ctl(&["start", program, "--name", "typed", "--", "sleep"])
        .ok();
    let elsewhere = home.write("elsewhere.toml", &sleeper("elsewhere", ""));
    home.ctl(&["up", elsewhere.to_str().expect("plain names")])
        .ok();
    let kept = ["kept", "typed", "elsewhere"];
    let pids = kept.map(|name| home.pid(name));
    fs::remove_file(home.path().join("conf.d/b.toml")).expect("it was there");
    fs::remove_file(elsewhere).expect("it was there");

    let before = untouched(&home);
    home.ctl(&["daemon", "reload", "--dry-run"])
        .ok()
        .says("one")
        .says("two");
    assert_eq!(untouched(&home), before);
    home.ctl(&["daemon", "reload"]).ok().says("one").says("two");
    assert_eq!(names(&home), ["elsewhere", "kept", "typed"]);
    assert_eq!(kept.map(|name| home.pid(name)), pids);
    assert_eq!(home.running("one", 0), [0; 0]);
}

#[test]
fn what_the_operator_stopped_stays_stopped() {
    let home = Home::new();
    let text = |rest: &str| sleeper("app", rest) + &sleeper("other", "");
    configure(&home, "supervisor.toml", &text(""));
    home.ctl(&["up"]).ok();
    home.ctl(&["stop", "app"]).ok();
    let told = plan(home.ctl(&["daemon", "reload", "--json"]));
    assert_eq!(told["stopped"], json!(["app"]));
    // Not even a changed definition starts it.
    configure(&home, "supervisor.toml", &text("env = { A = \"1\" }"));
    home.ctl(&["daemon", "reload"]).ok().says("app");
    assert_eq!(home.row("app")["state"], "stopped");
    assert_eq!(home.running("app", 0), [0; 0]);
    home.ctl(&["start", "app"]).ok();
    assert_eq!(proc::variable(home.pid("app"), "A").as_deref(), Some("1"));
}

#[test]
fn the_log_level_is_reloaded_and_survives_the_daemon() {
    let home = Home::new();
    let log = || fs::read_to_string(home.path().join("logs/supervisor.log")).unwrap_or_default();
    let told = || log().matches("counters reset").count();
    configure(&home, "supervisor.toml", &sleeper("app", ""));
    home.ctl(&["up"]).ok();
    home.ctl(&["reset", "app"]).ok();
    wait_until("it is told at the level info", SOON, || {
        (told() == 1).then_some(())
    });
    let quiet = "[daemon]\nlog_level = \"error\"\n".to_owned() + &sleeper("app", "");
    configure(&home, "supervisor.toml", &quiet);
    let pid = home.pid("app");
    home.ctl(&["daemon", "reload"]).ok();
    assert_eq!(home.pid("app"), pid);
    home.ctl(&["reset", "app"]).ok();
    // What the daemon had to tell is in its log when it is gone.
    home.ctl(&["daemon", "stop"]).ok();
    assert_eq!(told(), 1, "no more at the level error");
    home.start_daemon();
    home.wait_row("app", "runs", |row| row["state"] == "running");
    home.ctl(&["reset", "app"]).ok();
    home.kill_engine();
    home.ctl(&["reset", "app"]).ok();
    home.ctl(&["daemon", "stop"]).ok();
    assert_eq!(told(), 1, "nor after a new start, nor of a new engine");
    home.start_daemon();
    configure(&home, "supervisor.toml", &sleeper("app", ""));
    home.ctl(&["daemon", "reload"]).ok();
    home.ctl(&["reset", "app"]).ok();
    wait_until("it is told again", SOON, || (told() == 2).then_some(()));
}
