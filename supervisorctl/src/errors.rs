//! Errors and exit codes: the one place that decides what a script sees and how a person is told.

use std::io;
use std::process::ExitCode;

use supervisor_protocol::client::{CallError, ConnectError, ReceiveError};
use supervisor_protocol::{Failure, FailureKind, PathsError};

use crate::output::Style;
use crate::render::color::{Colour, paint};
use crate::render::sanitize;

/// How a command ended. The numbers are promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// One sentence: what failed. Empty: nothing is said.
    pub message: String,
    /// Why, from the nearest cause to the farthest.
    pub causes: Vec<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl CliError {
    /// An error without causes or hint.
    pub fn new(exit: Exit, message: impl Into<String>) -> CliError {
        CliError {
            exit,
            message: message.into(),
            causes: Vec::new(),
            hint: None,
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
        CliError::new(
            Exit::Failed,
            format!("the output cannot be written: {error}"),
        )
    }

    /// The lines for standard error; nothing in them can steer a terminal.
    pub fn render(&self, style: Style) -> String {
        if self.message.is_empty() {
            return String::new();
        }
        let mut text = format!(
            "{} {}\n",
            paint(style, Colour::Red, "error:"),
            indented(&self.message)
        );
        for cause in &self.causes {
            text.push_str(&format!(
                "  {} {}\n",
                paint(style, Colour::Dim, "why:"),
                indented(cause)
            ));
        }
        if let Some(hint) = &self.hint {
            text.push_str(&format!(
                "  {} {}\n",
                paint(style, Colour::Dim, "try:"),
                indented(hint)
            ));
        }
        text
    }
}

/// Lines after the first stand below the first.
fn indented(text: &str) -> String {
    sanitize::block(text).trim_end().replace('\n', "\n    ")
}

/// Says what is to be said and gives the exit code.
pub fn finish(result: Result<Exit, CliError>) -> ExitCode {
    let exit = match result {
        Ok(exit) => exit,
        Err(error) => {
            eprint!("{}", error.render(Style::of_stderr()));
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
            message: failure.message,
            causes: failure.causes,
            hint,
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
                "no daemon is running; `supervisorctl up` or `supervisorctl start SCRIPT` starts one",
            ),
            ConnectError::Denied { .. } => CliError::new(Exit::Failed, message)
                .hint("that daemon belongs to another user: `sudo supervisorctl …`"),
            ConnectError::TooLong { .. } => CliError::new(Exit::Failed, message)
                .hint("set SUPERVISOR_HOME to a folder with a shorter path"),
            ConnectError::Io { .. } => CliError::new(Exit::NoDaemon, message),
        }
    }
}

impl From<CallError> for CliError {
    fn from(error: CallError) -> CliError {
        let message = error.to_string();
        match error {
            CallError::Connect(error) => error.into(),
            CallError::Refused(failure) => failure.into(),
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
mod tests {
    use std::time::Duration;

    use supervisor_protocol::VERSION;

    use super::*;

    #[test]
    fn every_kind_has_its_code_and_its_words() {
        let failure = |kind| Failure {
            kind,
            message: "it failed\x1b[2J".into(),
            causes: vec!["first".into(), "line 1\nline 2".into()],
            hint: None,
        };
        let mut errors: Vec<CliError> = [
            FailureKind::Usage,
            FailureKind::NoSuchApp,
            FailureKind::Invalid,
            FailureKind::Denied,
            FailureKind::Conflict,
            FailureKind::Version,
            FailureKind::Failed,
            FailureKind::ShuttingDown,
        ]
        .map(|kind| failure(kind).into())
        .into();
        errors.push(Failure::other_version(VERSION + 1).into());
        let path = || "/run/supervisor/supervisor.sock".into();
        errors.push(ConnectError::NoDaemon { tried: path() }.into());
        errors.push(ConnectError::Denied { path: path() }.into());
        errors.push(ConnectError::TooLong { path: path() }.into());
        let wait = Duration::from_secs(10);
        errors.push(CallError::Receive(ReceiveError::Silent(wait)).into());
        errors.push(
            CallError::KeepsBreaking {
                times: 3,
                after: wait,
            }
            .into(),
        );
        errors.push(CallError::Receive(ReceiveError::LostDescriptors).into());
        let text: String = errors
            .iter()
            .map(|error| format!("exit {}\n{}", error.exit.code(), error.render(Style::Plain)))
            .collect();
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_reader_who_left_is_no_fault() {
        let error = CliError::from_output(&io::ErrorKind::BrokenPipe.into());
        assert_eq!(
            (error.exit.code(), error.render(Style::Plain)),
            (0, String::new())
        );
        assert_eq!(
            CliError::from_output(&io::ErrorKind::StorageFull.into())
                .exit
                .code(),
            1
        );
    }
}
