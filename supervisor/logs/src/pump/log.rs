//! The live file of a stream: open, at its end, with its index; and its rotation.
//!
//! Notices when the file's name leads elsewhere and follows the name. Leaves to others when a
//! rotation is due inside a line, and what becomes of rotated files.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::statvfs::fstatvfs;

use super::Event;
use super::lane::Way;
use super::open::{Open, base_after, ends_line, identity, size_of};
use crate::index::{Opened, Writer};
use crate::tail::last_lines;
use crate::{Family, LATEST, LogError, Target};

/// How often it is checked that the log's name still leads to the open file.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Index records that are kept back at most, and for how long.
const PENDING: usize = 32;
const PENDING_FOR: Duration = Duration::from_secs(1);

/// How much space is reserved at a time where nothing may be dropped.
/// A small part of what is free, so that others have it, too.
const RESERVE: u64 = 1 << 20;
const RESERVE_PART: u64 = 32;

/// Reserved besides: for a marker, and for what a rotation in the middle of the bytes takes.
const SPARE: u64 = 16 << 10;

/// How long a rotation that failed is not tried again.
const ROTATE_AGAIN: Duration = Duration::from_secs(10);

pub(super) struct Log {
    pub(super) target: Target,
    family: Arc<Family>,
    open: Option<Open>,
    looked: Option<Instant>,
    /// The position of the first byte of the file that is opened next, after a rotation.
    next_base: Option<u64>,
    healed: bool,
    /// Not before this.
    rotate_at: Option<Instant>,
    /// How large the file may grow, as of the last look.
    limit: Option<u64>,
}

/// Since the epoch, milliseconds.
pub(super) fn wall_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_millis() as i64)
}

impl Log {
    pub(super) fn new(target: Target, way: &Way) -> Log {
        Log {
            family: way.family(&target),
            target,
            open: None,
            looked: None,
            next_base: None,
            healed: false,
            rotate_at: None,
            limit: None,
        }
    }

    /// The stream goes elsewhere from now on, or by other rules.
    pub(super) fn set_target(&mut self, target: Target, way: &Way) {
        if target.path != self.target.path {
            self.close();
            self.family = way.family(&target);
            (self.healed, self.next_base) = (false, None);
        }
        self.target = target;
    }

    pub(super) fn live(&self) -> &std::path::Path {
        self.family.live()
    }

    /// Looks its name up again at the next use.
    pub(super) fn look_again(&mut self) {
        self.looked = None;
    }

    /// The open file. Deleted or moved away by somebody, it is opened anew under its name.
    pub(super) fn file(&mut self, way: &Way, now: Instant) -> Result<&File, LogError> {
        let seen = self
            .looked
            .is_some_and(|at| now.saturating_duration_since(at) < LOOK_EVERY);
        let current = self
            .open
            .as_ref()
            .is_some_and(|open| seen || self.family.is_current(&open.file));
        if !current {
            if let Some(open) = &self.open {
                // Whatever has become of the file and its index: the stream goes on.
                self.next_base = Some(open.base + open.end);
            }
            self.close();
            self.open = Some(self.open_live(way)?);
        }
        if !seen {
            self.looked = Some(now);
            self.limit = way.registry.limit(&self.target);
            self.mend_index(way);
        }
        match &self.open {
            Some(open) => Ok(&open.file),
            None => unreachable!("opened above"),
        }
    }

    fn open_live(&mut self, way: &Way) -> Result<Open, LogError> {
        if !self.healed {
            self.family.heal()?;
            self.healed = true;
            way.janitor.adopted(&self.family, &self.target);
        }
        let file = self.family.open_live()?;
        let size = size_of(&file).unwrap_or(0);
        let base = self.next_base.take();
        Ok(Open {
            file,
            index: None,
            base: base.unwrap_or_else(|| base_after(&self.family).unwrap_or(0)),
            end: size,
            pending_since: None,
            begun_ms: wall_ms(),
            aged_at: None,
            reserved: size,
        })
    }

