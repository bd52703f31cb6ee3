//! One stream on its way: its log file and the pipes that feed it, oldest first.
//!
//! Owns the open file and notices when its name leads elsewhere; ends a half line when the source
//! changes. Leaves to the worker when to move, and what to do when it does not work.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::pacing::{BUSY, Backoff};
use super::stage::{CHUNK, Stage};
use crate::{Folder, LogError, StreamId};

/// How often it is checked that the log's name still leads to the open file.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What the worker does with a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It wakes the thread when there is something to read.
    Watched,
    /// It does not, because the stream's log cannot be written now.
    Waiting,
    /// All writers are gone and all is read; it would wake the thread for ever.
    Ended,
    /// The run is over, but bytes are left that could not be written.
    Kept,
}

pub(super) struct Source {
    pub(super) key: u64,
    pub(super) pipe: OwnedFd,
    /// No byte was ever moved, by anybody.
    pub(super) fresh: bool,
    pub(super) capacity: usize,
    pub(super) state: State,
}

pub(super) struct Lane {
    pub(super) sources: VecDeque<Source>,
    /// Set while the log cannot be opened.
    pub(super) trouble: Option<Backoff>,
    /// Trouble was told, and its end is not yet.
    pub(super) told: bool,
    log: Log,
    /// Whose bytes are the last in the file, as far as this process knows.
    last: Option<u64>,
}

/// A log file that stays open while it is written.
struct Log {
    id: Arc<StreamId>,
    file: Option<File>,
    looked: Option<Instant>,
}

impl Log {
    /// The open log. Deleted or moved away by somebody, it is opened anew under its name.
    fn file(&mut self, folder: &Folder, now: Instant) -> Result<&File, LogError> {
        let seen = self
            .looked
            .is_some_and(|at| now.saturating_duration_since(at) < LOOK_EVERY);
        let file = match self.file.take() {
            Some(file) if seen || folder.is_current(&self.id, &file) => file,
            _ => folder.open_for_append(&self.id)?,
        };
        if !seen {
            self.looked = Some(now);
        }
        Ok(self.file.insert(file))
    }
}

/// What all lanes share.
pub(super) struct Way {
    pub(super) folder: Folder,
    pub(super) stage: Stage,
}

/// Why bytes did not move.
pub(super) enum Stuck {
    /// The log cannot be opened; no byte has left the app's pipe.
    Log(LogError),
    /// Bytes are in the staging pipe and cannot be written: nobody else can go on either.
    Stage(io::Error),
    /// This is not a pipe that can be read.
    Pipe(Errno),
    /// The pipe cannot wake the thread.
    Watch(Errno),
}

impl From<LogError> for Stuck {
    fn from(error: LogError) -> Stuck {
        Stuck::Log(error)
    }
}

/// What one hop, or several, brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hop {
    Moved(usize),
    Empty,
    Ended,
}

impl Lane {
    pub(super) fn new(id: Arc<StreamId>) -> Lane {
        Lane {
            sources: VecDeque::new(),
            trouble: None,
            told: false,
            log: Log {
                id,
                file: None,
                looked: None,
            },
            last: None,
        }
    }

    pub(super) fn id(&self) -> &Arc<StreamId> {
        &self.log.id
    }

    pub(super) fn position(&self, key: u64) -> Option<usize> {
        self.sources.iter().position(|s| s.key == key)
    }

    pub(super) fn first_kept(&self) -> Option<usize> {
        self.sources.iter().position(|s| s.state == State::Kept)
    }

    /// Writes what the staging pipe holds of this stream, into what its name leads to now.
    pub(super) fn unblock(&mut self, way: &mut Way, now: Instant) -> Result<(), Stuck> {
        // Whoever makes room on a full disk deletes files: an unlinked one only frees its space
        // when it is closed.
        self.log.looked = None;
        let file = self.log.file(&way.folder, now)?;
        way.stage.flush(file).map_err(Stuck::Stage)
    }

    /// Makes the source at `at` the one whose bytes come next, ending a half line of another.
    /// Killed in here, the next process may do it again: a line is only ended once.
    pub(super) fn admit(&mut self, at: usize, way: &mut Way, now: Instant) -> Result<(), LogError> {
        let file = self.log.file(&way.folder, now)?;
        let Some(source) = self.sources.get_mut(at) else {
            return Ok(());
        };
        if self.last == Some(source.key) {
            return Ok(());
        }
        // Without a predecessor in this process, a pipe that is not fresh goes on where the
        // process before was killed, be it in the middle of a line.
        if self.last.is_some() || source.fresh {
            end_half_line(file).map_err(|error| LogError::Io {
                doing: "end the last line of",
                path: way.folder.path(&self.log.id),
                source: error,
            })?;
        }
        if source.fresh {
            way.stage.begun(source.key);
            source.fresh = false;
        }
        self.last = Some(source.key);
        Ok(())
    }

    /// Moves up to `most` bytes, all the way into the file.
    fn hop(&mut self, at: usize, most: usize, way: &mut Way, now: Instant) -> Result<Hop, Stuck> {
        self.admit(at, way, now)?;
        let taken = match way
            .stage
            .take(self.sources[at].pipe.as_fd(), &self.log.id, most)
        {
            Ok(0) => return Ok(Hop::Ended),
            Ok(n) => n,
            Err(Errno::EAGAIN) => return Ok(Hop::Empty),
            Err(errno) => return Err(Stuck::Pipe(errno)),
        };
        let file = self.log.file(&way.folder, now)?;
        way.stage.flush(file).map_err(Stuck::Stage)?;
        Ok(Hop::Moved(taken))
    }

    /// A pipe's share of one round. Ends early when little was there: whether the pipe is empty
    /// now, the next round learns without a call.
    pub(super) fn turn(&mut self, at: usize, way: &mut Way, now: Instant) -> Result<Hop, Stuck> {
        let mut sum = 0;
        while sum < CHUNK {
            match self.hop(at, CHUNK, way, now)? {
                Hop::Moved(n) => {
                    sum += n;
                    if n <= BUSY {
                        break;
                    }
                }
                end @ (Hop::Empty | Hop::Ended) if sum == 0 => return Ok(end),
                Hop::Empty | Hop::Ended => break,
            }
        }
        Ok(Hop::Moved(sum))
    }

    /// Empties a pipe, but takes no more than it can hold: others may still write to it.
    pub(super) fn drain(&mut self, at: usize, way: &mut Way, now: Instant) -> Result<(), Stuck> {
        let mut left = self.sources[at].capacity;
        while left > 0 {
            match self.hop(at, left, way, now)? {
                Hop::Moved(n) => left -= n,
                Hop::Empty | Hop::Ended => break,
            }
        }
        Ok(())
    }
}

fn end_half_line(file: &File) -> io::Result<()> {
    let size = file.metadata()?.len();
    let mut last = [b'\n'];
    // A file that was emptied between the two calls reads as nothing, and nothing is to be ended.
    if size > 0 && file.read_at(&mut last, size - 1)? == 1 && last != *b"\n" {
        file.write_all_at(b"\n", size)?;
    }
    Ok(())
}
