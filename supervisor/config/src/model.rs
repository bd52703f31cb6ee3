//! The checked model: what a config file or a `start` command asks for, in types that cannot be
//! wrong. Owns no rules of its own; [`crate::parse`] is the only way in that checks.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use supervisor_core::{Name, Policy};

use crate::StopSignal;

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
    /// What asks it to end.
    #[serde(default)]
    pub stop_signal: StopSignal,
    /// The rules that decisions depend on.
    #[serde(default)]
    pub policy: Policy,
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

/// Everything that one file asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The apps by name.
    pub apps: BTreeMap<Name, App>,
}

/// Where a text comes from: decides what relative paths are relative to and how faults are located.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file; `directory` is relative to its folder.
    File(PathBuf),
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
            Origin::File(path) => Some(path),
            Origin::CommandLine { .. } => None,
        }
    }

    /// What a relative `directory` is relative to, made absolute.
    pub(crate) fn folder(&self) -> PathBuf {
        let folder = match self {
            Origin::File(path) => path.parent().unwrap_or(Path::new("/")),
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
            .field("stop_signal", &self.stop_signal)
            .field("policy", &self.policy)
            .field("path", &self.path)
            .finish()
    }
}
