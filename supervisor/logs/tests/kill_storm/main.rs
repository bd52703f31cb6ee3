//! The process that pumps is killed hundreds of times while apps write, and while their runs end
//! and begin. In the end every byte is in its file exactly once, in order.
//!
//! The test is the keeper: it holds all pipes and the shared record. The engine is this same test
//! program, started again; it opens the keeper's pipes through `/proc`.

#[expect(dead_code, reason = "only a part of it is used here")]
#[path = "../common/mod.rs"]
mod common;
mod shared;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::{PATIENCE, pipe};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use shared::Shared;
use supervisor_logs::{Event, Folder, Format, OnFull, Pump, Rules, Stream, StreamId, Target};

const KILLS: usize = 400;
const STREAMS: u8 = 4;
const RUNS: u8 = 8;
/// Bytes; what is written is many times that.
const ROTATED_AT: u64 = 100_000;

fn id(stream: u8) -> StreamId {
    StreamId {
        app: format!("app{}", stream / 2),
        instance: 0,
        stream: if stream.is_multiple_of(2) {
            Stream::Out
        } else {
            Stream::Err
        },
    }
}

fn key(stream: u8, run: u8) -> u64 {
    u64::from(stream) * 100 + u64::from(run)
}

/// Half of the streams have times in their files; all are rotated often.
fn target_of(id: &StreamId) -> Target {
    let format = match id.stream {
        Stream::Out => Format::Raw,
        Stream::Err => Format::Timestamp,
    };
    Target {
        id: id.clone(),
        path: None,
        rules: Arc::new(Rules {
            max_size: Some(ROTATED_AT),
            keep: 1_000_000,
            max_total: None,
            compress: true,
            format,
            on_full: OnFull::Block,
            ..Rules::default()
        }),
    }
}

/// What the keeper tells an engine: its own pid, the folder, and the numbers of descriptors.
struct Handover {
    keeper: String,
    fds: Vec<String>,
}

impl Handover {
    fn parse(text: &str) -> Handover {
        let mut words = text.split(' ').map(str::to_owned);
        Handover {
            keeper: words.next().unwrap(),
            fds: words.collect(),
        }
    }

    fn open(&self, at: usize, write: bool) -> OwnedFd {
        let path = format!("/proc/{}/fd/{}", self.keeper, self.fds[at]);
        File::options()
            .read(!write)
            .write(write)
            .open(path)
            .unwrap()
            .into()
    }

    fn app_pipe(&self, stream: u8, run: u8) -> OwnedFd {
        self.open(
            2 + usize::from(stream) * usize::from(RUNS) + usize::from(run),
            false,
        )
    }
}

/// The engine, when this program is started as one; otherwise nothing.
#[test]
fn engine() {
    let (Ok(handover), Ok(dir)) = (std::env::var("STORM"), std::env::var("STORM_DIR")) else {
        return;
    };
    let handover = Handover::parse(&handover);
    let shared = Shared::open(Path::new(&dir));
    let (tell, events) = channel();
    let tell = Mutex::new(tell);
    let pump = Pump::start(
        Folder::new(Path::new(&dir).join("logs")),
        Arc::new(Shared::open(Path::new(&dir))),
        vec![(0, handover.open(0, false), handover.open(1, true))],
        |id| Some(target_of(id)),
        // Nobody listens any more when this process ends.
        move |event| drop(tell.lock().unwrap().send(event)),
    )
    .unwrap();
    let attach = |stream: u8| {
        let run = shared.get(Shared::current(stream));
        if run < RUNS {
            let key = key(stream, run);
            let fresh = shared.get(Shared::begun(key)) == 0;
            let target = target_of(&id(stream));
            pump.attach(key, target, handover.app_pipe(stream, run), fresh);
        }
    };
    (0..STREAMS).for_each(attach);
    let mut asked: BTreeMap<u64, u8> = BTreeMap::new();
    while (0..STREAMS).any(|stream| shared.get(Shared::current(stream)) < RUNS) {
        for stream in 0..STREAMS {
            let run = shared.get(Shared::current(stream));
            if run < shared.get(Shared::ended(stream)) && !asked.contains_key(&key(stream, run)) {
                asked.insert(key(stream, run), stream);
                pump.finish(key(stream, run));
            }
        }
        match events.recv_timeout(Duration::from_millis(1)) {
            Ok(Event::Finished {
                key, kept: false, ..
            }) => {
                let stream = asked[&key];
                shared.set(
                    Shared::current(stream),
                    shared.get(Shared::current(stream)) + 1,
                );
                attach(stream);
            }
            // Killed before the first record was written.
            Ok(Event::Notice { .. }) | Err(_) => {}
            Ok(other) => panic!("{other:?}"),
        }
    }
}

/// Lines of many lengths, some longer than what a pipe takes in one piece.
fn line(stream: u8, run: u8, number: u64) -> String {
    let width = if number.is_multiple_of(97) {
        9_000
    } else {
        20 + (number * 7 % 150) as usize
    };
    format!("{stream} {run} {number:0>width$}\n")
}

const HALF: &str = "a last line without an end";

