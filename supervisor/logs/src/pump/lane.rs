//! One stream on its way: its log file and the pipes that feed it, oldest first.
//!
//! Owns whose turn it is to write: the source changes only at the end of a line, and a half line is
//! ended when the rest of it cannot come any more. Leaves to the worker when to move, and what to
//! do when it does not work.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use memchr::memrchr;
use nix::errno::Errno;

use super::Tell;
use super::log::Log;
use super::pacing::{Backoff, FEW};
use super::stage::{CHUNK, Scratch, Stage, has_ended, readable};
use crate::{
    Family, Folder, Format, Janitor, LogError, Losses, OnFull, Registry, StreamId, Target,
};

/// How long a run may leave a line half written before another run that is alive beside it ends it.
const HALF_LINE: Duration = Duration::from_secs(1);

/// What is taken at once where space for it must be sure, also with a time before each byte: if all
/// of them are newlines, that is 26 times as much.
const STAMPED_CHUNK: usize = 32 << 10;

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
    /// Where in the stream its first byte stands, if that is known.
    pub(super) begun_at: Option<u64>,
    /// When bytes of it were moved last.
    pub(super) moved_at: Instant,
}

pub(super) struct Lane {
    pub(super) sources: VecDeque<Source>,
    /// Set while the log cannot be opened.
    pub(super) trouble: Option<Backoff>,
    /// Trouble was told, and its end is not yet.
    pub(super) told: bool,
    pub(super) log: Log,
    pub(super) losses: Losses,
    /// Why bytes were dropped last.
    pub(super) why: String,
    /// How much was dropped of one line, so that a stream without lines is not dropped for ever.
    pub(super) dropped_of_line: usize,
    id: Arc<StreamId>,
    /// Whose bytes are the last in the file, as far as this process knows.
    last: Option<u64>,
    wrote_at: Instant,
}

/// What all lanes share.
pub(super) struct Way {
    pub(super) folder: Folder,
    pub(super) stage: Stage,
    pub(super) scratch: Option<Scratch>,
    pub(super) tell: Tell,
    pub(super) registry: Arc<Registry>,
    pub(super) janitor: Janitor,
    /// Lines with their times, on their way to the file.
    pub(super) stamped: Vec<u8>,
}

impl Way {
    pub(super) fn family(&self, target: &Target) -> Arc<Family> {
        Arc::new(Family::new(&self.folder, target))
    }
}

/// Why bytes did not move.
pub(super) enum Stuck {
    /// The log cannot be opened, or not written now; no byte has left the app's pipe.
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
    /// There is something, but it is another run's turn.
    Deferred,
    Ended,
}

impl Lane {
    pub(super) fn new(target: Target, way: &Way, now: Instant) -> Lane {
        let id = Arc::new(target.id.clone());
        Lane {
            sources: VecDeque::new(),
            trouble: None,
            told: false,
            losses: way.stage.ledger().losses(&id),
            why: "it could not be written".to_owned(),
            dropped_of_line: 0,
            log: Log::new(target, way),
            id,
            last: None,
            wrote_at: now,
        }
    }

    pub(super) fn id(&self) -> &Arc<StreamId> {
        &self.id
    }

    pub(super) fn position(&self, key: u64) -> Option<usize> {
        self.sources.iter().position(|s| s.key == key)
    }

    pub(super) fn first_kept(&self) -> Option<usize> {
        self.sources.iter().position(|s| s.state == State::Kept)
    }

    /// Whether the log has yet to tell what was dropped.
    pub(super) fn owes(&self) -> bool {
        self.losses.untold_bytes > 0
    }

