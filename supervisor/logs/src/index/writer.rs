//! The write side of an index.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt};

use super::block::{BLOCK, Block, Check, HEADER, Header, Mark, Record};
use crate::tail::read_up_to;

/// Notes that come so soon after another, in milliseconds, are one.
const MERGED: i64 = 10;
/// How many records may wait; with more, the last of them covers what comes, so that an index that
/// cannot be written costs no memory.
const WAITING: usize = 512;

/// Writes the index of a log file that grows.
#[derive(Debug)]
pub struct Writer {
    file: File,
    /// Of the log.
    inode: u64,
    base: u64,
    begun_ms: i64,
    /// The last mark in the file, or the one that the next block is to start from.
    last: Mark,
    /// Where in the file the next record goes; at the beginning of a block its header goes first.
    at: u64,
    /// Over the block that `at` is in.
    check: Check,
    /// What is in the file is of no use: it goes with the next flush. Until then it stays, for a
    /// kill in between must find either index whole.
    anew: bool,
    waiting: Vec<Mark>,
}

/// What a writer found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// The index of this log, and goes on with it.
    Continued,
    /// An empty log: its index begins.
    Fresh,
    /// The times of some bytes in the log are lost: why, as the end of a sentence about the index.
    Rebuilt(&'static str),
}

impl Writer {
    /// Goes on with the index of `log`, or begins it anew where it is missing, of another file, or
    /// ahead of the log; where its end is damaged, it goes on behind that. The stream's position
    /// never goes backwards: `base_if_new` is that of the log's first byte if the index begins anew
    /// and does not know of a later one. Writes nothing yet.
    ///
    /// # Errors
    /// When one of the files cannot be read.
    pub fn open(
        index: File,
        log: &File,
        now_ms: i64,
        base_if_new: u64,
    ) -> io::Result<(Writer, Opened)> {
        let log = log.metadata()?;
        let now = Mark {
            offset: log.len(),
            time_ms: now_ms,
        };
        let found = Found::in_file(&index)?;
        let mut writer = Writer {
            file: index,
            inode: log.ino(),
            base: found.position().max(base_if_new),
            begun_ms: now_ms,
            last: now,
            at: 0,
            check: Check::default(),
            anew: true,
            waiting: Vec::new(),
        };
        let why = match &found {
            Found::Nothing => "it was missing",
            Found::Garbage => "it was damaged from beginning to end",
            Found::Index { header, .. } if header.inode != log.ino() => "it was of another file",
            Found::Index { end, .. } if end.offset > log.len() => {
                "the log was shorter than it should be"
            }
            Found::Index {
                begun_ms,
                header,
                end,
                next,
            } => {
                writer.anew = false;
                writer.base = header.base;
                writer.begun_ms = *begun_ms;
                match *next {
                    Next::Record { at, check } => {
                        (writer.last, writer.at, writer.check) = (*end, at, check);
                        // What was written and not noted before a kill arrived before now.
                        writer.note(log.len(), now_ms);
                        return Ok((writer, Opened::Continued));
                    }
                    Next::Block { at } => writer.at = at,
                }
                "its end was damaged"
            }
        };
        let fresh = writer.anew && log.len() == 0;
        Ok((
            writer,
            if fresh {
                Opened::Fresh
            } else {
                Opened::Rebuilt(why)
            },
        ))
    }

    /// The stream's position of the log's first byte.
    #[must_use]
    pub fn base(&self) -> u64 {
        self.base
    }

    /// When the log was begun, as far as is known: Unix time in milliseconds.
    #[must_use]
    pub fn begun_ms(&self) -> i64 {
        self.begun_ms
    }

    /// The log now ends at `end`, and what was appended arrived just now. A log that became shorter
    /// was emptied: its index begins anew with the next flush (killed before that, with a log that
    /// is longer again than it was, nobody can tell). Makes no system call.
    pub fn note(&mut self, end: u64, now_ms: i64) {
        let mut reached = self.waiting.last().copied().unwrap_or(self.last);
        if end < reached.offset {
            self.begin_anew(reached.offset, now_ms);
            reached = self.last;
        }
        if end == reached.offset {
            return;
        }
        let full = self.waiting.len() >= WAITING;
        match self.waiting.last_mut() {
            Some(last) if full || (0..MERGED).contains(&now_ms.wrapping_sub(last.time_ms)) => {
                last.offset = end;
            }
            Some(_) | None => self.waiting.push(Mark {
                offset: end,
                time_ms: now_ms,
            }),
        }
    }

