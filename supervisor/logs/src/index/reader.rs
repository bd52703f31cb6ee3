//! The read side of an index.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use super::block::{BLOCK, Block, HEADER, Header, Mark};
use crate::tail::read_up_to;

/// The index of a log file, as far as it can be trusted. Only those blocks are read that a question
/// is about.
///
/// What lies between two marks with something damaged between them has a time in between, as if it
/// had arrived evenly. The log's beginning and end can be made such marks.
#[derive(Debug)]
pub struct Index {
    file: Option<File>,
    blocks: u64,
    /// The first header that is whole, and which block's it is.
    first: Option<(u64, Header)>,
    begins: Option<Mark>,
    ends: Option<Mark>,
    damaged: AtomicBool,
}

/// A mark, and what is known of the bytes before it.
#[derive(Debug, Clone, Copy)]
struct Point {
    mark: Mark,
    /// They arrived at its time; otherwise at some time since the point before.
    exact: bool,
}

impl Index {
    /// The index in a file.
    ///
    /// # Errors
    /// When the file cannot be read, whatever is in it.
    pub fn read(index: &File) -> io::Result<Index> {
        let size = index.metadata()?.len();
        let mut read = Index {
            file: Some(index.try_clone()?),
            blocks: size.div_ceil(BLOCK as u64),
            damaged: AtomicBool::new(size % BLOCK as u64 != 0),
            ..Index::none()
        };
        read.first = read.header_from(0, read.blocks)?;
        Ok(read)
    }

    /// The index of a log that has none: knows what it is told.
    #[must_use]
    pub fn none() -> Index {
        Index {
            file: None,
            blocks: 0,
            first: None,
            begins: None,
            ends: None,
            damaged: AtomicBool::new(false),
        }
    }

    /// The log was begun at this time. Only matters where the index does not say more.
    pub fn begins(&mut self, time_ms: i64) {
        self.begins = Some(Mark { offset: 0, time_ms });
    }

    /// The log is so long, and its last byte came at this time. Only matters where the index does
    /// not say more.
    pub fn ends(&mut self, length: u64, time_ms: i64) {
        self.ends = Some(Mark {
            offset: length,
            time_ms,
        });
    }

    /// The stream's position of the log's first byte.
    #[must_use]
    pub fn base(&self) -> Option<u64> {
        self.first.map(|(_, header)| header.base)
    }

    /// The inode that the log had when it was begun.
    #[must_use]
    pub fn inode(&self) -> Option<u64> {
        self.first.map(|(_, header)| header.inode)
    }

    /// When the log was begun.
    #[must_use]
    pub fn begun_ms(&self) -> Option<i64> {
        match self.first {
            Some((_, header)) if header.start.offset == 0 => Some(header.start.time_ms),
            _ => self.begins.map(|mark| mark.time_ms),
        }
    }

