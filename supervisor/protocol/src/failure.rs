//! Why a request was refused.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of fault: decides the exit code.
    pub kind: FailureKind,
    /// One sentence: what failed.
    pub message: String,
    /// Why, from the nearest cause to the farthest.
    pub causes: Vec<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// All that is wrong with files, where that is the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
}

impl Failure {
    /// Without causes, hint and faults.
    #[must_use]
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Failure {
        Failure {
            kind,
            message: message.into(),
            causes: Vec::new(),
            hint: None,
            faults: Vec::new(),
        }
    }

    /// With one more cause.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Failure {
        self.causes.push(cause.into());
        self
    }

    /// With what to do about it.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Failure {
        Failure {
            hint: Some(hint.into()),
            ..self
        }
    }
}

/// One thing that is wrong with a file or with the options of a command.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The file; `None` for options of a command.
    pub file: Option<PathBuf>,
    /// Counts from 1.
    pub line: Option<u64>,
    /// In characters, counts from 1.
    pub column: Option<u64>,
    /// Dotted: `app.x.restart.delay`.
    pub key: Option<String>,
    /// What is wrong. Never a value of an environment variable.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// What stands there.
    pub excerpt: Option<Excerpt>,
}

/// A line of a file, with the part of it that is meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excerpt {
    /// The line, or the part of a long one around the place.
    pub text: String,
    /// Where in `text` the part begins: in characters, counts from 0.
    pub start: u64,
    /// How many characters it has; at least 1.
    pub width: u64,
}

/// Kinds of refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The words of the request are wrong.
    Usage,
    /// No such app.
    NoSuchApp,
    /// The config or definition is faulty.
    Invalid,
    /// The caller may not.
    Denied,
    /// It is taken already.
    Conflict,
    /// Another version of the wire.
    Version,
    /// It failed in the daemon: disk full, out of descriptors, …
    Failed,
    /// The daemon is shutting down.
    ShuttingDown,
}
