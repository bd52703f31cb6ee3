//! The requests and replies, as JSON on the wire.

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
    /// The rows of the status table: [`Reply::Services`] frames.
    Status {
        /// `TARGET`s as typed; none means all.
        targets: Vec<String>,
    },
    /// All there is to know: one [`Reply::Details`] for each instance.
    Show {
        /// A `TARGET` as typed.
        target: String,
        /// Show the values of the environment, not only its names.
        show_env: bool,
    },
    /// Makes the apps of a file so: [`Reply::Plan`], then [`Reply::Outcome`]s.
    Up {
        /// Absolute path; `None`: the configured files.
        file: Option<PathBuf>,
        /// Only the plan.
        dry_run: bool,
        /// Answer when all are up or one has failed; otherwise at once.
        wait: bool,
    },
    /// Adds one app that was given on the command line and starts it: [`Reply::Outcome`]s.
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
    /// Does something to instances that the client has seen: [`Reply::Outcome`]s.
    Act {
        /// What to do.
        act: Act,
        /// To which.
        on: Vec<Selected>,
        /// Answer when it is done; otherwise at once.
        wait: bool,
    },
    /// The log files, as open descriptors: [`Reply::Logs`] frames.
    Logs {
        /// `TARGET`s as typed; none means all.
        targets: Vec<String>,
        /// With an inotify descriptor that tells of changes.
        follow: bool,
    },
    /// About the daemon itself: [`Reply::Daemon`].
    DaemonStatus,
    /// Stops all apps in order, then the daemon: [`Reply::Outcome`]s. What ran is remembered.
    DaemonStop,
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
}

/// An instance as the client saw it. Naming the run makes a request safe to ask again: a restart
/// of a run that is over has already been done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selected {
    /// The app.
    pub name: String,
    /// Its instance.
    pub instance: u32,
    /// [`Service::run`] when the client looked.
    pub run: u64,
}

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

/// The state of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not wanted.
    Stopped,
    /// Wanted, and waiting for something: a dependency, its schedule, a shortage.
    Waiting,
    /// A process exists and is not ready yet.
    Starting,
    /// Up (and ready, where readiness is set).
    Running,
    /// Asked to stop.
    Stopping,
    /// Ended too early; the next try has its time.
    Backoff,
    /// Given up.
    Errored,
    /// Ended, and its policy does not start it again.
    Completed,
}

/// One row of `status`. Field names are what `status --json` prints, and stay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// The number that stands for it on the command line.
    pub id: u64,
    /// The app.
    pub name: String,
    /// Counts from 0.
    pub instance: u32,
    /// How many the app has.
    #[serde(default)]
    pub instances: u32,
    /// Empty where none is set.
    pub namespace: String,
    /// What it is doing.
    pub state: State,
    /// Of the main process.
    pub pid: Option<i32>,
    /// `None`: no readiness is set.
    pub ready: Option<bool>,
    /// Since the current process was started; `None`: there is none.
    pub uptime_ms: Option<u64>,
    /// Automatic ones since `reset`.
    pub restarts: u64,
    /// Quick exits in a row.
    pub failures: u32,
    /// Of one core, of the whole tree, since the last look (or since the start); may exceed 100.
    pub cpu_percent: Option<f64>,
    /// Resident memory of the whole tree.
    pub memory_bytes: Option<u64>,
    /// `None` before the first.
    pub last_exit: Option<LastExit>,
    /// When it will be started next: RFC 3339 with offset.
    pub next_start_at: Option<String>,
    /// Milliseconds until then.
    pub next_start_in_ms: Option<u64>,
    /// Where its output goes.
    pub logs: LogPaths,
    /// The attempt to start that is current or was the last.
    pub run: u64,
    /// One sentence where there is something an operator must know: why it is not running.
    pub note: Option<String>,
}

/// How the last run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastExit {
    /// Exit code; `None`: killed by a signal, never started, or unknown.
    pub code: Option<i32>,
    /// As `"SIGKILL"`.
    pub signal: Option<String>,
    /// One sentence.
    pub reason: String,
    /// RFC 3339 with offset.
    pub at: String,
}

/// Paths of the live log files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPaths {
    /// Standard output.
    pub stdout: PathBuf,
    /// Standard error.
    pub stderr: PathBuf,
    /// Lines that could not be kept.
    pub dropped_lines: u64,
    /// Bytes that could not be kept.
    pub dropped_bytes: u64,
}

/// All there is to know about one instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Details {
    /// Its row.
    pub service: Service,
    /// The command, word by word.
    pub command: Vec<String>,
    /// Where it runs.
    pub directory: PathBuf,
    /// `user` or `user:group`; `None`: the daemon's own.
    pub user: Option<String>,
    /// The file it came from, or the words "command line".
    pub origin: String,
    /// `always`, `never`, `last`.
    pub boot: String,
    /// What it starts after.
    pub after: Vec<String>,
    /// The environment that the config names; values are `None` unless they were asked for.
    pub env: Vec<(String, Option<String>)>,
    /// Where more of it comes from.
    pub env_file: Vec<String>,
    /// The policies, one sentence each, as (title, text): `restart`, `stop`.
    pub policies: Vec<(String, String)>,
    /// Last lines of standard error of the last run, oldest first.
    pub stderr_tail: Vec<String>,
    /// Processes of its tree, the main one first.
    pub processes: Vec<Process>,
}

/// A process of a tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its pid.
    pub pid: i32,
    /// Resident memory.
    pub memory_bytes: u64,
    /// Its command line.
    pub command: String,
}

/// What `up` is going to do, or did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The file it is about.
    pub file: PathBuf,
    /// New apps.
    pub create: Vec<String>,
    /// Apps that differ, each with the keys that do.
    pub change: Vec<(String, Vec<String>)>,
    /// Apps that came from this file and are gone from it.
    pub remove: Vec<String>,
    /// Apps that are as they should be.
    pub untouched: Vec<String>,
    /// Apps that the operator stopped and that stay stopped.
    pub stopped: Vec<String>,
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
    /// It waits for something (`message` says for what), and will start by itself.
    Waiting,
    /// What was asked for could not be reached.
    Failed,
}

/// Log files of some instances.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logs {
    /// Whether an inotify descriptor comes first.
    pub inotify: bool,
    /// One for each descriptor that follows.
    pub files: Vec<LogFile>,
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
    /// Its watch on the inotify descriptor.
    pub watch: Option<i32>,
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
    /// Promises that do not hold here, one sentence each, with the reason.
    pub limits: Vec<String>,
}

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
