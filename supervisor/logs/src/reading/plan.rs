//! Cutting a stream into chunks, from the oldest to the newest.

use std::io;
use std::sync::Arc;

use super::chunk::{CHUNK, Chunk};
use super::part::Text;
use super::span::Span;
use super::walk::{Extent, Walk, last_newline};
use super::{Harm, LONGEST, Place, Query};

/// A place in a stream: in which of its texts, and where there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct At {
    pub text: usize,
    pub offset: u64,
}

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Start {
    pub at: At,
    pub line: Line,
}

/// How a place lies to the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// One begins here.
    Begins,
    /// Perhaps in the middle of one, which is not wanted.
    Skip,
    /// In the middle of a long one, of which the rest is wanted.
    Inside,
}

/// What of a stream is wanted: the lines that begin in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub start: Start,
    /// `None`: up to the end.
    pub until: Option<At>,
}

impl Default for Bounds {
    fn default() -> Bounds {
        let start = Start {
            at: At { text: 0, offset: 0 },
            line: Line::Begins,
        };
        Bounds { start, until: None }
    }
}

impl Bounds {
    /// What came between the query's times. `None`: nothing.
    pub fn of_query(texts: &[Arc<Text>], query: &Query<'_>) -> io::Result<Option<Bounds>> {
        let Bounds { mut start, .. } = Bounds::default();
        if let Some(since) = query.since {
            let Some(at) = first_since(texts, since) else {
                return Ok(None);
            };
            let skip = at.offset > 0 || ends_inside_line(texts, at.text)?;
            let line = if skip { Line::Skip } else { Line::Begins };
            start = Start { at, line };
        }
        let later = query.until.and_then(|until| until.checked_add(1));
        let until = later.and_then(|later| {
            texts.iter().enumerate().find_map(|(text, of)| {
                let offset = of.index.first_since(later)?;
                // Nothing is known of its beginning: that may have come before.
                let known = offset > 0 || of.index.time_at(0).is_some();
                known.then_some(At { text, offset })
            })
        });
        Ok(Some(Bounds { start, until }))
    }
}

/// Where the bytes begin that came at this time or later. What is newer than they are is not looked
/// at more closely than it takes to say so.
fn first_since(texts: &[Arc<Text>], since: i64) -> Option<At> {
    let mut found = None;
    for (text, of) in texts.iter().enumerate().rev() {
        match of.index.first_since(since) {
            Some(offset) => found = Some(At { text, offset }),
            // An empty one says nothing about those before it.
            None if of.length == Some(0) => continue,
            None => break,
        }
        if found.is_some_and(|at| at.offset > 0) {
            break;
        }
    }
    found
}

/// Whether the text before this one ends in the middle of a line. Of a compressed one it is taken
/// for granted that it does not: files are rotated at the end of a line where there is one.
fn ends_inside_line(texts: &[Arc<Text>], text: usize) -> io::Result<bool> {
    let before = texts[..text].iter().rev().find(|of| of.length != Some(0));
    match before {
        Some(of) if !of.compressed => {
            let length = of.length.unwrap_or(0);
            Ok(last_newline(&of.log, length.saturating_sub(1), length)?.is_none())
        }
        Some(_) | None => Ok(false),
    }
}

/// Cuts a stream into chunks.
pub(super) struct Plan {
    texts: Vec<Arc<Text>>,
    bounds: Bounds,
    complete_only: bool,
    /// The most that a chunk holds.
    size: usize,
    /// The one to go through after `walk`.
    next: usize,
    walk: Option<Walk>,
    /// The beginning of a line that goes on in the next text.
    carry: Vec<Span>,
    /// What comes next is inside a line, which came at this time.
    inside: Option<Option<i64>>,
    /// The beginning of a line is still to be found.
    skipping: bool,
    at: At,
    /// What was wrong with the texts, by their numbers.
    pub harms: Vec<(u32, Harm)>,
}

