//! How exits are recorded: in a file of fixed 64-byte records that only the keeper writes.
//!
//! The keeper writes a record before it reaps, so that no code is lost however the engine dies: to
//! the ring, which tells the engine what is new, and to the cell of the child's slot, which keeps
//! the last exit there for as long as nobody else uses the slot. If more than [`RING`] exits come
//! between two looks of an engine, the ring has overrun, and the cells answer; a child that has no
//! cell yet (its engine died before it could name it) is then "unknown". The format is frozen.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

/// Records in the ring.
pub const RING: u64 = 2048;
const RECORD: usize = 64;
const RING_AT: u64 = 64;
const CELLS_AT: u64 = RING_AT + RING * RECORD as u64;
const MAGIC: u64 = u64::from_le_bytes(*b"SVEXITS1");

/// A slot number that means: none.
pub const NO_SLOT: u32 = u32::MAX;

/// One exit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Counts the exits, from 1.
    pub sequence: u64,
    /// Who.
    pub pid: i32,
    /// As `wait` gives it.
    pub status: i32,
    /// The cell it was written to, or [`NO_SLOT`].
    pub slot: u32,
    /// `CLOCK_MONOTONIC`, milliseconds.
    pub monotonic_ms: u64,
    /// Since the epoch, milliseconds.
    pub wall_ms: u64,
    /// CPU time it used in user mode, microseconds, with its reaped children.
    pub user_us: u64,
    /// CPU time in the kernel.
    pub system_us: u64,
    /// Most resident memory, KiB.
    pub max_rss_kib: u64,
}

impl Record {
    fn encode(&self) -> [u8; RECORD] {
        let mut out = [0; RECORD];
        out[0..8].copy_from_slice(&self.sequence.to_le_bytes());
        out[8..12].copy_from_slice(&self.pid.to_le_bytes());
        out[12..16].copy_from_slice(&self.status.to_le_bytes());
        out[16..20].copy_from_slice(&self.slot.to_le_bytes());
        out[24..32].copy_from_slice(&self.monotonic_ms.to_le_bytes());
        out[32..40].copy_from_slice(&self.wall_ms.to_le_bytes());
        out[40..48].copy_from_slice(&self.user_us.to_le_bytes());
        out[48..56].copy_from_slice(&self.system_us.to_le_bytes());
        out[56..64].copy_from_slice(&self.max_rss_kib.to_le_bytes());
        let sum = checksum(&out);
        out[20..24].copy_from_slice(&sum.to_le_bytes());
        out
    }

    /// `None`: never written, or torn.
    fn decode(bytes: &[u8; RECORD]) -> Option<Record> {
        let u32_at = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        let mut blank = *bytes;
        blank[20..24].fill(0);
        let sequence = u64_at(0);
        if sequence == 0 || u32_at(20) != checksum(&blank) {
            return None;
        }
        Some(Record {
            sequence,
            pid: u32_at(8).cast_signed(),
            status: u32_at(12).cast_signed(),
            slot: u32_at(16),
            monotonic_ms: u64_at(24),
            wall_ms: u64_at(32),
            user_us: u64_at(40),
            system_us: u64_at(48),
            max_rss_kib: u64_at(56),
        })
    }
}

/// FNV-1a: the keeper shall not need a crate for 60 bytes.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum: u32, &b| {
        (sum ^ u32::from(b)).wrapping_mul(0x0100_0193)
    })
}

/// The file, for both sides.
#[derive(Debug)]
pub struct Exits {
    file: File,
}

impl Exits {
    /// Takes over a descriptor; an empty file is set up.
    ///
    /// # Errors
    /// Reading or writing failed, or the file is something else.
    pub fn open(fd: OwnedFd) -> io::Result<Exits> {
        let exits = Exits {
            file: File::from(fd),
        };
        let mut magic = [0; 8];
        match exits.file.read_at(&mut magic, 0)? {
            0 => {
                exits.file.write_all_at(&MAGIC.to_le_bytes(), 0)?;
                exits.file.write_all_at(&[0; 8], 8)?;
                // The ring is written once now, so that recording an exit never needs memory.
                for slot in 0..RING {
                    exits
                        .file
                        .write_all_at(&[0; RECORD], RING_AT + slot * RECORD as u64)?;
                }
            }
            _ if u64::from_le_bytes(magic) == MAGIC => {}
            _ => return Err(io::Error::other("not a file of exit records")),
        }
        Ok(exits)
    }