/// The apps of one stream, one after the other, spread over the kills. Gives how many lines each
/// wrote.
fn write_runs(stream: u8, ends: Vec<File>, kills: &AtomicUsize, shared: &Shared) -> Vec<u64> {
    let mut written = Vec::new();
    for (mut app, run) in ends.into_iter().zip(0u8..) {
        let mut number = 0;
        while kills.load(Ordering::Relaxed) * usize::from(RUNS) < KILLS * usize::from(run + 1) {
            for _ in 0..60 + number % 40 {
                app.write_all(line(stream, run, number).as_bytes()).unwrap();
                number += 1;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        app.write_all(HALF.as_bytes()).unwrap();
        drop(app);
        shared.set(Shared::ended(stream), run + 1);
        written.push(number);
    }
    written
}

fn start_engine(dir: &Path, handover: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "engine", "--nocapture", "--test-threads=1"])
        .env("STORM", handover)
        .env("STORM_DIR", dir)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn has_bytes(pipe: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO).unwrap() > 0
}

/// Kills engine after engine; how often one died with bytes in the staging pipe.
fn storm(dir: &Path, handover: &str, staging: &OwnedFd, kills: &AtomicUsize) -> usize {
    let mut caught = 0;
    let mut random: u32 = 1;
    for _ in 0..KILLS {
        let mut engine = start_engine(dir, handover);
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        std::thread::sleep(Duration::from_micros(u64::from(random >> 16) % 14_000));
        engine.kill().unwrap();
        assert_eq!(
            engine.wait().unwrap().signal(),
            Some(9),
            "it ended by itself"
        );
        caught += usize::from(has_bytes(staging));
        kills.fetch_add(1, Ordering::Relaxed);
    }
    caught
}

/// All files of a stream, oldest first, as one.
fn read_all(live: &Path) -> (Vec<u8>, usize) {
    let name = |suffix: String| live.with_file_name(format!("{}{suffix}", file_name(live)));
    let mut files = vec![fs::read(live).unwrap()];
    for number in 1.. {
        let (plain, packed) = (name(format!(".{number}")), name(format!(".{number}.zst")));
        match fs::read(&plain) {
            Ok(bytes) => files.push(bytes),
            Err(_) => match fs::read(&packed) {
                Ok(bytes) => files.push(zstd::decode_all(&*bytes).unwrap()),
                Err(_) => break,
            },
        }
    }
    let largest = files.iter().map(Vec::len).max().unwrap();
    assert!(
        largest < ROTATED_AT as usize + 20_000,
        "{largest} bytes in one file"
    );
    assert!(
        files.iter().skip(1).all(|file| file.ends_with(b"\n")),
        "a file that was rotated inside a line"
    );
    files.reverse();
    (files.concat(), files.len())
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

fn check(path: &Path, stream: u8, written: &[u64]) -> (u64, usize) {
    let (bytes, files) = read_all(path);
    let mut rest = &bytes[..];
    let stamped = !stream.is_multiple_of(2);
    let mut expect = |wanted: &str| {
        if stamped && !wanted.is_empty() {
            assert!(rest.get(23) == Some(&b'Z'), "no time before a line");
            rest = &rest[25..];
        }
        let (found, more) = rest.split_at(wanted.len().min(rest.len()));
        assert!(
            found == wanted.as_bytes(),
            "{}: {:?} where {wanted:?} should be",
            path.display(),
            String::from_utf8_lossy(&rest[..rest.len().min(300)])
        );
        rest = more;
    };
    for (run, lines) in (0u8..).zip(written) {
        (0..*lines).for_each(|number| expect(&line(stream, run, number)));
        expect(if run + 1 < RUNS {
            "a last line without an end\n"
        } else {
            HALF
        });
    }
    assert!(rest.is_empty(), "more than was written");
    (written.iter().sum(), files)
}

#[test]
fn every_byte_arrives_once_however_often_the_pump_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    let (staging_read, staging_write) = pipe();
    let (pipes, ends): (Vec<_>, Vec<_>) = (0..usize::from(STREAMS) * usize::from(RUNS))
        .map(|_| pipe())
        .unzip();
    let mut ends = ends.into_iter();
    let mut words = vec![std::process::id().to_string()];
    words.extend([staging_read.as_raw_fd(), staging_write.as_raw_fd()].map(|fd| fd.to_string()));
    words.extend(pipes.iter().map(|pipe| pipe.as_raw_fd().to_string()));
    let handover = words.join(" ");
    let (kills, shared) = (AtomicUsize::new(0), Shared::open(path));

    let (kills, shared) = (&kills, &shared);
    let (caught, written) = std::thread::scope(move |scope| {
        // In here, so that a failure closes them and no writer waits for ever.
        let _pipes = pipes;
        let writers: Vec<_> = (0..STREAMS)
            .map(|stream| {
                let ends = ends.by_ref().take(usize::from(RUNS)).collect();
                scope.spawn(move || write_runs(stream, ends, kills, shared))
            })
            .collect();
        let caught = storm(path, &handover, &staging_read, kills);
        let mut last = start_engine(path, &handover);
        let deadline = Instant::now() + PATIENCE;
        while last.try_wait().unwrap().is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        // It has ended already, unless it hangs.
        let _ = last.kill();
        assert!(
            last.wait().unwrap().success(),
            "the last engine did not finish"
        );
        let written: Vec<_> = writers.into_iter().map(|w| w.join().unwrap()).collect();
        (caught, written)
    });

    let folder = Folder::new(path.join("logs"));
    let (mut lines, mut files) = (0, 0);
    for (stream, runs) in (0..STREAMS).zip(&written) {
        let found = check(&folder.path(&id(stream)), stream, runs);
        (lines, files) = (lines + found.0, files + found.1);
    }
    println!("{KILLS} kills, {caught} with staged bytes, {lines} lines, {files} files");
    assert!(files > 20, "hardly anything was rotated: {files} files");
    assert!(
        caught > 0,
        "no kill came while bytes were on their way: the storm tests nothing"
    );
}
