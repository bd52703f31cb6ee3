//! What is in a folder: the files of a family, by name, and what they are to a reader.

use std::collections::BTreeMap;
use std::ffi::{CStr, OsStr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{FileStat, Mode, SFlag, fstatat};

use super::names::Name;
use crate::LogError;

/// A log file of a family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// 0 is the live file, 1 the newest that was rotated.
    pub number: u32,
    /// Whether it must be decompressed.
    pub compressed: bool,
    /// Its length, as it is on the disk.
    pub size: u64,
    /// When it was last written.
    pub modified: SystemTime,
    /// What tells it from the others while their numbers change.
    pub inode: u64,
    /// The length of its index; 0 if there is none.
    pub index_size: u64,
}

pub(super) type Listing = BTreeMap<Name, FileStat>;

/// Goes through the regular files of a folder that have a name in the family that `base_of` gives
/// for it.
pub(super) fn list<B: AsRef<OsStr>>(
    folder: &OwnedFd,
    path: &Path,
    base_of: impl Fn(&CStr) -> Option<B>,
    mut found: impl FnMut(&CStr, Name, FileStat),
) -> Result<(), LogError> {
    let failed = |e: Errno| LogError::io("list", path, e);
    // A description of its own: the position in the folder belongs to that.
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut dir = Dir::openat(folder, ".", flags, Mode::empty()).map_err(failed)?;
    for entry in dir.iter() {
        let entry = entry.map_err(failed)?;
        let file = entry.file_name();
        let name = base_of(file)
            .and_then(|base| Name::parse(base.as_ref(), OsStr::from_bytes(file.to_bytes())));
        let Some(name) = name else {
            continue;
        };
        match fstatat(folder, file, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => {
                let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
                // Anything else is renamed over by what comes to its number, which says so if it
                // cannot be.
                if kind == SFlag::S_IFREG {
                    found(file, name, stat);
                }
            }
            Err(Errno::ENOENT) => {}
            Err(errno) => return Err(failed(errno)),
        }
    }
    Ok(())
}

pub(super) fn members(listing: &Listing) -> Vec<Member> {
    let mut members: Vec<Member> = listing
        .iter()
        .filter_map(|(name, stat)| {
            let (number, compressed) = match name {
                Name::Log(number) => (*number, false),
                Name::Compressed(number) => (*number, true),
                Name::Index(_) | Name::Unfinished => return None,
            };
            // Both are there while the one takes the place of the other.
            let double = !compressed && listing.contains_key(&Name::Compressed(number));
            (!double).then(|| Member {
                number,
                compressed,
                size: length(stat),
                modified: modified(stat),
                inode: stat.st_ino,
                index_size: listing.get(&Name::Index(number)).map_or(0, length),
            })
        })
        .collect();
    members.sort_by_key(|member| member.number);
    members
}

/// The same file by another number, perhaps. The inode alone does not tell: that of a file that is
/// gone is soon given to a new one. But numbers only rise, and what is rotated does not change.
pub(super) fn find(listing: &Listing, wanted: &Member) -> Option<Member> {
    members(listing).into_iter().find(|now| {
        (now.inode, now.compressed) == (wanted.inode, wanted.compressed)
            && now.number >= wanted.number
            && if wanted.number == 0 {
                now.size >= wanted.size && now.modified >= wanted.modified
            } else {
                (now.size, now.modified) == (wanted.size, wanted.modified)
            }
    })
}

fn length(stat: &FileStat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

fn modified(stat: &FileStat) -> SystemTime {
    let seconds = Duration::from_secs(stat.st_mtime.unsigned_abs());
    let nanos = Duration::from_nanos(stat.st_mtime_nsec.unsigned_abs());
    if stat.st_mtime < 0 {
        SystemTime::UNIX_EPOCH - seconds + nanos
    } else {
        SystemTime::UNIX_EPOCH + seconds + nanos
    }
}
