//! Errors and exit codes: the one place that decides what a script sees and how a person is told.

use std::io;
use std::process::ExitCode;

use nix::errno::Errno;
use serde::Serialize;
use supervisor_protocol::client::{CallError, ConnectError, ReceiveError};
use supervisor_protocol::{Failure, FailureKind, Fault, PathsError};

use crate::output::{self, Style};
use crate::render::color::{Colour, paint};
use crate::render::text::hang;
use crate::render::{faults, sanitize};

/// How a command ended. The numbers are promised, and so are the words in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// What was asked for is so.
    Done,
    /// It failed, or part of it did.
    Failed,
    /// Wrong words.
    Usage,
    /// `status TARGET`: not all named are running.
    NotRunning,
    /// There is no such app.
    NoSuchApp,
    /// No daemon answers.
    NoDaemon,
}

impl Exit {
    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::NotRunning => 3,
            Exit::NoSuchApp => 4,
            Exit::NoDaemon => 5,
        }
    }
}

/// What failed, why, what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CliError {
    /// Decides the exit code.
    pub exit: Exit,
    /// Why the daemon refused, where it did.
    pub kind: Option<FailureKind>,
    /// One sentence: what failed. Empty: nothing is said.
    pub message: String,
    /// Why, from the nearest cause to the farthest.
    pub causes: Vec<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// All that is wrong with files, where that is what failed. They are told in place of the
    /// message and its causes, which would say the same in fewer words.
    pub faults: Vec<Fault>,
}

/// The object that `--json` prints in place of an answer.
#[derive(Serialize)]
struct Json<'a> {
    error: JsonError<'a>,
}

#[derive(Serialize)]
struct JsonError<'a> {
    kind: Kind,
    exit: u8,
    message: &'a str,
    causes: &'a [String],
    hint: Option<&'a str>,
    faults: &'a [Fault],
}

/// What the daemon calls it, otherwise what the exit code means.
#[derive(Serialize)]
#[serde(untagged)]
enum Kind {
    Failure(FailureKind),
    Exit(Exit),
}

impl CliError {
    /// An error without causes or hint.
    pub fn new(exit: Exit, message: impl Into<String>) -> CliError {
        CliError {
            exit,
            kind: None,
            message: message.into(),
            causes: Vec::new(),
            hint: None,
            faults: Vec::new(),
        }
    }

    /// For what the system refused: what it said is the cause, and what usually helps the hint.
    pub fn of_system(message: impl Into<String>, error: &io::Error) -> CliError {
        CliError {
            hint: what_helps(error).map(str::to_owned),
            ..CliError::new(Exit::Failed, message).cause(error.to_string())
        }
    }

    /// With what to do about it.
    pub fn hint(self, hint: impl Into<String>) -> CliError {
        CliError {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// With one more cause.
    pub fn cause(mut self, cause: impl Into<String>) -> CliError {
        self.causes.push(cause.into());
        self
    }

    /// Nobody reads any more what is printed (`… | head`): an end, not a fault.
    fn nobody_reads() -> CliError {
        CliError::new(Exit::Done, "")
    }

    /// Standard output cannot be written.
    pub fn from_output(error: &io::Error) -> CliError {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return CliError::nobody_reads();
        }
        CliError::of_system("the output cannot be written", error)
    }

    /// The same without a width.
    #[cfg(test)]
    pub fn render(&self, style: Style) -> String {
        self.render_within(style, None)
    }

    /// The lines for standard error; nothing in them can steer a terminal.
    pub fn render_within(&self, style: Style, width: Option<usize>) -> String {
        let mut text = String::new();
        let message = if self.faults.is_empty() {
            self.message.clone()
        } else {
            text = faults::render(&self.faults, style, width) + "\n";
            format!("{}; nothing was changed", faults::summary(&self.faults))
        };
        if message.is_empty() {
            return String::new();
        }
        let mut line = |indent: &str, colour, title: &str, said: &str| {
            let title = paint(style, colour, title);
            text.push_str(&format!("{indent}{title} {}\n", indented(said, width)));
        };
        line("", Colour::Red, "error:", &message);
        if self.faults.is_empty() {
            for cause in &self.causes {
                line("  ", Colour::Dim, "why:", cause);
            }
        }
        if let Some(hint) = &self.hint {
            line("  ", Colour::Dim, "try:", hint);
        }
        text
    }

    /// What `--json` prints: one object with `error`; harmless for a terminal.
    pub fn to_json(&self) -> String {
        let kind = self.kind.map_or(Kind::Exit(self.exit), Kind::Failure);
        let error = JsonError {
            kind,
            exit: self.exit.code(),
            message: &self.message,
            causes: &self.causes,
            hint: self.hint.as_deref(),
            faults: &self.faults,
        };
        let text = serde_json::to_string_pretty(&Json { error });
        let text = text.expect("text, numbers and UTF-8 paths can be written as JSON");
        sanitize::json(&text) + "\n"
    }
}

/// Faults as an error tells them, and how many: for a file that was only looked at.
pub fn render_faults(found: &[Fault], style: Style, width: Option<usize>) -> String {
    let text = faults::render(found, style, width);
    format!("{text}\n{}\n", faults::summary(found))
}

/// Lines after the first stand below the first, wherever they come from.
fn indented(text: &str, width: Option<usize>) -> String {
    const INDENT: usize = 4;
    const TITLE: usize = "error: ".len();
    let block = sanitize::block(text);
    let width = width.map(|width| width - (TITLE - INDENT));
    let lines = block.trim_end().lines();
    let lines: Vec<_> = lines.map(|line| hang(INDENT, line, width)).collect();
    lines.join("\n    ")
}

/// What usually helps against what the system says.
fn what_helps(error: &io::Error) -> Option<&'static str> {
    match Errno::from_raw(error.raw_os_error()?) {
        Errno::ENOSPC => Some("the disk is full: `df -h` and `df -i` show which; make room on it"),
        Errno::EDQUOT => Some("the quota is used up: `quota` shows it; make room"),
        Errno::EROFS => Some("the disk may only be read: `findmnt` shows how it is mounted"),
        Errno::EACCES | Errno::EPERM => {
            Some("this user may not: `namei -l PATH` shows who may; perhaps with sudo")
        }
        Errno::EMFILE => Some("too many open files: `ulimit -n` shows the limit and raises it"),
        Errno::ENFILE => Some("the whole system has too many open files: `sysctl fs.file-nr`"),
        Errno::ENOMEM => Some("there is no memory left: `free -h` shows how much is used"),
        _ => None,
    }
}