impl Plan {
    pub fn new(texts: Vec<Arc<Text>>, bounds: Bounds, complete_only: bool) -> Plan {
        let start = bounds.start;
        let time = |of: &Arc<Text>| of.index.time_at(start.at.offset);
        let inside = match start.line {
            Line::Inside => Some(texts.get(start.at.text).and_then(time)),
            Line::Begins | Line::Skip => None,
        };
        Plan {
            texts,
            bounds,
            complete_only,
            size: CHUNK,
            next: start.at.text,
            walk: None,
            carry: Vec::new(),
            inside,
            skipping: start.line == Line::Skip,
            at: start.at,
            harms: Vec::new(),
        }
    }

    /// The same in smaller chunks, where there are many streams.
    pub fn in_small_chunks(mut self) -> Plan {
        self.size = LONGEST;
        self
    }

    /// The next chunk.
    pub fn next(&mut self) -> io::Result<Option<Chunk>> {
        loop {
            let Some(walk) = &mut self.walk else {
                if self.begin_next()? {
                    continue;
                }
                let left = self.complete_only && self.bounds.until.is_none();
                return Ok((!left && !self.carry.is_empty()).then(|| self.chunk(true)));
            };
            let carried: usize = self.carry.iter().map(Span::len).sum();
            match walk.step(self.size - carried)? {
                Some(stretch) => {
                    self.at.offset = stretch.span.end();
                    let full = carried + stretch.span.len() == self.size;
                    self.carry.push(stretch.span);
                    if stretch.complete || full {
                        return Ok(Some(self.chunk(stretch.complete)));
                    }
                }
                None => {
                    self.skipping = walk.is_skipping();
                    self.at.offset = walk.offset();
                    let number = self.texts[self.at.text].number;
                    self.harms
                        .extend(walk.harm().map(|harm| (number, harm.clone())));
                    let broken = walk.harm().is_some();
                    self.walk = None;
                    if broken && !self.carry.is_empty() {
                        // What would complete the line is lost.
                        return Ok(Some(self.chunk(true)));
                    }
                    if broken {
                        self.inside = None;
                    }
                }
            }
        }
    }

    /// Where a follower goes on when all is read: at the end, or where the line begins that is not
    /// complete.
    pub fn place(&self) -> Place {
        match (self.carry.first(), self.texts.last()) {
            (Some(half), _) => half.text.place(half.offset),
            (None, Some(newest)) => {
                let reached = self.at.text + 1 == self.texts.len() && self.bounds.until.is_none();
                let length = newest.length.unwrap_or(u64::MAX);
                newest.place(if reached { self.at.offset } else { length })
            }
            (None, None) => Place::default(),
        }
    }

    /// Begins with the next text, if there is more to come.
    fn begin_next(&mut self) -> io::Result<bool> {
        let number = self.next;
        let at_line = self.carry.is_empty() && self.inside.is_none();
        let until = match self.bounds.until {
            Some(until) if until.text < number && (at_line || self.skipping) => return Ok(false),
            Some(until) if until.text < number => Some(0),
            Some(until) if until.text == number => Some(until.offset),
            Some(_) | None => None,
        };
        let Some(text) = self.texts.get(number) else {
            return Ok(false);
        };
        let first = number == self.bounds.start.at.text;
        let from = if first {
            self.bounds.start.at.offset
        } else {
            0
        };
        let extent = Extent {
            from,
            skip: self.skipping,
            until,
            at_line,
        };
        self.walk = Some(Walk::new(text, extent)?);
        self.at = At {
            text: number,
            offset: from,
        };
        self.next += 1;
        Ok(true)
    }

    fn chunk(&mut self, complete: bool) -> Chunk {
        let spans = std::mem::take(&mut self.carry);
        let inside = self.inside.take();
        if !complete {
            let begin = spans.first();
            let time = || begin.and_then(|span| span.text.index.time_at(span.offset));
            self.inside = Some(inside.unwrap_or_else(time));
        }
        Chunk { spans, inside }
    }
}
