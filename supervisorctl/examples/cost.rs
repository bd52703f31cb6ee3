//! What `status` costs: decoding and rendering alone, and the whole command against a socket that
//! answers with rows of our own making.
//!
//! `cargo run --release -p supervisorctl --example cost [PATH OF supervisorctl]`

#[path = "../src/errors.rs"]
#[expect(dead_code, reason = "the program uses all of it")]
mod errors;
#[path = "../src/output.rs"]
#[expect(dead_code, reason = "the program uses all of it")]
mod output;
#[path = "../src/render/mod.rs"]
#[expect(dead_code, reason = "the program uses all of it")]
mod render;

use std::env;
use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use output::Style;
use render::services::{Names, table};
use supervisor_protocol::frame::{Decoder, encode};
use supervisor_protocol::{LastExit, LogPaths, Paths, Reply, Service, State};

fn row(id: u64) -> Service {
    let failing = id % 50 == 7;
    let name = format!("smd-service-{id}");
    let at = "2026-11-22T13:20:00.123456+01:00".to_owned();
    Service {
        id,
        instance: 0,
        instances: 1,
        namespace: "shop".into(),
        state: if failing {
            State::Backoff
        } else {
            State::Running
        },
        pid: (!failing).then_some(4711),
        ready: None,
        uptime_ms: (!failing).then_some(93_784_000),
        restarts: id,
        failures: if failing { 5 } else { 0 },
        cpu_percent: Some(1.5),
        memory_bytes: Some(48_250_000),
        last_exit: Some(LastExit {
            code: Some(1),
            signal: None,
            reason: "exit code 1".into(),
            at: at.clone(),
        }),
        next_start_at: failing.then_some(at),
        next_start_in_ms: failing.then_some(12_000),
        logs: LogPaths {
            stdout: Some(format!("/var/log/supervisor/{name}/0.out.log").into()),
            stderr: Some(format!("/var/log/supervisor/{name}/0.err.log").into()),
            dropped_lines: 0,
            dropped_bytes: 0,
        },
        run: 1,
        note: failing.then(|| "exit code 1: cannot connect to 10.0.0.7".into()),
        name,
    }
}

fn frames(count: u64) -> Vec<u8> {
    let rows: Vec<_> = (0..count).map(row).collect();
    let replies = rows.chunks(100).map(|rows| Reply::Services(rows.to_vec()));
    replies
        .chain([Reply::End])
        .flat_map(|reply| encode(&reply).expect("rows fit into a frame"))
        .collect()
}

/// The median of many.
fn measure(title: &str, times: usize, mut what: impl FnMut()) {
    let mut took: Vec<Duration> = (0..times)
        .map(|_| {
            let began = Instant::now();
            what();
            began.elapsed()
        })
        .collect();
    took.sort();
    println!("{title:40} {:>9.3} ms", took[times / 2].as_secs_f64() * 1e3);
}

fn alone() {
    let bytes = frames(2_000);
    measure("decode 2,000 rows", 50, || {
        let mut decoder = Decoder::new();
        decoder.push(&bytes);
        while let Some(frame) = decoder.next_frame().expect("frames are whole") {
            let reply: Reply = serde_json::from_slice(frame).expect("frames are replies");
            black_box(reply);
        }
    });
    let rows: Vec<_> = (0..2_000).map(row).collect();
    for (title, width) in [
        ("80 columns", Some(80)),
        ("200 columns", Some(200)),
        ("a pipe", None),
    ] {
        measure(&format!("render 2,000 rows for {title}"), 50, || {
            let names = Names::new(&rows, &[]);
            black_box(table(&rows, &names, width, Style::Coloured));
        });
    }
}

fn whole(program: &str) -> std::io::Result<()> {
    measure("/bin/true", 300, || {
        run("/bin/true", &env::temp_dir());
    });
    for count in [1, 100, 2_000] {
        let home = tempfile::tempdir()?;
        let paths = Paths::below(home.path());
        std::fs::create_dir(&paths.run)?;
        let listener = UnixListener::bind(&paths.sockets[0])?;
        let answer = frames(count);
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                // A client that went away is no reason to stop measuring.
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(&answer);
            }
        });
        measure(&format!("status of {count} apps"), 300, || {
            run(program, home.path());
        });
    }
    Ok(())
}

fn run(program: &str, home: &std::path::Path) {
    let status = Command::new(program)
        .arg("status")
        .env("SUPERVISOR_HOME", home)
        .stdout(Stdio::null())
        .status()
        .expect("the program can be run");
    assert!(status.success(), "{program}: {status}");
}

fn main() -> std::io::Result<()> {
    alone();
    match env::args().nth(1) {
        Some(program) => whole(&program),
        None => Ok(()),
    }
}
