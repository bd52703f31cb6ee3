//! What the test app does in its modes, as far as it is longer than a line.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::sys;

/// Notes this start in the file that `STAMPS` names.
pub fn stamp() {
    if let Some(file) = env::var_os("STAMPS") {
        let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).expect("a clock");
        let ns = now.tv_sec() * 1_000_000_000 + now.tv_nsec();
        append(file.as_ref(), &format!("{ns} {}\n", std::process::id()));
    }
}

/// One write, so that lines of several processes do not mix.
pub fn append(file: &Path, line: &str) {
    let opened = OpenOptions::new().create(true).append(true).open(file);
    let written = opened.and_then(|mut opened| opened.write_all(line.as_bytes()));
    written.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}

/// Writes `rate` numbered lines a second, each with a write of its own, until SIGTERM.
pub fn lines(rate: u64, folder: &Path) -> i32 {
    let term_came = sys::watch_for_term();
    stamp();
    let started = Instant::now();
    let mut out = io::stdout().lock();
    let mut count = 0;
    while !term_came() {
        let due =
            u64::try_from(started.elapsed().as_micros()).expect("a short test") * rate / 1_000_000;
        while count < due && !term_came() {
            count += 1;
            // To the end even if SIGTERM comes in between: a line that is counted is written.
            writeln!(
                out,
                "{count:010} the quick brown fox jumps over the lazy dog"
            )
            .expect("standard output is never closed");
        }
        thread::sleep(Duration::from_millis(5));
    }
    let of = |variable: &str| env::var(variable).unwrap_or_default();
    let file = format!(
        "{}.{}.count",
        of("SUPERVISOR_APP"),
        of("SUPERVISOR_INSTANCE")
    );
    fs::write(folder.join(file), format!("{count}\n")).expect("the folder for counts");
    0
}

/// Writes this many bytes, `width` with each write. Every write ends with the end of a line: what
/// reads line by line would keep the rest to itself.
pub fn write(bytes: usize, width: usize) {
    let line = "x".repeat(99) + "\n";
    let mut text: Vec<u8> = line.bytes().cycle().take(width.max(1)).collect();
    text.pop();
    text.push(b'\n');
    // Straight to the descriptor: Rust's own standard output would write line by line.
    let out = io::stdout().as_fd().try_clone_to_owned();
    let mut out = File::from(out.expect("standard output is open"));
    let mut left = bytes;
    while left > 0 {
        let now = left.min(text.len());
        out.write_all(&text[text.len() - now..])
            .expect("standard output is never closed");
        left -= now;
    }
}

/// Starts the children of `testapp tree` and returns when all of them have noted their pids.
pub fn tree(count: usize, file: &Path) {
    let before = pids_in(file);
    for _ in 0..count {
        sys::fork_away(|| append(file, &format!("{}\n", std::process::id())));
    }
    while pids_in(file) < before + count {
        thread::sleep(Duration::from_millis(1));
    }
}

fn pids_in(file: &Path) -> usize {
    fs::read_to_string(file).unwrap_or_default().lines().count()
}

/// Sends a socket a well-formed request and prints the answer, or why there is none.
pub fn connect(socket: &Path) -> i32 {
    let answer = UnixStream::connect(socket).and_then(|mut stream| {
        let request = br#"{"v":1,"request":{"status":{"targets":[]}}}"#;
        let length = u32::try_from(request.len()).expect("a short request");
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(&length.to_le_bytes())?;
        stream.write_all(request)?;
        let mut answer = vec![0; 1 << 16];
        let length = stream.read(&mut answer)?;
        answer.truncate(length);
        Ok(answer)
    });
    match answer {
        Ok(answer) => println!("answer: {:?}", String::from_utf8_lossy(&answer)),
        Err(error) => println!("error: {:?}: {error}", error.kind()),
    }
    0
}
