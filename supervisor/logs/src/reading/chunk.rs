//! What is searched at once.

use std::io;

use super::LONGEST;
use super::span::Span;
use crate::index::Times;

/// How long a chunk can get. A multiple of the longest piece, so that the pieces of a line are the
/// same however the line is spread over chunks.
pub(super) const CHUNK: usize = 4 * LONGEST;

/// Whole lines of a stream, or pieces of one long line; at most [`CHUNK`] bytes.
#[derive(Debug)]
pub(super) struct Chunk {
    /// Consecutive; more than one where a line goes from one file to the next.
    pub spans: Vec<Span>,
    /// It begins inside a line, which came at this time.
    pub inside: Option<Option<i64>>,
}

impl Chunk {
    /// Its bytes, in a buffer that is used for one chunk after the other.
    pub fn load<'b>(&self, buffer: &'b mut Vec<u8>) -> io::Result<&'b [u8]> {
        let mut length = 0;
        for span in &self.spans {
            if buffer.len() < length + span.len() {
                buffer.resize(length + span.len(), 0);
            }
            length += span.copy_to(&mut buffer[length..length + span.len()])?;
        }
        Ok(&buffer[..length])
    }

    pub fn clock(&self) -> Clock<'_> {
        Clock {
            spans: &self.spans,
            before: 0,
            times: None,
        }
    }
}

/// When the bytes of a chunk arrived, asked for from its beginning to its end.
pub(super) struct Clock<'c> {
    spans: &'c [Span],
    /// The bytes of the spans that are behind.
    before: usize,
    times: Option<Times<'c>>,
}

impl Clock<'_> {
    pub fn at(&mut self, position: usize) -> Option<i64> {
        while let [first, rest @ ..] = self.spans
            && position >= self.before + first.len()
            && !rest.is_empty()
        {
            self.before += first.len();
            self.spans = rest;
            self.times = None;
        }
        let span = self.spans.first()?;
        let times = self.times.get_or_insert_with(|| span.text.index.times());
        times.at(span.offset + (position - self.before) as u64)
    }
}
