//! The verbs that look, and the end of the daemon.

use std::process::Stdio;

use supervisor_protocol::{DaemonStatus, Details, Done, FailureKind, Reply, Request, State};

use crate::fake::{Fake, Step, answer, outcome, refuse, row};

#[test]
fn status_tells_by_its_exit_code_whether_the_named_ones_run() {
    let fake = Fake::new(|_, _| {
        answer([Reply::Services(vec![
            row(0, "api", 0, State::Running),
            row(1, "web", 0, State::Errored),
        ])])
    });
    let (code, out, _) = fake.run(&["status"]);
    assert_eq!(code, 0);
    insta::assert_snapshot!(out);
    assert_eq!(fake.run(&["status", "api", "web"]).0, 3);
    assert_eq!(fake.run(&["ls", "all", "--json"]).0, 3);
    let (code, json, _) = fake.run(&["l", "--json"]);
    assert_eq!(code, 0);
    let rows: Vec<supervisor_protocol::Service> = serde_json::from_str(&json).unwrap();
    assert_eq!(
        rows,
        [
            row(0, "api", 0, State::Running),
            row(1, "web", 0, State::Errored)
        ]
    );
}

#[test]
fn an_empty_list_says_what_to_type() {
    let fake = Fake::new(|_, _| answer([Reply::Services(vec![])]));
    assert_eq!(
        fake.run(&["status"]).1,
        "no apps yet; `supervisorctl start SCRIPT` or `supervisorctl up FILE` adds some\n"
    );
    assert_eq!(fake.run(&["status", "--json"]).1, "[]\n");
    assert_eq!(
        fake.run(&["stop", "all"]),
        (0, "there are no apps\n".into(), String::new())
    );
}

fn daemon_status() -> DaemonStatus {
    DaemonStatus {
        keeper_pid: 1,
        engine_pid: 2,
        version: "0.1.0".into(),
        uptime_ms: 1_000,
        engine_uptime_ms: 1_000,
        engine_restarts: 0,
        services: 1,
        log: "/log".into(),
        upgrade: None,
        limits: Vec::new(),
    }
}

#[test]
fn daemon_status_for_people_and_scripts() {
    let fake = Fake::new(|_, _| answer([Reply::Daemon(daemon_status())]));
    assert!(
        fake.run(&["daemon", "status"])
            .1
            .contains("keeper    pid 1, up 1s\n")
    );
    let json: DaemonStatus =
        serde_json::from_str(&fake.run(&["daemon", "status", "--json"]).1).unwrap();
    assert_eq!(json, daemon_status());
}

