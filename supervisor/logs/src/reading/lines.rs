//! Lines of bytes that come piece by piece.

use std::io;

use super::chunk::Clock;
use super::{LONGEST, Line, Sink};

/// Puts lines together.
#[derive(Debug, Default)]
pub(super) struct Joiner {
    /// The beginning of a line whose newline has not come yet, or of a further piece of it; at most
    /// [`LONGEST`].
    half: Vec<u8>,
    /// When the line began.
    time: Option<i64>,
    /// A piece of the line was handed over.
    continued: bool,
}

/// Bytes that come next.
pub(super) struct Joined<'c> {
    pub stream: usize,
    pub clock: Clock<'c>,
    pub bytes: &'c [u8],
}

impl Joiner {
    pub fn half(&self) -> &[u8] {
        &self.half
    }

    /// Hands over the lines that are complete now.
    pub fn join(
        &mut self,
        mut next: Joined<'_>,
        count: &mut u64,
        sink: Sink<'_>,
    ) -> io::Result<()> {
        let mut at = 0;
        for line in next.bytes.split_inclusive(|b| *b == b'\n') {
            if self.half.is_empty() && !self.continued {
                self.time = next.clock.at(at);
            }
            at += line.len();
            let (mut rest, complete) = match line.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (line, false),
            };
            while self.half.len() + rest.len() > LONGEST {
                let (piece, more) = rest.split_at(LONGEST - self.half.len());
                rest = more;
                self.half.extend_from_slice(piece);
                self.give(next.stream, count, sink)?;
                self.continued = true;
            }
            self.half.extend_from_slice(rest);
            if complete {
                self.give(next.stream, count, sink)?;
                self.continued = false;
            }
        }
        Ok(())
    }

    /// Hands over the half line: its rest will not come.
    pub fn give_half(&mut self, stream: usize, count: &mut u64, sink: Sink<'_>) -> io::Result<()> {
        if !self.half.is_empty() {
            self.give(stream, count, sink)?;
        }
        self.continued = false;
        Ok(())
    }

    fn give(&mut self, stream: usize, count: &mut u64, sink: Sink<'_>) -> io::Result<()> {
        *count += 1;
        let line = Line {
            stream,
            time: self.time,
            text: &self.half,
            continued: self.continued,
        };
        let outcome = sink(line);
        self.half.clear();
        outcome
    }
}
