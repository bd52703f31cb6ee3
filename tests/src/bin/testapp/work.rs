//! What the test app does in its modes, as far as it is longer than a line.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::SpliceFFlags;

use crate::sys;

/// Notes this start in the file that `STAMPS` names.
pub fn stamp() {
    if let Some(file) = env::var_os("STAMPS") {
        let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).expect("a clock");
        let ns = now.tv_sec() * 1_000_000_000 + now.tv_nsec();
        append(file.as_ref(), &format!("{ns} {}\n", std::process::id()));
    }
}

/// What the file `fault` beside this program says.
pub fn fault() -> String {
    let me = env::current_exe().expect("a program knows its own path");
    fs::read_to_string(me.with_file_name("fault")).expect("it is there")
}

/// One write, so that lines of several processes do not mix.
pub fn append(file: &Path, line: &str) {
    let opened = OpenOptions::new().create(true).append(true).open(file);
    let written = opened.and_then(|mut opened| opened.write_all(line.as_bytes()));
    written.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}

fn numbered(number: u64) -> String {
    format!("{number:010} the quick brown fox jumps over the lazy dog\n")
}

/// Writes `rate` numbered lines a second, each with a write of its own, until SIGTERM; with
/// `both`, each second one to standard error.
pub fn lines(rate: u64, folder: &Path, both: bool) -> i32 {
    let term_came = sys::watch_for_term();
    stamp();
    let started = Instant::now();
    let (mut out, mut err) = (output(io::stdout()), output(io::stderr()));
    let mut count = 0;
    while !term_came() {
        let due =
            u64::try_from(started.elapsed().as_micros()).expect("a short test") * rate / 1_000_000;
        while count < due && !term_came() {
            count += 1;
            let to = if both && count % 2 == 0 {
                &mut err
            } else {
                &mut out
            };
            // To the end even if SIGTERM comes in between: a line that is counted is written.
            to.write_all(numbered(count).as_bytes()).expect(OPEN);
        }
        thread::sleep(Duration::from_millis(5));
    }
    note_count(folder, count);
    0
}

/// Says that it is ready, and waits until a file is there.
pub fn wait_for(file: &Path) {
    output(io::stdout()).write_all(b"ready\n").expect(OPEN);
    while !file.exists() {
        thread::sleep(Duration::from_millis(5));
    }
}

/// Writes `count` numbered lines as fast as it can, many with each write.
pub fn burst(count: u64, folder: &Path) {
    let mut out = BufWriter::with_capacity(16 << 10, output(io::stdout()));
    for number in 1..=count {
        out.write_all(numbered(number).as_bytes()).expect(OPEN);
    }
    out.flush().expect(OPEN);
    note_count(folder, count);
}

/// Writes one line of so many bytes as fast as it can.
pub fn long(bytes: usize) {
    let mut out = output(io::stdout());
    let piece = vec![b'x'; 64 << 10];
    let mut left = bytes;
    while left > 0 {
        let now = left.min(piece.len());
        out.write_all(&piece[..now]).expect(OPEN);
        left -= now;
    }
    out.write_all(b"\n").expect(OPEN);
}

/// Writes what is in a file, `width` bytes at a time.
pub fn emit(file: &Path, width: usize) {
    let bytes = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut out = output(io::stdout());
    for piece in bytes.chunks(width.max(1)) {
        out.write_all(piece).expect(OPEN);
    }
}

const OPEN: &str = "an app's output is never closed";

/// Straight to the descriptor: Rust's own streams would write line by line, or word by word.
fn output(stream: impl AsFd) -> File {
    let own = stream.as_fd().try_clone_to_owned();
    File::from(own.expect(OPEN))
}

/// Notes how many lines were written.
fn note_count(folder: &Path, count: u64) {
    let of = |variable: &str| env::var(variable).unwrap_or_default();
    let name = format!(
        "{}.{}.count",
        of("SUPERVISOR_APP"),
        of("SUPERVISOR_INSTANCE")
    );
    // Renamed into its place: who waits for it finds it whole.
    let (file, new) = (folder.join(&name), folder.join(format!("{name}.new")));
    let written = fs::write(&new, format!("{count}\n")).and_then(|()| fs::rename(&new, &file));
    written.expect("the folder for counts");
}

/// Writes this many bytes, `width` with each write. Every write ends with the end of a line: what
/// reads line by line would keep the rest to itself.
pub fn write(bytes: usize, width: usize) {
    let line = "x".repeat(99) + "\n";
    let mut text: Vec<u8> = line.bytes().cycle().take(width.max(1)).collect();
    text.pop();
    text.push(b'\n');
    let mut out = output(io::stdout());
    let mut left = bytes;
    while left > 0 {
        let now = left.min(text.len());
        out.write_all(&text[text.len() - now..]).expect(OPEN);
        left -= now;
    }
}

/// Moves standard input to a new file.
pub fn splice(file: &Path) {
    const MOST: usize = 1 << 20;
    let to = File::create(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let from = io::stdin();
    while nix::fcntl::splice(&from, None, &to, None, MOST, SpliceFFlags::SPLICE_F_MOVE)
        .expect("a pipe and a file can be spliced")
        > 0
    {}
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

/// Starts processes that nothing but a cgroup finds again: as those of [`tree`], but with nothing in
/// their environment. Returns when all of them have noted their pids.
pub fn lost(count: usize, file: &Path) {
    let before = pids_in(file);
    let program = env::current_exe().expect("/proc/self/exe");
    for _ in 0..count {
        sys::fork_away(|| {
            let mut deaf = Command::new(&program);
            let error = deaf.arg("deaf").arg(file).env_clear().exec();
            panic!("{error}");
        });
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
