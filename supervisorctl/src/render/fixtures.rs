//! Messages for the tests of this folder.

use supervisor_protocol::{Asked, Details, LastExit, LogPaths, Process, Service, State};

/// A service that runs.
pub fn running(id: u64, name: &str, instance: u32) -> Service {
    Service {
        id,
        name: name.into(),
        instance,
        instances: 1,
        namespace: String::new(),
        state: State::Running,
        pid: Some(4_710 + i32::try_from(id).unwrap()),
        ready: None,
        uptime_ms: Some(93_784_000),
        restarts: 0,
        failures: 0,
        cpu_percent: Some(1.5),
        memory_bytes: Some(48_250_000),
        last_exit: None,
        next_start_at: None,
        next_start_in_ms: None,
        logs: LogPaths {
            stdout: Some(format!("/var/log/supervisor/{name}/{instance}.out.log").into()),
            stderr: Some(format!("/var/log/supervisor/{name}/{instance}.err.log").into()),
            dropped_lines: 0,
            dropped_bytes: 0,
        },
        run: 1,
        note: None,
    }
}

/// One that does not.
pub fn down(id: u64, name: &str, state: State, reason: &str) -> Service {
    let last_exit = LastExit {
        code: Some(1),
        signal: None,
        reason: reason.into(),
        at: "2026-11-22T13:20:00+01:00".into(),
    };
    Service {
        state,
        pid: None,
        uptime_ms: None,
        cpu_percent: None,
        memory_bytes: None,
        last_exit: Some(last_exit),
        ..running(id, name, 0)
    }
}

/// Every state, some with long texts.
pub fn fleet() -> Vec<Service> {
    let backoff = Service {
        restarts: 17,
        failures: 5,
        next_start_in_ms: Some(11_200),
        ..down(
            3,
            "mailer",
            State::Backoff,
            "exit code 1: cannot connect to the database at 10.0.0.7",
        )
    };
    let waiting = Service {
        note: Some("waits for postgres".into()),
        last_exit: None,
        ..down(5, "shop-frontend", State::Waiting, "")
    };
    let dropped = {
        let mut service = running(7, "chatty", 0);
        service.logs.dropped_lines = 12;
        service
    };
    vec![
        running(0, "smd-backend", 0),
        running(1, "worker", 0),
        running(2, "worker", 1),
        backoff,
        Service {
            note: Some("日本語のエラー: gave up after 16 quick exits\x1b[2J in a row".into()),
            ..down(4, "report", State::Errored, "killed by SIGSEGV")
        },
        waiting,
        down(6, "old", State::Stopped, "exit code 0"),
        dropped,
        down(8, "migrate", State::Completed, "exit code 0"),
        Service {
            failures: 3,
            ..down(10, "flapping", State::Running, "exit code 7")
        },
        Service {
            namespace: "日本語".into(),
            note: Some("❤\u{fe0f} e\u{301}\u{200b} 👩‍👩‍👧 gone".into()),
            ..down(11, &"n".repeat(64), State::Backoff, "")
        },
        Service {
            ready: Some(false),
            ..{
                let mut service = running(9, "smd-store-image-resizer", 0);
                service.state = State::Starting;
                service
            }
        },
    ]
}

/// So many that they scroll by; a few are in trouble.
pub fn hundred() -> Vec<Service> {
    let row = |id: u64| {
        let name = format!("app-{id}");
        match id {
            30 | 60 => Service {
                failures: 4,
                next_start_in_ms: Some(800),
                ..down(id, &name, State::Backoff, "exit code 1")
            },
            77 => Service {
                note: Some("killed by SIGSEGV; given up after 16 tries".into()),
                ..down(id, &name, State::Errored, "killed by SIGSEGV")
            },
            _ => running(id, &name, 0),
        }
    };
    (0..100).map(row).collect()
}

/// One instance in full.
pub fn details() -> Details {
    let mut service = running(3, "api", 0);
    service.namespace = "shop".into();
    service.last_exit = Some(LastExit {
        code: None,
        signal: Some("SIGKILL".into()),
        reason: "killed by SIGKILL".into(),
        at: "2026-11-22T13:20:00+01:00".into(),
    });
    Details {
        service,
        command: vec![
            "node".into(),
            "dist/in dex.js".into(),
            "\x1b]0;title\x07".into(),
        ],
        directory: "/srv/shop".into(),
        user: Some("www-data".into()),
        origin: "/srv/supervisor.toml".into(),
        boot: "last".into(),
        after: vec!["postgres".into()],
        env: vec![("PORT".into(), Some("3001".into())), ("TOKEN".into(), None)],
        env_file: vec![".env?".into()],
        asked: Some(Asked {
            what: "restarted".into(),
            uid: 1000,
            user: Some("alice".into()),
            at: "2026-11-22T13:20:00+01:00".into(),
        }),
        policies: vec![("restart".into(), "always, 0 s to 30 s apart".into())],
        stderr_tail: vec!["Error: \u{202e}no".into(), "    at main".into()],
        processes: vec![Process {
            pid: 4713,
            memory_bytes: 48_250_000,
            command: "node dist/index.js".into(),
        }],
    }
}