    /// Opens the index where there is none, or where somebody has deleted it.
    fn mend_index(&mut self, way: &Way) {
        let Some(open) = &mut self.open else { return };
        if open.index.as_ref().is_some_and(|index| !index.is_deleted()) {
            return;
        }
        let base = open.base;
        let opened = self.family.open_index().and_then(|index| {
            Writer::open(index, &open.file, wall_ms(), base).map_err(|source| LogError::Io {
                doing: "read the time index of",
                path: self.family.live().to_owned(),
                source,
            })
        });
        // Without an index lines have no times; it is tried again at the next look.
        let Ok((writer, how)) = opened else {
            open.index = None;
            return;
        };
        match how {
            Opened::Continued | Opened::Fresh => open.begun_ms = writer.begun_ms(),
            Opened::Rebuilt(why) => (way.tell)(Event::Notice {
                id: self.target.id.clone(),
                text: format!(
                    "the time index of {} begins anew, since {why}: times of lines before are not known",
                    self.family.live().display()
                ),
            }),
        }
        open.base = writer.base();
        open.index = Some(writer);
    }

    /// Closes the file; what is known of its times is written.
    pub(super) fn close(&mut self) {
        if let Some(mut open) = self.open.take() {
            open.flush_index();
            open.free_reserve();
        }
        self.looked = None;
    }

    /// The file, at its end, and its size.
    pub(super) fn at_end(&mut self, way: &Way, now: Instant) -> Result<(&File, u64), LogError> {
        let path = self.family.live().to_owned();
        let mut file = self.file(way, now)?;
        // Every time: people empty log files with `> file`.
        let size = file.seek(SeekFrom::End(0)).map_err(|source| LogError::Io {
            doing: "find the end of",
            path,
            source,
        })?;
        Ok((file, size))
    }

    /// Takes back what was written from `offset` on, if `file` is still the live one. Where another
    /// has its name by now, what was begun is in one that is not ours.
    pub(super) fn cut(
        &mut self,
        offset: u64,
        file: (u64, u64),
        way: &Way,
        now: Instant,
    ) -> Result<(), LogError> {
        let (_, size) = self.at_end(way, now)?;
        let path = self.family.live();
        if let Some(open) = self.open.as_mut()
            && identity(&open.file) == Some(file)
            && size > offset
        {
            open.file
                .set_len(offset)
                .map_err(|source| LogError::io("undo what was begun in", path, source))?;
            // The index has taken note of bytes that are gone; on the disk it has not.
            (open.index, open.end) = (None, offset);
            self.mend_index(way);
        }
        Ok(())
    }

    /// Device and inode of the open file.
    pub(super) fn identity(&self) -> Option<(u64, u64)> {
        identity(&self.open.as_ref()?.file)
    }

    /// Whether the open file is empty or its last byte ends a line.
    pub(super) fn ends_line(&self) -> io::Result<bool> {
        let Some(open) = &self.open else {
            return Ok(true);
        };
        ends_line(&open.file, size_of(&open.file)?)
    }

    /// Where the next byte comes to stand in the stream.
    pub(super) fn position(&self) -> u64 {
        let Some(open) = &self.open else { return 0 };
        open.base + size_of(&open.file).unwrap_or(0)
    }

    /// The last lines that stand at `position` in the stream or later.
    pub(super) fn tail_from(&mut self, position: u64, way: &Way, now: Instant) -> Vec<u8> {
        const LINES: usize = 20;
        const BYTES: u64 = 4 << 10;
        if self.file(way, now).is_err() {
            return Vec::new();
        }
        let Some(open) = &self.open else {
            return Vec::new();
        };
        let since = size_of(&open.file)
            .unwrap_or(0)
            .saturating_sub(position.saturating_sub(open.base));
        last_lines(&open.file, LINES, BYTES.min(since)).map_or(Vec::new(), |tail| tail.bytes)
    }

    /// How many bytes it may grow before it is due.
    pub(super) fn room(&self, size: u64) -> Option<u64> {
        let room = self.limit?.checked_sub(size)?;
        (room > 0).then_some(room)
    }

    /// The size from which on the file is to be rotated, if it has come to that.
    pub(super) fn due(&mut self, size: u64) -> Option<u64> {
        if self.rotate_at.is_some_and(|at| Instant::now() < at) {
            return None;
        }
        if let Some(limit) = self.limit.filter(|limit| size >= *limit) {
            return Some(limit);
        }
        let age = self.target.rules.max_age?;
        let open = self.open.as_mut().filter(|_| size > 0)?;
        let now = wall_ms();
        // A clock that was set back would keep it young for ever.
        open.begun_ms = open.begun_ms.min(now);
        let lived = now - open.begun_ms;
        if lived < i64::try_from(age.as_millis()).unwrap_or(i64::MAX) {
            return None;
        }
        Some(*open.aged_at.get_or_insert(size))
    }

