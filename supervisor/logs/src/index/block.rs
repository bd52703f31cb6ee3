//! One block of an index: its bytes as values, and back. Pure.

/// How long a block is.
pub(super) const BLOCK: usize = 4096;
/// How long its header is.
pub(super) const HEADER: usize = 40;
const MAGIC: &[u8; 4] = b"SVX1";

/// A place in the log, and when the bytes before it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub offset: u64,
    pub time_ms: i64,
}

/// What a block says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// The stream's position of the log's first byte.
    pub base: u64,
    /// The log file's inode when it was begun.
    pub inode: u64,
    /// What the records of this block start from.
    pub start: Mark,
}

impl Header {
    pub fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..4].copy_from_slice(MAGIC);
        bytes[8..16].copy_from_slice(&self.base.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.inode.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.start.offset.to_le_bytes());
        bytes[32..].copy_from_slice(&self.start.time_ms.to_le_bytes());
        let crc = crc32fast::hash(&bytes[8..]);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header that a block begins with, if it is whole.
    pub fn decode(block: &[u8]) -> Option<Header> {
        let bytes = block.first_chunk::<HEADER>()?;
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            word
        };
        let whole =
            bytes[..4] == *MAGIC && bytes[4..8] == crc32fast::hash(&bytes[8..]).to_le_bytes();
        whole.then(|| Header {
            base: u64::from_le_bytes(word(8)),
            inode: u64::from_le_bytes(word(16)),
            start: Mark {
                offset: u64::from_le_bytes(word(24)),
                time_ms: i64::from_le_bytes(word(32)),
            },
        })
    }
}

/// The check over a block so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Check(u32);

impl Check {
    pub fn over(header: &[u8]) -> Check {
        Check::default().and(header)
    }

    fn and(self, bytes: &[u8]) -> Check {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.0);
        hasher.update(bytes);
        Check(hasher.finalize())
    }

    fn byte(self) -> u8 {
        self.0.to_le_bytes()[0]
    }
}

/// The longest record: two varints of 64 bits and the check byte.
const RECORD: usize = 21;

/// One record, ready to be written.
pub(super) struct Record {
    bytes: [u8; RECORD],
    length: usize,
    /// The check over the block with this record.
    pub check: Check,
}

impl Record {
    /// The record that leads from one mark to the next, which is further on.
    pub fn between(from: Mark, to: Mark, check: Check) -> Record {
        let mut record = Record {
            bytes: [0; RECORD],
            length: 0,
            check,
        };
        record.push(to.offset.wrapping_sub(from.offset));
        let delta = to.time_ms.wrapping_sub(from.time_ms);
        record.push(((delta << 1) ^ (delta >> 63)).cast_unsigned());
        record.check = check.and(&record.bytes[..record.length]);
        record.bytes[record.length] = record.check.byte();
        record.length += 1;
        record
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn push(&mut self, mut value: u64) {
        loop {
            let low = value.to_le_bytes()[0] & 0x7f;
            value >>= 7;
            self.bytes[self.length] = if value == 0 { low } else { low | 0x80 };
            self.length += 1;
            if value == 0 {
                return;
            }
        }
    }
}

/// What is in a block.
#[derive(Debug)]
pub(super) struct Block {
    pub header: Header,
    /// In the order of the file; the header's is not among them.
    pub marks: Vec<Mark>,
    /// How many bytes are good.
    pub used: usize,
    /// The check over those.
    pub check: Check,
    /// Something behind them is not.
    pub damaged: bool,
}

impl Block {
    /// The last mark.
    pub fn end(&self) -> Mark {
        self.marks.last().copied().unwrap_or(self.header.start)
    }

    /// A block that may be cut, or anything at all. `None`: its header is damaged.
    pub fn decode(bytes: &[u8]) -> Option<Block> {
        let header = Header::decode(bytes)?;
        let mut block = Block {
            header,
            marks: Vec::new(),
            used: HEADER,
            check: Check::over(&bytes[..HEADER]),
            damaged: false,
        };
        while let Some(first) = bytes.get(block.used) {
            let rest = &bytes[block.used..];
            if *first == 0 {
                block.damaged = rest.iter().any(|b| *b != 0);
                break;
            }
            let Some((mark, length, check)) = decode_record(rest, block.end(), block.check) else {
                block.damaged = true;
                break;
            };
            block.marks.push(mark);
            block.used += length;
            block.check = check;
        }
        if block.damaged {
            // One check byte lets one of 256 bad records pass, but hardly ever also the next one.
            block.marks.pop();
        }
        Some(block)
    }
}

/// The mark that a record leads to, the record's length, the check with it.
fn decode_record(bytes: &[u8], from: Mark, check: Check) -> Option<(Mark, usize, Check)> {
    let (distance, first) = decode_varint(bytes)?;
    let (delta, second) = decode_varint(&bytes[first..])?;
    let length = first + second;
    let check = check.and(&bytes[..length]);
    if *bytes.get(length)? != check.byte() {
        return None;
    }
    let delta = (delta >> 1).cast_signed() ^ -(delta & 1).cast_signed();
    let mark = Mark {
        offset: from.offset.checked_add(distance)?,
        time_ms: from.time_ms.wrapping_add(delta),
    };
    Some((mark, length + 1, check))
}

fn decode_varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        let low = u64::from(byte & 0x7f);
        value |= low << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, at + 1));
        }
    }
    None
}
