//! Finding the last lines, from the newest to the oldest, so that only what is needed is read,
//! whatever the logs' size.
//!
//! Goes backwards in segments that begin with a line, each twice as long as the one behind it, and
//! through each of them forwards, on all processors. What is found is kept as long as there is room
//! for it, so that few lines among many are read once; of more it is only known where they begin.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use super::flow::Flow;
use super::part::Text;
use super::plan::{At, Bounds, Line, Start};
use super::pool::Pool;
use super::sieve::Found;
use super::walk::{Extent, Walk};
use super::{Harm, LONGEST};

/// How much is read or kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// The first segment.
    pub first: u64,
    /// The longest segment, if lines are not longer.
    pub most: u64,
    /// How many bytes of lines may be kept.
    pub room: usize,
}

impl Sizes {
    pub fn new(room: usize) -> Sizes {
        Sizes {
            // Enough lines for a screen.
            first: LONGEST as u64,
            // Many chunks: the processors hardly wait for each other at the end.
            most: 16 << 20,
            room,
        }
    }
}

/// The last lines of a stream.
pub(super) struct Last {
    /// The oldest first.
    pub kept: VecDeque<Found>,
    /// The lines after them.
    pub flow: Flow,
    /// How many lines at the beginning are too many.
    pub surplus: usize,
}

/// Goes backwards through a stream.
pub(super) struct Search<'s> {
    pub texts: &'s [Arc<Text>],
    pub bounds: Bounds,
    pub wanted: usize,
    pub sizes: Sizes,
    /// What is between the bounds.
    pub flow: &'s dyn Fn(Bounds) -> Flow,
}

impl Search<'_> {
    /// The last `wanted` lines within the bounds that pass the sieve.
    pub fn find(&self, pool: &mut Pool<'_, '_>) -> io::Result<Last> {
        let mut until = self.bounds.until;
        let mut size = self.sizes.first;
        let mut count = 0;
        let mut kept = Kept::new(self.sizes.room);
        let mut newest: Option<Flow> = None;
        let mut harms = Vec::new();
        let start = loop {
            let Some(start) = self.cut(until, size)? else {
                size *= 2;
                continue;
            };
            let mut flow = (self.flow)(Bounds { start, until });
            let segment = kept.gather(&mut flow, self.wanted.saturating_sub(count), pool)?;
            let enough = count + segment.count >= self.wanted;
            if start.line == Line::Inside && !enough {
                // All of the line is needed.
                size *= 2;
                continue;
            }
            count += segment.count;
            kept.put_before(segment);
            harms.splice(0..0, flow.plan.harms.drain(..));
            newest.get_or_insert(flow);
            if enough || start == self.bounds.start {
                break start;
            }
            until = Some(start.at);
            size = (size * 2).min(self.sizes.most);
        };
        Ok(match newest {
            Some(flow) if !kept.full => self.all_kept(kept.queue, flow, harms),
            Some(_) | None => Last {
                kept: VecDeque::new(),
                flow: (self.flow)(Bounds {
                    start,
                    ..self.bounds
                }),
                surplus: count.saturating_sub(self.wanted),
            },
        })
    }

    /// The flow of the newest segment is at its end, and knows where a follower goes on.
    fn all_kept(&self, kept: VecDeque<Found>, mut flow: Flow, mut harms: Vec<(u32, Harm)>) -> Last {
        // The beginning of a text may be in two segments.
        harms.dedup();
        flow.plan.harms = harms;
        let count: usize = kept.iter().map(Found::len).sum();
        Last {
            kept,
            flow,
            surplus: count.saturating_sub(self.wanted),
        }
    }

    /// Where a segment of about this size begins. `None`: there is only the inside of a line.
    fn cut(&self, until: Option<At>, size: u64) -> io::Result<Option<Start>> {
        let oldest = self.bounds.start;
        let newest = until.map_or(self.texts.len(), |until| until.text + 1);
        for number in (oldest.at.text..newest).rev() {
            let text = &self.texts[number];
            let within = until.filter(|until| until.text == number);
            let top = within.map_or(u64::MAX, |until| until.offset);
            let from = match text.length {
                Some(length) if !text.compressed => top.min(length).saturating_sub(size),
                // It can only be read from its beginning.
                Some(_) | None => 0,
            };
            if number == oldest.at.text && from <= oldest.at.offset {
                return Ok(Some(oldest));
            }
            let extent = Extent {
                from,
                skip: true,
                ..Extent::ALL
            };
            let walk = Walk::new(text, extent)?;
            let start = |offset, line| Start {
                at: At {
                    text: number,
                    offset,
                },
                line,
            };
            if !walk.is_skipping() && walk.offset() < top {
                return Ok(Some(start(walk.offset(), Line::Begins)));
            }
            if from > 0 {
                return Ok((size >= self.sizes.most).then(|| start(from, Line::Inside)));
            }
        }
        Ok(Some(oldest))
    }
}

/// Lines, as long as there is room for them.
struct Kept {
    queue: VecDeque<Found>,
    room: usize,
    /// There was no room for all: nothing is kept any more.
    full: bool,
}

/// What is between two cuts.
#[derive(Default)]
struct Segment {
    queue: VecDeque<Found>,
    /// The bytes of these.
    size: usize,
    /// How many lines there are in it, kept or not.
    count: usize,
}

impl Kept {
    fn new(room: usize) -> Kept {
        Kept {
            queue: VecDeque::new(),
            room,
            full: false,
        }
    }

    /// The lines of a segment; not those before the last `wanted`.
    fn gather(
        &mut self,
        flow: &mut Flow,
        wanted: usize,
        pool: &mut Pool<'_, '_>,
    ) -> io::Result<Segment> {
        let mut segment = Segment::default();
        let mut lines = 0;
        while let Some(found) = flow.next(pool)? {
            segment.count += found.len();
            if self.full || found.len() == 0 {
                continue;
            }
            lines += found.len();
            segment.size += found.size();
            segment.queue.push_back(found);
            while let Some(first) = segment.queue.front()
                && lines - first.len() >= wanted
            {
                lines -= first.len();
                segment.size -= first.size();
                segment.queue.pop_front();
            }
            if segment.size > self.room {
                self.full = true;
                self.queue.clear();
                segment.queue.clear();
            }
        }
        Ok(segment)
    }

    fn put_before(&mut self, mut segment: Segment) {
        self.room = self.room.saturating_sub(segment.size);
        segment.queue.append(&mut self.queue);
        self.queue = segment.queue;
    }
}