    /// Makes the source at `at` the one whose bytes come next, ending a half line of another.
    /// Killed in here, the next process may do it again: a line is only ended once.
    pub(super) fn admit(&mut self, at: usize, way: &mut Way, now: Instant) -> Result<(), LogError> {
        self.log.file(way, now)?;
        let Some(source) = self.sources.get_mut(at) else {
            return Ok(());
        };
        if self.last == Some(source.key) {
            return Ok(());
        }
        // Without a predecessor in this process, a pipe that is not fresh goes on where the
        // process before was killed, be it in the middle of a line.
        if self.last.is_some() || source.fresh {
            self.end_half_line(way, now)?;
        }
        let source = &mut self.sources[at];
        if source.fresh {
            let position = self.log.position();
            way.stage.ledger().begun(source.key, position);
            source.begun_at = Some(position);
            source.fresh = false;
        }
        self.last = Some(source.key);
        Ok(())
    }

    /// A line whose beginning was dropped ends here: the rest of it will not come.
    pub(super) fn end_lost_line(&mut self, way: &Way) {
        if self.losses.inside_line {
            self.losses.inside_line = false;
            self.losses.lines += 1;
            self.losses.untold_lines += 1;
            way.stage.ledger().set_losses(&self.id, &self.losses);
        }
    }

    fn end_half_line(&mut self, way: &mut Way, now: Instant) -> Result<(), LogError> {
        self.end_lost_line(way);
        let path = self.log.live().to_owned();
        let failed = |source| LogError::Io {
            doing: "end the last line of",
            path,
            source,
        };
        let (file, size) = self.log.at_end(way, now)?;
        match super::log::ends_line(file, size) {
            Ok(true) => return Ok(()),
            Ok(false) => file.write_all_at(b"\n", size).map_err(failed)?,
            Err(error) => return Err(failed(error)),
        }
        self.log.note(size + 1, now);
        Ok(())
    }

    /// Moves up to `most` bytes, all the way into the file.
    fn hop(&mut self, at: usize, most: usize, way: &mut Way, now: Instant) -> Result<Hop, Stuck> {
        let source = &self.sources[at];
        // One that says nothing must not end the line that another is writing.
        if self.last != Some(source.key) && readable(&source.pipe).map_err(Stuck::Pipe)? == 0 {
            let ended = has_ended(&source.pipe).map_err(Stuck::Pipe)?;
            return Ok(if ended { Hop::Ended } else { Hop::Empty });
        }
        self.admit(at, way, now)?;
        let mut most = most;
        let rules = &self.log.target.rules;
        if rules.on_full == OnFull::Block {
            let each = match rules.format {
                Format::Raw => 1,
                Format::Timestamp => {
                    most = most.min(STAMPED_CHUNK);
                    crate::rules::STAMP + 1
                }
            };
            let waiting = readable(&self.sources[at].pipe).map_err(Stuck::Pipe)?;
            most = most.min(waiting.max(1));
            self.log.reserve(way, now, (most * each) as u64)?;
        }
        let source = &mut self.sources[at];
        let taken = match way.stage.take(source.pipe.as_fd(), &self.id, most) {
            Ok(0) => return Ok(Hop::Ended),
            Ok(n) => n,
            Err(Errno::EAGAIN) => return Ok(Hop::Empty),
            Err(errno) => return Err(Stuck::Pipe(errno)),
        };
        self.wrote_at = now;
        self.store(way, now)?;
        Ok(Hop::Moved(taken))
    }

