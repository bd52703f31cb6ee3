//! Files with faults: all of them are told at once, by `check` as by `up`, and nothing is changed.

use std::path::Path;

use serde_json::Value;
use supervisor_tests::{Home, Output, app, programs};

use crate::untouched::untouched;
use crate::{configure, sleeper};

/// The faults of a refusal, which go to standard error, also as JSON.
#[track_caller]
fn refused(output: Output) -> Value {
    let output = output.exits(1);
    let told: Value = serde_json::from_str(&output.stderr)
        .unwrap_or_else(|error| panic!("no JSON, {error}: {output}"));
    told["error"]["faults"].clone()
}

/// `file:line` of the faults in a refusal or a `check --json`, with their keys, sorted.
fn places(faults: &Value) -> Vec<(String, u64, String)> {
    let place = |fault: &Value| {
        let file = fault["file"].as_str().expect("a file");
        let file = Path::new(file).file_name().expect("a name");
        (
            file.to_str().expect("plain").to_owned(),
            fault["line"].as_u64().expect("a line"),
            fault["key"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let mut places: Vec<_> = faults
        .as_array()
        .expect("a list")
        .iter()
        .map(place)
        .collect();
    places.sort_unstable();
    places
}

/// The line of a text, counted from 1, that begins with `start`.
fn line_of(text: &str, start: &str) -> u64 {
    let at = text.lines().position(|line| line.starts_with(start));
    at.unwrap_or_else(|| panic!("{start:?} is not in {text}")) as u64 + 1
}

#[test]
fn every_fault_of_two_files_at_once_and_nothing_changed() {
    let home = Home::new();
    configure(&home, "supervisor.toml", &sleeper("app", ""));
    configure(&home, "conf.d/more.toml", &sleeper("more", ""));
    home.ctl(&["up"]).ok();
    let before = untouched(&home);
    let own = sleeper("app", "comand = 1\nrestart.delay = \"soon\"") + &sleeper("new", "");
    let more = sleeper(
        "more",
        "stop.signal = \"SIGNOTHING\"\ninstances = 0\nboot = \"maybe\"",
    );
    configure(&home, "supervisor.toml", &own);
    configure(&home, "conf.d/more.toml", &more);
    let mut expected = [
        ("supervisor.toml", line_of(&own, "comand"), "app.app.comand"),
        (
            "supervisor.toml",
            line_of(&own, "restart.delay"),
            "app.app.restart.delay",
        ),
        (
            "more.toml",
            line_of(&more, "stop.signal"),
            "app.more.stop.signal",
        ),
        (
            "more.toml",
            line_of(&more, "instances"),
            "app.more.instances",
        ),
        ("more.toml", line_of(&more, "boot"), "app.more.boot"),
    ];
    expected.sort_unstable();
    let owned = |(file, line, key): &(&str, u64, &str)| ((*file).into(), *line, (*key).into());
    let expected: Vec<(String, u64, String)> = expected.iter().map(owned).collect();

    for verb in [&["up"][..], &["up", "--dry-run"], &["daemon", "reload"]] {
        let faults = refused(home.ctl(&[verb, &["--json"]].concat()));
        assert_eq!(places(&faults), expected, "{verb:?}");
        let told = home
            .ctl(verb)
            .exits(1)
            .says("5 faults")
            .says("nothing was changed");
        for (file, line, key) in &expected {
            assert!(told.text().contains(&format!("{file}:{line}:")), "{told}");
            assert!(told.text().contains(key), "{told}");
        }
        assert_eq!(untouched(&home), before, "{verb:?}");
    }
    let checked = home.ctl(&["check", "--json"]).exits(1).json();
    assert_eq!(places(&checked), expected);
}

#[test]
fn what_the_machine_lacks_is_told_all_at_once() {
    let home = Home::new();
    home.up(&sleeper("app", "")).ok();
    let before = untouched(&home);
    let text = sleeper("app", "")
        + &sleeper("folder", "directory = \"nowhere\"")
        + &app("program", &["no-such-program"], "")
        + &sleeper("secrets", "env_file = [\"missing.env\"]")
        + &sleeper("who", "user = \"nobody-of-that-name\"");
    let expected = [
        ("directory = ", "app.folder.directory", "nowhere"),
        (
            "command = [\"no-such",
            "app.program.command",
            "no-such-program",
        ),
        ("env_file = ", "app.secrets.env_file", "missing.env"),
        ("user = ", "app.who.user", "nobody-of-that-name"),
    ];
    let output = home.up(&text).exits(1);
    for (start, key, what) in expected {
        let place = format!("supervisor.toml:{}:", line_of(&text, start));
        for word in [place.as_str(), key, what] {
            assert!(output.text().contains(word), "{word:?} is not in {output}");
        }
    }
    output.says("4 faults");
    assert_eq!(untouched(&home), before);
}

#[test]
fn check_says_what_up_says_and_needs_no_daemon() {
    let home = Home::new();
    let bad = [
        sleeper(
            "app",
            "comand = 1\nrestart.delay = \"soon\"\nlogs.keep = -1",
        ),
        sleeper("app", "after = [\"nobody\"]"),
        sleeper("a", "after = [\"b\"]") + &sleeper("b", "after = [\"a\"]"),
        "[app.app]\ncommand = ".to_owned(),
    ];
    for text in &bad {
        home.write("supervisor.toml", text);
        let checked = home.ctl(&["check"]).exits(1);
        home.ctl(&["status"]).exits(5);
        let faults = home.ctl(&["check", "--json"]).exits(1).json();
        assert_eq!(refused(home.ctl(&["up", "--json"])), faults, "{checked}");
        let told = home.ctl(&["up"]).exits(1);
        let blocks = |text: &str| text.split("\n\n").map(str::to_owned).collect::<Vec<_>>();
        let (mut checked, mut told) = (blocks(&checked.text()), blocks(&told.text()));
        // All but the number of them, at the end.
        checked.pop();
        told.pop();
        assert_eq!(checked, told);
        home.ctl(&["daemon", "stop"]).ok();
    }
    home.write("supervisor.toml", &sleeper("app", ""));
    home.ctl(&["check"]).exits(0).says("no faults");
    home.ctl(&["check", "--json"]).exits(0).says("[]");
    home.ctl(&["status"]).exits(5);
}

#[test]
fn check_and_up_tell_a_faulty_env_file_in_the_same_words() {
    let home = Home::new();
    home.write("bad.env", "FINE=1\nnot a variable\n");
    let env_files = |name, file: &str| sleeper(name, &format!("env_file = [{file:?}]"));
    let text = env_files("missing", "missing.env") + &env_files("broken", "bad.env");
    let told = home.up(&text).exits(1);
    let faults = home.ctl(&["check", "--json"]).exits(1).json();
    let again = refused(home.ctl(&["up", "--json"]));
    let sorted = |faults: &Value| {
        let mut list = faults.as_array().expect("a list").clone();
        list.sort_by_key(|fault| fault["line"].as_u64());
        list
    };
    assert_eq!(sorted(&again), sorted(&faults), "{told}");
}

#[test]
fn a_faulty_env_file_does_not_make_a_program_missing() {
    let home = Home::new();
    let tool = home.copy(&programs::testapp(), "only-here");
    let folder = tool.parent().expect("it has one").display().to_string();
    let text = "[app.a]\ncommand = [\"only-here\", \"sleep\"]\nenv_file = \"missing.env\"\n";
    let file = home.write("supervisor.toml", text).display().to_string();
    // The daemon that it starts has this path, too.
    let mut up = home.command(&programs::supervisorctl());
    up.args(["up", &file])
        .env("PATH", format!("{folder}:/usr/bin:/bin"));
    Output::of(&mut up)
        .exits(1)
        .says("there is no such file")
        .says("1 fault")
        .hides("is not found");
}
