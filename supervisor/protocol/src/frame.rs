//! Framing: a little-endian `u32` length, then that many bytes of JSON.
//!
//! Owns the cutting of a byte stream into frames, without any IO, so that the daemon and the
//! client use the same code. Promises to hold no more memory than what has arrived, whatever
//! length a peer claims. What is in a frame is left to the caller.

use serde::Serialize;

/// The largest frame, in bytes, without its length.
pub const MAX: usize = 1 << 20;

/// Bytes of the length before each frame.
const HEADER: usize = 4;

/// Why a value cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// It has no JSON form.
    #[error("it cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Its JSON is longer than [`MAX`].
    #[error("{0} bytes in one message; {MAX} are allowed")]
    TooLong(usize),
}

/// A peer announced a frame longer than [`MAX`]; nothing after that can be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message of {length} bytes was announced; {MAX} are allowed")]
pub struct Oversize {
    /// The length that was announced.
    pub length: usize,
}

/// One frame: length and JSON.
///
/// # Errors
/// See [`EncodeError`].
pub fn encode(value: &impl Serialize) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = vec![0; HEADER];
    serde_json::to_writer(&mut bytes, value)?;
    let length = bytes.len() - HEADER;
    match u32::try_from(length) {
        Ok(prefix) if length <= MAX => bytes[..HEADER].copy_from_slice(&prefix.to_le_bytes()),
        Ok(_) | Err(_) => return Err(EncodeError::TooLong(length)),
    }
    Ok(bytes)
}

/// Cuts a stream into frames: [`push`](Decoder::push) what arrived, then take frames until there
/// is none. A caller that takes all frames after each push holds less than one frame and one read.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// Bytes at the front that have been given out already.
    taken: usize,
    broken: Option<Oversize>,
}

impl Decoder {
    /// An empty one.
    #[must_use]
    pub fn new() -> Decoder {
        Decoder::default()
    }

    /// Takes in bytes as they arrived. After an [`Oversize`] they are thrown away.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.broken.is_none() {
            self.buffer.drain(..self.taken);
            self.taken = 0;
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next whole frame without its length; `None`: more bytes are needed.
    ///
    /// # Errors
    /// [`Oversize`], as soon as the length is there, and again at each later call.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, Oversize> {
        if let Some(oversize) = self.broken {
            return Err(oversize);
        }
        let Some((header, rest)) = self.buffer[self.taken..].split_first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*header) as usize;
        if length > MAX {
            self.buffer = Vec::new();
            self.taken = 0;
            let oversize = Oversize { length };
            self.broken = Some(oversize);
            return Err(oversize);
        }
        if rest.len() < length {
            return Ok(None);
        }
        let start = self.taken + HEADER;
        self.taken = start + length;
        Ok(Some(&self.buffer[start..self.taken]))
    }

    /// Whether the stream, if it ended here, would end between two frames.
    #[must_use]
    pub fn is_between_frames(&self) -> bool {
        self.broken.is_none() && self.taken == self.buffer.len()
    }
}
