//! Reading logs: the last lines, and what comes after them.
//!
//! Works on any open descriptor of a log, also one that somebody else opened and passed on, and
//! never moves its offset, which may be shared. Promises bounded memory whatever is in the file.
//! Leaves to others when to look again, and cleaning the bytes before a terminal sees them.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt};

/// How much is read at once, and how long a piece of a line can get.
const BLOCK: usize = 64 << 10;

/// The end of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail {
    /// The last lines, as they are in the file.
    pub bytes: Vec<u8>,
    /// Where `bytes` ends in the file.
    pub offset: u64,
    /// How many of `bytes`, at their end, are a line that has no newline yet. A follower that
    /// is to give that line as a whole starts at `offset - unfinished`.
    pub unfinished: u64,
    /// The first line began earlier than `bytes` does: it alone is longer than was asked for.
    pub cut: bool,
}

/// What one look at a growing log brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// How many lines, or pieces of very long lines, were handed over.
    pub lines: u64,
    /// The file had become shorter: it was read again from its beginning.
    pub restarted: bool,
    /// The file has no name any more and will not grow: ask for the new one.
    pub gone: bool,
}

/// The last `n` lines of a log, as far as `max_bytes` allow; a half line at the end counts as
/// one. Whole lines, unless the very last one does not fit. Costs reading what is returned, twice
/// at most, however big the file is.
///
/// # Errors
/// When the file cannot be read.
pub fn last_lines(file: &File, n: usize, max_bytes: u64) -> io::Result<Tail> {
    let end = file.metadata()?.len();
    let floor = end.saturating_sub(max_bytes);
    let (start, cut) = if n == 0 {
        (end, false)
    } else {
        find_start(file, n, floor, end)?
    };
    let mut bytes = vec![0; usize::try_from(end - start).map_err(|_| ErrorKind::OutOfMemory)?];
    let read = read_up_to(file, &mut bytes, start)?;
    bytes.truncate(read);
    let unfinished = bytes.iter().rev().take_while(|b| **b != b'\n').count() as u64;
    Ok(Tail {
        offset: start + read as u64,
        unfinished,
        cut,
        bytes,
    })
}

/// Where the last `n` lines before `end` begin, not before `floor`; and whether that is inside
/// a line.
fn find_start(file: &File, n: usize, floor: u64, end: u64) -> io::Result<(u64, bool)> {
    // A newline just before the floor makes the floor the beginning of a line.
    let lowest = floor.saturating_sub(1);
    // The newline at the very end closes the last line, it does not begin another.
    let mut top = end.saturating_sub(1);
    let mut found = 0;
    let mut best = None;
    let mut block = vec![0; BLOCK];
    while top > lowest {
        let size = (top - lowest).min(BLOCK as u64);
        let from = top - size;
        // Lossless: at most BLOCK.
        let part = &mut block[..size as usize];
        // Emptied by somebody meanwhile: what is gone has no newlines.
        let read = read_up_to(file, part, from)?;
        for at in (0..read).rev().filter(|at| part[*at] == b'\n') {
            let start = from + at as u64 + 1;
            found += 1;
            if found == n {
                return Ok((start, false));
            }
            best = Some(start);
        }
        top = from;
    }
    Ok(match (floor, best) {
        (0, _) => (0, false),
        (_, Some(start)) => (start, false),
        (_, None) => (floor, true),
    })
}

/// Fills `buffer` from `offset` on, or as far as the file goes.
pub(crate) fn read_up_to(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Reads what is appended to a log, line by line.
#[derive(Debug)]
pub struct Follower {
    file: File,
    offset: u64,
    /// The beginning of a line whose newline has not come yet; at most a block.
    half: Vec<u8>,
}

impl Follower {
    /// Reads from `offset` on, which is taken for the beginning of a line.
    #[must_use]
    pub fn new(file: File, offset: u64) -> Follower {
        Follower {
            file,
            offset,
            half: Vec::new(),
        }
    }

    /// Hands over every line that is complete by now, without its newline. A line longer than
    /// 64 KiB comes in pieces. When the file was emptied, the half line that was waiting comes
    /// first, since its rest will not come. (Emptied and grown beyond the old size between two
    /// calls cannot be told from grown.)
    ///
    /// # Errors
    /// When the file cannot be read; what was handed over before is not handed over again.
    pub fn read_new(&mut self, sink: &mut dyn FnMut(&[u8])) -> io::Result<Progress> {
        let meta = self.file.metadata()?;
        let mut progress = Progress {
            gone: meta.nlink() == 0,
            ..Progress::default()
        };
        if meta.len() < self.offset {
            progress.restarted = true;
            self.offset = 0;
            if !self.half.is_empty() {
                sink(&self.half);
                self.half.clear();
                progress.lines += 1;
            }
        }
        // Up to the size of now: with a fast writer there would be no end.
        let mut left = meta.len() - self.offset;
        let mut block = vec![0; BLOCK.min(usize::try_from(left).unwrap_or(BLOCK))];
        while left > 0 {
            let most = block.len().min(usize::try_from(left).unwrap_or(BLOCK));
            let read = read_up_to(&self.file, &mut block[..most], self.offset)?;
            if read == 0 {
                break;
            }
            self.offset += read as u64;
            left -= read as u64;
            progress.lines += self.split(&block[..read], sink);
        }
        Ok(progress)
    }

    /// The line at the end that has no newline yet, as far as it was read.
    #[must_use]
    pub fn unfinished(&self) -> &[u8] {
        &self.half
    }

    fn split(&mut self, block: &[u8], sink: &mut dyn FnMut(&[u8])) -> u64 {
        let mut count = 0;
        for part in block.split_inclusive(|b| *b == b'\n') {
            let (text, complete) = match part.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (part, false),
            };
            let mut rest = text;
            while self.half.len() + rest.len() > BLOCK {
                let (piece, more) = rest.split_at(BLOCK - self.half.len());
                self.half.extend_from_slice(piece);
                sink(&self.half);
                self.half.clear();
                count += 1;
                rest = more;
            }
            match (complete, self.half.is_empty()) {
                (true, true) => sink(rest),
                (true, false) => {
                    self.half.extend_from_slice(rest);
                    sink(&self.half);
                    self.half.clear();
                }
                (false, _) => {
                    self.half.extend_from_slice(rest);
                    continue;
                }
            }
            count += 1;
        }
        count
    }
}
