//! Opening one file in an open folder.
//!
//! Promises that what is opened is a regular file with one name, reached without following a link,
//! whoever else can write into the folder.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, fchmod};

use super::LogError;

pub(crate) const FILE_MODE: Mode = Mode::from_bits_truncate(0o640);

/// How often an opening starts over because somebody creates and removes the same name at the
/// same time. Nobody does that for long by accident.
pub(super) const RACES: usize = 8;

/// Opens a file to write and read it, made if need be; not in append mode, which `splice` refuses.
pub(crate) fn open_or_make(folder: &OwnedFd, name: &OsStr, path: &Path) -> Result<File, LogError> {
    for _ in 0..RACES {
        if let Some(file) = open_existing(folder, name, OFlag::O_RDWR, path)? {
            return Ok(file);
        }
        // Nothing: made by somebody else between the two calls.
        if let Some(file) = make(folder, name, path)? {
            return Ok(file);
        }
    }
    Err(LogError::io("open the log file", path, Errno::EAGAIN))
}

/// Opens a file that may not be there.
pub(crate) fn open_existing(
    folder: &OwnedFd,
    name: &OsStr,
    access: OFlag,
    path: &Path,
) -> Result<Option<File>, LogError> {
    match openat(folder, name, access | common_flags(), Mode::empty()) {
        Ok(fd) => checked(fd, path),
        Err(Errno::ENOENT) => Ok(None),
        Err(Errno::ELOOP) => Err(LogError::refused(path, "a symbolic link")),
        Err(Errno::EISDIR) => Err(LogError::refused(path, "a folder")),
        Err(Errno::ENXIO) => Err(LogError::refused(path, "a socket, a device or a FIFO")),
        Err(errno) => Err(LogError::io("open the log file", path, errno)),
    }
}

/// Makes a file; `None` when the name is taken.
pub(crate) fn make(folder: &OwnedFd, name: &OsStr, path: &Path) -> Result<Option<File>, LogError> {
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | common_flags();
    match openat(folder, name, flags, FILE_MODE) {
        Ok(fd) => {
            // The umask may have taken bits away; the mode is part of the contract.
            fchmod(&fd, FILE_MODE).map_err(|e| LogError::io("set the mode of", path, e))?;
            checked(fd, path)
        }
        Err(Errno::EEXIST) => Ok(None),
        Err(errno) => Err(LogError::io("make the log file", path, errno)),
    }
}

/// Non-blocking, because opening a planted FIFO would otherwise wait for its other end.
fn common_flags() -> OFlag {
    OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY
}

/// Looks at what was really opened; `None` when its last name went away meanwhile.
fn checked(fd: OwnedFd, path: &Path) -> Result<Option<File>, LogError> {
    let file = File::from(fd);
    let meta = file
        .metadata()
        .map_err(|source| LogError::io("look at", path, source))?;
    if !meta.is_file() {
        return Err(LogError::refused(path, "not a regular file"));
    }
    match meta.nlink() {
        0 => Ok(None),
        1 => Ok(Some(file)),
        _ => Err(LogError::refused(
            path,
            "a file with more than one name (hard links)",
        )),
    }
}
