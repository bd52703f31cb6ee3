//! What the daemon answers.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{Details, Failure, Service};

/// What the daemon answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// Some rows of the status table; more frames may follow.
    Services(Vec<Service>),
    /// One instance in full.
    Details(Box<Details>),
    /// What `up` is going to do.
    Plan(Plan),
    /// One target is done.
    Outcome(Outcome),
    /// Some log files; their descriptors come with the frame's first byte, in this order.
    Logs(Logs),
    /// About the daemon.
    Daemon(DaemonStatus),
    /// The last frame of a request that was carried out (its outcomes may still tell of failures).
    End,
    /// The last frame of a request that was refused; nothing was changed.
    Error(Failure),
}

/// What `up` is going to do, or did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The file it is about.
    pub file: PathBuf,
    /// New apps.
    pub create: Vec<String>,
    /// Apps that differ.
    pub change: Vec<Change>,
    /// Apps that came from this file and are gone from it.
    pub remove: Vec<String>,
    /// Apps that are as they should be.
    pub untouched: Vec<String>,
    /// Apps that the operator stopped and that stay stopped.
    pub stopped: Vec<String>,
}

/// An app that a file has otherwise than it is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The app.
    pub name: String,
    /// What is done about it.
    pub effect: Effect,
    /// In what it differs; never empty.
    pub keys: Vec<KeyChange>,
}

/// What a change asks of an app that runs, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// New rules for the processes that run.
    Keeps,
    /// More or fewer instances; those that stay are not touched.
    Scales,
    /// New processes.
    Restarts,
}

/// One key that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyChange {
    /// Dotted, as in the file.
    pub key: String,
    /// As the file would say it; `None`: not set, or not shown because it may be a secret.
    pub old: Option<String>,
    /// The same.
    pub new: Option<String>,
}

/// How it went for one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The app.
    pub name: String,
    /// Its instance.
    pub instance: u32,
    /// Whether what was asked for is so now.
    pub ok: bool,
    /// What was done.
    pub done: Done,
    /// The process before.
    pub old_pid: Option<i32>,
    /// The process after.
    pub new_pid: Option<i32>,
    /// From the request to the outcome.
    pub ms: u64,
    /// Why not, or what else there is to know.
    pub message: Option<String>,
    /// Last lines of its standard error, where it ended early.
    pub stderr_tail: Vec<String>,
}

/// What was done to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Done {
    /// It runs now.
    Started,
    /// It ran before.
    AlreadyRunning,
    /// It is stopped now.
    Stopped,
    /// It was not running.
    AlreadyStopped,
    /// A new process runs in place of the old one.
    Restarted,
    /// It is forgotten.
    Deleted,
    /// The signal was sent.
    Signalled,
    /// The line is in its standard input.
    Sent,
    /// Its counters begin anew.
    Reset,
    /// Its log files are empty.
    Flushed,
    /// It waits for something (`message` says for what), and will start by itself.
    Waiting,
    /// What was asked for could not be reached.
    Failed,
}

/// Log files of some instances. Those of one stream stand together, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logs {
    /// Whether an inotify descriptor comes first.
    pub inotify: bool,
    /// One for each descriptor that follows, or two where a file has its index.
    pub files: Vec<LogFile>,
}

impl Logs {
    /// The most descriptors that come with one of these.
    pub const DESCRIPTORS: usize = 250;

    /// How many descriptors come with it.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        let files = self.files.iter().map(LogFile::descriptors);
        usize::from(self.inotify) + files.sum::<usize>()
    }
}

/// One log file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogFile {
    /// The app.
    pub name: String,
    /// Its instance.
    pub instance: u32,
    /// Which of its streams.
    pub stream: Stream,
    /// Where the file is, for people.
    pub path: PathBuf,
    /// Which one of the stream: 0 is the live file, 1 the newest of those that were rotated.
    pub number: u32,
    /// It is compressed with zstd.
    pub compressed: bool,
    /// The descriptor of its time index follows its own.
    pub index: bool,
    /// Its watch on the inotify descriptor; only the live file has one.
    pub watch: Option<i32>,
    /// What stands in the files of the stream that are written now.
    pub format: LogFormat,
}

impl LogFile {
    /// How many descriptors come with it.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        1 + usize::from(self.index)
    }
}

/// What stands in a log file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// What the app wrote.
    Raw,
    /// The same with the time before each line.
    Timestamp,
}

/// An output stream of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// About the daemon. Field names are what `daemon status --json` prints, and stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonStatus {
    /// The process that holds everything.
    pub keeper_pid: i32,
    /// The process that decides and does.
    pub engine_pid: i32,
    /// Of the engine's program.
    pub version: String,
    /// Since the keeper was started.
    pub uptime_ms: u64,
    /// Since this engine was started.
    pub engine_uptime_ms: u64,
    /// How many engines the keeper has started after the first.
    pub engine_restarts: u64,
    /// Instances it knows.
    pub services: u64,
    /// Its own log.
    pub log: PathBuf,
    /// How the last upgrade went; `None`: there was none since the keeper was started.
    #[serde(default)]
    pub upgrade: Option<Upgrade>,
    /// Promises that do not hold here, one sentence each, with the reason.
    pub limits: Vec<String>,
}

/// How an upgrade of the daemon went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upgrade {
    /// The number of its request.
    pub number: u32,
    /// How far it is.
    pub state: UpgradeState,
    /// Why it failed.
    pub reason: Option<String>,
}

/// How far an upgrade is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpgradeState {
    /// The new program runs; if its engine dies three times before it has run for a minute, the
    /// program before comes back.
    OnTrial,
    /// The new program runs.
    Done,
    /// The program before goes on.
    Failed,
}
