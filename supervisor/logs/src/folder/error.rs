//! Why a log could not be opened, written or renamed. Owns the words; leaves to others what to do
//! about it.

use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

/// Why a log could not be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A name that would lead out of the log folder.
    #[error("{name:?} cannot be the name of a log folder")]
    Name {
        /// The name as given.
        name: String,
    },
    /// A path that names no file, or that depends on where the daemon was started.
    #[error("{} cannot be a log file: give an absolute path that ends in a file name", path.display())]
    Path {
        /// The path as given.
        path: PathBuf,
    },
    /// The folder of a path that the user chose is missing, and so is the folder around it.
    #[error("there is no folder {}: make it, or correct the path of the log file", path.display())]
    NoFolder {
        /// The first folder that is missing.
        path: PathBuf,
    },
    /// A link on a path that the user chose, made by somebody who has no say in it.
    #[error("{} is a symbolic link that belongs to user {owner}; on the way to a log file only links of root or of the daemon's own user are followed: write the path without it", path.display())]
    Link {
        /// Where.
        path: PathBuf,
        /// The user id of its owner.
        owner: u32,
    },
    /// Something is in the place of a log that the daemon must not write to or read from.
    #[error("{} is {what}; logs are only kept in regular files with one name, in real folders: move it away", path.display())]
    Refused {
        /// Where.
        path: PathBuf,
        /// What is there instead.
        what: &'static str,
    },
    /// The system said no.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The pump could not be started at all.
    #[error("cannot start the log pump ({doing}): {source}")]
    Start {
        /// Which step.
        doing: &'static str,
        /// The system's reason.
        source: io::Error,
    },
}

impl LogError {
    pub(crate) fn io(doing: &'static str, path: &Path, source: impl Into<io::Error>) -> LogError {
        LogError::Io {
            doing,
            path: path.to_owned(),
            source: source.into(),
        }
    }

    pub(super) fn refused(path: &Path, what: &'static str) -> LogError {
        LogError::Refused {
            path: path.to_owned(),
            what,
        }
    }

    /// Whether the reason lies with this one log, so that waiting for it would be waiting for a
    /// person while the other logs are well. The opposite is a disk or a process that has run
    /// out of something.
    pub(crate) fn is_about_this_log(&self) -> bool {
        match self {
            LogError::Name { .. }
            | LogError::Path { .. }
            | LogError::NoFolder { .. }
            | LogError::Link { .. }
            | LogError::Refused { .. } => true,
            LogError::Io { source, .. } | LogError::Start { source, .. } => matches!(
                source.raw_os_error().map(Errno::from_raw),
                Some(Errno::EACCES | Errno::EPERM | Errno::ENAMETOOLONG)
            ),
        }
    }

    /// Whether the disk, or the user's share of it, has no room.
    pub(crate) fn is_no_room(&self) -> bool {
        match self {
            LogError::Io { source, .. } | LogError::Start { source, .. } => matches!(
                source.raw_os_error().map(Errno::from_raw),
                Some(Errno::ENOSPC | Errno::EDQUOT)
            ),
            LogError::Name { .. }
            | LogError::Path { .. }
            | LogError::NoFolder { .. }
            | LogError::Link { .. }
            | LogError::Refused { .. } => false,
        }
    }
}
