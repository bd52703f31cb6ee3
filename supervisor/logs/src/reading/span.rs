//! A stretch of a text: in its file, or here because it was decompressed.

use std::io;
use std::sync::Arc;

use super::part::Text;
use crate::tail::read_up_to;

/// Consecutive bytes of one text.
#[derive(Debug, Clone)]
pub(super) struct Span {
    pub text: Arc<Text>,
    /// Where in the text.
    pub offset: u64,
    pub bytes: Bytes,
}

#[derive(Debug, Clone)]
pub(super) enum Bytes {
    Here(Vec<u8>),
    /// So many, to be read when they are needed.
    InFile(usize),
}

impl Span {
    pub fn len(&self) -> usize {
        match &self.bytes {
            Bytes::Here(bytes) => bytes.len(),
            Bytes::InFile(length) => *length,
        }
    }

    /// Where it ends in the text.
    pub fn end(&self) -> u64 {
        self.offset + self.len() as u64
    }

    /// Its bytes, into room for just as many; how many there were, fewer if the file was emptied
    /// meanwhile.
    pub fn copy_to(&self, room: &mut [u8]) -> io::Result<usize> {
        match &self.bytes {
            Bytes::Here(bytes) => {
                room.copy_from_slice(bytes);
                Ok(bytes.len())
            }
            Bytes::InFile(_) => read_up_to(&self.text.log, room, self.offset),
        }
    }
}

/// The bytes of a text from `from` to `to`, in its file.
pub(super) fn in_file(text: &Arc<Text>, from: u64, to: u64) -> Span {
    Span {
        text: Arc::clone(text),
        offset: from,
        bytes: Bytes::InFile(usize::try_from(to - from).unwrap_or(usize::MAX)),
    }
}
