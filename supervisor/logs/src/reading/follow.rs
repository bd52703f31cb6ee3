//! What comes after the lines that were read.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use super::chunk::{CHUNK, Chunk};
use super::lines::{Joined, Joiner};
use super::part::Text;
use super::walk::{Extent, Walk};
use super::{Part, Place, Sink, StreamLog, Trouble};

/// Reads what is appended to a stream, over rotations.
#[derive(Debug)]
pub struct Follower {
    stream: usize,
    /// The one that is being read.
    current: Option<Open>,
    /// Those that came after it, the oldest first.
    newer: VecDeque<Open>,
    lost: Option<Lost>,
    joiner: Joiner,
}

/// What one look at a growing stream brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// How many lines, or pieces of long ones, were handed over.
    pub lines: u64,
    /// The live file was emptied: it was read again from its beginning.
    pub emptied: bool,
    /// The newest file that the follower knows of will not grow, or it knows of none: ask for the
    /// files as they are now, and [`Follower::renew`]. (That a file was renamed, as a rotation does,
    /// a watch must tell.)
    pub gone: bool,
    /// Something of the stream was not found in any file.
    pub lost: Option<Lost>,
    /// What was wrong with files that were read.
    pub troubles: Vec<Trouble>,
}

/// How much was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// So many bytes.
    Bytes(u64),
    /// Nobody knows how many, perhaps none.
    Unknown,
}

impl Lost {
    fn and(before: Option<Lost>, more: Lost) -> Option<Lost> {
        Some(match (before, more) {
            (Some(Lost::Bytes(some)), Lost::Bytes(more)) => Lost::Bytes(some + more),
            (None, more) => more,
            (Some(_), _) => Lost::Unknown,
        })
    }
}

/// A file that is followed.
#[derive(Debug)]
struct Open {
    part: Part,
    /// How much of it was read.
    offset: u64,
    /// The stream's position of its first byte, when it was last known.
    base: Option<u64>,
    /// It was emptied, and its index has not begun anew yet.
    stale: Option<Stale>,
    /// A compressed file, and it was read.
    done: bool,
}

/// What held before a file was emptied, as positions in the stream.
#[derive(Debug, Clone, Copy)]
struct Stale {
    base: u64,
    reached: u64,
}

impl Open {
    fn new(part: &Part, offset: u64) -> io::Result<Open> {
        let part = Part {
            log: part.log.try_clone()?,
            index: part
                .index
                .as_ref()
                .map(std::fs::File::try_clone)
                .transpose()?,
            number: part.number,
            compressed: part.compressed,
        };
        let base = Text::new(&part)?.index.base();
        Ok(Open {
            part,
            offset,
            base,
            stale: None,
            done: false,
        })
    }

    /// The stream's position that was reached.
    fn position(&self) -> Option<u64> {
        Some(self.base?.saturating_add(self.offset))
    }

    /// What is missing between what was read and this position.
    fn missing_before(&self, base: Option<u64>) -> Option<u64> {
        Some(base?.saturating_sub(self.position()?))
    }

    /// Begins again with a file that was emptied. Its index may not know of it yet.
    fn empty(&mut self, base: Option<u64>) {
        if base.is_none() || base == self.base {
            let reached = self.position();
            let before = self.base.take().zip(reached);
            self.stale = before.map(|(base, reached)| Stale { base, reached });
        }
        self.offset = 0;
    }

    /// It is shorter than what was read, or the index began anew further on: then it grew again.
    fn was_emptied(&self, text: &Text, base: Option<u64>) -> bool {
        let further = || {
            let base = base.filter(|_| base != self.base);
            base.zip(self.position())
                .is_some_and(|(base, reached)| base >= reached)
        };
        !text.compressed && (text.length.is_some_and(|length| length < self.offset) || further())
    }
}

impl Follower {
    /// Goes on with a stream at a place that [`super::read`] gave. `stream` is for
    /// [`super::Line::stream`].
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn new(stream: usize, log: &StreamLog, place: Place) -> io::Result<Follower> {
        let texts = Text::of_stream(log)?;
        let mut follower = Follower {
            stream,
            current: None,
            newer: VecDeque::new(),
            lost: None,
            joiner: Joiner::default(),
        };
        let Some(inode) = place.inode else {
            follower.push_newer(log, &texts)?;
            return Ok(follower);
        };
        let by_inode = texts.iter().rposition(|text| text.inode == inode);
        let found = by_inode.map(|at| (at, place.offset)).or_else(|| {
            let position = place.position?;
            let before = |text: &Arc<Text>| text.index.base().is_some_and(|base| base <= position);
            let at = texts.iter().rposition(before)?;
            Some((at, position - texts[at].index.base()?))
        });
        let (from, offset) = match (found, texts.last()) {
            (Some(found), _) => found,
            (None, None) => return Ok(follower),
            (None, Some(newest)) => {
                let first = texts.first().and_then(|text| text.index.base());
                if let (Some(position), Some(first)) = (place.position, first) {
                    follower.lost = Some(Lost::Bytes(first.saturating_sub(position)));
                    (0, 0)
                } else {
                    // Rather nothing than all of it a second time.
                    follower.lost = Some(Lost::Unknown);
                    (texts.len() - 1, newest.length.unwrap_or(u64::MAX))
                }
            }
        };
        follower.current = Some(Open::new(part_of(log, &texts[from]), offset)?);
        follower.push_newer(log, &texts[from + 1..])?;
        Ok(follower)
    }

