//! The folder that a log file is in, and the way to it.
//!
//! Promises that no link leads the daemon astray: none is followed below the log folder, and on
//! the way to a file that the user chose only those of root or of the daemon's own user. The
//! folder is opened anew for each call, so that people may move folders while the daemon runs.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat, readlinkat};
use nix::sys::stat::{Mode, SFlag, fchmod, fstat, mkdirat};
use nix::unistd::{Uid, mkdir};

use super::LogError;
use super::open::RACES;

const FOLDER_MODE: Mode = Mode::from_bits_truncate(0o750);

/// As many as the kernel follows.
const LINKS: usize = 40;

/// A folder with log files, by its way.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// An app's own folder below the log folder.
    Usual { root: PathBuf, app: String },
    /// The folder of a file that the user chose: an absolute path.
    Chosen(PathBuf),
}

impl Place {
    pub(crate) fn path(&self) -> PathBuf {
        match self {
            Place::Usual { root, app } => root.join(app),
            Place::Chosen(folder) => folder.clone(),
        }
    }

    /// Opens the folder; `None` when it is not there.
    pub(crate) fn open(&self) -> Result<Option<OwnedFd>, LogError> {
        match self {
            Place::Usual { root, app } => app_folder(root, app),
            Place::Chosen(folder) => Walk::to(folder)?.find(),
        }
    }

    /// Opens the folder, made if need be.
    pub(crate) fn make(&self) -> Result<OwnedFd, LogError> {
        let path = self.path();
        for _ in 0..RACES {
            if let Some(folder) = self.open()? {
                return Ok(folder);
            }
            let made = match self {
                Place::Usual { root, app } => mkdirat(&make_root(root)?, app.as_str(), FOLDER_MODE),
                Place::Chosen(folder) => Walk::to(folder)?.make()?,
            };
            match made {
                Ok(()) => {
                    if let Some(folder) = self.open()? {
                        return with_mode(folder, &path);
                    }
                }
                Err(Errno::EEXIST) => {}
                Err(errno) => return Err(LogError::io("make the log folder", &path, errno)),
            }
        }
        Err(LogError::io("make the log folder", &path, Errno::EAGAIN))
    }
}

/// The umask may have taken bits away; the mode is part of the contract. Not for a folder that
/// somebody else put there a moment after ours.
fn with_mode(folder: OwnedFd, path: &Path) -> Result<OwnedFd, LogError> {
    let failed = |e| LogError::io("set the mode of", path, e);
    if fstat(&folder).map_err(failed)?.st_uid == Uid::effective().as_raw() {
        fchmod(&folder, FOLDER_MODE).map_err(failed)?;
    }
    Ok(folder)
}

pub(super) fn open_root(root: &Path) -> Result<Option<OwnedFd>, LogError> {
    // The root is the daemon's own choice and may be a link; what is below it may not.
    match open(root, folder_flags(), Mode::empty()) {
        Ok(root) => Ok(Some(root)),
        Err(Errno::ENOENT) => Ok(None),
        Err(errno) => Err(LogError::io("open the log folder", root, errno)),
    }
}

fn make_root(root: &Path) -> Result<OwnedFd, LogError> {
    match mkdir(root, FOLDER_MODE) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(errno) => return Err(LogError::io("make the log folder", root, errno)),
    }
    open(root, folder_flags(), Mode::empty())
        .map_err(|e| LogError::io("open the log folder", root, e))
}

fn app_folder(root: &Path, app: &str) -> Result<Option<OwnedFd>, LogError> {
    if matches!(app, "" | "." | "..") || app.contains(['/', '\0']) {
        return Err(LogError::Name {
            name: app.to_owned(),
        });
    }
    let Some(above) = open_root(root)? else {
        return Ok(None);
    };
    let path = root.join(app);
    let flags = folder_flags() | OFlag::O_NOFOLLOW;
    match openat(&above, app, flags, Mode::empty()) {
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

fn folder_flags() -> OFlag {
    OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC
}

/// The way to a folder that the user chose, walked name by name up to the first that is missing.
struct Walk {
    /// The folder reached.
    at: OwnedFd,
    /// Its path.
    seen: PathBuf,
    /// What is still to go, the next name last.
    rest: Vec<OsString>,
}

impl Walk {
    fn to(folder: &Path) -> Result<Walk, LogError> {
        if !folder.is_absolute() {
            return Err(LogError::Path {
                path: folder.to_owned(),
            });
        }
        let mut walk = Walk {
            at: slash()?,
            seen: PathBuf::from("/"),
            rest: Vec::new(),
        };
        walk.push(folder)?;
        let mut links = 0;
        while let Some(name) = walk.rest.pop() {
            let path = walk.seen.join(&name);
            let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let found = match openat(&walk.at, name.as_os_str(), flags, Mode::empty()) {
                Ok(found) => found,
                Err(Errno::ENOENT) => {
                    walk.rest.push(name);
                    break;
                }
                Err(errno) => return Err(LogError::io("open the folder", &path, errno)),
            };
            let stat = fstat(&found).map_err(|e| LogError::io("look at", &path, e))?;
            match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
                SFlag::S_IFDIR => (walk.at, walk.seen) = (found, path),
                SFlag::S_IFLNK if links == LINKS => {
                    return Err(LogError::io("open the folder", &path, Errno::ELOOP));
                }
                SFlag::S_IFLNK => {
                    links += 1;
                    walk.follow(&found, stat.st_uid, &path)?;
                }
                _ => return Err(LogError::refused(&path, "not a folder")),
            }
        }
        Ok(walk)
    }

    /// Puts the names of `path` before those that are still to go.
    fn push(&mut self, path: &Path) -> Result<(), LogError> {
        for part in path.components().rev() {
            match part {
                Component::Normal(name) => self.rest.push(name.to_owned()),
                Component::ParentDir => self.rest.push(OsStr::new("..").to_owned()),
                Component::CurDir | Component::Prefix(_) => {}
                Component::RootDir => {
                    self.at = slash()?;
                    self.seen = PathBuf::from("/");
                }
            }
        }
        Ok(())
    }

    fn follow(&mut self, link: &OwnedFd, owner: u32, path: &Path) -> Result<(), LogError> {
        if owner != 0 && owner != Uid::effective().as_raw() {
            return Err(LogError::Link {
                path: path.to_owned(),
                owner,
            });
        }
        // Of the link that was looked at, whatever has its name by now.
        let target = readlinkat(link, "").map_err(|e| LogError::io("follow", path, e))?;
        self.push(Path::new(&target))
    }

    fn find(self) -> Result<Option<OwnedFd>, LogError> {
        if !self.rest.is_empty() {
            return Ok(None);
        }
        openat(&self.at, ".", folder_flags(), Mode::empty())
            .map(Some)
            .map_err(|e| LogError::io("open the folder", &self.seen, e))
    }

    /// Makes the last folder of the way, and no other: a slip in a path should not grow a tree.
    fn make(self) -> Result<nix::Result<()>, LogError> {
        match self.rest.as_slice() {
            [] => Ok(Err(Errno::EEXIST)),
            [name] => Ok(mkdirat(&self.at, name.as_os_str(), FOLDER_MODE)),
            [.., name] => Err(LogError::NoFolder {
                path: self.seen.join(name),
            }),
        }
    }
}

fn slash() -> Result<OwnedFd, LogError> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    open("/", flags, Mode::empty()).map_err(|e| LogError::io("open the folder", Path::new("/"), e))
}
