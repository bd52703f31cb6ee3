//! Going through one text from a place in it to its end, in stretches that end with a line where
//! that is possible.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use memchr::{memchr, memrchr};

use super::part::Text;
use super::span::{Bytes, Span, in_file};
use super::{Harm, LONGEST};
use crate::tail::read_up_to;

/// The largest window that is decompressed, as a power of two: 8 MiB. Ours are far smaller.
const WINDOW: u32 = 23;

/// What is read to find the end of a line. Most are shorter.
const FIRST_BLOCK: usize = 4096;

/// What of a text is wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    pub from: u64,
    /// `from` may be inside a line: go on to the beginning of the next one.
    pub skip: bool,
    /// The first line that begins here or later is not wanted any more.
    pub until: Option<u64>,
    /// `from` is the beginning of a line.
    pub at_line: bool,
}

impl Extent {
    /// All of it.
    pub const ALL: Extent = Extent {
        from: 0,
        skip: false,
        until: None,
        at_line: true,
    };
}

/// A way through a text.
pub(super) enum Walk {
    File(InFile),
    Frame(Box<Frame>),
}

/// What a step brought.
pub(super) struct Stretch {
    pub span: Span,
    /// It ends with a newline.
    pub complete: bool,
}

impl Walk {
    pub fn new(text: &Arc<Text>, extent: Extent) -> io::Result<Walk> {
        Ok(match text.length {
            Some(length) if !text.compressed => Walk::File(InFile::new(text, length, extent)?),
            Some(_) | None => Walk::Frame(Box::new(Frame::new(text, extent)?)),
        })
    }

    /// The next bytes, `room` at most: up to the last newline among them, or all if there is none.
    pub fn step(&mut self, room: usize) -> io::Result<Option<Stretch>> {
        match self {
            Walk::File(walk) => walk.step(room),
            Walk::Frame(walk) => walk.step(room),
        }
    }

    /// The beginning of a line was not found yet.
    pub fn is_skipping(&self) -> bool {
        match self {
            Walk::File(walk) => walk.skipping,
            Walk::Frame(walk) => walk.extent.skip,
        }
    }

    /// Where it has arrived in the text.
    pub fn offset(&self) -> u64 {
        match self {
            Walk::File(walk) => walk.at,
            Walk::Frame(walk) => walk.at,
        }
    }

    /// What was wrong with the text.
    pub fn harm(&self) -> Option<&Harm> {
        match self {
            Walk::File(_) => None,
            Walk::Frame(walk) => walk.harm.as_ref(),
        }
    }
}

pub(super) struct InFile {
    text: Arc<Text>,
    at: u64,
    to: u64,
    skipping: bool,
}

impl InFile {
    pub fn new(text: &Arc<Text>, length: u64, extent: Extent) -> io::Result<InFile> {
        let mut walk = InFile {
            text: Arc::clone(text),
            at: extent.from.min(length),
            to: length,
            skipping: false,
        };
        if extent.skip {
            let line = line_from(&text.log, walk.at.saturating_sub(1), length)?;
            walk.skipping = line.is_none();
            walk.at = line.unwrap_or(length);
        }
        if let Some(until) = extent.until {
            let nothing = until <= walk.at && (extent.at_line || extent.skip);
            walk.to = if nothing {
                walk.at
            } else {
                line_from(&text.log, until.max(1) - 1, length)?.unwrap_or(length)
            };
        }
        Ok(walk)
    }

    fn step(&mut self, room: usize) -> io::Result<Option<Stretch>> {
        if self.at >= self.to {
            return Ok(None);
        }
        let end = self.to.min(self.at + room as u64);
        let newline = last_newline(&self.text.log, self.at, end)?;
        let to = newline.map_or(end, |newline| newline + 1);
        let span = in_file(&self.text, self.at, to);
        self.at = to;
        Ok(Some(Stretch {
            span,
            complete: newline.is_some(),
        }))
    }
}

/// Where the first line begins whose newline before it is at `from` or later.
fn line_from(log: &File, mut from: u64, to: u64) -> io::Result<Option<u64>> {
    let mut block = vec![0; FIRST_BLOCK];
    while from < to {
        let size = (to - from).min(block.len() as u64);
        // Lossless: at most the block.
        let read = read_up_to(log, &mut block[..size as usize], from)?;
        if read == 0 {
            break;
        }
        if let Some(newline) = memchr(b'\n', &block[..read]) {
            return Ok(Some(from + newline as u64 + 1));
        }
        from += read as u64;
        block.resize(LONGEST, 0);
    }
    Ok(None)
}

