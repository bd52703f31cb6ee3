//! From the staging pipe into the file: as it is, with times, or not at all.
//!
//! Bytes that go as they are move by `splice`, which the kernel does wholly or in part but never
//! twice. Everything else is a step of its own in the ledger: begun, written at a known offset,
//! done; the next process cuts off what was begun, and takes out of the pipe what is done.

use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::time::Instant;

use memchr::memchr;

use super::dropping::reason;
use super::lane::{Lane, STAMPED_CHUNK, Stuck, Way};
use super::log::{Log, wall_ms};
use super::stage::CHUNK;
use crate::rules::stamp;
use crate::{Format, LATEST, LogError, Losses, OnFull, Step};

/// Why bytes are still in the staging pipe.
pub(super) enum Held {
    /// The log cannot be opened.
    Log(LogError),
    /// It cannot be written.
    Write(io::Error),
    /// The staging pipe itself does not do.
    Stage(io::Error),
}

impl From<LogError> for Held {
    fn from(error: LogError) -> Held {
        Held::Log(error)
    }
}

impl Lane {
    /// Moves all that is staged into the log, or gives it up, as the rules say.
    pub(super) fn store(&mut self, way: &mut Way, now: Instant) -> Result<(), Stuck> {
        while !way.stage.is_empty() {
            let held = match self.store_some(way, now) {
                Ok(()) => continue,
                Err(held) => held,
            };
            let error = match held {
                Held::Stage(error) => return Err(Stuck::Stage(error)),
                Held::Log(error) => error,
                Held::Write(source) => LogError::Io {
                    doing: "write to",
                    path: self.log.live().to_owned(),
                    source,
                },
            };
            match self.log.target.rules.on_full {
                OnFull::Drop if error.is_no_room() && self.make_room(way) => {}
                OnFull::Drop => self.drop_staged(&reason(&error), way)?,
                // Waiting for a person to repair one log would hold up all the others.
                OnFull::Block if error.is_about_this_log() => {
                    self.drop_staged(&reason(&error), way)?;
                }
                OnFull::Block => return Err(stuck(error)),
            }
        }
        Ok(())
    }

    fn store_some(&mut self, way: &mut Way, now: Instant) -> Result<(), Held> {
        if self.losses.inside_line {
            let seen = way.stage.peek(CHUNK).map_err(Held::Stage)?;
            let (count, lines) = match memchr(b'\n', seen) {
                Some(end) => (end + 1, 1),
                None => (seen.len(), 0),
            };
            let inside = lines == 0 && self.dropped_of_line < LATEST as usize;
            return self.give_up(count, lines, inside, way).map_err(Held::Stage);
        }
        if self.owes() {
            return self.write_marker(way, now);
        }
        let (_, size) = self.log.at_end(way, now)?;
        let most = match self.log.due(size) {
            None => self.log.room(size).unwrap_or(CHUNK as u64),
            Some(since) => {
                if Log::is_overdue(size, since) || self.log.ends_line().map_err(Held::Write)? {
                    return Ok(self.log.rotate(way, now)?);
                }
                let room = since + LATEST - size;
                let seen = way.stage.peek(CHUNK).map_err(Held::Stage)?;
                let end = memchr(b'\n', seen).map_or(seen.len(), |end| end + 1);
                room.min(end as u64)
            }
        };
        let most = usize::try_from(most).unwrap_or(CHUNK);
        match self.log.target.rules.format {
            Format::Raw => {
                let (file, size) = self.log.at_end(way, now)?;
                let moved = splice(&mut way.stage, file, most)?;
                self.log.note(size + moved as u64, now);
                Ok(())
            }
            Format::Timestamp => self.write_stamped(most.min(STAMPED_CHUNK), way, now),
        }
    }

    fn write_stamped(&mut self, most: usize, way: &mut Way, now: Instant) -> Result<(), Held> {
        let mut ends_line = self.log.ends_line().map_err(Held::Write)?;
        let mut out = std::mem::take(&mut way.stamped);
        out.clear();
        let seen = way.stage.peek(most).map_err(Held::Stage)?;
        let count = seen.len();
        let stamp = stamp(wall_ms());
        for part in seen.split_inclusive(|b| *b == b'\n') {
            if ends_line {
                out.extend_from_slice(&stamp);
            }
            out.extend_from_slice(part);
            ends_line = part.ends_with(b"\n");
        }
        let written = self.write_step(&out, count, self.losses, way, now);
        way.stamped = out;
        written
    }

    /// Writes `bytes`, which were made of the first `count` that are staged, in one step.
    pub(super) fn write_step(
        &mut self,
        bytes: &[u8],
        count: usize,
        losses: Losses,
        way: &mut Way,
        now: Instant,
    ) -> Result<(), Held> {
        let identity = self.log.identity();
        let (file, size) = self.log.at_end(way, now)?;
        way.stage.begin(size, identity.unwrap_or_default());
        if let Err(error) = file.write_all_at(bytes, size) {
            // What is there of it must go before anything else comes.
            file.set_len(size).map_err(Held::Write)?;
            way.stage.end();
            return Err(Held::Write(error));
        }
        self.losses = losses;
        way.stage.commit(count, losses).map_err(Held::Stage)?;
        self.log.note(size + bytes.len() as u64, now);
        Ok(())
    }

    /// Goes on where the process before was killed, before anything else is done with the stage.
    pub(super) fn recover(&mut self, step: Step, way: &mut Way, now: Instant) -> Result<(), Stuck> {
        match step {
            Step::None => {}
            Step::Writing { offset, file } => {
                match self.log.cut(offset, file, way, now) {
                    Ok(()) => {}
                    // Waiting for a person to repair one log would hold up all the others.
                    Err(error) if self.may_drop() || error.is_about_this_log() => {}
                    Err(error) => return Err(stuck(error)),
                }
                way.stage.end();
            }
            Step::Done { left, losses } => {
                self.losses = losses;
                let left = usize::try_from(left).unwrap_or(usize::MAX);
                way.stage
                    .finish_commit(left, losses)
                    .map_err(Stuck::Stage)?;
            }
        }
        self.store(way, now)
    }
}

fn splice(
    stage: &mut super::stage::Stage,
    file: &std::fs::File,
    most: usize,
) -> Result<usize, Held> {
    stage.splice_to(file, most).map_err(|error| {
        if error.kind() == ErrorKind::WouldBlock {
            Held::Stage(error)
        } else {
            Held::Write(error)
        }
    })
}

fn stuck(error: LogError) -> Stuck {
    match error {
        LogError::Io { source, .. } => Stuck::Stage(source),
        other => Stuck::Stage(io::Error::other(other.to_string())),
    }
}
