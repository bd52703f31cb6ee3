//! What a client asks.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A request with the version of the wire it is written in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// [`crate::VERSION`] of the sender.
    pub v: u32,
    /// What is asked.
    pub request: Request,
}

/// What a client may ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// The rows of the status table: `Reply::Services` frames.
    Status {
        /// `TARGET`s as typed; none means all.
        targets: Vec<String>,
        /// With what they use, which takes a look at their processes.
        #[serde(default)]
        usage: bool,
    },
    /// All there is to know: one `Reply::Details` for each instance.
    Show {
        /// A `TARGET` as typed.
        target: String,
        /// Show the values of the environment, not only its names.
        show_env: bool,
    },
    /// Makes the apps of a file so: `Reply::Plan`, then `Reply::Outcome`s.
    Up {
        /// Absolute path; `None`: the configured files.
        file: Option<PathBuf>,
        /// Only the plan.
        dry_run: bool,
        /// Answer when all are up or one has failed; otherwise at once.
        wait: bool,
    },
    /// Adds one app that was given on the command line and starts it: `Reply::Outcome`s.
    Add {
        /// A config text with exactly one `[app.NAME]` table, as it would stand in a file.
        text: String,
        /// The caller's folder: the default `directory`, and what relative paths are relative to.
        directory: PathBuf,
        /// The caller's `PATH`, kept for the app.
        path: Option<String>,
        /// Answer when it is up or has failed; otherwise at once.
        wait: bool,
    },
    /// Gives an app so many instances: `Reply::Outcome`s of those that came and went. The client
    /// works out what `+1` means, so that asking again does nothing twice.
    Scale {
        /// The app.
        name: String,
        /// From 1 up.
        instances: u32,
        /// Answer when all are up or gone; otherwise at once.
        wait: bool,
    },
    /// Does something to instances that the client has seen: `Reply::Outcome`s.
    Act {
        /// What to do.
        act: Act,
        /// To which.
        on: Vec<Selected>,
        /// Answer when it is done; otherwise at once.
        wait: bool,
    },
    /// The log files, as open descriptors: `Reply::Logs` frames.
    Logs {
        /// `TARGET`s as typed; none means all.
        targets: Vec<String>,
        /// With an inotify descriptor that tells of changes.
        follow: bool,
        /// So many rotated files of each stream, the newest first; [`u32::MAX`]: all.
        #[serde(default)]
        archives: u32,
    },
    /// Looks every log file up by its name again, for those who have moved them away. Answered when
    /// nothing more goes into the old ones.
    ReopenLogs,
    /// About the daemon itself: `Reply::Daemon`.
    DaemonStatus,
    /// Replaces the daemon by the program that is on disk now; no app notices. Answered by the engine
    /// that comes of it: the connection breaks, and the request is sent again. Refused when the program
    /// before goes on.
    Upgrade {
        /// The keeper, too.
        keeper: bool,
        /// Tells this request from others, so that asking again does nothing twice; not 0.
        number: u32,
    },
    /// Stops all apps in order, then the daemon: `Reply::Outcome`s. What ran is remembered.
    DaemonStop,
}

impl Request {
    /// Whether it changes nothing and tells no secret: what somebody may ask who may only look.
    #[must_use]
    pub fn looks_only(&self) -> bool {
        match self {
            Request::Show { show_env, .. } => !show_env,
            Request::Status { .. } | Request::Logs { .. } | Request::DaemonStatus => true,
            // Even a dry run has the daemon read a file for the one who asks, and tell of it.
            Request::Up { .. }
            | Request::Add { .. }
            | Request::Scale { .. }
            | Request::Act { .. }
            | Request::ReopenLogs
            | Request::Upgrade { .. }
            | Request::DaemonStop => false,
        }
    }

    /// Whether it may be sent again when nobody knows whether it was carried out.
    #[must_use]
    pub fn is_repeatable(&self) -> bool {
        match self {
            Request::Act { act, .. } => match act {
                Act::Signal(_) | Act::Send(_) => false,
                Act::Start | Act::Stop | Act::Restart | Act::Delete | Act::Reset | Act::Flush => {
                    true
                }
            },
            Request::Status { .. }
            | Request::Show { .. }
            | Request::Up { .. }
            | Request::Add { .. }
            | Request::Scale { .. }
            | Request::Logs { .. }
            | Request::ReopenLogs
            | Request::DaemonStatus
            | Request::Upgrade { .. }
            | Request::DaemonStop => true,
        }
    }
}

/// What can be done to an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Start what is not running.
    Start,
    /// Stop, and keep it stopped.
    Stop,
    /// Stop, then start; a stopped one is started.
    Restart,
    /// Stop and forget. Its logs stay.
    Delete,
    /// Send a signal to the process group of the main process.
    Signal(String),
    /// Write a line, without its end, to its standard input.
    Send(String),
    /// Count its restarts and failures from zero again.
    Reset,
    /// Empty its log files.
    Flush,
}

/// An instance as the client saw it. Naming the run makes a request safe to ask again: a restart
/// of a run that is over has already been done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selected {
    /// The app.
    pub name: String,
    /// Its instance.
    pub instance: u32,
    /// `Service::run` when the client looked.
    pub run: u64,
}
