//! A daemon of our own making: answers each request by a script, and breaks on command.

use std::fs::File;
use std::io::{IoSlice, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use supervisor_protocol::frame::{Decoder, encode};
use supervisor_protocol::{
    Done, Envelope, Failure, FailureKind, LogPaths, Outcome, Paths, Reply, Request, Service, State,
};

/// What the daemon does about a request.
pub enum Step {
    /// Send this reply.
    Reply(Reply),
    /// Send this reply with descriptors.
    WithFiles(Reply, Vec<OwnedFd>),
    /// Close the connection, as when the engine is killed.
    Break,
    /// Stop listening, as when the daemon has gone.
    Leave,
}

type Script = dyn Fn(usize, &Request) -> Vec<Step> + Send + Sync;

/// The daemon, its folder, and what it was asked.
pub struct Fake {
    /// `SUPERVISOR_HOME`.
    pub home: tempfile::TempDir,
    /// All requests, in the order they came.
    requests: Arc<Mutex<Vec<Request>>>,
    thread: Option<JoinHandle<()>>,
}

impl Fake {
    /// One that answers the n-th request (from 0) with what the script says.
    pub fn new(script: impl Fn(usize, &Request) -> Vec<Step> + Send + Sync + 'static) -> Fake {
        let home = tempfile::tempdir().unwrap();
        let socket = Paths::below(home.path()).sockets.remove(0);
        std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
        let listener = UnixListener::bind(&socket).unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let thread =
            thread::spawn(move || accept(&listener, &seen, &(Arc::new(script) as Arc<Script>)));
        Fake {
            home,
            requests,
            thread: Some(thread),
        }
    }

    /// One without any daemon behind it.
    pub fn absent() -> Fake {
        let home = tempfile::tempdir().unwrap();
        Fake {
            home,
            requests: Arc::default(),
            thread: None,
        }
    }

    /// `supervisorctl` with these words, in the home folder.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_supervisorctl"));
        command
            .args(words)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("TZ", "UTC")
            .env("SUPERVISOR_HOME", self.home.path())
            .current_dir(self.home.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs it: exit code, standard output, standard error, with the home folder as `HOME`.
    pub fn run(&self, words: &[&str]) -> (i32, String, String) {
        self.told(&self.command(words).output().unwrap())
    }

    /// What an output says.
    pub fn told(&self, output: &Output) -> (i32, String, String) {
        let home = self.home.path().display().to_string();
        let text = |bytes: &[u8]| {
            String::from_utf8(bytes.to_vec())
                .unwrap()
                .replace(&home, "HOME")
        };
        (
            output.status.code().unwrap(),
            text(&output.stdout),
            text(&output.stderr),
        )
    }

    /// What was asked so far.
    pub fn asked(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            // An empty connection is the sign to end; it fails where the daemon has left already, and
            // where a test that failed has moved the socket away: then the thread is left alone.
            let told = UnixStream::connect(&Paths::below(self.home.path()).sockets[0]);
            if told.is_err() && thread::panicking() {
                return;
            }
            drop(told);
            let result = thread.join();
            assert!(
                thread::panicking() || result.is_ok(),
                "the fake daemon failed"
            );
        }
    }
}

/// Each connection has a thread of its own, which says after its first request whether the daemon
/// stays; a connection without any request ends the daemon.
fn accept(listener: &UnixListener, seen: &Arc<Mutex<Vec<Request>>>, script: &Arc<Script>) {
    let mut sessions = Vec::new();
    while let Ok((stream, _)) = listener.accept() {
        let (seen, script) = (Arc::clone(seen), Arc::clone(script));
        let (sender, stays) = mpsc::channel();
        sessions.push(thread::spawn(move || {
            serve(stream, &seen, &*script, &sender);
        }));
        if stays.recv() != Ok(true) {
            break;
        }
    }
    for session in sessions {
        session.join().unwrap();
    }
}

fn serve(
    mut stream: UnixStream,
    seen: &Mutex<Vec<Request>>,
    script: &Script,
    stays: &mpsc::Sender<bool>,
) {
    let mut decoder = Decoder::new();
    let mut bytes = [0; 4096];
    loop {
        while let Some(frame) = decoder.next_frame().unwrap() {
            let request = Envelope::read(frame).unwrap();
            let number = {
                let mut seen = seen.lock().unwrap();
                seen.push(request.clone());
                seen.len() - 1
            };
            let steps = script(number, &request);
            let leaves = steps.iter().any(|step| matches!(step, Step::Leave));
            let breaks = steps.iter().any(|step| matches!(step, Step::Break));
            for step in steps {
                match step {
                    Step::Reply(reply) => send(&mut stream, &reply, &[]),
                    Step::WithFiles(reply, files) => send(&mut stream, &reply, &files),
                    Step::Break | Step::Leave => {}
                }
            }
            // Nobody listens for it after the first request.
            stays.send(!leaves).ok();
            if breaks || leaves {
                return;
            }
        }
        match stream.read(&mut bytes) {
            Ok(0) | Err(_) => return,
            Ok(length) => decoder.push(&bytes[..length]),
        }
    }
}

fn send(stream: &mut UnixStream, reply: &Reply, files: &[OwnedFd]) {
    let bytes = encode(reply).unwrap();
    let numbers: Vec<_> = files.iter().map(std::os::fd::AsRawFd::as_raw_fd).collect();
    let control = [ControlMessage::ScmRights(&numbers)];
    let control = if files.is_empty() {
        &[][..]
    } else {
        &control[..]
    };
    let parts = [IoSlice::new(&bytes)];
    // The client may have gone away, which is its right.
    let sent = sendmsg::<()>(
        stream.as_raw_fd(),
        &parts,
        control,
        MsgFlags::MSG_NOSIGNAL,
        None,
    );
    if let Ok(length) = sent {
        stream.write_all(&bytes[length..]).ok();
    }
}

/// The replies of a request that was carried out.
pub fn answer(replies: impl IntoIterator<Item = Reply>) -> Vec<Step> {
    replies
        .into_iter()
        .chain([Reply::End])
        .map(Step::Reply)
        .collect()
}

/// Puts the program under test there. A copy that was just written may not be executed for as long
/// as a child of another test has inherited its descriptor, so that a link comes first.
pub fn install(program: &std::path::Path) {
    let built = env!("CARGO_BIN_EXE_supervisorctl");
    if std::fs::hard_link(built, program).is_err() {
        std::fs::copy(built, program).unwrap();
    }
}

/// A refusal.
pub fn refuse(kind: FailureKind, message: &str) -> Vec<Step> {
    let failure = Failure::new(kind, message);
    vec![Step::Reply(Reply::Error(failure))]
}

/// A row of the table.
pub fn row(id: u64, name: &str, instance: u32, state: State) -> Service {
    Service {
        id,
        name: name.into(),
        instance,
        instances: 1,
        namespace: String::new(),
        state,
        pid: (state == State::Running).then_some(4711),
        ready: None,
        uptime_ms: (state == State::Running).then_some(61_000),
        restarts: 0,
        failures: 0,
        cpu_percent: None,
        memory_bytes: None,
        last_exit: None,
        next_start_at: None,
        next_start_in_ms: None,
        logs: LogPaths {
            stdout: Some("/out".into()),
            stderr: Some("/err".into()),
            dropped_lines: 0,
            dropped_bytes: 0,
        },
        run: 7 + id,
        note: None,
    }
}

/// How it went for a target.
pub fn outcome(name: &str, instance: u32, done: Done) -> Outcome {
    Outcome {
        name: name.into(),
        instance,
        ok: done != Done::Failed,
        done,
        old_pid: (done == Done::Restarted).then_some(4711),
        new_pid: matches!(done, Done::Restarted | Done::Started).then_some(4720),
        ms: 12,
        message: None,
        stderr_tail: Vec::new(),
    }
}

/// A new file of the home folder with this text.
pub fn file(fake: &Fake, name: &str, text: &str) -> File {
    let path = fake.home.path().join(name);
    std::fs::write(&path, text).unwrap();
    File::open(path).unwrap()
}