    /// The stream's files as they are now, after a rotation or when the live file was gone. What
    /// was not read yet of the files known so far is read first, then those that came after.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn renew(&mut self, log: &StreamLog) -> io::Result<()> {
        let texts = Text::of_stream(log)?;
        let Some(anchor) = self.newer.back().or(self.current.as_ref()) else {
            return self.push_newer(log, &texts);
        };
        let known = Text::new(&anchor.part)?;
        let end = known
            .length
            .zip(known.index.base().or(anchor.base))
            .map(|(length, base)| base.saturating_add(length));
        let same = |text: &Arc<Text>| {
            text.inode == known.inode
                || (text.compressed
                    && text.index.inode() == Some(known.inode)
                    && text.index.base() == known.index.base())
        };
        let behind = |text: &Arc<Text>| text.index.base() >= end && end.is_some();
        let after = texts
            .iter()
            .rposition(same)
            .map(|at| at + 1)
            .or_else(|| texts.iter().position(behind));
        let after = match after {
            Some(after) => after,
            None if end.is_some() && texts.iter().all(|text| text.index.base().is_some()) => {
                texts.len()
            }
            None => {
                self.lost = Lost::and(self.lost, Lost::Unknown);
                let later = |text: &Arc<Text>| text.modified_ms >= known.modified_ms;
                texts.iter().position(later).unwrap_or(texts.len())
            }
        };
        self.push_newer(log, &texts[after..])
    }

    /// Hands over every line that is complete by now. The half line before something lost or emptied
    /// comes too, since its rest will not come.
    ///
    /// # Errors
    /// When a file cannot be read, and what the sink says; what was handed over before is not handed
    /// over again.
    pub fn read_new(&mut self, sink: Sink<'_>) -> io::Result<Progress> {
        let mut progress = Progress::default();
        if let Some(lost) = self.lost.take() {
            self.lose(lost, &mut progress, sink)?;
        }
        loop {
            if self.current.is_none() && !self.advance(&mut progress, sink)? {
                progress.gone = true;
                return Ok(progress);
            }
            let will_grow = self.read_current(&mut progress, sink)?;
            if self.newer.is_empty() {
                progress.gone = !will_grow;
                return Ok(progress);
            }
            self.advance(&mut progress, sink)?;
        }
    }

    /// The line at the end that is not complete yet, as far as it was read.
    #[must_use]
    pub fn unfinished(&self) -> &[u8] {
        self.joiner.half()
    }

    fn push_newer(&mut self, log: &StreamLog, texts: &[Arc<Text>]) -> io::Result<()> {
        for text in texts {
            self.newer.push_back(Open::new(part_of(log, text), 0)?);
        }
        Ok(())
    }

    /// Goes on with the next file, if there is one.
    fn advance(&mut self, progress: &mut Progress, sink: Sink<'_>) -> io::Result<bool> {
        let Some(next) = self.newer.pop_front() else {
            return Ok(false);
        };
        let missing = self.current.as_ref();
        let missing = missing.and_then(|current| current.missing_before(next.base));
        self.current = Some(next);
        if let Some(missing @ 1..) = missing {
            self.lose(Lost::Bytes(missing), progress, sink)?;
        }
        Ok(true)
    }

    fn lose(&mut self, lost: Lost, progress: &mut Progress, sink: Sink<'_>) -> io::Result<()> {
        progress.lost = Lost::and(progress.lost, lost);
        self.joiner
            .give_half(self.stream, &mut progress.lines, sink)
    }

    /// Reads the current file to its end; whether it may still grow.
    fn read_current(&mut self, progress: &mut Progress, sink: Sink<'_>) -> io::Result<bool> {
        let Some(open) = self.current.as_mut().filter(|open| !open.done) else {
            return Ok(false);
        };
        let mut text = Text::new(&open.part)?;
        if text.unindexed.is_some() {
            // What is new has just arrived.
            text.index.begins(text.modified_ms);
        }
        let text = Arc::new(text);
        let base = text.index.base();
        let base = base.filter(|base| open.stale.is_none_or(|stale| stale.base != *base));
        let mut missing = 0;
        if let (Some(stale), Some(base)) = (open.stale, base) {
            missing = base.saturating_sub(stale.reached);
            (open.stale, open.base) = (None, Some(base));
        } else if open.was_emptied(&text, base) {
            progress.emptied = true;
            missing = open.missing_before(base).unwrap_or(0);
            open.empty(base);
            self.joiner
                .give_half(self.stream, &mut progress.lines, sink)?;
        }
        if missing > 0 {
            progress.lost = Lost::and(progress.lost, Lost::Bytes(missing));
        }
        open.base = base.filter(|_| open.stale.is_none()).or(open.base);
        let mut walk = Walk::new(
            &text,
            Extent {
                from: open.offset,
                ..Extent::ALL
            },
        )?;
        let mut buffer = Vec::new();
        while let Some(stretch) = walk.step(CHUNK)? {
            let end = stretch.span.end();
            let chunk = Chunk {
                spans: vec![stretch.span],
                inside: None,
            };
            let joined = Joined {
                stream: self.stream,
                clock: chunk.clock(),
                bytes: chunk.load(&mut buffer)?,
            };
            open.offset = end;
            self.joiner.join(joined, &mut progress.lines, sink)?;
        }
        if walk.harm().is_some() {
            self.joiner
                .give_half(self.stream, &mut progress.lines, sink)?;
        }
        progress.troubles.extend(walk.harm().map(|harm| Trouble {
            stream: self.stream,
            number: text.number,
            what: harm.clone(),
        }));
        open.offset = walk.offset();
        open.done = open.part.compressed;
        Ok(!open.done && !text.nameless)
    }
}

/// The part that a text was made of.
fn part_of<'l>(log: &'l StreamLog, text: &Text) -> &'l Part {
    let mut parts = log.parts.iter();
    // Numbers are unique, and each text was made of a part.
    parts
        .find(|part| part.number == text.number)
        .unwrap_or(&log.parts[0])
}
