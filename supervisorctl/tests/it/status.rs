//! The verbs that look, and the end of the daemon.

use std::process::Stdio;

use supervisor_protocol::{DaemonStatus, Done, Reply, State};

use crate::fake::{Fake, Step, answer, outcome, row};

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

#[test]
fn daemon_stop_ends_when_the_daemon_is_gone() {
    let stopped = || Step::Reply(Reply::Outcome(outcome("api", 0, Done::Stopped)));
    for with_end in [true, false] {
        let fake = Fake::new(move |_, _| {
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
