//! The JSON form of every message: a change of the wire shows here as a diff.

use serde::{Serialize, de::DeserializeOwned};
use supervisor_protocol::{
    Act, Asked, Change, DaemonStatus, Details, Done, Effect, Envelope, Excerpt, Failure,
    FailureKind, Fault, KeyChange, LastExit, LogFile, LogFormat, LogPaths, Logs, Outcome, Plan,
    Process, Reply, Request, Selected, Service, State, Stream, Upgrade, UpgradeState,
};

/// Each value on a line of its own, read back first.
fn lines<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(values: &[T]) -> String {
    let mut text = String::new();
    for value in values {
        let json = serde_json::to_string(value).unwrap();
        let back: T = serde_json::from_str(&json).unwrap();
        assert_eq!(&back, value);
        text.push_str(&json);
        text.push('\n');
    }
    text
}

#[test]
fn requests() {
    let selected = Selected {
        name: "api".into(),
        instance: 0,
        run: 7,
    };
    let act = |act| Request::Act {
        act,
        on: vec![selected.clone()],
        wait: true,
    };
    insta::assert_snapshot!(lines(&[
        Request::Status {
            targets: vec!["api".into(), "shop/".into()],
            usage: true
        },
        Request::Show {
            target: "api".into(),
            show_env: false
        },
        Request::Up {
            file: Some("/srv/supervisor.toml".into()),
            dry_run: false,
            wait: true
        },
        Request::Up {
            file: None,
            dry_run: true,
            wait: false
        },
        Request::Add {
            text: "[app.api]\ncommand = [\"node\"]\n".into(),
            directory: "/srv".into(),
            path: Some("/usr/bin:/bin".into()),
            wait: true,
        },
        act(Act::Start),
        act(Act::Stop),
        act(Act::Restart),
        act(Act::Delete),
        act(Act::Signal("SIGHUP".into())),
        act(Act::Send("reload".into())),
        act(Act::Reset),
        act(Act::Flush),
        Request::Scale {
            name: "api".into(),
            instances: 4,
            wait: true
        },
        Request::Logs {
            targets: Vec::new(),
            follow: true,
            archives: u32::MAX,
        },
        Request::ReopenLogs,
        Request::DaemonStatus,
        Request::Upgrade {
            keeper: true,
            number: 7
        },
        Request::DaemonStop,
    ]));
    insta::assert_snapshot!(
        "envelope",
        serde_json::to_string(&Envelope::new(Request::DaemonStatus)).unwrap()
    );
}

fn service() -> Service {
    Service {
        id: 3,
        name: "api".into(),
        instance: 0,
        instances: 1,
        namespace: "shop".into(),
        state: State::Backoff,
        pid: None,
        ready: Some(false),
        uptime_ms: None,
        restarts: 4,
        failures: 4,
        cpu_percent: Some(1.5),
        memory_bytes: Some(48_000_000),
        last_exit: Some(LastExit {
            code: None,
            signal: Some("SIGKILL".into()),
            reason: "killed by SIGKILL".into(),
            at: "2026-11-22T13:20:00.250+01:00".into(),
        }),
        next_start_at: Some("2026-11-22T13:20:12+01:00".into()),
        next_start_in_ms: Some(12_000),
        logs: LogPaths {
            stdout: Some("/var/log/supervisor/api/0.out.log".into()),
            stderr: None,
            dropped_lines: 1,
            dropped_bytes: 80,
        },
        run: 9,
        note: Some("killed by SIGKILL".into()),
    }
}

fn details() -> Details {
    Details {
        service: service(),
        command: vec!["node".into(), "dist/index.js".into()],
        directory: "/srv/shop".into(),
        user: Some("www-data:www-data".into()),
        origin: "/srv/supervisor.toml".into(),
        boot: "last".into(),
        after: vec!["postgres".into()],
        env: vec![("PORT".into(), Some("3001".into())), ("TOKEN".into(), None)],
        env_file: vec![".env?".into()],
        asked: Some(Asked {
            what: "stopped".into(),
            uid: 1000,
            user: Some("alice".into()),
            at: "2026-11-22T13:20:00Z".into(),
        }),
        policies: vec![("restart".into(), "always".into())],
        stderr_tail: vec!["Error: no".into()],
        processes: vec![Process {
            pid: 4711,
            memory_bytes: 1,
            command: "node".into(),
        }],
    }
}

fn log_file(number: u32) -> LogFile {
    LogFile {
        name: "api".into(),
        instance: 0,
        stream: Stream::Err,
        path: "/var/log/supervisor/api/0.err.log".into(),
        number,
        compressed: number > 0,
        index: number == 0,
        watch: (number == 0).then_some(1),
        format: LogFormat::Raw,
    }
}

