//! `start`, and the daemon that it starts.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use supervisor_protocol::{Done, FailureKind, Reply, Request, State};

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
    fs::copy(env!("CARGO_BIN_EXE_supervisorctl"), &program).unwrap();
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
    for words in [&["up"][..], &["start", "run.sh"]] {
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
    assert_eq!(
        asked, "--daemonize\n--daemonize\n",
        "only where it is needed"
    );

    // What is no program may be an app, which the daemon knows.
    assert_eq!(run(&["start", "nope"]).0, 1);
    assert_eq!(run(&["start", "a", "b"]).0, 1);
    assert_eq!(
        fs::read_to_string(home.join("asked"))
            .unwrap()
            .lines()
            .count(),
        4
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
    fs::copy(env!("CARGO_BIN_EXE_supervisorctl"), &program).unwrap();
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
}
