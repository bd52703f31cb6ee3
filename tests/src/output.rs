//! What a command printed and how it ended.

use std::io;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::proc;

/// What a command printed and how it ended.
#[derive(Debug)]
pub struct Output {
    /// The command, for messages.
    pub command: String,
    /// Its exit code; -1 when a signal killed it.
    pub code: i32,
    /// All of its standard output.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

/// Longer than any command of a test may take.
const LIMIT: Duration = Duration::from_secs(60);

impl Output {
    /// Runs a command to its end, without standard input. One that does not end fails the test.
    #[track_caller]
    pub fn of(command: &mut Command) -> Output {
        let text = format!("{command:?}");
        let started = Instant::now();
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {text}: {error}"));
        let output = finish(child).unwrap_or_else(|error| panic!("{text}: {error}"));
        Output {
            command: text,
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            took: started.elapsed(),
        }
    }

    /// Fails the test unless the command ended with 0.
    #[track_caller]
    pub fn ok(self) -> Output {
        self.exits(0)
    }

    /// Fails the test unless the command ended with `code`.
    #[track_caller]
    pub fn exits(self, code: i32) -> Output {
        assert!(self.code == code, "should have ended with {code}: {self}");
        self
    }

    /// Fails the test unless this text is in what was printed, on either stream.
    #[track_caller]
    pub fn says(self, text: &str) -> Output {
        assert!(
            self.text().contains(text),
            "should have said {text:?}: {self}"
        );
        self
    }

    /// Fails the test if this text is in what was printed, on either stream.
    #[track_caller]
    pub fn hides(self, text: &str) -> Output {
        assert!(
            !self.text().contains(text),
            "should not have said {text:?}: {self}"
        );
        self
    }

    /// Both streams.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// Standard output as JSON.
    #[track_caller]
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("no JSON, {error}: {self}"))
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Output {
            command,
            code,
            stdout,
            stderr,
            took,
        } = self;
        write!(
            f,
            "{command} ended with {code} after {took:?}\n{stdout}{stderr}"
        )
    }
}

/// Waits for the end of a child and for all it printed.
fn finish(child: Child) -> io::Result<std::process::Output> {
    let pid = child.id().cast_signed();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    receiver.recv_timeout(LIMIT).unwrap_or_else(|_| {
        proc::kill(pid, Signal::SIGKILL);
        Err(io::Error::other(format!(
            "did not end within {LIMIT:?}, or left a process that holds its output open"
        )))
    })
}