    /// Whether a file that is due at `since` must not wait for its line to end.
    pub(super) fn is_overdue(size: u64, since: u64) -> bool {
        size >= since + LATEST
    }

    /// Gives the file its next name and begins a new one.
    pub(super) fn rotate(&mut self, way: &Way, now: Instant) -> Result<(), LogError> {
        let position = self.position();
        if let Some(open) = &mut self.open {
            open.flush_index();
            open.free_reserve();
        }
        match self.family.rotate(self.target.rules.keep) {
            Ok(victims) => {
                way.janitor.rotated(&self.family, &self.target, victims);
                self.open = None;
                self.looked = None;
                self.next_base = Some(position);
                self.file(way, now).map(drop)
            }
            // Lines are worth more than the limit: they go on into the old file.
            Err(error) => {
                (way.tell)(Event::Notice {
                    id: self.target.id.clone(),
                    text: format!("cannot rotate: {error}; the log grows beyond its size"),
                });
                self.rotate_at = Some(now + ROTATE_AGAIN);
                Ok(())
            }
        }
    }

    /// Makes sure that the next `bytes` fit, so that they are only taken when they can be kept, as
    /// far as the filesystem can promise that.
    pub(super) fn reserve(&mut self, way: &Way, now: Instant, bytes: u64) -> Result<(), LogError> {
        let (_, size) = self.at_end(way, now)?;
        let path = self.family.live();
        let Some(open) = self.open.as_mut() else {
            return Ok(());
        };
        if size < open.end {
            // Somebody has emptied it, and its blocks are anybody's.
            open.reserved = size;
        }
        let bytes = bytes + SPARE;
        if size + bytes <= open.reserved {
            return Ok(());
        }
        let flags = FallocateFlags::FALLOC_FL_KEEP_SIZE;
        let mut refused = Ok(());
        let free = fstatvfs(&open.file).map_or(0, |fs| fs.blocks_available() * fs.fragment_size());
        let ahead = RESERVE.min(free / RESERVE_PART);
        for more in [bytes.max(ahead), bytes] {
            let (from, length) = (size.cast_signed(), more.cast_signed());
            match fallocate(open.file.as_fd(), flags, from, length) {
                Ok(()) => {
                    open.reserved = size + more;
                    return Ok(());
                }
                // As good as it can be had: others may be faster.
                Err(Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EINVAL) if free >= more => {
                    return Ok(());
                }
                Err(Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EINVAL) => {
                    refused = Err(Errno::ENOSPC);
                }
                Err(errno) => refused = Err(errno),
            }
        }
        refused.map_err(|errno| LogError::Io {
            doing: "reserve space for",
            path: path.to_owned(),
            source: errno.into(),
        })
    }

    /// The file has grown to this size.
    pub(super) fn note(&mut self, size: u64, now: Instant) {
        let Some(open) = &mut self.open else { return };
        if size < open.end {
            // It was emptied: what comes is a new file in all but name.
            open.base += open.end;
            (open.begun_ms, open.aged_at) = (wall_ms(), None);
            open.reserved = open.reserved.min(size);
        }
        open.end = size;
        let Some(index) = &mut open.index else { return };
        index.note(size, wall_ms());
        open.base = index.base();
        let since = *open.pending_since.get_or_insert(now);
        if index.pending() >= PENDING || now.saturating_duration_since(since) >= PENDING_FOR {
            open.flush_index();
        }
    }

    /// Writes the index records that are kept back; whether there were any.
    pub(super) fn sync(&mut self) -> bool {
        self.open.as_mut().is_some_and(Open::flush_index)
    }

    /// Empties the file and removes the rotated ones.
    pub(super) fn empty(&mut self, way: &Way, now: Instant) -> Result<(), LogError> {
        way.janitor.close(self.family.remove_archives()?);
        let path = self.family.live().to_owned();
        let file = self.file(way, now)?;
        file.set_len(0).map_err(|source| LogError::Io {
            doing: "empty",
            path,
            source,
        })?;
        self.note(0, now);
        self.sync();
        Ok(())
    }
}
