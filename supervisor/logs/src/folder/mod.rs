//! Where log files live and how they are opened.
//!
//! Owns the layout (`logs/APP/INSTANCE.out.log`, `INSTANCE.err.log`, or a path that the user
//! chose) and the modes (folder 0750, file 0640). Promises that what it opens is a regular file
//! with one name, reached without following a link below the root: whoever can write into the
//! folder cannot make the daemon write somewhere else. Leaves to others what is written and when,
//! and the files beside the live one.

mod error;
mod open;
mod place;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::OFlag;

use crate::StreamId;

pub use error::LogError;
pub(crate) use open::{FILE_MODE, make, open_existing, open_or_make};
pub(crate) use place::Place;

/// The folder with everybody's logs.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
    /// The locks of the families, by live file. Clones of a folder share them.
    locks: Arc<Mutex<HashMap<PathBuf, Weak<Mutex<()>>>>>,
}

impl Folder {
    /// The logs below `root`. Touches nothing yet.
    ///
    /// Make one of these and clone it: the clones share the locks under which names change.
    #[must_use]
    pub fn new(root: PathBuf) -> Folder {
        Folder {
            root,
            locks: Arc::default(),
        }
    }

    /// What all usual logs are below.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where the log of a stream is, or will be, if the user chose no other path.
    #[must_use]
    pub fn path(&self, id: &StreamId) -> PathBuf {
        self.root.join(&id.app).join(id.file_name())
    }

    /// Where the log of a stream is, or will be.
    #[must_use]
    pub fn live_path(&self, id: &StreamId, custom: Option<&Path>) -> PathBuf {
        custom.map_or_else(|| self.path(id), Path::to_owned)
    }

    /// Opens a log for the pump: made if need be, readable too (the pump looks at the last
    /// byte), and not in append mode, which `splice` refuses.
    ///
    /// # Errors
    /// When something else than a log is there, or the system refuses.
    pub fn open_for_append(&self, id: &StreamId) -> Result<File, LogError> {
        let folder = self.place(&id.app).make()?;
        open_or_make(&folder, OsStr::new(&id.file_name()), &self.path(id))
    }

    /// Opens a log to read it; `None` when there is none yet.
    ///
    /// # Errors
    /// When something else than a log is there, or the system refuses.
    pub fn open_for_reading(&self, id: &StreamId) -> Result<Option<File>, LogError> {
        self.open(id, OFlag::O_RDONLY)
    }

    fn open(&self, id: &StreamId, access: OFlag) -> Result<Option<File>, LogError> {
        match self.place(&id.app).open()? {
            Some(folder) => {
                let name = id.file_name();
                open_existing(&folder, OsStr::new(&name), access, &self.path(id))
            }
            None => Ok(None),
        }
    }

    /// The folder of an app.
    pub(crate) fn place(&self, app: &str) -> Place {
        Place::Usual {
            root: self.root.clone(),
            app: app.to_owned(),
        }
    }

    /// The names in the log folder that could be apps'. Those of other files, and of folders that
    /// are no app's any more, are among them.
    pub(crate) fn apps(&self) -> Result<Vec<String>, LogError> {
        let Some(root) = place::open_root(&self.root)? else {
            return Ok(Vec::new());
        };
        let failed = |e: Errno| LogError::io("list", &self.root, e);
        let mut apps = Vec::new();
        for entry in Dir::from_fd(root).map_err(failed)?.iter() {
            let entry = entry.map_err(failed)?;
            if let Ok(name) = entry.file_name().to_str()
                && !name.starts_with('.')
                && entry.file_type() != Some(nix::dir::Type::File)
            {
                apps.push(name.to_owned());
            }
        }
        Ok(apps)
    }

    /// The lock under which the names of a live file's family change: one for each path, whoever
    /// asks.
    pub(crate) fn lock_of(&self, live: &Path) -> Arc<Mutex<()>> {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = locks.get(live).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::default();
        locks.retain(|_, lock| lock.strong_count() > 0);
        locks.insert(live.to_owned(), Arc::downgrade(&lock));
        lock
    }
}

/// Whether `path` is a name of `file`.
pub(crate) fn leads_to(path: &Path, file: &File) -> bool {
    let (Ok(ours), Ok(named)) = (file.metadata(), path.symlink_metadata()) else {
        return false;
    };
    (ours.dev(), ours.ino()) == (named.dev(), named.ino())
}
