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
        err.contains("the daemon is older") && err.contains("restart the daemon"),
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
        assert!(err.contains("supervisorctl up"), "{err}");
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
        &["kill"],
        &[],
    ] {
        assert_eq!(fake.run(words).0, USAGE, "{words:?}");
    }
    assert!(fake.run(&["statsu"]).2.contains("'status'"));
    assert_eq!(
        fake.run(&["save"]).1,
        "nothing to do: everything is always saved\n"
    );
    assert!(fake.run(&["kill"]).2.contains("daemon stop"));
    assert_eq!(fake.run(&["--version"]).0, 0);
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
    fs::copy(env!("CARGO_BIN_EXE_supervisorctl"), &program).unwrap();
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
