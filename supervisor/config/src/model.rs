//! The checked model: what a config file or a `start` command asks for, in types that cannot be
//! wrong. Owns no rules of its own; [`crate::parse`] is the only way in that checks.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use supervisor_core::{Name, Policy};

use crate::places::Places;
use crate::units::Problem;
use crate::value::Word;
use crate::{Ceilings, Fault, Logs, Quota, StopSignal, WaitFor};

/// One app. Part of the daemon's saved state: an older state lacks the newer fields, a newer one has
/// more of them, so every field but the first three has a default and unknown ones are ignored.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    /// Unique among all apps of one supervisor.
    pub name: Name,
    /// The program and its arguments; never empty.
    pub command: Vec<String>,
    /// Where it runs; absolute.
    pub directory: PathBuf,
    /// Whom it runs as; `None`: the daemon's own user.
    #[serde(default)]
    pub user: Option<String>,
    /// Its group; `None`: the user's primary group.
    #[serde(default)]
    pub group: Option<String>,
    /// Groups apps for commands; empty: none.
    #[serde(default)]
    pub namespace: String,
    /// Set on top of everything else.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Read at each start, later files win.
    #[serde(default)]
    pub env_file: Vec<EnvFile>,
    /// How many run, 1..=[`App::MAX_INSTANCES`].
    #[serde(default = "one")]
    pub instances: u32,
    /// What it reads from.
    #[serde(default)]
    pub stdin: Stdin,
    /// What asks it to end.
    #[serde(default)]
    pub stop_signal: StopSignal,
    /// What must answer before it starts; `policy.conditional` where there is anything.
    #[serde(default)]
    pub wait_for: Vec<WaitFor>,
    /// The rules that decisions depend on.
    #[serde(default)]
    pub policy: Policy,
    /// What becomes of what it writes.
    #[serde(default)]
    pub logs: Logs,
    /// What the kernel keeps each of its runs to.
    #[serde(default)]
    pub ceilings: Ceilings,
    /// What it may use.
    #[serde(default)]
    pub limits: Limits,
    /// The `PATH` of whoever added it with `start`.
    #[serde(default)]
    pub path: Option<String>,
}

/// A file of environment variables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvFile {
    /// Absolute.
    pub path: PathBuf,
    /// It may be missing (written with a `?` at the end).
    #[serde(default)]
    pub optional: bool,
}

/// What an app reads from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stdin {
    /// Nothing: it is at its end from the start.
    #[default]
    Null,
    /// What `send` writes.
    Pipe,
}

/// What an app may use. Part of the saved state, as [`App`] is; `None`: as the daemon was started with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// How many files it may have open, as soft and as hard limit.
    pub nofile: Option<u32>,
    /// Its nice value, -20..=19.
    pub nice: Option<i32>,
    /// Its OOM score, -1000..=1000.
    pub oom_score_adj: Option<i32>,
    /// Its file mode creation mask.
    pub umask: Option<Umask>,
    /// Programs that are setuid or have capabilities give it nothing.
    pub no_new_privs: bool,
}

/// A file mode creation mask, at most 0o777.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Umask(pub u32);

impl fmt::Display for Umask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03o}", self.0)
    }
}

/// What the daemon asks of itself. Part of its saved state, as [`App`] is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonSettings {
    /// Whose members may do all but see secrets; `None`: nobody's.
    #[serde(default)]
    pub group: Option<String>,
    /// Whose members may look; `None`: nobody's.
    #[serde(default)]
    pub viewers: Option<String>,
    /// How much it writes to its own log; `None`: the file says nothing of it.
    #[serde(default)]
    pub log_level: Option<LogLevel>,
    /// How much the logs of all apps may take; `None`: the file says nothing of it.
    #[serde(default)]
    pub logs_max_total: Option<Quota>,
}

/// How much is written to the daemon's own log, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogLevel {
    /// What failed.
    Error,
    /// What looks wrong, too.
    Warn,
    /// What was done, too.
    Info,
    /// Why, too.
    Debug,
    /// Everything.
    Trace,
}

/// Everything that one file asks for. Knows where each key stands, so that what is found out later,
/// about the machine or about other files, can be told at its place.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The apps by name.
    pub apps: BTreeMap<Name, App>,
    /// What the daemon's own file asks of the daemon.
    pub daemon: DaemonSettings,
    pub(crate) places: Places,
}

/// Where a text comes from: decides what relative paths are relative to and how faults are located.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file; `directory` is relative to its folder.
    File {
        /// Where it is.
        path: PathBuf,
        /// It is `supervisor.toml` of the config folder, where the daemon's own keys may stand.
        daemons_own: bool,
    },
    /// Options of a command; there are no line numbers to show.
    CommandLine {
        /// The caller's folder.
        directory: PathBuf,
        /// The caller's `PATH`, kept with the apps.
        path: Option<String>,
    },
}

fn one() -> u32 {
    1
}

impl App {
    /// The most instances of one app.
    pub const MAX_INSTANCES: u32 = 512;
}

impl Config {
    /// The file that it is; `None` for the options of a command.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.places.file()
    }

    /// What is wrong with `key` (`"user"`, `"restart.delay"`) of an app, at the place where it is
    /// written: below the app, or else in the defaults. A key that stands nowhere has its fault at
    /// the app's header, an app that stands nowhere has it with the file as a whole.
    #[must_use]
    pub fn fault(&self, app: &Name, key: &str, problem: Problem) -> Fault {
        self.places.fault(app, key, problem)
    }

    /// The same for a key of the daemon's own (`"daemon.group"`).
    #[must_use]
    pub fn daemon_fault(&self, key: &str, problem: Problem) -> Fault {
        self.places.daemon_fault(key, problem)
    }
}

impl Word for Stdin {
    const WORDS: &'static [(&'static str, Stdin)] = &[("null", Stdin::Null), ("pipe", Stdin::Pipe)];
}

impl Word for LogLevel {
    const WORDS: &'static [(&'static str, LogLevel)] = &[
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ];
}

impl EnvFile {
    /// As it is written in a config file.
    #[must_use]
    pub fn written(&self) -> String {
        format!(
            "{}{}",
            self.path.display(),
            if self.optional { "?" } else { "" }
        )
    }
}

impl Origin {
    /// The file, if it is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Origin::File { path, .. } => Some(path),
            Origin::CommandLine { .. } => None,
        }
    }

    pub(crate) fn is_daemons_own(&self) -> bool {
        matches!(
            self,
            Origin::File {
                daemons_own: true,
                ..
            }
        )
    }

    /// What a relative `directory` is relative to, made absolute.
    pub(crate) fn folder(&self) -> PathBuf {
        let folder = match self {
            Origin::File { path, .. } => path.parent().unwrap_or(Path::new("/")),
            Origin::CommandLine { directory, .. } => directory,
        };
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        // It only fails where the current folder is gone; then the path as given is the best there is.
        std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned())
    }
}

/// Values of `env` are secrets: only the names are shown.
impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("name", &self.name)
            .field("command", &self.command)
            .field("directory", &self.directory)
            .field("user", &self.user)
            .field("group", &self.group)
            .field("namespace", &self.namespace)
            .field("env", &self.env.keys())
            .field("env_file", &self.env_file)
            .field("instances", &self.instances)
            .field("stdin", &self.stdin)
            .field("stop_signal", &self.stop_signal)
            .field("wait_for", &self.wait_for)
            .field("policy", &self.policy)
            .field("logs", &self.logs)
            .field("ceilings", &self.ceilings)
            .field("limits", &self.limits)
            .field("path", &self.path)
            .finish()
    }
}