/// Where the last newline between two places is.
pub(super) fn last_newline(log: &File, from: u64, to: u64) -> io::Result<Option<u64>> {
    let mut block = vec![0; FIRST_BLOCK];
    let mut top = to;
    while top > from {
        let size = (top - from).min(block.len() as u64);
        // Lossless: at most the block.
        let part = &mut block[..size as usize];
        let read = read_up_to(log, part, top - size)?;
        if let Some(newline) = memrchr(b'\n', &part[..read]) {
            return Ok(Some(top - size + newline as u64));
        }
        top -= size;
        if block.len() < LONGEST {
            block.resize(block.len() * 4, 0);
        }
    }
    Ok(None)
}

/// Reads a file from its beginning without moving the descriptor's own offset.
struct FromStart {
    file: File,
    offset: u64,
}

impl Read for FromStart {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

pub(super) struct Frame {
    text: Arc<Text>,
    decoder: zstd::stream::read::Decoder<'static, BufReader<FromStart>>,
    extent: Extent,
    /// Where `ready` begins in the text.
    at: u64,
    /// Decompressed, and not handed over yet.
    ready: Vec<u8>,
    /// Nothing comes after `ready`.
    over: bool,
    harm: Option<Harm>,
}

impl Frame {
    fn new(text: &Arc<Text>, extent: Extent) -> io::Result<Frame> {
        let mut decoder = zstd::stream::read::Decoder::new(FromStart {
            file: text.log.try_clone()?,
            offset: 0,
        })?;
        decoder.window_log_max(WINDOW)?;
        let mut frame = Frame {
            text: Arc::clone(text),
            decoder,
            extent,
            at: 0,
            ready: Vec::new(),
            over: false,
            harm: None,
        };
        frame.reach(extent.from.saturating_sub(u64::from(extent.skip)));
        while frame.extent.skip {
            frame.fill(LONGEST);
            if frame.ready.is_empty() {
                break;
            }
            let newline = memchr(b'\n', &frame.ready);
            frame.extent.skip = newline.is_none();
            frame.drop_front(newline.map_or(frame.ready.len(), |newline| newline + 1));
        }
        Ok(frame)
    }

    /// Goes on to this place.
    fn reach(&mut self, offset: u64) {
        while self.at < offset {
            self.fill(LONGEST);
            if self.ready.is_empty() {
                break;
            }
            let most = usize::try_from(offset - self.at).unwrap_or(usize::MAX);
            self.drop_front(self.ready.len().min(most));
        }
    }

    fn drop_front(&mut self, count: usize) {
        self.ready.drain(..count);
        self.at += count as u64;
    }

    /// Has `room` bytes ready, or all there are.
    fn fill(&mut self, room: usize) {
        while !self.over && self.ready.len() < room {
            let from = self.ready.len();
            self.ready.resize(room, 0);
            let outcome = self.decoder.read(&mut self.ready[from..]);
            let read = *outcome.as_ref().unwrap_or(&0);
            self.ready.truncate(from + read);
            self.over = read == 0;
            let given = self.at + self.ready.len() as u64;
            let why = match outcome {
                Err(error) => Some(error.to_string()),
                Ok(_) if self.over => self.is_short(given).then(|| "it ends too early".to_owned()),
                Ok(_) => None,
            };
            self.harm = why.map(|why| Harm::BadFrame { given, why });
        }
    }

    /// Whether this cannot be all there was, although the frame ends here.
    fn is_short(&self, given: u64) -> bool {
        match self.text.length {
            Some(length) => given < length,
            None => self.text.log.metadata().is_ok_and(|meta| meta.len() == 0),
        }
    }

    fn step(&mut self, room: usize) -> io::Result<Option<Stretch>> {
        self.fill(room);
        let mut end = self.ready.len().min(room);
        let mut complete = None;
        if let Some(until) = self.extent.until {
            if until <= self.at && self.extent.at_line {
                return Ok(None);
            }
            let from = usize::try_from(until.max(1) - 1).unwrap_or(usize::MAX);
            let from = from.saturating_sub(usize::try_from(self.at).unwrap_or(usize::MAX));
            if let Some(rest) = self.ready.get(from..end)
                && let Some(newline) = memchr(b'\n', rest)
            {
                end = from + newline + 1;
                complete = Some(end);
            }
        }
        if end == 0 {
            return Ok(None);
        }
        let to = complete.or_else(|| Some(memrchr(b'\n', &self.ready[..end])? + 1));
        let rest = self.ready.split_off(to.unwrap_or(end));
        let bytes = std::mem::replace(&mut self.ready, rest);
        let span = Span {
            text: Arc::clone(&self.text),
            offset: self.at,
            bytes: Bytes::Here(bytes),
        };
        self.at = span.end();
        self.extent.at_line = to.is_some();
        Ok(Some(Stretch {
            span,
            complete: to.is_some(),
        }))
    }
}
