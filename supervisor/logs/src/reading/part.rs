//! A file that is read, with what is known of its times.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use super::{Harm, Part, Place, StreamLog};
use crate::index::Index;

/// One file of a stream while it is read. What is appended to it meanwhile does not count.
#[derive(Debug)]
pub(super) struct Text {
    pub log: File,
    pub number: u32,
    pub compressed: bool,
    /// Of the text, not of a frame that holds it; `None`: the frame does not say.
    pub length: Option<u64>,
    pub inode: u64,
    /// It has no name any more: it will not grow.
    pub nameless: bool,
    pub modified_ms: i64,
    pub index: Index,
    /// There is no index that belongs to it.
    pub unindexed: Option<Harm>,
}

impl Text {
    pub fn new(part: &Part) -> io::Result<Text> {
        let meta = part.log.metadata()?;
        let length = if part.compressed {
            frame_content(&part.log)?
        } else {
            Some(meta.len())
        };
        let (index, unindexed) = usable_index(part, meta.ino())?;
        let mut text = Text {
            log: part.log.try_clone()?,
            number: part.number,
            compressed: part.compressed,
            length,
            inode: meta.ino(),
            nameless: meta.nlink() == 0,
            modified_ms: meta.mtime() * 1000 + meta.mtime_nsec() / 1_000_000,
            index,
            unindexed,
        };
        if let Some(length) = text.length {
            text.index.ends(length, text.modified_ms);
        }
        Ok(text)
    }

    /// The texts of a stream, the oldest first.
    pub fn of_stream(stream: &StreamLog) -> io::Result<Vec<Arc<Text>>> {
        let mut parts: Vec<&Part> = stream.parts.iter().collect();
        parts.sort_by_key(|part| std::cmp::Reverse(part.number));
        let mut texts: Vec<Arc<Text>> = Vec::with_capacity(parts.len());
        for part in parts {
            let mut text = Text::new(part)?;
            if let Some(older) = texts.last() {
                text.index.begins(older.modified_ms.min(text.modified_ms));
            }
            texts.push(Arc::new(text));
        }
        Ok(texts)
    }

    /// What is wrong with its index, as far as it was looked at.
    pub fn harm(&self) -> Option<Harm> {
        match &self.unindexed {
            Some(harm) => Some(harm.clone()),
            None => self.index.is_damaged().then_some(Harm::BadIndex),
        }
    }

    /// A place in it.
    pub fn place(&self, offset: u64) -> Place {
        Place {
            inode: Some(self.inode),
            offset,
            position: self.index.base().map(|base| base.saturating_add(offset)),
        }
    }
}

/// The index, if it is this file's. A compressed file has another inode than its text had.
fn usable_index(part: &Part, inode: u64) -> io::Result<(Index, Option<Harm>)> {
    let Some(file) = &part.index else {
        return Ok((Index::none(), Some(Harm::NoIndex)));
    };
    let index = Index::read(file)?;
    match index.inode() {
        Some(of) if part.compressed || of == inode => Ok((index, None)),
        // A file that is empty so far.
        None if !index.is_damaged() && part.log.metadata()?.len() == 0 => Ok((index, None)),
        Some(_) | None => Ok((Index::none(), Some(Harm::BadIndex))),
    }
}

/// How long the text in a frame is, by the frame's header.
fn frame_content(log: &File) -> io::Result<Option<u64>> {
    // The longest header.
    let mut header = [0; 18];
    let read = crate::tail::read_up_to(log, &mut header, 0)?;
    Ok(zstd::zstd_safe::get_frame_content_size(&header[..read]).unwrap_or(None))
}