    /// The descriptor.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The sequence number of the newest record. One that names no record is damaged; then the ring says.
    ///
    /// # Errors
    /// Reading failed.
    pub fn head(&self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, 8)?;
        let head = u64::from_le_bytes(bytes);
        if head == 0 || self.record(head).is_some() {
            return Ok(head);
        }
        let records = (0..RING).filter_map(|place| self.record_at(ring_at(place)));
        Ok(records.map(|record| record.sequence).max().unwrap_or(0))
    }

    /// Makes sure that the cell of `slot` has its room, and forgets what it said.
    ///
    /// # Errors
    /// No memory.
    pub fn clear_cell(&self, slot: u32) -> io::Result<()> {
        self.file.write_all_at(&[0; RECORD], cell_at(slot))
    }

    /// The last exit of `slot`.
    pub fn cell(&self, slot: u32) -> Option<Record> {
        self.record_at(cell_at(slot))
    }

    /// The record with this sequence number, if the ring still has it.
    pub fn record(&self, sequence: u64) -> Option<Record> {
        self.record_at(ring_at(sequence))
            .filter(|record| record.sequence == sequence)
    }

    fn record_at(&self, at: u64) -> Option<Record> {
        let mut bytes = [0; RECORD];
        self.file.read_exact_at(&mut bytes, at).ok()?;
        Record::decode(&bytes)
    }

    /// Writes a record: cell, then ring, then the head that makes it known.
    ///
    /// # Errors
    /// No memory; the exit is then unknown to the engine, which finds the process gone.
    pub fn write(&self, record: &Record) -> io::Result<()> {
        let bytes = record.encode();
        if record.slot != NO_SLOT {
            self.file.write_all_at(&bytes, cell_at(record.slot))?;
        }
        self.file.write_all_at(&bytes, ring_at(record.sequence))?;
        self.file.write_all_at(&record.sequence.to_le_bytes(), 8)
    }
}

fn cell_at(slot: u32) -> u64 {
    CELLS_AT + u64::from(slot) * RECORD as u64
}

fn ring_at(sequence: u64) -> u64 {
    RING_AT + (sequence % RING) * RECORD as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exits() -> Exits {
        let file = tempfile::tempfile().expect("a file");
        Exits::open(file.into()).expect("sets it up")
    }

    fn record(sequence: u64, slot: u32) -> Record {
        Record {
            sequence,
            pid: 40 + slot as i32,
            status: 9,
            slot,
            wall_ms: 5,
            ..Record::default()
        }
    }

    #[test]
    fn what_is_written_is_read_by_another_opening_of_the_file() {
        let exits = exits();
        exits.write(&record(1, 3)).expect("writes");
        let again =
            Exits::open(exits.file().try_clone().expect("a copy").into()).expect("opens again");
        assert_eq!(again.head().expect("reads"), 1);
        assert_eq!(again.cell(3), Some(record(1, 3)));
        assert_eq!(again.record(1), Some(record(1, 3)));
        assert_eq!(again.cell(2), None);
    }

    #[test]
    fn an_overrun_ring_does_not_answer_with_a_stranger() {
        let exits = exits();
        for sequence in 1..=RING + 1 {
            exits.write(&record(sequence, NO_SLOT)).expect("writes");
        }
        assert_eq!(exits.record(1), None);
        assert_eq!(exits.record(2), Some(record(2, NO_SLOT)));
    }

    #[test]
    fn a_damaged_record_is_none_for_every_byte() {
        let exits = exits();
        exits.write(&record(1, 0)).expect("writes");
        for byte in 0..RECORD as u64 {
            let mut old = [0; 1];
            exits
                .file
                .read_exact_at(&mut old, CELLS_AT + byte)
                .expect("reads");
            exits
                .file
                .write_all_at(&[old[0] ^ 0x55], CELLS_AT + byte)
                .expect("writes");
            assert_eq!(exits.cell(0), None, "byte {byte}");
            exits
                .file
                .write_all_at(&old, CELLS_AT + byte)
                .expect("writes");
        }
    }

    #[test]
    fn a_cleared_cell_is_empty() {
        let exits = exits();
        exits.write(&record(1, 0)).expect("writes");
        exits.clear_cell(0).expect("clears");
        assert_eq!(exits.cell(0), None);
    }
}
