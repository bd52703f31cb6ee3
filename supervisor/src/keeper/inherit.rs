//! How a program that becomes the keeper learns what the descriptors it inherits are: a list in a
//! memory file. Who starts the first keeper writes it, an engine whose keeper died, and a keeper that
//! is followed by one of another program.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{OwnedFd, RawFd};

use nix::sys::memfd::{MFdFlags, memfd_create};

use super::link::{Kind, Tag};

const ENTRY: usize = 24;
const MAGIC: &[u8; 8] = b"SVTABLE1";

/// Writes the list. The file itself is inherited; the descriptors in it must be, too. Needs no memory
/// of this process.
///
/// # Errors
/// No memory for the file.
pub fn write(entries: impl IntoIterator<Item = (RawFd, Tag)>) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create(c"supervisor-inherit", MFdFlags::empty())?);
    file.write_all(MAGIC)?;
    for (fd, tag) in entries {
        let mut bytes = [0; ENTRY];
        bytes[0..4].copy_from_slice(&fd.to_le_bytes());
        bytes[4..8].copy_from_slice(&tag.slot.to_le_bytes());
        bytes[8..12].copy_from_slice(&tag.kind.0.to_le_bytes());
        bytes[16..24].copy_from_slice(&tag.generation.to_le_bytes());
        file.write_all(&bytes)?;
    }
    Ok(file.into())
}

/// Reads the list.
///
/// # Errors
/// It is not one.
pub fn read(fd: OwnedFd) -> io::Result<Vec<(RawFd, Tag)>> {
    let mut file = File::from(fd);
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let entries = bytes
        .strip_prefix(MAGIC)
        .filter(|rest| rest.len().is_multiple_of(ENTRY))
        .ok_or_else(|| io::Error::other("not a list of inherited descriptors"))?;
    Ok(entries.chunks_exact(ENTRY).map(entry).collect())
}

fn entry(bytes: &[u8]) -> (RawFd, Tag) {
    let word =
        |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let generation = u64::from(word(16)) | u64::from(word(20)) << 32;
    (
        word(0).cast_signed(),
        Tag {
            slot: word(4),
            kind: Kind(word(8)),
            generation,
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_it_was_written() {
        let entries = [
            (3, Tag::single(Kind::LOCK)),
            (
                77,
                Tag {
                    slot: 5,
                    kind: Kind::STDERR,
                    generation: u64::MAX,
                },
            ),
        ];
        assert_eq!(
            read(write(entries).expect("writes")).expect("reads"),
            entries
        );
    }

    #[test]
    fn anything_else_is_refused() {
        let file = tempfile::tempfile().expect("a file");
        assert!(read(file.into()).is_err());
    }
}
