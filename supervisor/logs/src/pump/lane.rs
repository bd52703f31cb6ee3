//! One stream on its way: its log file and the pipes that feed it, oldest first.
//!
//! Owns whose turn it is to write: the source changes only at the end of a line, and a half line is
//! ended when the rest of it cannot come any more. Leaves to the worker when to move, and what to
//! do when it does not work.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use memchr::{memchr, memrchr};
use nix::errno::Errno;

use super::Tell;
use super::dropping::reason;
use super::log::Log;
use super::pacing::{Backoff, FEW};
use super::source::{Source, State};
use super::stage::{CHUNK, Scratch, Stage, readable};
use crate::{
    Family, Folder, Format, Janitor, LogError, Losses, OnFull, Registry, StreamId, Target,
};

/// How long a run may leave a line half written before another run that is alive beside it ends it.
const HALF_LINE: Duration = Duration::from_secs(1);

/// What is written at once with a time before each line: if all of it are newlines, that is 26 times
/// as much.
pub(super) const STAMPED_CHUNK: usize = 32 << 10;

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
    pub(super) last: Option<u64>,
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

    fn end_half_line(&mut self, way: &mut Way, now: Instant) -> Result<(), LogError> {
        self.end_lost_line(way);
        let path = self.log.live().to_owned();
        let failed = |source| LogError::Io {
            doing: "end the last line of",
            path,
            source,
        };
        let (file, size) = self.log.at_end(way, now)?;
        match super::open::ends_line(file, size) {
            Ok(true) => return Ok(()),
            Ok(false) => file.write_all_at(b"\n", size).map_err(failed)?,
            Err(error) => return Err(failed(error)),
        }
        self.log.note(size + 1, now);
        Ok(())
    }

    /// Opens the log. A run that is alone ends a half line at once, however long it says nothing;
    /// but never the line that another one is writing.
    pub(super) fn open(&mut self, way: &mut Way, now: Instant) -> Result<(), LogError> {
        if self.sources.len() == 1 {
            return self.admit(0, way, now);
        }
        self.log.file(way, now).map(drop)
    }

    /// Whether all that waits in the pipes could be taken.
    pub(super) fn can_go_on(&mut self, way: &mut Way, now: Instant) -> Result<(), LogError> {
        self.open(way, now)?;
        let waiting = self.sources.iter().map(|s| readable(&s.pipe).unwrap_or(0));
        let most = waiting.max().unwrap_or(0);
        self.secure(most, way, now).map(drop)
    }

    /// Where nothing may be dropped: makes sure that what is taken can be kept. Says how many of
    /// `most` bytes that is.
    fn secure(&mut self, most: usize, way: &mut Way, now: Instant) -> Result<usize, LogError> {
        let rules = &self.log.target.rules;
        if rules.on_full == OnFull::Drop {
            return Ok(most);
        }
        let (most, each) = match rules.format {
            Format::Raw => (most, 1),
            Format::Timestamp => (most.min(STAMPED_CHUNK), crate::rules::STAMP + 1),
        };
        self.log.reserve(way, now, (most * each) as u64)?;
        Ok(most)
    }

    /// Moves up to `most` bytes, all the way into the file.
    fn hop(&mut self, at: usize, most: usize, way: &mut Way, now: Instant) -> Result<Hop, Stuck> {
        let waiting = readable(&self.sources[at].pipe).map_err(Stuck::Pipe)?;
        if waiting == 0 {
            // It ends no line of another run: it may have nothing to say any more.
            return Ok(match self.sources[at].is_over() {
                true => Hop::Ended,
                false => Hop::Empty,
            });
        }
        match self.admit(at, way, now) {
            Ok(()) => {}
            Err(error) if self.may_drop() && error.is_no_room() => {
                if self.make_room(way) {
                    return Ok(Hop::Moved(0));
                }
                self.why = reason(&error);
                self.drop_pipe(at, way)?;
                return Ok(Hop::Moved(waiting));
            }
            Err(error) => return Err(error.into()),
        }
        let most = self.secure(most.min(waiting), way, now)?;
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
        let waiting = readable(&source.pipe).map_err(Stuck::Pipe)?;
        let patient = waiting < source.capacity / 2;
        let last = self.last.filter(|last| *last != key);
        let last_lives = last.is_some_and(|last| {
            self.sources
                .iter()
                .any(|s| s.key == last && s.state == State::Watched)
        });
        if last_lives
            && now.saturating_duration_since(self.wrote_at) < HALF_LINE
            && self.is_inside_line()
            && patient
        {
            return Ok(0);
        }
        self.end_line_of_other(at, way, now)?;
        let source = &self.sources[at];
        let seen = Scratch::made(&mut way.scratch)
            .and_then(|scratch| scratch.look(source.pipe.as_fd(), CHUNK))
            .map_err(Stuck::Stage)?;
        Ok(match memrchr(b'\n', seen) {
            Some(end) => end + 1,
            // Nothing: whether that is the end is found out by asking for more.
            None if seen.is_empty() => CHUNK,
            None if patient => 0,
            None => seen.len(),
        })
    }

    fn is_inside_line(&self) -> bool {
        self.losses.inside_line || !self.log.ends_line().unwrap_or(true)
    }

    /// Before the source at `at` has its turn: where another run has written half a line, and the
    /// rest of it has come, that goes first.
    fn end_line_of_other(&mut self, at: usize, way: &mut Way, now: Instant) -> Result<(), Stuck> {
        let key = self.sources[at].key;
        let other = self.last.filter(|last| *last != key);
        let Some(other) = other.and_then(|other| self.position(other)) else {
            return Ok(());
        };
        if !self.is_inside_line() {
            return Ok(());
        }
        let seen = Scratch::made(&mut way.scratch)
            .and_then(|scratch| scratch.look(self.sources[other].pipe.as_fd(), CHUNK))
            .map_err(Stuck::Stage)?;
        if let Some(end) = memchr(b'\n', seen) {
            self.hop(other, end + 1, way, now)?;
        }
        Ok(())
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
        if readable(&self.sources[at].pipe).map_err(Stuck::Pipe)? > 0 {
            self.end_line_of_other(at, way, now)?;
        }
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
}
