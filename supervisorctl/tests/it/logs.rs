//! `logs` with real files, a real inotify descriptor, and a daemon that may go away.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use supervisor_protocol::{LogFile, Logs, Reply, Request, Stream};

use crate::fake::{Fake, Step, file};

const DEADLINE: Duration = Duration::from_secs(10);

/// Files of one frame, as (name in the home folder, app, instance, stream).
type Files = &'static [(&'static str, &'static str, u32, Stream)];

/// The watch's number, which nix keeps to itself but counts from 1 on each descriptor.
fn number(_: WatchDescriptor, index: usize) -> i32 {
    i32::try_from(index).unwrap() + 1
}

fn frame(home: &std::path::Path, files: Files, follow: bool) -> Step {
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).unwrap();
    let mut logs = Logs {
        inotify: follow,
        files: Vec::new(),
    };
    let mut descriptors = Vec::new();
    for (index, (path, name, instance, stream)) in files.iter().enumerate() {
        let path = home.join(path);
        let watch = inotify.add_watch(&path, AddWatchFlags::IN_MODIFY).unwrap();
        logs.files.push(LogFile {
            name: (*name).into(),
            instance: *instance,
            stream: *stream,
            path: path.clone(),
            watch: follow.then_some(number(watch, index)),
        });
        descriptors.push(OwnedFd::from(File::open(path).unwrap()));
    }
    if follow {
        descriptors.insert(0, inotify.into());
    }
    Step::WithFiles(Reply::Logs(logs), descriptors)
}

/// A daemon with these files, in two frames, which leaves after its answer.
fn daemon(first: Files, second: Files) -> Fake {
    let home = std::sync::Arc::new(std::sync::OnceLock::new());
    let its_home = std::sync::Arc::clone(&home);
    let fake = Fake::new(move |_, request| {
        let Request::Logs { follow, .. } = request else {
            panic!("{request:?}")
        };
        let home: &std::path::PathBuf = its_home.get().unwrap();
        let mut steps = vec![frame(home, first, *follow)];
        if !second.is_empty() {
            steps.push(frame(home, second, *follow));
        }
        steps.push(Step::Reply(Reply::End));
        steps.push(if *follow { Step::Leave } else { Step::Break });
        steps
    });
    home.set(fake.home.path().to_owned()).unwrap();
    for (path, ..) in first.iter().chain(second) {
        file(&fake, path, "");
    }
    fake
}

fn append(fake: &Fake, name: &str, text: &[u8]) {
    let mut file = OpenOptions::new()
        .append(true)
        .open(fake.home.path().join(name))
        .unwrap();
    file.write_all(text).unwrap();
}

/// A command that is ended at the latest when the test is.
struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Running {
    fn new(fake: &Fake, words: &[&str]) -> Running {
        let err = File::create(fake.home.path().join("told")).unwrap();
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
        Running { child, lines }
    }

    fn expect(&self, expected: &str) {
        let line = self.lines.recv_timeout(DEADLINE).expect("a line comes");
        assert_eq!(line, expected);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().unwrap();
    }
}

#[test]
fn the_last_lines_of_each_file_made_harmless() {
    let fake = daemon(
        &[
            ("a.out", "api", 0, Stream::Out),
            ("a.err", "api", 0, Stream::Err),
        ],
        &[("w.out", "worker", 1, Stream::Out)],
    );
    append(&fake, "a.out", b"1\n2\n3\n\x1b[31mred\x1b[2J\n");
    append(&fake, "a.err", b"Error: \x9b\xe2\x80\xae\nhalf");
    append(&fake, "w.out", b"\x1b]0;title\x07\n");
    let (code, out, err) = fake.run(&["logs", "--no-follow", "-n", "2"]);
    assert_eq!((code, err.as_str()), (0, ""));
    insta::assert_snapshot!(out);
    let err = fake.run(&["logs", "--nostream", "--err"]).1;
    let out = fake.run(&["logs", "--nostream", "--out"]).1;
    assert_ne!(err, out);
    assert_eq!(fake.run(&["logs", "--nostream", "--stream", "out"]).1, out);
    assert_eq!(fake.run(&["logs", "--out", "--err"]).0, 2);
    let (_, out, _) = fake.run(&["logs", "--nostream", "--stream", "err"]);
    assert_eq!(out, err);
    assert_eq!(out, "Error: \u{fffd}\\u{202e}\nhalf\n");
    let output = fake
        .command(&["logs", "--no-follow", "--raw", "--lines", "1"])
        .output()
        .unwrap();
    assert_eq!(
        output.stdout,
        b"\x1b[31mred\x1b[2J\nhalf\n\x1b]0;title\x07\n"
    );
}

#[test]
fn lines_as_json() {
    let fake = daemon(
        &[("a.out", "api", 0, Stream::Out)],
        &[("w.err", "worker", 1, Stream::Err)],
    );
    append(
        &fake,
        "a.out",
        b"{\"level\":\"info\"}\n\x1b[31mred \x9b\xe2\x80\xae\n",
    );
    let running = Running::new(&fake, &["logs", "--json"]);
    running.expect(r#"{"name":"api","instance":0,"stream":"out","line":"{\"level\":\"info\"}"}"#);
    running.expect(
        "{\"name\":\"api\",\"instance\":0,\"stream\":\"out\",\"line\":\"\\u001b[31mred \u{fffd}\\u202e\"}",
    );
    append(&fake, "w.err", b"late\n");
    running.expect(r#"{"name":"worker","instance":1,"stream":"err","line":"late"}"#);
    assert_eq!(fake.run(&["logs", "--json", "--raw"]).0, 2);
}

#[test]
fn following_goes_on_without_the_daemon() {
    let fake = daemon(
        &[
            ("a.out", "api", 0, Stream::Out),
            ("a.err", "api", 0, Stream::Err),
        ],
        &[("w.out", "worker", 0, Stream::Out)],
    );
    append(&fake, "a.out", b"old\nunfin");
    let running = Running::new(&fake, &["logs", "-n", "1"]);
    // The unfinished line is the last one, and comes when it is whole.
    append(&fake, "a.err", b"from err\n");
    running.expect("api    ! from err");
    append(&fake, "a.out", b"ished\n");
    running.expect("api    | unfinished");
    append(&fake, "w.out", b"from worker\n");
    running.expect("worker | from worker");
    std::fs::write(fake.home.path().join("w.out"), "").unwrap();
    append(&fake, "w.out", b"emptied\n");
    running.expect("worker | emptied");
    let told = std::fs::read_to_string(fake.home.path().join("told")).unwrap();
    assert_eq!(told, "", "nothing is left out");
}

#[test]
fn following_ends_when_nobody_reads() {
    let fake = daemon(&[("a.out", "api", 0, Stream::Out)], &[]);
    append(&fake, "a.out", b"line\n");
    let mut child = fake
        .command(&["logs"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    assert_eq!(first, "line\n");
    // The reader is dropped, and nothing is ever written again.
    let (sender, ended) = mpsc::channel();
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    let waiter = thread::spawn(move || sender.send(child.wait().unwrap().code()));
    let code = ended.recv_timeout(DEADLINE);
    if code.is_err() {
        kill(pid, Signal::SIGKILL).unwrap();
    }
    waiter.join().unwrap().ok();
    assert_eq!(code, Ok(Some(0)));
}

#[test]
fn without_files_there_is_nothing_to_follow() {
    let fake = Fake::new(|_, _| vec![Step::Reply(Reply::End)]);
    assert_eq!(
        fake.run(&["logs"]),
        (0, "there are no logs yet\n".into(), String::new())
    );
}