    /// How many bytes of the source at `at` may be taken now: while two runs are alive beside each
    /// other, whole lines only. 0: it is not its turn.
    fn share(&mut self, at: usize, way: &mut Way, now: Instant) -> Result<usize, Stuck> {
        let alive = |s: &Source| s.state == State::Watched;
        let key = self.sources[at].key;
        if !self.sources.iter().any(|s| s.key != key && alive(s)) {
            return Ok(CHUNK);
        }
        let source = &self.sources[at];
        let patient = |seen: usize| seen < source.capacity / 2;
        let last = self.last.filter(|last| *last != key);
        let last_lives = last.is_some_and(|last| {
            self.sources
                .iter()
                .any(|s| s.key == last && s.state == State::Watched)
        });
        if last_lives
            && now.saturating_duration_since(self.wrote_at) < HALF_LINE
            && !self.log.ends_line().unwrap_or(true)
            && patient(readable(&source.pipe).map_err(Stuck::Pipe)?)
        {
            return Ok(0);
        }
        let seen = Scratch::made(&mut way.scratch)
            .and_then(|scratch| scratch.look(source.pipe.as_fd(), CHUNK))
            .map_err(Stuck::Stage)?;
        Ok(match memrchr(b'\n', seen) {
            Some(end) => end + 1,
            // Nothing: whether that is the end is found out by asking for more.
            None if seen.is_empty() => CHUNK,
            None if patient(seen.len()) => 0,
            None => seen.len(),
        })
    }

    /// A pipe's share of one round. Ends early when little was there: whether the pipe is empty
    /// now, the next round learns without a call.
    pub(super) fn turn(&mut self, at: usize, way: &mut Way, now: Instant) -> Result<Hop, Stuck> {
        let mut sum = 0;
        while sum < CHUNK {
            let most = self.share(at, way, now)?;
            if most == 0 {
                return Ok(if sum == 0 {
                    Hop::Deferred
                } else {
                    Hop::Moved(sum)
                });
            }
            match self.hop(at, most, way, now)? {
                Hop::Moved(n) => {
                    sum += n;
                    if n <= FEW {
                        break;
                    }
                }
                end @ (Hop::Empty | Hop::Ended | Hop::Deferred) if sum == 0 => return Ok(end),
                Hop::Empty | Hop::Ended | Hop::Deferred => break,
            }
        }
        Ok(Hop::Moved(sum))
    }

    /// Empties a pipe, but takes no more than it can hold: others may still write to it.
    pub(super) fn drain(&mut self, at: usize, way: &mut Way, now: Instant) -> Result<(), Stuck> {
        let mut left = self.sources[at].capacity;
        while left > 0 {
            match self.hop(at, left, way, now)? {
                Hop::Moved(n) => left = left.saturating_sub(n),
                Hop::Empty | Hop::Ended | Hop::Deferred => break,
            }
        }
        Ok(())
    }

    /// The last lines that came from the source at `at`, as far as they are in the live file.
    pub(super) fn tail(&mut self, at: usize, way: &Way, now: Instant) -> Vec<u8> {
        let begun_at = self.sources[at].begun_at;
        begun_at.map_or(Vec::new(), |position| {
            self.log.tail_from(position, way, now)
        })
    }

    /// The log cannot be opened: bytes wait in the app's pipe, and where they may be dropped, they
    /// are before the app has to wait.
    pub(super) fn drop_overflow(&mut self, why: &LogError, way: &mut Way) -> Result<(), Stuck> {
        if self.log.target.rules.on_full == OnFull::Block || !way.stage.is_empty() {
            return Ok(());
        }
        for at in 0..self.sources.len() {
            let source = &self.sources[at];
            let waiting = readable(&source.pipe).map_err(Stuck::Pipe)?;
            if waiting >= source.capacity / 2 {
                self.why = why.to_string();
                self.drop_pipe(at, way)?;
            }
        }
        Ok(())
    }

    /// Gives up what is in a pipe, at most what it can hold, and counts it.
    pub(super) fn drop_pipe(&mut self, at: usize, way: &mut Way) -> Result<(), Stuck> {
        let why = self.why.clone();
        let mut left = self.sources[at].capacity;
        while left > 0 {
            let pipe = self.sources[at].pipe.as_fd();
            match way.stage.take(pipe, &self.id, left) {
                Ok(0) | Err(Errno::EAGAIN) => break,
                Ok(n) => left = left.saturating_sub(n),
                Err(errno) => return Err(Stuck::Pipe(errno)),
            }
            self.drop_staged(&why, way)?;
        }
        Ok(())
    }
}