/// The engine that was asked is killed; the next one answers.
#[test]
fn an_upgrade_is_answered_by_the_next_engine() {
    let fake = Fake::new(|n, request| match request {
        Request::Upgrade { .. } if n == 1 => vec![Step::Break],
        Request::Upgrade { .. } => answer([]),
        _ => {
            let mut about = daemon_status();
            about.engine_pid = if n == 0 { 2 } else { 3 };
            answer([Reply::Daemon(about)])
        }
    });
    let (code, out, err) = fake.run(&["daemon", "upgrade"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let start = "upgraded: version 0.1.0 → 0.1.0, engine pid 2 → 3; ";
    assert!(out.starts_with(start), "{out}");
    let asked = fake.asked();
    assert_eq!((asked.len(), &asked[1]), (4, &asked[2]), "the same again");
}

#[test]
fn a_failed_upgrade_says_why_and_one_of_a_stranger_is_tried() {
    let fake = Fake::new(|_, request| match request {
        Request::Upgrade { .. } => refuse(FailureKind::Failed, "it hung; the one before goes on"),
        _ => refuse(FailureKind::Version, "another version"),
    });
    let (code, out, err) = fake.run(&["daemon", "upgrade", "--keeper"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert_eq!(err, "error: it hung; the one before goes on\n");
    assert!(matches!(
        fake.asked()[1],
        Request::Upgrade { keeper: true, number } if number != 0
    ));
}

#[test]
fn daemon_stop_ends_when_the_daemon_is_gone() {
    let stopped = || Step::Reply(Reply::Outcome(outcome("api", 0, Done::Stopped)));
    for with_end in [true, false] {
        let fake = Fake::new(move |_, request| {
            if *request == Request::DaemonStatus {
                // Its processes have ended by then.
                let mut about = daemon_status();
                (about.keeper_pid, about.engine_pid) = (i32::MAX, i32::MAX);
                return answer([Reply::Daemon(about)]);
            }
            let end = with_end.then_some(Step::Reply(Reply::End));
            [stopped()]
                .into_iter()
                .chain(end)
                .chain([Step::Leave])
                .collect()
        });
        let (code, out, err) = fake.run(&["daemon", "stop"]);
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
        assert!(
            out.starts_with("api  stopped  12 ms\nthe daemon has stopped"),
            "{out}"
        );
    }
}

#[test]
fn a_reader_who_leaves_ends_it_quietly() {
    let rows = (0..2_000).map(|id| row(id, "api", u32::try_from(id).unwrap(), State::Running));
    let rows: Vec<_> = rows.collect();
    let fake = Fake::new(move |_, _| answer(rows.chunks(100).map(|r| Reply::Services(r.into()))));
    let mut child = fake
        .command(&["status"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let (code, _, err) = fake.told(&child.wait_with_output().unwrap());
    assert_eq!((code, err.as_str()), (0, ""));
}

#[test]
fn pids_and_numbers_one_in_each_line() {
    let fake = Fake::new(|_, _| {
        answer([Reply::Services(vec![
            row(3, "api", 0, State::Running),
            row(4, "web", 0, State::Stopped),
        ])])
    });
    assert_eq!(fake.run(&["pid"]), (0, "4711\n".into(), String::new()));
    assert_eq!(fake.run(&["pid", "api", "web"]).0, 3);
    assert_eq!(
        fake.run(&["id", "all"]),
        (0, "3\n4\n".into(), String::new())
    );
}

fn details(name: &str) -> Details {
    let env = [("PORT", "3001"), ("MOTD", "a\x1b[2J\nb")];
    Details {
        service: row(0, name, 0, State::Running),
        command: vec!["node".into()],
        directory: "/srv".into(),
        user: None,
        origin: "command line".into(),
        boot: "last".into(),
        after: Vec::new(),
        env: env
            .map(|(key, value)| (key.into(), Some(value.into())))
            .into(),
        env_file: Vec::new(),
        asked: None,
        policies: Vec::new(),
        stderr_tail: Vec::new(),
        processes: Vec::new(),
    }
}

#[test]
fn env_is_lines_of_one_app() {
    let fake = Fake::new(|_, request| match request {
        Request::Show { target, .. } if target == "all" => answer([
            Reply::Details(Box::new(details("api"))),
            Reply::Details(Box::new(details("web"))),
        ]),
        _ => answer([Reply::Details(Box::new(details("api")))]),
    });
    assert_eq!(
        fake.run(&["env", "api"]),
        (0, "PORT=3001\nMOTD=a\\x1b[2J b\n".into(), String::new())
    );
    let show_env = true;
    let target = "api".into();
    assert_eq!(fake.asked(), [Request::Show { target, show_env }]);
    let (code, _, err) = fake.run(&["env", "all"]);
    assert_eq!(code, 2);
    assert!(err.contains("several apps (api, web, …)"), "{err}");
}

#[test]
fn watching_needs_a_terminal() {
    let fake = Fake::new(|_, _| answer([]));
    let (code, _, err) = fake.run(&["status", "--watch"]);
    assert_eq!(code, 2);
    assert!(err.contains("on a terminal"), "{err}");
}

#[test]
fn what_there_is_is_shown_beside_what_is_missing() {
    let fake = Fake::new(|_, request| match request {
        Request::Status { targets, .. } if targets == &["web"] => {
            answer([Reply::Services(vec![row(1, "web", 0, State::Running)])])
        }
        Request::Status { targets, .. } => {
            let missing = targets.iter().find(|target| *target != "web").unwrap();
            refuse(
                FailureKind::NoSuchApp,
                &format!("there is no app \"{missing}\""),
            )
        }
        _ => answer([]),
    });
    let (code, out, err) = fake.run(&["status", "web", "nope", "web", "gone"]);
    assert_eq!((code, out.lines().count()), (4, 2), "{out}");
    assert_eq!(
        err,
        "error: there is no app \"nope\"; there is no app \"gone\"\n"
    );
    let (code, out, _) = fake.run(&["status", "nope", "gone"]);
    assert_eq!((code, out.as_str()), (4, ""));
    assert_eq!(fake.run(&["status", "web", "nope", "--json"]).1, "");
}

#[test]
fn the_table_and_the_list_come_in_the_order_that_was_asked_for() {
    let fake = Fake::new(|_, _| {
        let mut rows = vec![
            row(0, "web", 0, State::Running),
            row(1, "api", 0, State::Running),
        ];
        rows[1].memory_bytes = Some(1);
        answer([Reply::Services(rows)])
    });
    let first = |words: &[&str]| {
        let (code, out, err) = fake.run(words);
        assert_eq!((code, err.as_str()), (0, ""));
        out.lines().nth(1).unwrap().contains("web")
    };
    assert!(first(&["ls"]) && first(&["ls", "--sort", "name:desc"]));
    assert!(!first(&["ls", "--sort", "name"]) && !first(&["ls", "--sort", "memory"]));
    let (code, _, err) = fake.run(&["ls", "--sort", "colour"]);
    assert!(code == 2 && err.contains("one of id, name"), "{err}");
}

#[test]
fn an_app_without_variables_is_told_beside_the_output() {
    let fake = Fake::new(|_, _| {
        let details = Details {
            env: Vec::new(),
            env_file: vec![".env".into()],
            ..details("api")
        };
        answer([Reply::Details(Box::new(details))])
    });
    let (code, out, err) = fake.run(&["env", "api"]);
    assert_eq!((code, out.as_str()), (0, ""));
    assert_eq!(
        err,
        "the config of api names no variables; at each start come those of .env\n"
    );
}