/// Says what is to be said and gives the exit code.
pub fn finish(result: Result<Exit, CliError>) -> ExitCode {
    let exit = match result {
        Ok(exit) => exit,
        Err(error) => {
            let width = output::width_of_stderr();
            output::tell(&error.render_within(Style::of_stderr(), width));
            error.exit
        }
    };
    ExitCode::from(exit.code())
}

impl From<Failure> for CliError {
    fn from(failure: Failure) -> CliError {
        let exit = match failure.kind {
            FailureKind::Usage => Exit::Usage,
            FailureKind::NoSuchApp => Exit::NoSuchApp,
            FailureKind::Invalid
            | FailureKind::Denied
            | FailureKind::Conflict
            | FailureKind::Version
            | FailureKind::Failed
            | FailureKind::ShuttingDown => Exit::Failed,
        };
        let hint = match (failure.kind, failure.hint) {
            (FailureKind::Version, None) => Some(OTHER_VERSION.to_owned()),
            (_, hint) => hint,
        };
        CliError {
            exit,
            kind: Some(failure.kind),
            message: failure.message,
            causes: failure.causes,
            hint,
            faults: failure.faults,
        }
    }
}

const OTHER_VERSION: &str = "`supervisorctl --version` and `supervisor --version` say what is installed; \
    restart the daemon, or use the supervisorctl that came with it";

impl From<ConnectError> for CliError {
    fn from(error: ConnectError) -> CliError {
        let message = error.to_string();
        match error {
            ConnectError::NoDaemon { .. } => CliError::new(
                Exit::NoDaemon,
                "no daemon is running; `supervisorctl daemon start` starts one, and so do `up` and `start SCRIPT`",
            ),
            ConnectError::Denied { .. } => CliError::new(Exit::Failed, message)
                .hint("that daemon belongs to another user: `sudo supervisorctl …`"),
            ConnectError::TooLong { .. } => CliError::new(Exit::Failed, message)
                .hint("set SUPERVISOR_HOME to a folder with a shorter path"),
            ConnectError::Io { path, source } => CliError {
                exit: Exit::NoDaemon,
                ..CliError::of_system(format!("cannot connect to {}", path.display()), &source)
            },
        }
    }
}

impl From<CallError> for CliError {
    fn from(error: CallError) -> CliError {
        let message = error.to_string();
        match error {
            CallError::Connect(error) => error.into(),
            CallError::Refused(failure) => failure.into(),
            CallError::Unknown => CliError::new(Exit::Failed, message)
                .hint("`supervisorctl show` and `logs` may tell; then ask again"),
            CallError::Send(_) => CliError::new(Exit::Failed, message),
            CallError::Receive(ReceiveError::Silent(_)) => CliError::new(Exit::NoDaemon, message)
                .hint("the daemon's own log may say why: `supervisor.log` in its log folder"),
            CallError::Receive(ReceiveError::Json(_) | ReceiveError::Oversize(_)) => {
                CliError::new(Exit::Failed, message).hint(OTHER_VERSION)
            }
            CallError::Receive(ReceiveError::Broken(_) | ReceiveError::LostDescriptors) => {
                CliError::new(Exit::Failed, message)
            }
            CallError::KeepsBreaking { .. } => CliError::new(Exit::NoDaemon, message)
                .hint("the daemon's own log may say why: `supervisor.log` in its log folder"),
        }
    }
}

impl From<PathsError> for CliError {
    fn from(error: PathsError) -> CliError {
        CliError::new(Exit::Failed, error.to_string())
    }
}

#[cfg(test)]
#[path = "errors_tests.rs"]
mod tests;
