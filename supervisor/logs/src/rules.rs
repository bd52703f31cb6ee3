//! What is to become of a stream's bytes, as values.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

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

/// The length of a line's time.
pub(crate) const STAMP: usize = 25;

/// What stands before a line that came at this time, in milliseconds since the epoch.
pub(crate) fn stamp(time_ms: i64) -> [u8; STAMP] {
    let nanos = i128::from(time_ms) * 1_000_000;
    let at = OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let text = format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z ",
        at.year().clamp(0, 9999),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        at.millisecond()
    );
    text.into_bytes().try_into().unwrap_or([b' '; STAMP])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_a_time_that_sorts() {
        assert_eq!(&stamp(0), b"1970-01-01T00:00:00.000Z ");
        assert_eq!(&stamp(1_763_809_445_123), b"2025-11-22T11:04:05.123Z ");
        assert_eq!(&stamp(i64::MAX), b"1970-01-01T00:00:00.000Z ");
    }
}
