//! The last lines of one file.
//!
//! Works on any open descriptor of a log, also one that somebody else opened and passed on, and
//! never moves its offset, which may be shared. Promises bounded memory whatever is in the file.
//! Leaves to others when to look again, and cleaning the bytes before a terminal sees them.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;

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
