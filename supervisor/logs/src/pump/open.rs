//! A live file while it is open.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::Instant;

use crate::Family;
use crate::index::{Index, Writer};

pub(super) struct Open {
    pub(super) file: File,
    pub(super) index: Option<Writer>,
    /// When the oldest index record that is kept back was made.
    pub(super) pending_since: Option<Instant>,
    /// The position in the stream of the file's first byte.
    pub(super) base: u64,
    /// Where it ended when it was last written.
    pub(super) end: u64,
    pub(super) begun_ms: i64,
    /// The size at which the file's age asked for a rotation.
    pub(super) aged_at: Option<u64>,
    /// Up to here the blocks are ours.
    pub(super) reserved: u64,
}

impl Open {
    pub(super) fn flush_index(&mut self) -> bool {
        let had = self.pending_since.take().is_some();
        if let Some(index) = &mut self.index
            && index.flush().is_err()
        {
            // A full disk: times are lost, and lines may yet fit. The next look opens it anew.
            self.index = None;
        }
        had
    }

    /// What was reserved and not used is given back.
    pub(super) fn free_reserve(&mut self) {
        if let Ok(size) = size_of(&self.file)
            && size < self.reserved
        {
            // It costs at most the reserve that stays.
            let _ = self.file.set_len(size);
            self.reserved = size;
        }
    }
}

pub(super) fn identity(file: &File) -> Option<(u64, u64)> {
    let meta = file.metadata().ok()?;
    Some((meta.dev(), meta.ino()))
}

pub(super) fn size_of(file: &File) -> io::Result<u64> {
    file.metadata().map(|meta| meta.len())
}

pub(super) fn ends_line(file: &File, size: u64) -> io::Result<bool> {
    let mut last = [b'\n'];
    // A file that was emptied meanwhile reads as nothing, and nothing is to be ended.
    Ok(size == 0 || file.read_at(&mut last, size - 1)? == 0 || last == *b"\n")
}

/// Where a file begins that comes after the rotated ones, if their newest says so.
pub(super) fn base_after(family: &Family) -> Option<u64> {
    let members = family.members().ok()?;
    let newest = members.iter().find(|m| m.number == 1 && !m.compressed)?;
    let opened = family.open_for_reading(newest).ok()??;
    let base = Index::read(&opened.index?).ok()?.base()?;
    Some(base + newest.size)
}
