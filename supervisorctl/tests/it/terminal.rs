//! What only a person sees: on a pseudo-terminal of our own.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::pty::openpty;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use supervisor_protocol::{Done, FailureKind, Reply, Request, State, Stream};

use crate::fake::{Fake, answer, outcome, refuse, row};
use crate::logs::shelf::Shelf;

const WITHIN: Duration = Duration::from_secs(20);

/// A terminal with what was written to it so far.
struct Terminal {
    slave: OwnedFd,
    chunks: Receiver<Vec<u8>>,
    text: String,
}

impl Terminal {
    fn new() -> Terminal {
        let pty = openpty(None, None).unwrap();
        let (sender, chunks): (Sender<Vec<u8>>, _) = channel();
        let mut master = File::from(pty.master);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            // It fails when the last one who could write has gone.
            while let Ok(length @ 1..) = master.read(&mut bytes) {
                if sender.send(bytes[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        Terminal {
            slave: pty.slave,
            chunks,
            text: String::new(),
        }
    }

    fn stdio(&self) -> Stdio {
        Stdio::from(self.slave.try_clone().unwrap())
    }

    /// Reads until `is_there` in what was written.
    fn wait(&mut self, is_there: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + WITHIN;
        while !is_there(&self.text) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.chunks.recv_timeout(left) {
                Ok(bytes) => self.text.push_str(&String::from_utf8_lossy(&bytes)),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("not seen in {:?}", self.text)
                }
            }
        }
    }
}

fn spawn(fake: &Fake, words: &[&str], out: Stdio, err: Stdio) -> Child {
    let mut command = fake.command(words);
    command.env("TERM", "xterm").stdout(out).stderr(err);
    command.spawn().unwrap()
}

/// A daemon that finishes when it is told to.
fn slow(refuses: bool) -> (Fake, Sender<()>) {
    let (finish, told) = channel();
    let told = Mutex::new(told);
    let fake = Fake::new(move |_, request| match request {
        Request::Status { .. } => answer([Reply::Services(vec![
            row(0, "api", 0, State::Running),
            row(1, "web", 0, State::Running),
        ])]),
        _ => {
            told.lock().unwrap().recv_timeout(WITHIN).unwrap();
            if refuses {
                return refuse(FailureKind::Failed, "no room");
            }
            answer([
                Reply::Outcome(outcome("api", 0, Done::Restarted)),
                Reply::Outcome(outcome("web", 0, Done::Restarted)),
            ])
        }
    });
    (fake, finish)
}

#[test]
fn who_waits_sees_for_whom_and_nothing_of_it_stays() {
    let (fake, finish) = slow(false);
    let mut terminal = Terminal::new();
    let mut child = spawn(&fake, &["restart", "all"], Stdio::piped(), terminal.stdio());
    terminal.wait(|text| text.contains("⠹ api, web … 0 s"));
    finish.send(()).unwrap();
    assert!(child.wait().unwrap().success());
    terminal.wait(|text| text.ends_with("\r\x1b[K"));
}

#[test]
fn an_error_does_not_stand_behind_the_sign_of_waiting() {
    let (fake, finish) = slow(true);
    let mut terminal = Terminal::new();
    let mut child = spawn(&fake, &["restart", "all"], Stdio::piped(), terminal.stdio());
    terminal.wait(|text| text.contains("⠹ api, web … 0 s"));
    finish.send(()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    terminal.wait(|text| text.contains("no room"));
    let (waiting, error) = (terminal.text.rfind('…'), terminal.text.rfind("\x1b[K"));
    assert!(waiting < error, "{:?}", terminal.text);
}

#[test]
fn no_sign_of_waiting_where_nobody_looks() {
    let (fake, finish) = slow(false);
    let child = spawn(&fake, &["restart", "all"], Stdio::piped(), Stdio::piped());
    finish.send(()).unwrap();
    let (code, out, err) = fake.told(&child.wait_with_output().unwrap());
    assert_eq!((code, out.lines().count(), err.as_str()), (0, 2, ""));
}

#[test]
fn a_reader_who_has_gone_is_no_fault() {
    let fake = Fake::absent();
    for words in [&["save"][..], &["man"], &[], &["monit", "--json"]] {
        let gone = || {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            Stdio::from(writer)
        };
        let mut child = spawn(&fake, words, gone(), gone());
        let code = child.wait().unwrap().code().unwrap();
        assert!(code == 0 || code == 2, "{words:?}: {code}");
    }
}

#[test]
fn watching_draws_again_and_gives_the_cursor_back() {
    let fake = Fake::new(|number, _| {
        let state = if number == 0 {
            State::Running
        } else {
            State::Errored
        };
        answer([Reply::Services(vec![row(0, "api", 0, state)])])
    });
    let mut terminal = Terminal::new();
    let mut child = spawn(
        &fake,
        &["status", "--watch"],
        terminal.stdio(),
        Stdio::piped(),
    );
    terminal.wait(|text| text.contains("running") && text.contains("\x1b[2A\r\x1b[J"));
    terminal.wait(|text| text.contains("errored"));
    assert!(
        terminal.text.starts_with("\x1b[?25l"),
        "{:?}",
        terminal.text
    );
    kill(
        Pid::from_raw(i32::try_from(child.id()).unwrap()),
        Signal::SIGINT,
    )
    .unwrap();
    assert!(child.wait().unwrap().success());
    terminal.wait(|text| text.ends_with("\x1b[?25h"));
}

#[test]
fn lines_of_loggers_are_read_by_people_on_a_terminal_only() {
    let api = ("api", 0, Stream::Out);
    let shelf = Shelf::new(&[api]);
    let line = r#"{"level":40,"time":1795358700072,"msg":"slow \u001b]0;title\u0007","ms":17}"#;
    shelf.append(api, format!("{line}\n\x1b[31mred\x1b[2J\n").as_bytes(), 0);
    let mut terminal = Terminal::new();
    let see = |words: &[&str], terminal: &Terminal| {
        spawn(&shelf.fake, words, terminal.stdio(), Stdio::piped())
    };
    let mut child = see(&["logs"], &terminal);
    terminal.wait(|text| text.ends_with("\x1b[31mred\\x1b[2J\x1b[0m\r\n"));
    assert_eq!(
        terminal.text.lines().next(),
        Some(
            "\x1b[2m14:45:00.072\x1b[0m \x1b[1;33mWARN \x1b[0m slow \\x1b]0;title\\x07\x1b[2m ms=\x1b[0m17"
        )
    );
    child.kill().unwrap();
    child.wait().unwrap();
    // And not where they do not want it.
    for words in [&["--no-pretty"][..], &["--raw"], &["--json"]] {
        terminal.text.clear();
        let words = [&["logs", "--no-follow"], words].concat();
        let mut child = see(&words, &terminal);
        assert!(child.wait().unwrap().success());
        terminal.wait(|text| text.contains("red"));
        assert!(
            terminal.text.contains("level"),
            "{words:?}: {:?}",
            terminal.text
        );
    }
}
