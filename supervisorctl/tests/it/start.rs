//! `start`, and the daemon that it starts.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use supervisor_protocol::{Done, Failure, FailureKind, Fault, Reply, Request, State};

use crate::fake::{Fake, Step, answer, file, outcome, refuse, row};

const USAGE: i32 = 2;

fn knows_only_api(_: usize, request: &Request) -> Vec<Step> {
    match request {
        Request::Status { targets, .. } if targets == &["api"] => {
            answer([Reply::Services(vec![row(0, "api", 0, State::Stopped)])])
        }
        Request::Status { .. } => refuse(FailureKind::NoSuchApp, "no app is named like that"),
        Request::Act { .. } => answer([Reply::Outcome(outcome("api", 0, Done::Started))]),
        _ => answer([Reply::Outcome(outcome("index", 0, Done::Started))]),
    }
}

#[test]
fn start_adds_what_is_a_script_and_not_an_app() {
    let fake = Fake::new(knows_only_api);
    file(&fake, "run.sh", "");
    let words = [
        "start", "run.sh", "--name", "index", "--env", "A=1", "--", "--port", "1",
    ];
    let (code, out, err) = fake.run(&words);
    assert_eq!(
        (code, out.as_str(), err.as_str()),
        (0, "index  started  pid 4720  12 ms\n", "")
    );
    let home = fake.home.path();
    assert_eq!(
        fake.asked(),
        [Request::Add {
            text: format!(
                "[app.index]\ncommand = [\"bash\", \"{}/run.sh\", \"--port\", \"1\"]\n\n[app.index.env]\nA = \"1\"\n",
                home.display()
            ),
            directory: home.to_owned(),
            path: Some("/usr/bin:/bin".into()),
            wait: true,
        }]
    );
    assert_eq!(
        fake.run(&["start", "run.sh", "-i", "2", "--no-wait"]).1,
        "index  started  pid 4720  12 ms\n"
    );
}

#[test]
fn start_of_what_is_neither_says_both() {
    let fake = Fake::new(knows_only_api);
    file(&fake, "run.sh", "");
    let (code, _, err) = fake.run(&["start", "nope"]);
    assert_eq!(code, 4);
    assert!(
        err.contains("no app is named `nope`, and there is no file"),
        "{err}"
    );
    assert_eq!(fake.run(&["start", "nope.js"]).0, 1);
    let (code, _, err) = fake.run(&["start", "api", "nope"]);
    assert_eq!(code, 4);
    assert!(
        err.contains("no app is named like that") && err.contains("`--`"),
        "{err}"
    );
    let (code, _, err) = fake.run(&["start", "api", "--env", "A=1"]);
    assert_eq!(code, USAGE);
    assert!(err.contains("`api` is an app already"), "{err}");
    let changes = fake
        .asked()
        .iter()
        .any(|r| !matches!(r, Request::Status { .. }));
    assert!(!changes, "something was changed");
}

#[test]
fn start_and_up_start_the_daemon_that_stands_beside() {
    let fake = Fake::absent();
    let home = fake.home.path();
    let program = home.join("supervisorctl");
    crate::fake::install(&program);
    file(&fake, "run.sh", "");
    let run = |words: &[&str]| {
        let mut command = std::process::Command::new(&program);
        command
            .args(words)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .current_dir(home);
        fake.told(&command.env("SUPERVISOR_HOME", home).output().unwrap())
    };
    let (code, _, err) = run(&["up"]);
    assert_eq!(code, 1);
    assert!(
        err.contains("neither beside supervisorctl nor in PATH"),
        "{err}"
    );

    let daemon = home.join("supervisor");
    fs::write(
        &daemon,
        "#!/bin/sh\necho \"$@\" >> asked\necho out\necho no room >&2\nexit 7\n",
    )
    .unwrap();
    fs::set_permissions(&daemon, fs::Permissions::from_mode(0o755)).unwrap();
    for words in [&["up"][..], &["start", "run.sh"], &["daemon", "start"]] {
        let (code, out, err) = run(words);
        assert_eq!((code, out.as_str()), (1, ""));
        assert!(
            err.starts_with("no room\n") && err.contains("exit status: 7"),
            "{err}"
        );
    }
    assert_eq!(run(&["start", "nope.sh"]).0, 1);
    // Options are for something new, which these words are not.
    assert_eq!(run(&["start", "nope", "--name", "a"]).0, 4);
    assert_eq!(run(&["start", "a", "b", "-i", "2"]).0, 4);
    assert_eq!(run(&["status"]).0, 5);
    let asked = fs::read_to_string(home.join("asked")).unwrap();
    assert_eq!(asked, "--daemonize\n".repeat(3), "only where it is needed");

    // What is no program may be an app, which the daemon knows.
    assert_eq!(run(&["start", "nope"]).0, 1);
    assert_eq!(run(&["start", "a", "b"]).0, 1);
    assert_eq!(
        fs::read_to_string(home.join("asked"))
            .unwrap()
            .lines()
            .count(),
        5
    );

    fs::write(&daemon, "#!/bin/sh\nexit 0\n").unwrap();
    let (code, _, err) = run(&["up"]);
    assert_eq!(code, 5);
    assert!(err.contains("does not answer"), "{err}");
}

