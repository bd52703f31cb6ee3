//! Where log files live and how they are opened.
//!
//! Owns the layout (`logs/APP/INSTANCE.out.log`, `INSTANCE.err.log`) and the modes (folder 0750,
//! file 0640). Promises that what it opens is a regular file with one name, reached without
//! following a link below the root: whoever can write into the folder cannot make the daemon
//! write somewhere else. Leaves to others what is written and when.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::{Mode, fchmod, mkdirat};

use crate::StreamId;

const FOLDER_MODE: Mode = Mode::from_bits_truncate(0o750);
const FILE_MODE: Mode = Mode::from_bits_truncate(0o640);

/// How often an opening starts over because somebody creates and removes the same name at the
/// same time. Nobody does that for long by accident.
const RACES: usize = 8;

/// Why a log could not be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A name that would lead out of the log folder.
    #[error("{name:?} cannot be the name of a log folder")]
    Name {
        /// The name as given.
        name: String,
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
    fn io(doing: &'static str, path: &Path, errno: Errno) -> LogError {
        LogError::Io {
            doing,
            path: path.to_owned(),
            source: errno.into(),
        }
    }

    fn refused(path: &Path, what: &'static str) -> LogError {
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
            LogError::Name { .. } | LogError::Refused { .. } => true,
            LogError::Io { source, .. } | LogError::Start { source, .. } => matches!(
                source.raw_os_error().map(Errno::from_raw),
                Some(Errno::EACCES | Errno::EPERM | Errno::ENAMETOOLONG)
            ),
        }
    }
}

/// The folder with everybody's logs.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// The logs below `root`. Touches nothing yet.
    #[must_use]
    pub fn new(root: PathBuf) -> Folder {
        Folder { root }
    }

    /// Where the log of a stream is, or will be.
    #[must_use]
    pub fn path(&self, id: &StreamId) -> PathBuf {
        self.root.join(&id.app).join(id.file_name())
    }

    /// Opens a log for the pump: made if need be, readable too (the pump looks at the last
    /// byte), and not in append mode, which `splice` refuses.
    ///
    /// # Errors
    /// When something else than a log is there, or the system refuses.
    pub fn open_for_append(&self, id: &StreamId) -> Result<File, LogError> {
        let path = self.path(id);
        let folder = self.make_app_folder(&id.app)?;
        let name = id.file_name();
        let flags = OFlag::O_RDWR | common_flags();
        for _ in 0..RACES {
            let found = match openat(&folder, name.as_str(), flags, Mode::empty()) {
                Ok(fd) => Some(fd),
                Err(Errno::ENOENT) => create(&folder, &name, flags, &path)?,
                Err(errno) => return Err(open_error(&path, errno)),
            };
            // Nothing: made by somebody else between the two calls. Removed again: the same.
            if let Some(fd) = found
                && let Some(file) = checked(fd, &path)?
            {
                return Ok(file);
            }
        }
        Err(LogError::io("open the log file", &path, Errno::EAGAIN))
    }

    /// Opens a log to read it; `None` when there is none yet.
    ///
    /// # Errors
    /// When something else than a log is there, or the system refuses.
    pub fn open_for_reading(&self, id: &StreamId) -> Result<Option<File>, LogError> {
        let path = self.path(id);
        let Some(folder) = self.app_folder(&id.app)? else {
            return Ok(None);
        };
        let flags = OFlag::O_RDONLY | common_flags();
        match openat(&folder, id.file_name().as_str(), flags, Mode::empty()) {
            Ok(fd) => checked(fd, &path),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(open_error(&path, errno)),
        }
    }

    /// Empties a log, if there is one. Only for whoever writes it: a byte that is being written at
    /// that moment would come after a hole.
    pub(crate) fn empty(&self, id: &StreamId) -> Result<(), LogError> {
        let path = self.path(id);
        let Some(folder) = self.app_folder(&id.app)? else {
            return Ok(());
        };
        let flags = OFlag::O_WRONLY | common_flags();
        let file = match openat(&folder, id.file_name().as_str(), flags, Mode::empty()) {
            Ok(fd) => checked(fd, &path)?,
            Err(Errno::ENOENT) => None,
            Err(errno) => return Err(open_error(&path, errno)),
        };
        match file.map(|file| file.set_len(0)) {
            Some(Err(source)) => Err(LogError::Io {
                doing: "empty the log file",
                path,
                source,
            }),
            Some(Ok(())) | None => Ok(()),
        }
    }

    /// Whether `file` is still what its name leads to: people move and delete log files.
    pub(crate) fn is_current(&self, id: &StreamId, file: &File) -> bool {
        let (Ok(ours), Ok(named)) = (file.metadata(), self.path(id).symlink_metadata()) else {
            return false;
        };
        (ours.dev(), ours.ino()) == (named.dev(), named.ino())
    }

    fn make_app_folder(&self, app: &str) -> Result<OwnedFd, LogError> {
        let path = self.root.join(app);
        for _ in 0..RACES {
            if let Some(folder) = self.app_folder(app)? {
                return Ok(folder);
            }
            let root = self.make_root()?;
            match mkdirat(&root, app, FOLDER_MODE) {
                Ok(()) => {
                    if let Some(folder) = self.app_folder(app)? {
                        // The umask may have taken bits away; the mode is part of the contract.
                        fchmod(&folder, FOLDER_MODE)
                            .map_err(|e| LogError::io("set the mode of", &path, e))?;
                        return Ok(folder);
                    }
                }
                Err(Errno::EEXIST) => {}
                Err(errno) => return Err(LogError::io("make the log folder", &path, errno)),
            }
        }
        Err(LogError::io("make the log folder", &path, Errno::EAGAIN))
    }

    fn make_root(&self) -> Result<OwnedFd, LogError> {
        match nix::unistd::mkdir(&self.root, FOLDER_MODE) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(LogError::io("make the log folder", &self.root, errno)),
        }
        open(&self.root, folder_flags(), Mode::empty())
            .map_err(|e| LogError::io("open the log folder", &self.root, e))
    }

    fn app_folder(&self, app: &str) -> Result<Option<OwnedFd>, LogError> {
        if matches!(app, "" | "." | "..") || app.contains(['/', '\0']) {
            return Err(LogError::Name {
                name: app.to_owned(),
            });
        }
        // The root is the daemon's own choice and may be a link; what is below it may not.
        let root = match open(&self.root, folder_flags(), Mode::empty()) {
            Ok(root) => root,
            Err(Errno::ENOENT) => return Ok(None),
            Err(errno) => return Err(LogError::io("open the log folder", &self.root, errno)),
        };
        let path = self.root.join(app);
        match openat(
            &root,
            app,
            folder_flags() | OFlag::O_NOFOLLOW,
            Mode::empty(),
        ) {
            Ok(folder) => Ok(Some(folder)),
            Err(Errno::ENOENT) => Ok(None),
            // With O_DIRECTORY a link says ENOTDIR or ELOOP, depending on the kernel.
            Err(Errno::ENOTDIR | Errno::ELOOP) => {
                let link = path
                    .symlink_metadata()
                    .is_ok_and(|m| m.file_type().is_symlink());
                Err(LogError::refused(
                    &path,
                    if link {
                        "a symbolic link"
                    } else {
                        "not a folder"
                    },
                ))
            }
            Err(errno) => Err(LogError::io("open the log folder", &path, errno)),
        }
    }
}

