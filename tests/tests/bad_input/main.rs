//! Bad input of every kind: each gets its exit code and one clear message, and changes nothing.

use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;

use supervisor_tests::{Home, Output, is_root, programs, testapp};

mod files;
mod full_disk;
#[path = "../untouched/mod.rs"]
mod untouched;
mod versions;
mod words;

use untouched::untouched;

/// Longer than what anybody reads of a message.
const LONG: usize = 3000;
/// `nobody`, who owns nothing here.
const NOBODY: u32 = 65534;

/// A home with one app that runs.
fn home() -> Home {
    let home = Home::new();
    let file = home.write("kept.toml", &testapp("kept", &["sleep"], ""));
    home.ctl(&["up", file.to_str().expect("plain names")]).ok();
    home
}

/// What holds for every message: short, whole, and nothing in it that moves a terminal's cursor.
fn fault_of(output: &Output) -> Option<String> {
    let text = output.text();
    let faults = [
        (text.len() > LONG, "is too long"),
        (text.contains("panicked"), "tells of a panic"),
        (
            text.chars().any(|c| c.is_control() && c != '\n'),
            "has control characters",
        ),
        (!text.contains("error: "), "says no error"),
        (!text.ends_with('\n'), "ends in the middle of a line"),
    ];
    let what = faults
        .iter()
        .find_map(|(is_so, what)| is_so.then_some(what))?;
    Some(format!(
        "a message of {} bytes {what}: {text:.600?}",
        text.len()
    ))
}

#[track_caller]
fn is_clear(output: &Output) {
    assert_eq!(fault_of(output), None, "{:.300}", output.command);
}

/// What is wrong with the answer to one bad input.
fn judge(output: &Output, code: i32, words: &[&str]) -> Vec<String> {
    let text = output.text();
    let missing = words.iter().filter(|word| !text.contains(**word));
    let missing = missing.map(|word| format!("does not say {word:?}: {text:.600}"));
    let wrong = (output.code != code).then(|| format!("ended with {}: {text:.600}", output.code));
    fault_of(output)
        .into_iter()
        .chain(wrong)
        .chain(missing)
        .collect()
}

#[test]
fn a_word_that_is_no_text() {
    let home = home();
    let before = untouched(&home);
    let word = std::ffi::OsStr::from_bytes(b"a\xff\xfe");
    for verb in ["status", "stop", "start", "up", "check"] {
        let mut ctl = home.command(&programs::supervisorctl());
        let output = Output::of(ctl.arg(verb).arg(word));
        assert!([1, 2, 4].contains(&output.code), "{output}");
        is_clear(&output);
    }
    assert_eq!(untouched(&home), before);
}

#[test]
fn a_config_that_others_may_write() {
    if !is_root() {
        println!("skipped: only a daemon of root refuses it");
        return;
    }
    let home = home();
    let before = untouched(&home);
    let file = home.write("open.toml", &testapp("open", &["sleep"], ""));
    fs::set_permissions(&file, Permissions::from_mode(0o666)).expect("our own file");
    for verb in ["up", "check"] {
        let output = home
            .ctl(&[verb, "open.toml"])
            .exits(1)
            .says("open.toml")
            .says("chmod");
        is_clear_or_checked(&output, verb);
    }
    assert_eq!(untouched(&home), before);
}

/// `check` prints what it found where `up` prints why it refused.
#[track_caller]
fn is_clear_or_checked(output: &Output, verb: &str) {
    is_clear(output);
    assert_eq!(output.stdout.is_empty(), verb != "check", "{output}");
}

#[test]
fn no_daemon() {
    let home = Home::new();
    let asks: [&[&str]; 13] = [
        &["status"],
        &["status", "kept"],
        &["stop", "all"],
        &["restart", "kept"],
        &["delete", "kept"],
        &["show", "kept"],
        &["logs", "--no-follow"],
        &["scale", "kept", "2"],
        &["send", "kept", "x"],
        &["reset", "all"],
        &["flush"],
        &["reload", "kept"],
        &["daemon", "status"],
    ];
    for words in asks {
        let output = home
            .ctl(words)
            .exits(5)
            .says("no daemon is running")
            .says("supervisorctl daemon start");
        is_clear(&output);
        assert_eq!(output.text().lines().count(), 1, "{output}");
    }
    for words in [["daemon", "stop"], ["daemon", "reload"], ["signal", "HUP"]] {
        let words = if words[0] == "signal" {
            vec!["signal", "HUP", "kept"]
        } else {
            words.to_vec()
        };
        home.ctl(&words).exits(5);
    }
    assert!(!home.path().join("run").exists(), "asking makes no folders");
}

#[test]
fn no_permission() {
    if !is_root() {
        println!("skipped: only root can become somebody else");
        return;
    }
    let home = home();
    let before = untouched(&home);
    let ctl = home.copy(&programs::supervisorctl(), "ctl");
    for words in [
        &["status"][..],
        &["stop", "kept"],
        &["daemon", "stop"],
        &["up", "kept.toml"],
    ] {
        let mut command = home.command(&ctl);
        let output = Output::of(command.args(words).uid(NOBODY).gid(NOBODY));
        let output = output.exits(1).says("another user");
        is_clear(&output);
    }
    assert_eq!(untouched(&home), before);
}

#[test]
fn a_socket_path_that_is_too_long() {
    let home = Home::new();
    let long = home.path().join("h".repeat(120));
    fs::create_dir(&long).expect("our own folder");
    home.write("supervisor.toml", &testapp("app", &["sleep"], ""));
    let ask = |program: &Path, words: &[&str]| {
        Output::of(
            home.command(program)
                .env("SUPERVISOR_HOME", &long)
                .args(words),
        )
    };
    let ctl = programs::supervisorctl();
    for words in [
        &["status"][..],
        &["up"],
        &["start", "sleep", "--", "1"],
        &["daemon", "stop"],
    ] {
        let output = ask(&ctl, words)
            .exits(1)
            .says("107")
            .says("SUPERVISOR_HOME");
        is_clear(&output);
    }
    for words in [&[][..], &["--daemonize"]] {
        let output = ask(&programs::supervisor(), words).exits(1).says("107");
        assert!(output.text().len() < LONG, "{output}");
    }
    let inside = fs::read_dir(&long).expect("it is there").count();
    assert_eq!(inside, 0, "nothing was made");
}
