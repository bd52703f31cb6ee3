//! What goes wrong, and with which exit code.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;

use supervisor_protocol::{Failure, FailureKind, Reply, VERSION};

use crate::fake::{Fake, Step, answer, refuse};

const USAGE: i32 = 2;

#[test]
fn refusals_have_their_exit_codes() {
    for (kind, expected) in [
        (FailureKind::NoSuchApp, 4),
        (FailureKind::Usage, USAGE),
        (FailureKind::Denied, 1),
        (FailureKind::ShuttingDown, 1),
    ] {
        let fake = Fake::new(move |_, _| refuse(kind, "no"));
        let (code, out, err) = fake.run(&["show", "web"]);
        assert_eq!(
            (code, out.as_str(), err.as_str()),
            (expected, "", "error: no\n")
        );
    }
}

#[test]
fn another_version_says_which_is_older() {
    let fake = Fake::new(|_, _| {
        vec![Step::Reply(Reply::Error(Failure::other_version(
            VERSION + 1,
        )))]
    });
    let (code, _, err) = fake.run(&["status"]);
    assert_eq!(code, 1);
    assert!(
        err.contains("the daemon is older") && err.contains("`supervisorctl daemon upgrade`"),
        "{err}"
    );
}

#[test]
fn without_a_daemon_there_is_one_line_that_says_how_to_start_it() {
    let fake = Fake::absent();
    for words in [
        &["status"][..],
        &["stop", "api"],
        &["show", "api"],
        &["logs"],
        &["daemon", "status"],
        &["daemon", "stop"],
        &["up", "--dry-run"],
    ] {
        let (code, out, err) = fake.run(words);
        assert_eq!(
            (code, out.as_str(), err.lines().count()),
            (5, "", 1),
            "{words:?}: {err}"
        );
        assert!(err.contains("supervisorctl daemon start"), "{err}");
    }
}

#[test]
fn words_that_are_wrong_are_wrong_usage() {
    let fake = Fake::absent();
    for words in [
        &["stop"][..],
        &["nope"],
        &["signal", "XYZ", "api"],
        &["start"],
        &[],
    ] {
        assert_eq!(fake.run(words).0, USAGE, "{words:?}");
    }
    assert!(fake.run(&["statsu"]).2.contains("did you mean `status`?"));
    assert_eq!(
        fake.run(&["save"]).1,
        "nothing to do: everything is always saved\n"
    );
    let (code, out, err) = fake.run(&[]);
    assert_eq!((code, out.as_str()), (USAGE, ""));
    assert!(err.contains("supervisorctl start SCRIPT"), "{err}");
    assert_eq!(fake.run(&["--version"]).0, 0);
}

#[test]
fn for_scripts_an_error_is_one_json_object() {
    let fake = Fake::new(|_, _| {
        let failure = Failure::new(FailureKind::NoSuchApp, "no app is named `web\x1b[2J`");
        let failure = failure.cause("there is none").hint("supervisorctl status");
        vec![Step::Reply(Reply::Error(failure))]
    });
    let error = |words: &[&str]| {
        let (code, out, err) = fake.run(words);
        assert_eq!(out, "");
        let json: serde_json::Value = serde_json::from_str(&err).unwrap();
        assert_eq!(json["error"]["exit"], code, "{err}");
        assert!(!err.contains('\x1b'), "{err}");
        json["error"].clone()
    };
    let refused = error(&["stop", "web", "--json"]);
    assert_eq!(refused["message"], "no app is named `web\u{1b}[2J`");
    assert_eq!(refused["causes"][0], "there is none");
    assert_eq!(refused["hint"], "supervisorctl status");
    assert_eq!(refused["exit"], 4);
    for words in [
        &["statsu", "--json"][..],
        &["stop", "--json"],
        &["monit", "--json"],
    ] {
        assert_eq!(error(words)["exit"], USAGE, "{words:?}");
    }
}

#[test]
fn a_relative_home_is_refused() {
    let fake = Fake::absent();
    let output = fake
        .command(&["status"])
        .env("SUPERVISOR_HOME", "here")
        .output()
        .unwrap();
    let (code, _, err) = fake.told(&output);
    assert_eq!(code, 1);
    assert!(err.contains("absolute"), "{err}");
}

#[test]
fn another_users_daemon_is_denied_and_none_is_started() {
    let fake = Fake::new(|_, _| answer([]));
    if !nix::unistd::Uid::effective().is_root() {
        return;
    }
    let only_root = fs::Permissions::from_mode(0o700);
    fs::set_permissions(fake.home.path().join("run"), only_root).unwrap();
    fs::set_permissions(fake.home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(fake.home.path().join("a.js"), "").unwrap();
    // The built program may lie where another user cannot reach it.
    let program = fake.home.path().join("supervisorctl");
    crate::fake::install(&program);
    for words in [&["status"][..], &["start", "a.js"], &["up"]] {
        let output = std::process::Command::new(&program)
            .args(words)
            .env("SUPERVISOR_HOME", fake.home.path())
            .current_dir(fake.home.path())
            .uid(65_534)
            .gid(65_534)
            .output()
            .unwrap();
        let (code, _, err) = fake.told(&output);
        assert_eq!(code, 1, "{err}");
        assert!(err.contains("may not be opened by this user"), "{err}");
    }
}