    /// Whether somebody has deleted the index.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.file.metadata().is_ok_and(|meta| meta.nlink() == 0)
    }

    /// How many records are not written yet.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.waiting.len()
    }

    /// Writes what was noted, with one system call unless a block becomes full. A reader and a
    /// process that comes after a kill see whole records only.
    ///
    /// # Errors
    /// When the index cannot be written. What was noted waits for the next call, some of it with a
    /// coarser time if it becomes too much.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.anew {
            self.file.set_len(0)?;
            self.at = 0;
            self.anew = false;
        }
        while self.at == 0 || !self.waiting.is_empty() {
            self.fill_block()?;
        }
        self.waiting.shrink_to(32);
        Ok(())
    }

    /// Writes as many records as the block at `at` has room for.
    fn fill_block(&mut self) -> io::Result<()> {
        let inside = self.at % BLOCK as u64;
        let begins = inside == 0;
        // Lossless: less than a block.
        let room = BLOCK - inside as usize;
        let mut bytes = Vec::with_capacity(if begins { BLOCK } else { room.min(1024) });
        let (mut last, mut check) = (self.last, self.check);
        if begins {
            bytes.extend_from_slice(&self.header().encode());
            check = Check::over(&bytes);
        }
        let mut taken = 0;
        for mark in &self.waiting {
            let record = Record::between(last, *mark, check);
            if bytes.len() + record.bytes().len() > room {
                break;
            }
            bytes.extend_from_slice(record.bytes());
            (last, check) = (*mark, record.check);
            taken += 1;
        }
        if bytes.is_empty() {
            self.at += room as u64;
            return Ok(());
        }
        let used = bytes.len() as u64;
        if begins {
            // The whole block at once: a full disk is met here, not between two records.
            bytes.resize(BLOCK, 0);
        }
        self.write(&bytes, begins)?;
        self.at += used;
        (self.last, self.check) = (last, check);
        self.waiting.drain(..taken);
        Ok(())
    }

    fn write(&self, bytes: &[u8], begins: bool) -> io::Result<()> {
        match self.file.write_at(bytes, self.at) {
            Ok(n) if n == bytes.len() => Ok(()),
            outcome => {
                if begins {
                    // If even that fails, the checks tell the piece from a block.
                    let _ = self.file.set_len(self.at);
                }
                Err(outcome
                    .err()
                    .unwrap_or_else(|| ErrorKind::StorageFull.into()))
            }
        }
    }

    fn header(&self) -> Header {
        Header {
            base: self.base,
            inode: self.inode,
            start: self.last,
        }
    }

    fn begin_anew(&mut self, length: u64, now_ms: i64) {
        self.base = self.base.saturating_add(length);
        self.begun_ms = now_ms;
        self.last = Mark {
            offset: 0,
            time_ms: now_ms,
        };
        self.anew = true;
        self.waiting.clear();
    }
}

/// What a file holds that is to be gone on with.
enum Found {
    Nothing,
    Garbage,
    Index {
        begun_ms: i64,
        /// The last one that is whole.
        header: Header,
        /// The last mark that is whole.
        end: Mark,
        next: Next,
    },
}

/// Where the next bytes go.
enum Next {
    Record { at: u64, check: Check },
    Block { at: u64 },
}

impl Found {
    fn in_file(file: &File) -> io::Result<Found> {
        let size = file.metadata()?.len();
        if size == 0 {
            return Ok(Found::Nothing);
        }
        let blocks = size.div_ceil(BLOCK as u64);
        let behind = Next::Block {
            at: blocks * BLOCK as u64,
        };
        let mut buffer = vec![0; BLOCK];
        for number in (0..blocks).rev() {
            let at = number * BLOCK as u64;
            let read = read_up_to(file, &mut buffer, at)?;
            let Some(block) = Block::decode(&buffer[..read]) else {
                continue;
            };
            let is_last = number + 1 == blocks && !block.damaged;
            let next = if is_last {
                Next::Record {
                    at: at + block.used as u64,
                    check: block.check,
                }
            } else {
                behind
            };
            let read = read_up_to(file, &mut buffer[..HEADER], 0)?;
            let first = Header::decode(&buffer[..read]).unwrap_or(block.header);
            return Ok(Found::Index {
                begun_ms: first.start.time_ms,
                header: block.header,
                end: block.end(),
                next,
            });
        }
        Ok(Found::Garbage)
    }

    /// The stream's position that the index knows of.
    fn position(&self) -> u64 {
        match self {
            Found::Nothing | Found::Garbage => 0,
            Found::Index { header, end, .. } => header.base.saturating_add(end.offset),
        }
    }
}