#[test]
fn replies() {
    insta::assert_snapshot!(lines(&[
        Reply::Services(vec![service()]),
        Reply::Details(Box::new(details())),
        Reply::Plan(Plan {
            file: "/srv/supervisor.toml".into(),
            create: vec!["a".into()],
            change: vec![Change {
                name: "b".into(),
                effect: Effect::Restarts,
                keys: vec![KeyChange {
                    key: "instances".into(),
                    old: Some("1".into()),
                    new: None,
                }],
            }],
            remove: vec!["c".into()],
            untouched: vec!["d".into()],
            stopped: vec!["e".into()],
        }),
        Reply::Outcome(Outcome {
            name: "api".into(),
            instance: 1,
            ok: false,
            done: Done::Failed,
            old_pid: Some(4711),
            new_pid: None,
            ms: 12,
            message: Some("exit code 1".into()),
            stderr_tail: vec!["Error: no".into()],
        }),
        Reply::Logs(Logs {
            inotify: true,
            files: vec![log_file(0), log_file(3)],
        }),
        Reply::Daemon(DaemonStatus {
            keeper_pid: 100,
            engine_pid: 101,
            version: "0.1.0".into(),
            uptime_ms: 1_000,
            engine_uptime_ms: 500,
            engine_restarts: 1,
            services: 2,
            log: "/var/log/supervisor/supervisor.log".into(),
            upgrade: Some(Upgrade {
                number: 7,
                state: UpgradeState::Failed,
                reason: Some("the new engine was not ready within 5 s".into()),
            }),
            limits: vec!["no cgroup v2 here".into()],
        }),
        Reply::End,
        Reply::Error(
            Failure::new(FailureKind::NoSuchApp, "no app is named web")
                .cause("a cause")
                .hint("a hint")
        ),
        Reply::Error(Failure {
            faults: vec![Fault {
                file: Some("/srv/supervisor.toml".into()),
                line: Some(2),
                column: Some(1),
                key: Some("app.a.comand".into()),
                message: "unknown key".into(),
                hint: Some("did you mean command?".into()),
                excerpt: Some(Excerpt {
                    text: "comand = \"x\"".into(),
                    start: 0,
                    width: 6,
                }),
            }],
            ..Failure::new(
                FailureKind::Invalid,
                "the file is faulty; nothing was changed"
            )
        }),
    ]));
}

#[test]
fn words_of_closed_sets() {
    insta::assert_snapshot!(
        lines(&[
            State::Stopped,
            State::Waiting,
            State::Starting,
            State::Running,
            State::Stopping,
            State::Backoff,
            State::Errored,
            State::Completed,
        ]) + &lines(&[
            Done::Started,
            Done::AlreadyRunning,
            Done::Stopped,
            Done::AlreadyStopped,
            Done::Restarted,
            Done::Deleted,
            Done::Signalled,
            Done::Sent,
            Done::Reset,
            Done::Flushed,
            Done::Waiting,
            Done::Failed,
        ]) + &lines(&[
            FailureKind::Usage,
            FailureKind::NoSuchApp,
            FailureKind::Invalid,
            FailureKind::Denied,
            FailureKind::Conflict,
            FailureKind::Version,
            FailureKind::Failed,
            FailureKind::ShuttingDown,
        ]) + &lines(&[Stream::Out, Stream::Err])
            + &lines(&[LogFormat::Raw, LogFormat::Timestamp])
            + &lines(&[Effect::Keeps, Effect::Scales, Effect::Restarts])
    );
}

#[test]
fn other_versions() {
    let ours = serde_json::to_vec(&Envelope::new(Request::DaemonStatus)).unwrap();
    assert_eq!(Envelope::read(&ours), Ok(Request::DaemonStatus));
    let upgrade = r#"{"v":99,"request":{"upgrade":{"keeper":false,"number":7}}}"#;
    assert_eq!(
        Envelope::read(upgrade.as_bytes()),
        Ok(Request::Upgrade {
            keeper: false,
            number: 7
        })
    );
    let read = |text: &str| Envelope::read(text.as_bytes()).unwrap_err();
    insta::assert_snapshot!(lines(&[
        read(r#"{"v":0,"request":"daemon_status"}"#),
        read(r#"{"v":99,"request":{"word_of_tomorrow":{}},"more":1}"#),
        read(r#"{"v":1,"request":"dance"}"#),
        read("not json"),
    ]));
}

#[test]
fn what_looks_only() {
    let show = |show_env| Request::Show {
        target: "api".into(),
        show_env,
    };
    assert!(show(false).looks_only() && !show(true).looks_only());
    assert!(Request::DaemonStatus.looks_only());
    assert!(!Request::DaemonStop.looks_only() && !Request::ReopenLogs.looks_only());
    let plan = Request::Up {
        file: Some("/etc/shadow".into()),
        dry_run: true,
        wait: false,
    };
    assert!(!plan.looks_only());
}
