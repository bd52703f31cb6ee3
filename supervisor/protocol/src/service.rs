//! What is told about one instance of an app.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

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
    /// Standard output; `None`: it is not kept.
    pub stdout: Option<PathBuf>,
    /// Standard error, likewise; the same file where both are merged.
    pub stderr: Option<PathBuf>,
    /// Lines of both that could not be kept.
    pub dropped_lines: u64,
    /// Bytes of both that could not be kept.
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
    /// What was last asked of it; `None`: nobody knows.
    #[serde(default)]
    pub asked: Option<Asked>,
    /// The policies, one sentence each, as (title, text): `restart`, `stop`, `logs`.
    pub policies: Vec<(String, String)>,
    /// Last lines of standard error of the last run, oldest first.
    pub stderr_tail: Vec<String>,
    /// Processes of its tree, the main one first.
    pub processes: Vec<Process>,
}

/// What somebody asked of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// What came of it: `started`, `stopped`, `restarted`, `defined`, `scaled`.
    pub what: String,
    /// The user's number.
    pub uid: u32,
    /// The name that this user had.
    pub user: Option<String>,
    /// RFC 3339 with offset.
    pub at: String,
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