fn folder_flags() -> OFlag {
    OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC
}

/// Non-blocking, because opening a planted FIFO would otherwise wait for its other end.
fn common_flags() -> OFlag {
    OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY
}

fn create(
    folder: &OwnedFd,
    name: &str,
    flags: OFlag,
    path: &Path,
) -> Result<Option<OwnedFd>, LogError> {
    match openat(
        folder,
        name,
        flags | OFlag::O_CREAT | OFlag::O_EXCL,
        FILE_MODE,
    ) {
        Ok(fd) => {
            fchmod(&fd, FILE_MODE).map_err(|e| LogError::io("set the mode of", path, e))?;
            Ok(Some(fd))
        }
        Err(Errno::EEXIST) => Ok(None),
        Err(errno) => Err(LogError::io("make the log file", path, errno)),
    }
}

fn open_error(path: &Path, errno: Errno) -> LogError {
    match errno {
        Errno::ELOOP => LogError::refused(path, "a symbolic link"),
        Errno::EISDIR => LogError::refused(path, "a folder"),
        Errno::ENXIO => LogError::refused(path, "a socket, a device or a FIFO"),
        _ => LogError::io("open the log file", path, errno),
    }
}

/// Looks at what was really opened; `None` when its last name went away meanwhile.
fn checked(fd: OwnedFd, path: &Path) -> Result<Option<File>, LogError> {
    let file = File::from(fd);
    let meta = file.metadata().map_err(|source| LogError::Io {
        doing: "look at",
        path: path.to_owned(),
        source,
    })?;
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
