//! What is done to an instance at once and changes nothing of what is wanted: nothing is saved, and
//! nobody waits.

use std::fmt;

use supervisor_config::{Stdin, StopSignal};
use supervisor_core::{Command, Event, ServiceId};
use supervisor_protocol::{Done, FailureKind, Outcome, Reply, Selected};

use super::commands::outcome;
use super::inbox::{Message, Replies};
use super::{Engine, birth};
use crate::os::pidfd;

/// A pipe takes so many bytes whole or not at all.
const WHOLE: usize = 4096;

/// One of them, as it was asked.
#[derive(Debug)]
pub enum Deed {
    /// A signal to the process group of the main process.
    Signal(String),
    /// A line to its standard input.
    Send(String),
    /// Counters to zero.
    Reset,
    /// Log files emptied.
    Flush,
}

/// The same, checked.
enum Checked {
    Signal(StopSignal),
    Send(Vec<u8>),
    Reset,
    Flush,
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Checked::Signal(signal) => f.write_str(&signal.name()),
            // What is in it may be secret.
            Checked::Send(_) => f.write_str("a line to its standard input"),
            Checked::Reset => f.write_str("counters reset"),
            Checked::Flush => f.write_str("its logs emptied"),
        }
    }
}

impl Engine {
    /// Does it and answers.
    pub(super) fn deed(&mut self, deed: &Deed, on: &[Selected], replies: &Replies) {
        let deed = match check(deed) {
            Ok(deed) => deed,
            Err(why) => return replies.refuse(FailureKind::Usage, why, None),
        };
        let on = match self.known(on, false) {
            Ok(on) => on,
            Err(failure) => return replies.send(Reply::Error(failure)),
        };
        let ticket = self.waiters.ticket(replies.clone(), on.len());
        for (id, _) in &on {
            tracing::info!("{id}: {deed}, as {} asked", replies.asker());
        }
        for (id, _) in on {
            let answer = match &deed {
                Checked::Signal(signal) => self.send_signal(&id, *signal),
                Checked::Send(line) => self.send_line(&id, line),
                Checked::Reset => self.reset(&id),
                Checked::Flush => {
                    self.flush(&id, ticket);
                    continue;
                }
            };
            self.waiters.answer(ticket, answer);
        }
    }

    fn send_signal(&self, id: &ServiceId, signal: StopSignal) -> Outcome {
        let live = self
            .live_of(id)
            .and_then(|live| Some((live.pid?, live.pidfd.as_ref()?)));
        let Some((pid, pidfd)) = live else {
            return failed(id, None, "it is not running");
        };
        match pidfd::send_group(pidfd, pid, i32::from(signal.number())) {
            Ok(()) => outcome(id, Done::Signalled, Some(pid), None),
            Err(errno) => failed(id, Some(pid), errno.desc()),
        }
    }

    fn send_line(&self, id: &ServiceId, line: &[u8]) -> Outcome {
        let Some((live, pid)) = self.live_of(id).and_then(|live| Some((live, live.pid?))) else {
            return failed(id, None, "it is not running");
        };
        let Some(stdin) = &live.stdin else {
            return failed(id, Some(pid), self.why_no_stdin(id));
        };
        match nix::unistd::write(stdin, line) {
            Ok(_) => outcome(id, Done::Sent, Some(pid), None),
            Err(errno) => {
                let why = match errno {
                    nix::errno::Errno::EAGAIN => {
                        "its standard input is full: it does not read what was sent before"
                    }
                    nix::errno::Errno::EPIPE => "it has closed its standard input",
                    other => other.desc(),
                };
                failed(id, Some(pid), why)
            }
        }
    }

    fn why_no_stdin(&self, id: &ServiceId) -> &'static str {
        let entry = self.desired.apps.get(&id.app);
        match entry.map(|entry| entry.app.stdin) {
            Some(Stdin::Pipe) => "the other end of its standard input is lost; restart it",
            Some(Stdin::Null) | None => {
                "it has no standard input: set stdin = \"pipe\" in its file (or start it with `--stdin pipe`)"
            }
        }
    }

    fn reset(&mut self, id: &ServiceId) -> Outcome {
        let id = id.clone();
        self.tell(Event::Command {
            id: id.clone(),
            command: Command::Reset,
        });
        outcome(&id, Done::Reset, self.pid_of(&id), None)
    }

    /// By the one that writes them.
    fn flush(&self, id: &ServiceId, ticket: u64) {
        let streams = self.streams.logs_of(id);
        let (id, tell) = (id.clone(), birth::teller(&self.inbox));
        self.pump.empty(streams, move |result| {
            let error = result.err().map(|error| error.to_string());
            tell(Message::Emptied { id, ticket, error });
        });
    }

    /// The log pump has emptied the files of an instance.
    pub(super) fn emptied(&mut self, id: &ServiceId, ticket: u64, error: Option<&str>) {
        let done = match error {
            Some(_) => Done::Failed,
            None => Done::Flushed,
        };
        let answer = outcome(id, done, self.pid_of(id), error);
        self.waiters.answer(ticket, answer);
    }
}

fn check(deed: &Deed) -> Result<Checked, String> {
    match deed {
        Deed::Signal(signal) => StopSignal::parse(signal)
            .map(Checked::Signal)
            .map_err(|error| error.to_string()),
        Deed::Send(line) if line.contains(['\n', '\0']) => {
            Err("one line at a time, without NUL characters".to_owned())
        }
        Deed::Send(line) if line.len() >= WHOLE => Err(format!(
            "a line has at most {} bytes: more could arrive in pieces",
            WHOLE - 1
        )),
        Deed::Send(line) => Ok(Checked::Send(format!("{line}\n").into_bytes())),
        Deed::Reset => Ok(Checked::Reset),
        Deed::Flush => Ok(Checked::Flush),
    }
}

fn failed(id: &ServiceId, pid: Option<i32>, why: &str) -> Outcome {
    outcome(id, Done::Failed, pid, Some(why))
}
