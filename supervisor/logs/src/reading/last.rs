//! Finding where the last lines begin, from the newest to the oldest, so that only what is needed is
//! read, whatever the logs' size.

use std::io;
use std::sync::Arc;

use memchr::memchr;

use super::LONGEST;
use super::chunk::{CHUNK, Chunk};
use super::part::Text;
use super::plan::{At, Bounds, Line, Plan, Start};
use super::sieve::Sieve;
use super::span::{Bytes, Span, in_file};
use super::walk::{Extent, InFile, Walk, last_newline, line_from};

/// Where to begin, and how many of the wanted lines from there on are too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Last {
    pub start: Start,
    pub surplus: usize,
}

/// Goes backwards through a stream.
struct Search<'s> {
    texts: &'s [Arc<Text>],
    sieve: &'s Sieve<'s>,
    bounds: Bounds,
    wanted: usize,
    found: usize,
    /// The beginning of the text behind, up to its first line end: it may be the rest of a line of
    /// the text before.
    head: Vec<Span>,
    buffer: Vec<u8>,
}

/// Where the last `wanted` lines begin that pass the sieve within the bounds.
pub(super) fn find(
    texts: &[Arc<Text>],
    bounds: Bounds,
    sieve: &Sieve<'_>,
    wanted: usize,
) -> io::Result<Last> {
    let mut search = Search {
        texts,
        sieve,
        bounds,
        wanted,
        found: 0,
        head: Vec::new(),
        buffer: Vec::new(),
    };
    let newest = bounds
        .until
        .map_or(texts.len(), |until| (until.text + 1).min(texts.len()));
    for number in (bounds.start.at.text..newest).rev() {
        let compressed = texts[number].compressed;
        let start = if compressed {
            search.in_frame(number)?
        } else {
            search.in_file(number)?
        };
        if let Some(start) = start {
            let surplus = search.found - wanted;
            return Ok(Last { start, surplus });
        }
    }
    Ok(Last {
        start: bounds.start,
        surplus: 0,
    })
}

/// Where the last line end is before the end of a stream: what comes after it is not complete.
pub(super) fn last_line_end(texts: &[Arc<Text>]) -> io::Result<At> {
    for (text, of) in texts.iter().enumerate().rev() {
        let end = match of.length {
            Some(length) if !of.compressed => {
                last_newline(&of.log, 0, length)?.map(|newline| newline + 1)
            }
            Some(_) | None => last_in_frame(of)?,
        };
        if let Some(offset) = end {
            return Ok(At { text, offset });
        }
    }
    Ok(At { text: 0, offset: 0 })
}

fn last_in_frame(text: &Arc<Text>) -> io::Result<Option<u64>> {
    let mut walk = Walk::new(text, Extent::ALL)?;
    let mut end = None;
    while let Some(stretch) = walk.step(CHUNK)? {
        if stretch.complete {
            end = Some(stretch.span.end());
        }
    }
    Ok(end)
}

impl Search<'_> {
    fn in_file(&mut self, number: usize) -> io::Result<Option<Start>> {
        let text = &self.texts[number];
        let (low, mut end) =
            InFile::new(text, text.length.unwrap_or(0), self.extent(number))?.range();
        let mut size = LONGEST as u64;
        while end > low {
            let from = end.saturating_sub(size).max(low);
            let mut line = Line::Begins;
            let mut begin = low;
            if from > low {
                match line_from(&text.log, from - 1, end - 1)? {
                    Some(found) => begin = found,
                    None if size < CHUNK as u64 => {
                        size = CHUNK as u64;
                        continue;
                    }
                    None => (begin, line) = (from, Line::Inside),
                }
            }
            let head = if begin == 0 && number > self.bounds.start.at.text {
                // A longer one is taken for a line by itself.
                let most = CHUNK as u64;
                line_from(&text.log, 0, end.min(most))?.or((end <= most).then_some(end))
            } else {
                None
            };
            let mut spans = vec![in_file(text, head.unwrap_or(begin), end)];
            spans.append(&mut self.head);
            self.head.extend(head.map(|head| in_file(text, 0, head)));
            let start = Start {
                at: At {
                    text: number,
                    offset: head.unwrap_or(begin),
                },
                line,
            };
            if self.count(spans, line == Line::Inside)? {
                return Ok(Some(start));
            }
            end = begin;
            size = (size * 2).min(CHUNK as u64);
        }
        Ok(None)
    }

    /// A compressed text can only be read from its beginning.
    fn in_frame(&mut self, number: usize) -> io::Result<Option<Start>> {
        let extent = self.extent(number);
        let is_first = number == self.bounds.start.at.text;
        let at = At {
            text: 0,
            offset: extent.from,
        };
        let bounds = Bounds {
            start: Start {
                at,
                line: if extent.skip {
                    Line::Skip
                } else {
                    Line::Begins
                },
            },
            until: extent.until.map(|offset| At { text: 0, offset }),
        };
        let mut start = if is_first {
            self.bounds.start
        } else {
            Start {
                at: At {
                    text: number,
                    offset: 0,
                },
                line: Line::Begins,
            }
        };
        let mut plan = Plan::new(vec![Arc::clone(&self.texts[number])], bounds, false);
        let mut behind = std::mem::take(&mut self.head);
        let Some(mut chunk) = plan.next()? else {
            self.head = behind;
            return Ok(None);
        };
        let mut next = plan.next()?;
        if !is_first {
            self.head = split_head(&mut chunk, next.is_none());
            start.at.offset = self.head.first().map_or(0, Span::end);
        }
        loop {
            let mut spans = chunk.spans;
            if next.is_none() {
                let last = if spans.is_empty() {
                    &mut self.head
                } else {
                    &mut spans
                };
                last.append(&mut behind);
            }
            let enough = self.count(spans, chunk.inside.is_some())?;
            chunk = match next {
                Some(next) => next,
                None => return Ok(enough.then_some(start)),
            };
            next = plan.next()?;
        }
    }

    /// What the bounds leave of a text.
    fn extent(&self, number: usize) -> Extent {
        let Bounds { start, until } = self.bounds;
        let is_first = number == start.at.text;
        Extent {
            from: if is_first { start.at.offset } else { 0 },
            skip: is_first && start.line == Line::Skip,
            until: until
                .filter(|until| until.text == number)
                .map(|until| until.offset),
            at_line: true,
        }
    }

    /// Counts what passes; whether there is enough by now.
    fn count(&mut self, spans: Vec<Span>, inside: bool) -> io::Result<bool> {
        let chunk = Chunk {
            spans,
            inside: inside.then_some(None),
        };
        self.found += self.sieve.count(&chunk, &mut self.buffer)?;
        Ok(self.found >= self.wanted)
    }
}

/// Takes the first line off a chunk that was decompressed; all of it, if it is the only one and has
/// no line end. A longer line is taken for one by itself.
fn split_head(chunk: &mut Chunk, only: bool) -> Vec<Span> {
    let Some(span) = chunk.spans.first_mut() else {
        return Vec::new();
    };
    let Bytes::Here(bytes) = &mut span.bytes else {
        return Vec::new();
    };
    let Some(newline) = memchr(b'\n', bytes) else {
        return if only {
            std::mem::take(&mut chunk.spans)
        } else {
            Vec::new()
        };
    };
    let rest = bytes.split_off(newline + 1);
    let head = Span {
        text: Arc::clone(&span.text),
        offset: span.offset,
        bytes: Bytes::Here(std::mem::replace(bytes, rest)),
    };
    span.offset = head.end();
    vec![head]
}
