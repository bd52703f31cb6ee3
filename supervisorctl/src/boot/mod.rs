//! What starts the daemon at boot: the two systemd units, and what takes their place elsewhere.
//!
//! Owns the units' texts ([`units`]), where they stand and whether they are ours ([`setup`]), the
//! conversation with systemd ([`systemctl`]), and the texts for machines without it
//! ([`elsewhere`]). Leaves to the verbs `startup`, `unstartup` and `install` when what is done.

pub mod elsewhere;
pub mod setup;
pub mod systemctl;
pub mod units;

use std::env;
use std::path::PathBuf;

use nix::unistd::{Uid, User};

use crate::errors::{CliError, Exit};

/// The unit of the daemon.
pub const DAEMON: &str = "supervisor.service";
/// The unit whose control group holds the apps.
pub const APPS: &str = "supervisor-apps.service";

/// Whose systemd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The machine's.
    System,
    /// An ordinary user's.
    User,
}

impl Scope {
    /// That of whoever asks.
    pub fn own() -> Scope {
        if Uid::effective().is_root() {
            Scope::System
        } else {
            Scope::User
        }
    }

    /// `systemctl` as it is typed for it.
    pub fn systemctl(self) -> &'static str {
        match self {
            Scope::System => "systemctl",
            Scope::User => "systemctl --user",
        }
    }

    /// `journalctl` as it is typed for the daemon's unit.
    pub fn journalctl(self) -> &'static str {
        match self {
            Scope::System => "journalctl -u supervisor",
            Scope::User => "journalctl --user -u supervisor",
        }
    }

    /// Where its units are written.
    pub fn folder(self) -> Result<PathBuf, CliError> {
        Ok(match self {
            Scope::System => "/etc/systemd/system".into(),
            Scope::User => config_home()?.join("systemd/user"),
        })
    }

    /// Where else systemd looks for units, those of packages; what is found first counts.
    pub fn others(self) -> &'static [&'static str] {
        match self {
            Scope::System => &[
                "/run/systemd/system",
                "/usr/local/lib/systemd/system",
                "/usr/lib/systemd/system",
                "/lib/systemd/system",
            ],
            Scope::User => &[
                "/etc/systemd/user",
                "/run/systemd/user",
                "/usr/local/lib/systemd/user",
                "/usr/lib/systemd/user",
                "/lib/systemd/user",
            ],
        }
    }
}

/// The home of whoever asks.
pub fn home() -> Result<PathBuf, CliError> {
    absolute("HOME")
        .or_else(home_in_user_database)
        .ok_or_else(|| CliError::new(Exit::Failed, "no home folder: set HOME"))
}

/// What systemd gives as HOME.
fn home_in_user_database() -> Option<PathBuf> {
    let user = User::from_uid(Uid::effective()).ok().flatten()?;
    Some(user.dir)
}

/// The name of whoever asks.
pub fn user_name() -> String {
    let user = User::from_uid(Uid::effective()).ok().flatten();
    user.map_or_else(|| Uid::effective().to_string(), |user| user.name)
}

fn config_home() -> Result<PathBuf, CliError> {
    match absolute("XDG_CONFIG_HOME") {
        Some(folder) => Ok(folder),
        None => Ok(home()?.join(".config")),
    }
}

/// A variable that holds an absolute path; anything else counts as unset.
fn absolute(variable: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env::var_os(variable)?);
    path.is_absolute().then_some(path)
}
