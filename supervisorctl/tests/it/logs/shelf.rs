//! A daemon with log files in a folder: it hands over what is there when it is asked.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use supervisor_logs::index::Writer;
use supervisor_protocol::{
    FailureKind, LogFile, LogFormat, Logs, Reply, Request, Service, State, Stream,
};

use crate::fake::{Fake, Step, answer, refuse, row};

pub const DEADLINE: Duration = Duration::from_secs(20);

/// A time that all tests begin at: 2026-11-22T14:45:00Z.
pub const BEGAN: i64 = 1_795_358_700_000;

/// Name, instance and stream.
pub type Of = (&'static str, u32, Stream);

/// What the daemon knows.
#[derive(Default)]
struct Known {
    streams: Vec<Of>,
    stamped: bool,
    leaves: bool,
}

/// The daemon.
pub struct Shelf {
    pub fake: Fake,
    state: Arc<Mutex<Known>>,
}

impl Shelf {
    /// With empty files for these.
    pub fn new(streams: &[Of]) -> Shelf {
        let state = Arc::new(Mutex::new(Known::default()));
        let home = Arc::new(OnceLock::<PathBuf>::new());
        let (its_state, its_home) = (Arc::clone(&state), Arc::clone(&home));
        let fake = Fake::new(move |_, request| {
            let state = its_state.lock().unwrap();
            let mut steps = answer_to(&state, its_home.get().unwrap(), request);
            if state.leaves {
                steps.push(Step::Leave);
            }
            steps
        });
        home.set(fake.home.path().to_owned()).unwrap();
        let shelf = Shelf { fake, state };
        for of in streams {
            shelf.add(*of);
        }
        shelf
    }

    /// One more stream, with an empty file.
    pub fn add(&self, of: Of) {
        self.append_at(of, b"", BEGAN);
        self.state.lock().unwrap().streams.push(of);
    }

    /// The daemon goes after its next answer.
    pub fn leave(&self) {
        self.state.lock().unwrap().leaves = true;
    }

    /// The files have times before each line.
    pub fn stamp(&self) {
        self.state.lock().unwrap().stamped = true;
    }

    pub fn path(&self, of: Of) -> PathBuf {
        self.fake.home.path().join(base(of))
    }

    /// Bytes that arrive so long after the beginning.
    pub fn append(&self, of: Of, text: &[u8], after_ms: i64) {
        self.append_at(of, text, BEGAN + after_ms);
    }

    fn append_at(&self, of: Of, text: &[u8], time: i64) {
        let path = self.path(of);
        let mut log = open(&path);
        let index = open(&with(&path, ".idx"));
        let (mut index, _) = Writer::open(index, &log, BEGAN, 0).unwrap();
        log.write_all(text).unwrap();
        index.note(log.metadata().unwrap().len(), time);
        index.flush().unwrap();
    }

    /// As the daemon rotates.
    pub fn rotate(&self, of: Of) {
        let path = self.path(of);
        let last = (1..).find(|n| !numbered(&path, *n).exists()).unwrap();
        for n in (0..last).rev() {
            let (from, to) = (numbered(&path, n), numbered(&path, n + 1));
            std::fs::rename(with(&from, ".idx"), with(&to, ".idx")).unwrap();
            std::fs::rename(&from, &to).unwrap();
        }
    }
}

fn open(path: &Path) -> File {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    if path.extension().is_some_and(|end| end == "idx") {
        options.append(false).write(true).truncate(false);
    }
    options.open(path).unwrap()
}

fn base((name, instance, stream): Of) -> String {
    let stream = match stream {
        Stream::Out => "out",
        Stream::Err => "err",
    };
    format!("{name}.{instance}.{stream}.log")
}

fn with(path: &Path, end: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(end);
    path.into()
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    match number {
        0 => path.to_owned(),
        _ => with(path, &format!(".{number}")),
    }
}

fn answer_to(state: &Known, home: &Path, request: &Request) -> Vec<Step> {
    let names = |targets: &[String], (name, instance, _): Of| {
        let is_meant = |target: &String| *target == name || *target == format!("{name}:{instance}");
        targets.is_empty() || targets.iter().any(is_meant)
    };
    match request {
        Request::Status { targets, .. } => {
            let streams = state.streams.iter().filter(|of| names(targets, **of));
            let mut rows: Vec<Service> = streams
                .map(|(name, instance, _)| row(0, name, *instance, State::Running))
                .collect();
            rows.dedup();
            answer([Reply::Services(rows)])
        }
        Request::Logs {
            targets,
            follow,
            archives,
        } => {
            let streams = state.streams.iter().copied();
            let streams: Vec<_> = streams.filter(|of| names(targets, *of)).collect();
            if streams.is_empty() && !targets.is_empty() {
                return refuse(FailureKind::NoSuchApp, "no app is named like that");
            }
            // A frame for each app.
            let frames = streams.chunk_by(|a, b| a.0 == b.0);
            let mut steps: Vec<_> = frames
                .map(|streams| frame(state, home, streams, *follow, *archives))
                .collect();
            steps.push(Step::Reply(Reply::End));
            steps
        }
        _ => panic!("{request:?}"),
    }
}

fn frame(state: &Known, home: &Path, streams: &[Of], follow: bool, archives: u32) -> Step {
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).unwrap();
    let mut logs = Logs {
        inotify: follow,
        files: Vec::new(),
    };
    let (mut descriptors, mut watches) = (Vec::new(), 0);
    for of in streams {
        let live = home.join(base(*of));
        for number in 0..=archives.min(50) {
            let path = numbered(&live, number);
            let Ok(log) = File::open(&path) else { continue };
            let index = File::open(with(&path, ".idx")).ok();
            let watch = (follow && number == 0).then(|| {
                let what = AddWatchFlags::IN_MODIFY
                    | AddWatchFlags::IN_MOVE_SELF
                    | AddWatchFlags::IN_DELETE_SELF
                    | AddWatchFlags::IN_ATTRIB;
                inotify.add_watch(&path, what).unwrap();
                // nix keeps the watch's number to itself, but they count from 1 on each descriptor.
                watches += 1;
                watches
            });
            logs.files.push(LogFile {
                name: of.0.into(),
                instance: of.1,
                stream: of.2,
                path: live.clone(),
                number,
                compressed: false,
                index: index.is_some(),
                watch,
                format: if state.stamped {
                    LogFormat::Timestamp
                } else {
                    LogFormat::Raw
                },
            });
            descriptors.push(OwnedFd::from(log));
            descriptors.extend(index.map(OwnedFd::from));
        }
    }
    if follow {
        descriptors.insert(0, inotify.into());
    }
    Step::WithFiles(Reply::Logs(logs), descriptors)
}

/// A command that is ended at the latest when the test is.
pub struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
    told: PathBuf,
}

impl Running {
    pub fn new(fake: &Fake, words: &[&str]) -> Running {
        let told = fake.home.path().join("told");
        let err = File::create(&told).unwrap();
        let mut command = fake.command(words);
        let mut child = command.stdout(Stdio::piped()).stderr(err).spawn().unwrap();
        let stdout: ChildStdout = child.stdout.take().unwrap();
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                if sender.send(line.unwrap()).is_err() {
                    return;
                }
            }
        });
        Running { child, lines, told }
    }

    pub fn next(&self) -> String {
        let line = self.lines.recv_timeout(DEADLINE);
        line.unwrap_or_else(|error| panic!("{error}; told: {}", self.told()))
    }

    pub fn expect(&self, expected: &str) {
        assert_eq!(self.next(), expected, "told: {}", self.told());
    }

    /// What it said on standard error.
    pub fn told(&self) -> String {
        std::fs::read_to_string(&self.told).unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().unwrap();
    }
}
