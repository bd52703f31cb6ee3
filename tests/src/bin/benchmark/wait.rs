//! Waiting, always with a deadline and an ear for Ctrl-C; and running commands with a clock.

use std::io;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use supervisor_tests::proc;

use crate::{Error, Outcome, interrupt};

/// Longer than any command of a measurement may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(180);

/// How often a condition is looked at. What is measured carries its own time stamps.
const STEP: Duration = Duration::from_millis(2);

/// Polls until `look` finds something.
pub fn until<T>(what: &str, deadline: Duration, mut look: impl FnMut() -> Option<T>) -> Outcome<T> {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        interrupt::check()?;
        if started.elapsed() > deadline {
            return Err(Error::Failed(format!(
                "not within {} s: {what}",
                deadline.as_secs()
            )));
        }
        thread::sleep(STEP);
    }
}

/// Sleeps, unless Ctrl-C comes.
pub fn nap(time: Duration) -> Outcome<()> {
    let end = Instant::now() + time;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        interrupt::check()?;
        thread::sleep(left.min(Duration::from_millis(50)));
    }
    Ok(())
}

/// A command that runs.
pub struct Begun {
    text: String,
    /// Its pid, which may be another's once it has ended.
    pub pid: i32,
    started: Instant,
    ended: Receiver<(io::Result<ExitStatus>, Duration)>,
}

/// Starts a command.
pub fn begin(command: &mut Command) -> Outcome<Begun> {
    let text = format!("{command:?}");
    let started = Instant::now();
    let mut child = command
        .spawn()
        .map_err(|error| Error::Failed(format!("{text}: {error}")))?;
    let pid = child.id().cast_signed();
    let (sender, ended) = mpsc::channel();
    thread::spawn(move || {
        let status = child.wait();
        // Nobody receives when the command was given up.
        let _ = sender.send((status, started.elapsed()));
    });
    Ok(Begun {
        text,
        pid,
        started,
        ended,
    })
}

impl Begun {
    /// Waits for its end, and gives the time from before its start to after its end. One that
    /// fails is an error.
    pub fn end(self) -> Outcome<Duration> {
        let failed = |why: String| Error::Failed(format!("{}: {why}", self.text));
        loop {
            match self.ended.recv_timeout(Duration::from_millis(50)) {
                Ok((Ok(status), took)) if status.success() => return Ok(took),
                Ok((Ok(status), _)) => return Err(failed(status.to_string())),
                Ok((Err(error), _)) => return Err(failed(error.to_string())),
                Err(RecvTimeoutError::Disconnected) => return Err(failed("lost".to_owned())),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let given_up = interrupt::check().and_then(|()| {
                if self.started.elapsed() < COMMAND_LIMIT {
                    return Ok(());
                }
                Err(failed(format!("no end after {COMMAND_LIMIT:?}")))
            });
            if given_up.is_err() {
                proc::kill(self.pid, Signal::SIGKILL);
                given_up?;
            }
        }
    }
}

/// How long a command takes to its end.
pub fn timed(command: &mut Command) -> Outcome<Duration> {
    begin(command)?.end()
}

/// What a command prints to its standard output.
pub fn printed(command: &mut Command) -> Outcome<String> {
    let output = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .map_err(|error| Error::Failed(format!("{command:?}: {error}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Error::Failed(format!(
            "{command:?}: {}: {}",
            output.status,
            said.trim()
        )));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
