//! Words and files from other tools, through the program.

use supervisor_protocol::{FailureKind, Reply, Request, State};

use crate::fake::{Fake, answer, file, refuse, row};

#[test]
fn words_that_do_the_same_do_it() {
    let fake = Fake::new(|_, _| answer([Reply::Services(vec![row(0, "api", 0, State::Running)])]));
    let (code, json, _) = fake.run(&["jlist"]);
    assert_eq!(code, 0);
    assert!(json.starts_with("[\n"), "{json}");
    assert_eq!(fake.run(&["-s", "prettylist"]).1, json);
    assert_eq!(fake.run(&["is-active", "api"]).0, 0);
    assert_eq!(fake.run(&["save", "--force"]).0, 0);
    assert_eq!(fake.run(&["resurrect"]).0, 0);
    assert_eq!(Fake::absent().run(&["kill"]).0, 5);
    let (code, _, err) = fake.run(&["kill", "api"]);
    assert_eq!(code, 2, "it would stop all: {err}");
}

#[test]
fn a_file_of_apps_is_told_apart_from_an_app() {
    let fake = Fake::new(|_, _| refuse(FailureKind::NoSuchApp, "no app is named like that"));
    file(
        &fake,
        "ecosystem.config.js",
        "module.exports = { apps: [] }",
    );
    file(&fake, "pm2.json", "{\"apps\": []}");
    let absent = Fake::absent();
    file(&absent, "ecosystem.config.js", "");
    for verb in [
        "start",
        "restart",
        "reload",
        "stop",
        "delete",
        "up",
        "startOrRestart",
    ] {
        for name in ["ecosystem.config.js", "pm2.json"] {
            let (code, _, err) = fake.run(&[verb, name]);
            assert_eq!(code, 2, "{verb}: {err}");
            assert!(err.contains("is a PM2 ecosystem file"), "{verb}: {err}");
        }
        let (code, _, err) = absent.run(&[verb, "ecosystem.config.js"]);
        assert_eq!(code, 2, "{verb}: {err}");
    }
    file(&fake, "supervisor.toml", "");
    let (code, _, err) = fake.run(&["stop", "supervisor.toml"]);
    assert_eq!(code, 2);
    assert!(
        err.contains("try: supervisorctl up supervisor.toml"),
        "{err}"
    );
    let changes = fake
        .asked()
        .iter()
        .any(|r| !matches!(r, Request::Status { .. }));
    assert!(!changes, "something was changed");
}

#[test]
fn the_path_of_a_script_is_answered_with_the_name_of_its_app() {
    let fake = Fake::new(|_, request| match request {
        Request::Status { targets, .. } if targets.is_empty() => {
            answer([Reply::Services(vec![row(0, "index", 0, State::Running)])])
        }
        _ => refuse(FailureKind::NoSuchApp, "no app is named like that"),
    });
    for verb in ["stop", "restart", "delete", "reload"] {
        let (code, _, err) = fake.run(&[verb, "dist/index.js"]);
        assert_eq!(code, 4);
        assert!(err.contains("`index` rather than `dist/index.js`"), "{err}");
    }
    assert!(!fake.run(&["stop", "other.js"]).2.contains("rather"));
}
