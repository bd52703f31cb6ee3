//! What is to become of a stream's bytes, as values.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::StreamId;

/// A stream with all that the pump must know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Whose bytes.
    pub id: StreamId,
    /// The live file, where it is not the usual one: an absolute path.
    pub path: Option<PathBuf>,
    /// What holds for its files.
    pub rules: Arc<Rules>,
}

/// What holds for the log files of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The live file is rotated at the first line end after so many bytes, or at most
    /// [`LATEST`] bytes later; `None`: whatever its size.
    pub max_size: Option<u64>,
    /// Before the first byte that comes so long after the live file's beginning; `None`: whatever
    /// its age.
    pub max_age: Option<Duration>,
    /// Rotated files that are kept of each stream.
    pub keep: u32,
    /// Bytes that all files of the app may have together; `None`: any number.
    pub max_total: Option<u64>,
    /// Whether rotated files are compressed.
    pub compress: bool,
    /// What stands in the file.
    pub format: Format,
    /// What happens to bytes that cannot be written.
    pub on_full: OnFull,
}

/// How far a file may grow beyond its size while its last line does not end.
pub const LATEST: u64 = 1 << 20;

/// What stands in a log file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The app's bytes.
    Raw,
    /// The app's bytes, with the time before each line: RFC 3339 in UTC with milliseconds and a
    /// blank, 25 bytes.
    Timestamp,
}

/// What happens to bytes that cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFull {
    /// The oldest rotated files of the app make room; then bytes are dropped, and counted.
    Drop,
    /// They wait in the pipe, and so does the app when that is full.
    Block,
}

impl Default for Rules {
    /// The defaults of the config file.
    fn default() -> Rules {
        Rules {
            max_size: Some(50_000_000),
            max_age: None,
            keep: 10,
            max_total: Some(1_000_000_000),
            compress: true,
            format: Format::Raw,
            on_full: OnFull::Drop,
        }
    }
}
