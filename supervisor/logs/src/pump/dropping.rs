//! What cannot be kept: who gives way, what is counted, and how the log tells of it.
//!
//! Promises that what is counted is what is missing, to the byte, whatever is killed when. Leaves to
//! others to find out that something cannot be written.

use std::io;
use std::os::fd::AsFd;
use std::time::Instant;

use memchr::memchr_iter;
use nix::errno::Errno;

use super::Event;
use super::lane::{Lane, Stuck, Way};
use super::log::wall_ms;
use super::stage::{CHUNK, Scratch, readable};
use super::transfer::Held;
use crate::rules::stamp;
use crate::{Format, LogError, Losses, OnFull, StreamId, drop_oldest_archive, marker};

impl Lane {
    /// Whether the log has yet to tell what was dropped.
    pub(super) fn owes(&self) -> bool {
        self.losses.untold_bytes > 0
    }

    /// Whether bytes are dropped rather than kept waiting.
    pub(super) fn may_drop(&self) -> bool {
        match self.log.target.rules.on_full {
            OnFull::Drop => true,
            OnFull::Block => false,
        }
    }

    /// A line whose beginning was dropped ends here: the rest of it will not come.
    pub(super) fn end_lost_line(&mut self, way: &Way) {
        if self.losses.inside_line {
            self.losses.inside_line = false;
            self.losses.lines += 1;
            self.losses.untold_lines += 1;
            way.stage.ledger().set_losses(self.id(), &self.losses);
        }
    }

    /// The log cannot be opened: bytes wait in the app's pipe, and where they may be dropped, they
    /// are before the app has to wait.
    pub(super) fn drop_overflow(&mut self, way: &mut Way) -> Result<(), Stuck> {
        if !self.may_drop() || !way.stage.is_empty() {
            return Ok(());
        }
        for at in 0..self.sources.len() {
            let source = &self.sources[at];
            let waiting = readable(&source.pipe).map_err(Stuck::Pipe)?;
            if waiting >= source.capacity / 2 {
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
            if readable(&self.sources[at].pipe).map_err(Stuck::Pipe)? == 0 {
                break;
            }
            self.begin_unwritten(at, way);
            let pipe = self.sources[at].pipe.as_fd();
            match way.stage.take(pipe, self.id(), left) {
                Ok(0) | Err(Errno::EAGAIN) => break,
                Ok(n) => left = left.saturating_sub(n),
                Err(errno) => return Err(Stuck::Pipe(errno)),
            }
            self.drop_staged(&why, way)?;
        }
        Ok(())
    }

    /// Bytes of this source are taken though the log cannot be opened: if a line is cut by that, it
    /// is one of this source. A half line before it is ended by the marker.
    pub(super) fn begin_unwritten(&mut self, at: usize, way: &Way) {
        let source = &mut self.sources[at];
        let (key, fresh) = (source.key, std::mem::take(&mut source.fresh));
        if fresh {
            // Unknown: as if it stood behind all there is.
            way.stage.ledger().begun(key, u64::MAX);
        }
        let before = self.last.replace(key);
        if fresh || before.is_some_and(|before| before != key) {
            self.end_lost_line(way);
        }
    }

    /// Counts what is in a pipe as dropped without taking it out, where the staging pipe is not
    /// free. The pipe is to be closed then.
    pub(super) fn lose_pipe(&mut self, at: usize, way: &mut Way) {
        let pipe = &self.sources[at].pipe;
        // What cannot be read cannot be counted.
        let bytes = readable(pipe).unwrap_or(0) as u64;
        let seen = Scratch::made(&mut way.scratch).and_then(|s| s.look(pipe.as_fd(), CHUNK));
        let seen = seen.unwrap_or_default();
        let lines = memchr::memchr_iter(b'\n', seen).count() as u64;
        let half = bytes > 0 && !seen.ends_with(b"\n");
        let lines = lines + u64::from(half);
        self.losses.lines += lines;
        self.losses.untold_lines += lines;
        self.losses.bytes += bytes;
        self.losses.untold_bytes += bytes;
        way.stage.ledger().set_losses(self.id(), &self.losses);
    }

    /// Takes what the log owes into it, with nothing staged.
    pub(super) fn settle_debt(&mut self, way: &mut Way, now: Instant) {
        if !way.stage.is_empty() || !self.owes() || self.losses.inside_line {
            return;
        }
        let id = std::sync::Arc::clone(self.id());
        way.stage.own(&id);
        if self.write_marker(way, now).is_err() {
            // Still no room: it is tried again, and nothing is to be undone that comes meanwhile.
            way.stage.end();
        }
    }

    /// Deletes the oldest rotated file of the app, if there is one.
    pub(super) fn make_room(&self, way: &Way) -> bool {
        matches!(
            drop_oldest_archive(&way.folder, &self.log.target),
            Ok(Some(_))
        )
    }

    /// Gives up all that is staged, and counts it.
    pub(super) fn drop_staged(&mut self, why: &str, way: &mut Way) -> Result<(), Stuck> {
        self.why.clear();
        self.why.push_str(why);
        let first = !self.owes();
        while !way.stage.is_empty() {
            let seen = way.stage.peek(CHUNK).map_err(Stuck::Stage)?;
            let count = seen.len();
            let lines = memchr_iter(b'\n', seen).count();
            let inside = !seen.ends_with(b"\n");
            self.give_up(count, lines, inside, way)
                .map_err(Stuck::Stage)?;
        }
        if first {
            (way.tell)(Event::Dropped {
                id: Some(StreamId::clone(self.id())),
                losses: self.losses,
            });
        }
        if !std::mem::replace(&mut self.told, true) {
            (way.tell)(Event::Trouble {
                id: StreamId::clone(self.id()),
                error: format!(
                    "{}: {why}; lines are dropped and counted until there is room",
                    self.log.live().display()
                ),
            });
        }
        Ok(())
    }

    pub(super) fn give_up(
        &mut self,
        count: usize,
        lines: usize,
        inside: bool,
        way: &mut Way,
    ) -> io::Result<()> {
        let losses = &mut self.losses;
        losses.bytes += count as u64;
        losses.untold_bytes += count as u64;
        losses.lines += lines as u64;
        losses.untold_lines += lines as u64;
        losses.inside_line = inside;
        self.dropped_of_line = if inside && lines == 0 {
            self.dropped_of_line + count
        } else {
            0
        };
        way.stage.commit(count, *losses)
    }

    pub(super) fn write_marker(&mut self, way: &mut Way, now: Instant) -> Result<(), Held> {
        self.log.at_end(way, now)?;
        let mut text = Vec::new();
        if !self.log.ends_line().map_err(Held::Write)? {
            text.push(b'\n');
        }
        if self.log.target.rules.format == Format::Timestamp {
            text.extend_from_slice(&stamp(wall_ms()));
        }
        text.extend_from_slice(marker(&self.losses, &self.why).as_bytes());
        text.push(b'\n');
        let losses = Losses {
            untold_lines: 0,
            untold_bytes: 0,
            ..self.losses
        };
        self.write_step(&text, 0, losses, way, now)?;
        self.told = false;
        let id = || StreamId::clone(self.id());
        (way.tell)(Event::Dropped {
            id: Some(id()),
            losses,
        });
        (way.tell)(Event::Recovered { id: id() });
        Ok(())
    }
}

/// What a marker says.
pub(super) fn reason(error: &LogError) -> String {
    match error {
        LogError::Io { source, .. } => match source.raw_os_error() {
            Some(code) => nix::errno::Errno::from_raw(code).desc().to_owned(),
            None => source.to_string(),
        },
        other => other.to_string(),
    }
}
