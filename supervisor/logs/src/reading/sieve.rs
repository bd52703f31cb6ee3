//! Which lines of a chunk are wanted.

use std::io;

use super::chunk::Chunk;
use super::{Keep, LONGEST, Pattern, Query};
use memchr::{memchr, memrchr};

/// What a line must have, apart from its time.
#[derive(Clone)]
pub(super) struct Sieve<'q> {
    pattern: Option<Pattern>,
    keep: Option<Keep<'q>>,
}

/// The lines of a chunk that are wanted.
#[derive(Debug, Default)]
pub(super) struct Found {
    bytes: Vec<u8>,
    lines: Vec<FoundLine>,
}

#[derive(Debug)]
struct FoundLine {
    /// Where its text ends in the bytes; it begins where the one before it ends.
    end: usize,
    time: Option<i64>,
    continued: bool,
}

impl Found {
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// About how much memory it takes.
    pub fn size(&self) -> usize {
        self.bytes.capacity() + self.lines.capacity() * size_of::<FoundLine>()
    }

    /// The time, the text, and whether it goes on with the line before it.
    pub fn get(&self, number: usize) -> Option<(Option<i64>, &[u8], bool)> {
        let line = self.lines.get(number)?;
        let begin = number.checked_sub(1).map_or(0, |n| self.lines[n].end);
        Some((line.time, &self.bytes[begin..line.end], line.continued))
    }
}

impl<'q> Sieve<'q> {
    pub fn new(query: &Query<'q>) -> Sieve<'q> {
        Sieve {
            pattern: query.pattern.clone(),
            keep: query.keep,
        }
    }

    /// Whether every line passes.
    fn is_open(&self) -> bool {
        self.pattern.is_none() && self.keep.is_none()
    }

    fn passes(&self, text: &[u8]) -> bool {
        let pattern = self.pattern.as_ref();
        pattern.is_none_or(|pattern| pattern.is_match(text)) && self.keeps(text)
    }

    fn keeps(&self, text: &[u8]) -> bool {
        self.keep.is_none_or(|keep| keep(text))
    }

    /// The lines of the chunk that are wanted. The buffer is for the chunk's bytes.
    pub fn sift(&self, chunk: &Chunk, buffer: &mut Vec<u8>) -> io::Result<Found> {
        let bytes = chunk.load(buffer)?;
        let mut found = Found::default();
        if self.is_open() {
            found.bytes.reserve_exact(bytes.len());
        }
        let mut clock = chunk.clock();
        // Of the line that the pieces belong to.
        let mut time = chunk.inside.flatten();
        let mut line = chunk.inside.map(|_| 0);
        self.each(chunk, bytes, &mut |begin, text, continued| {
            if line != Some(begin) {
                line = Some(begin);
                time = clock.at(begin);
            }
            found.bytes.extend_from_slice(text);
            found.lines.push(FoundLine {
                end: found.bytes.len(),
                time,
                continued,
            });
        });
        Ok(found)
    }

    /// Calls for each piece that is wanted: with where its line begins in the chunk, its text, and
    /// whether it goes on with a line.
    fn each(&self, chunk: &Chunk, bytes: &[u8], wanted: &mut dyn FnMut(usize, &[u8], bool)) {
        let mut continued = chunk.inside.is_some();
        let finder = self.pattern.as_ref().filter(|p| p.finds_lines());
        let mut at = 0;
        while at < bytes.len() {
            let mut certain = false;
            if let Some(finder) = finder {
                let Some(found) = finder.next(bytes, at) else {
                    return;
                };
                certain = found.certain;
                if let Some(newline) = memrchr(b'\n', &bytes[at..found.at]) {
                    at += newline + 1;
                    continued = false;
                }
            }
            let end = memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |length| at + length);
            let line = &bytes[at..end];
            if line.len() <= LONGEST {
                if (certain && self.keeps(line)) || (!certain && self.passes(line)) {
                    wanted(at, line, continued);
                }
            } else {
                for (number, piece) in line.chunks(LONGEST).enumerate() {
                    if self.passes(piece) {
                        wanted(at, piece, continued || number > 0);
                    }
                }
            }
            continued = false;
            at = end + 1;
        }
    }
}
