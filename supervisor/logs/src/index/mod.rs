//! The time index of a log file: when which of its bytes arrived.
//!
//! Owns the format of `BASE.idx`. Promises that a reader never fails over what stands there and
//! never takes a damaged record for a good one, as far as its checks reach; that a writer killed
//! at any instant leaves an index that can be gone on with; and that the log itself is only looked
//! at, never read. Leaves to others opening the files, and when to write.
//!
//! The file consists of blocks of 4096 bytes. A block begins with a header: `SVX1`, the CRC-32 of
//! the rest, the stream's position of the log's first byte, the log's inode, and the mark (offset
//! in the log, Unix time in milliseconds) that its records start from. A record is the distance to
//! the next mark, as two varints (the second one zigzag), and a check byte: the lowest byte of the
//! CRC-32 of everything in the block so far. A mark says: what lies before it and after the mark
//! before it arrived at its time. A zero byte where a record would begin ends the block.

mod block;
mod reader;
mod writer;

pub use reader::{Index, Times};
pub use writer::{Opened, Writer};
