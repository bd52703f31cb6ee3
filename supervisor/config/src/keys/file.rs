//! The keys of the file itself.

use super::{FileRole, Group, Key, NotYet, not_yet, rows};
use crate::LogLevel;
use crate::form;

/// Tables that may stand only in the daemon's own file.
pub(crate) const DAEMONS_OWN: [&str; 3] = ["daemon", "http", "notify"];

/// The tables among the keys below.
pub(crate) const FILE_GROUPS: &[Group] = &[Group {
    path: "daemon",
    doc: " What the daemon asks of itself; only in supervisor.toml of the config folder.",
    example: "daemon.log_level = \"info\"",
    one_of: &[],
}];

macro_rules! apps {
    ($role:ident, $form:expr, ()) => {
        $role::Apps
    };
}

macro_rules! defaults {
    ($role:ident, $form:expr, ()) => {
        $role::Defaults
    };
}

/// A key that is one field of the daemon's settings.
macro_rules! daemon {
    ($role:ident, $form:expr, ($field:ident)) => {
        $role::Daemon(|settings, value, reading| {
            if let Some(new) = ($form.read)(value, reading) {
                settings.$field = Some(new);
            }
        })
    };
}

rows! { FILE: FileRole {
    /// The apps, each below its name: [app.NAME].
    "app": form::APPS => apps();
    /// What every app of this file starts from: the keys of an app, but no command.
    "defaults": form::DEFAULTS => defaults();
    /// The group whose members may use the daemon as its owner may; what it starts runs as its owner,
    /// so they are trusted as the owner is.
    "daemon.group": form::ACCOUNT => daemon(group);
    /// The group whose members may look, and do nothing.
    "daemon.viewers": form::ACCOUNT => daemon(viewers);
    /// How much the daemon writes to its own log.
    "daemon.log_level": form::words::<LogLevel>() => daemon(log_level);
    /// For the logs of all apps together; the oldest rotated files go first. Default: a tenth of the
    /// file system they are on, at least 1GB and at most 4GB.
    "daemon.logs_max_total": form::QUOTA => daemon(logs_max_total);
    /// The daemon's own web server.
    "http": form::TABLE => not_yet(None, |table| table);
    /// Where the daemon tells what happens.
    "notify": form::TABLE => not_yet(None, |table| table);
} }