    /// Whether something damaged was met so far.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::Relaxed)
    }

    /// When the byte at `offset` arrived. To ask for one place after the other, [`Index::times`].
    #[must_use]
    pub fn time_at(&self, offset: u64) -> Option<i64> {
        self.times().at(offset)
    }

    /// For going forward through the log.
    #[must_use]
    pub fn times(&self) -> Times<'_> {
        Times {
            index: self,
            points: Vec::new(),
            next: 0,
            unknown: 0..0,
        }
    }

    /// Where the first bytes are that arrived at this time or later, or may have: the beginning, if
    /// nothing is known of it. `None`: all that is known of came earlier. Takes for granted that
    /// the clock was not set back while the log was written; where it was, it is one such place.
    #[must_use]
    pub fn first_since(&self, time_ms: i64) -> Option<u64> {
        // The records that lead to the first header of that time are in the block before it.
        let (mut low, mut high) = (0, self.blocks);
        while low < high {
            let middle = low.midpoint(high);
            match self.header_at(middle, high) {
                Some((found, header)) if header.start.time_ms < time_ms => low = found + 1,
                Some(_) | None => high = middle,
            }
        }
        let before = self.header_before(low);
        let points = self.points_of(before.map(|(number, _)| number));
        if before.is_none()
            && self.begins.is_none()
            && points.first().is_none_or(|p| p.mark.time_ms >= time_ms)
        {
            return (self.first.is_some() || self.ends.is_some()).then_some(0);
        }
        points
            .windows(2)
            .find_map(|pair| since_between(pair[0].mark, pair[1], time_ms))
            .or_else(|| Some(self.header_at(low, self.blocks)?.1.start.offset))
    }

    /// The first whole header from block `from` on and before `until`.
    fn header_from(&self, from: u64, until: u64) -> io::Result<Option<(u64, Header)>> {
        let Some(file) = &self.file else {
            return Ok(None);
        };
        let mut bytes = [0; HEADER];
        for number in from..until {
            let read = read_up_to(file, &mut bytes, number * BLOCK as u64)?;
            if let Some(header) = Header::decode(&bytes[..read]) {
                return Ok(Some((number, header)));
            }
            self.damaged.store(true, Ordering::Relaxed);
        }
        Ok(None)
    }

    /// As [`Index::header_from`]; what cannot be read counts as damaged.
    fn header_at(&self, from: u64, until: u64) -> Option<(u64, Header)> {
        self.header_from(from, until).unwrap_or_else(|_| {
            self.damaged.store(true, Ordering::Relaxed);
            None
        })
    }

    /// The last whole header before block `until`.
    fn header_before(&self, until: u64) -> Option<(u64, Header)> {
        (0..until)
            .rev()
            .find_map(|number| self.header_at(number, number + 1))
    }

    /// The last block with a whole header that starts at this offset or before.
    fn block_of(&self, offset: u64) -> Option<u64> {
        let (mut low, mut high) = (0, self.blocks);
        while low < high {
            let middle = low.midpoint(high);
            match self.header_at(middle, high) {
                Some((found, header)) if header.start.offset <= offset => low = found + 1,
                Some(_) | None => high = middle,
            }
        }
        self.header_before(low).map(|(number, _)| number)
    }

    /// The marks from the beginning of a block, or of the log, to the next block that is whole, or
    /// to the log's end.
    fn points_of(&self, block: Option<u64>) -> Vec<Point> {
        let mut points = Vec::new();
        let (mut from, mut whole) = (0, false);
        match block {
            Some(number) => {
                whole = self.push_block(number, &mut points);
                from = number + 1;
            }
            None => points.extend(self.begins.map(|mark| Point { mark, exact: false })),
        }
        let next = self
            .header_at(from, self.blocks)
            .map(|(_, next)| next.start);
        if let (Some(next), Some(last)) = (next, points.last())
            && (next.offset < last.mark.offset
                || (last.exact
                    && next.offset == last.mark.offset
                    && next.time_ms != last.mark.time_ms))
        {
            // A bad record passed for a good one.
            self.damaged.store(true, Ordering::Relaxed);
            points.truncate(1);
        }
        let bound = next.or(self.ends);
        if let Some(mark) = bound
            && points
                .last()
                .is_none_or(|last| last.mark.offset < mark.offset)
        {
            if next.is_some() && block.is_some() {
                self.damaged.store(true, Ordering::Relaxed);
            }
            // What a whole index does not know of yet arrived just before the end.
            let exact = whole && next.is_none();
            points.push(Point { mark, exact });
        }
        points
    }

    /// Whether nothing in it is damaged.
    fn push_block(&self, number: u64, points: &mut Vec<Point>) -> bool {
        let Some(block) = self.load(number) else {
            self.damaged.store(true, Ordering::Relaxed);
            return false;
        };
        if block.damaged {
            self.damaged.store(true, Ordering::Relaxed);
        }
        let start = Point {
            mark: block.header.start,
            exact: false,
        };
        let marks = block.marks.iter().map(|mark| Point {
            mark: *mark,
            exact: true,
        });
        points.push(start);
        points.extend(marks);
        !block.damaged
    }

    fn load(&self, number: u64) -> Option<Block> {
        let mut bytes = vec![0; BLOCK];
        let mut look = || {
            let read = read_up_to(self.file.as_ref()?, &mut bytes, number * BLOCK as u64).ok()?;
            Block::decode(&bytes[..read])
        };
        match look() {
            // Perhaps it was just being written.
            Some(block) if block.damaged && number + 1 == self.blocks => look(),
            found => found,
        }
    }
}

/// Where the bytes between two marks begin to be of this time or later.
fn since_between(from: Mark, to: Point, time_ms: i64) -> Option<u64> {
    if to.mark.time_ms < time_ms {
        return None;
    }
    if to.exact || from.time_ms >= time_ms {
        return Some(from.offset);
    }
    let length = i128::from(to.mark.offset - from.offset);
    let all = i128::from(to.mark.time_ms) - i128::from(from.time_ms);
    let needed = i128::from(time_ms) - i128::from(from.time_ms);
    // The inverse of `time_between`: the first byte whose share reaches what is needed.
    let bytes = (needed * length + all - 1) / all - 1;
    Some(from.offset + u64::try_from(bytes).unwrap_or(0))
}

/// When a byte between two marks arrived, if all between them came evenly.
fn time_between(from: Mark, to: Mark, offset: u64) -> i64 {
    let length = i128::from(to.offset - from.offset).max(1);
    let part = i128::from(offset - from.offset) + 1;
    let all = i128::from(to.time_ms) - i128::from(from.time_ms);
    let time = i128::from(from.time_ms) + (all * part).div_euclid(length);
    i64::try_from(time).unwrap_or(to.time_ms)
}

/// The times of a log's bytes, cheap to ask for one place after the other.
#[derive(Debug)]
pub struct Times<'a> {
    index: &'a Index,
    /// Of the block that was asked for last.
    points: Vec<Point>,
    /// The first of them that is behind the offset asked for last.
    next: usize,
    /// Of these bytes nothing is known, so that nobody looks for them again.
    unknown: Range<u64>,
}

impl Times<'_> {
    /// When the byte at `offset` arrived.
    pub fn at(&mut self, offset: u64) -> Option<i64> {
        let covers = |points: &[Point]| match points {
            [first, .., last] => first.mark.offset <= offset && offset < last.mark.offset,
            _ => false,
        };
        if self.unknown.contains(&offset) {
            return None;
        }
        if !covers(&self.points) {
            self.points = self.index.points_of(self.index.block_of(offset));
            self.next = 0;
            if !covers(&self.points) {
                let first = self.points.first().map(|point| point.mark.offset);
                self.unknown = offset..first.filter(|first| *first > offset).unwrap_or(u64::MAX);
                return None;
            }
        }
        if self.next == 0 || self.points[self.next - 1].mark.offset > offset {
            self.next = self.points.partition_point(|p| p.mark.offset <= offset);
        }
        while self.points[self.next].mark.offset <= offset {
            self.next += 1;
        }
        let to = self.points[self.next];
        Some(match to.exact {
            true => to.mark.time_ms,
            false => time_between(self.points[self.next - 1].mark, to.mark, offset),
        })
    }
}