#[test]
fn start_of_a_known_app_starts_the_daemon_that_knows_it() {
    // The daemon listens only after it was started: here, its program moves the socket into place.
    let fake = Fake::new(knows_only_api);
    let home = fake.home.path();
    let program = home.join("supervisorctl");
    crate::fake::install(&program);
    let socket = home.join("run/supervisor.sock");
    assert!(socket.exists());
    let run = |words: &[&str]| {
        fs::rename(&socket, home.join("hidden")).unwrap();
        let mut command = std::process::Command::new(&program);
        command.args(words).current_dir(home).env_clear();
        command
            .env("PATH", "/usr/bin:/bin")
            .env("SUPERVISOR_HOME", home);
        fake.told(&command.output().unwrap())
    };
    let daemon = home.join("supervisor");
    fs::write(&daemon, "#!/bin/sh\nmv hidden run/supervisor.sock\n").unwrap();
    fs::set_permissions(&daemon, fs::Permissions::from_mode(0o755)).unwrap();
    let (code, out, err) = run(&["start", "api"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(matches!(fake.asked().last(), Some(Request::Act { .. })));
    let (code, _, err) = run(&["start", "nope"]);
    assert_eq!(code, 4);
    assert!(err.contains("no app is named `nope`"), "{err}");
    let (code, out, _) = run(&["resurrect"]);
    assert_eq!(code, 0);
    assert!(out.starts_with("the daemon runs; what ran before"), "{out}");
}

#[test]
fn a_daemon_that_runs_is_not_started() {
    let fake = Fake::new(knows_only_api);
    assert_eq!(
        fake.run(&["daemon", "start"]).1,
        "the daemon runs already\n"
    );
}

#[test]
fn faults_are_told_in_the_options_that_were_typed() {
    let fault = |key: &str, hint: &str| Fault {
        key: Some(key.into()),
        message: "this is not carried out yet by this version".into(),
        hint: Some(hint.into()),
        ..Fault::default()
    };
    let fake = Fake::new(move |_, _| {
        let failure = Failure {
            faults: vec![
                fault("app.run.watch.paths", "leave it out, or write []"),
                fault("app.run.env.PORT", "leave it out"),
                fault("app.\"my api\"", "another one"),
                fault("app.run.unheard.of", "leave it out"),
            ],
            ..Failure::new(FailureKind::Invalid, "faults")
        };
        vec![Step::Reply(Reply::Error(failure))]
    });
    file(&fake, "run.sh", "");
    let (code, _, err) = fake.run(&["start", "run.sh", "--watch"]);
    insta::assert_snapshot!(format!("exit {code}\n{err}"));
}

#[test]
fn what_the_shell_has_and_the_app_does_not_get_is_told() {
    let fake = Fake::new(knows_only_api);
    file(&fake, "run.sh", "");
    let run = |words: &[&str]| {
        let mut command = fake.command(words);
        command.env("PORT", "1").env("NODE_ENV", "test");
        fake.told(&command.output().unwrap())
    };
    let (code, _, err) = run(&["start", "run.sh", "-n", "a"]);
    assert_eq!(
        (code, err.as_str()),
        (
            0,
            "PORT and NODE_ENV of this shell did not go to the app; `--env PORT --env NODE_ENV` passes it on\n"
        )
    );
    assert_eq!(
        run(&["start", "run.sh", "--env", "PORT", "--env", "NODE_ENV=x"]).2,
        ""
    );
    let Some(Request::Add { text, .. }) = fake.asked().pop() else {
        panic!("nothing was added")
    };
    assert!(text.contains("NODE_ENV = \"x\"\nPORT = \"1\""), "{text}");
    assert_eq!(run(&["start", "run.sh", "-n", "a", "--json"]).2, "");
    assert_eq!(run(&["start", "run.sh", "--env-file", ".env"]).2, "");
}

#[test]
fn start_of_nothing_looks_what_lies_here() {
    let fake = Fake::new(knows_only_api);
    let (code, _, err) = fake.run(&["start"]);
    assert_eq!(code, USAGE);
    assert!(
        err.contains("what to start") && err.contains("start SCRIPT"),
        "{err}"
    );
    file(&fake, "supervisor.toml", "");
    assert!(fake.run(&["start"]).2.contains("try: supervisorctl up\n"));
    file(&fake, "ecosystem.config.js", "");
    assert!(fake.run(&["start"]).2.contains("is a PM2 ecosystem file"));
}

#[test]
fn instances_of_a_known_app_are_a_matter_of_scale() {
    let fake = Fake::new(knows_only_api);
    let (code, _, err) = fake.run(&["start", "api", "-i", "4"]);
    assert_eq!(code, USAGE);
    assert!(err.contains("try: supervisorctl scale api 4\n"), "{err}");
    let (_, _, err) = fake.run(&["start", "api", "-i", "4", "--env", "A=1"]);
    assert!(err.contains("change its file"), "{err}");
}
