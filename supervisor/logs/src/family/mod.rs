//! The files of one stream: the live log, its rotated and compressed predecessors, their indexes.
//!
//! Owns their names, and is the only one that changes them: by rename and unlink, under one lock
//! for each family. Promises that a kill at any instant leaves every byte in exactly one place
//! where [`Family::heal`] and readers find it, in order. Leaves to others when to rotate, and what
//! is in the files.

mod compressing;
mod listing;
mod names;
mod plan;
mod survey;
#[cfg(test)]
mod tests;

use std::ffi::{CStr, OsStr, OsString};
use std::fs::{self, File};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::folder::{Folder, LogError, Place, leads_to, open_existing, open_or_make};
use crate::{StreamId, Target};
use listing::{Listing, find, list, members};
use names::Name;
use plan::{Plan, Step};

pub(crate) use compressing::Compressing;
pub use listing::Member;

/// As many removed files are kept open for somebody else to close.
const VICTIMS: usize = 64;

/// The files of one stream.
#[derive(Debug)]
pub struct Family {
    place: Place,
    base: OsString,
    live: PathBuf,
    names: Arc<Mutex<()>>,
}

/// A member, opened to read it.
#[derive(Debug)]
pub struct Opened {
    /// The log.
    pub log: File,
    /// Its index, if it has one that may be read.
    pub index: Option<File>,
}

/// Files that have no name any more, still open: closing one frees its blocks, which takes time,
/// so it is done elsewhere.
#[derive(Debug, Default)]
pub struct Victims(Vec<OwnedFd>);

impl Victims {
    /// Whether there is nothing to close.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes over the other's, as many as may be held open; closes the rest.
    pub(crate) fn take_over(&mut self, other: Victims) {
        self.0.extend(other.0);
        self.0.truncate(VICTIMS);
    }

    /// Frees the blocks at once, even if somebody else still has the files open: readers find
    /// that the rest is gone.
    pub(crate) fn free(self) {
        for victim in &self.0 {
            // By its descriptor: this one cannot write, and a name there is none.
            let path = format!("/proc/self/fd/{}", victim.as_raw_fd());
            if let Ok(meta) = fs::metadata(&path)
                && meta.is_file()
                && meta.nlink() == 0
                && let Ok(file) = File::options().write(true).open(&path)
            {
                // Where this fails they are freed when the last one closes the file.
                let _ = file.set_len(0);
            }
        }
    }
}

impl Family {
    /// The files of the target's stream. Touches nothing.
    #[must_use]
    pub fn new(folder: &Folder, target: &Target) -> Family {
        let live = folder.live_path(&target.id, target.path.as_deref());
        let (place, base) = match &target.path {
            None => (
                folder.place(&target.id.app),
                OsString::from(target.id.file_name()),
            ),
            Some(path) => (
                Place::Chosen(path.parent().unwrap_or(path).to_owned()),
                path.file_name().unwrap_or_default().to_owned(),
            ),
        };
        let names = folder.lock_of(&live);
        Family {
            place,
            base,
            live,
            names,
        }
    }

    /// The usual files of a stream.
    pub(crate) fn usual(folder: &Folder, id: &StreamId) -> Family {
        let live = folder.path(id);
        Family {
            place: folder.place(&id.app),
            base: OsString::from(id.file_name()),
            names: folder.lock_of(&live),
            live,
        }
    }

    /// Where the live file is: for messages.
    #[must_use]
    pub fn live(&self) -> &Path {
        &self.live
    }

    /// Opens the live file to write and read it, not in append mode, which `splice` refuses. It
    /// is made if need be, and its folder, too.
    ///
    /// # Errors
    /// When something else than a log is there, or the system refuses.
    pub fn open_live(&self) -> Result<File, LogError> {
        self.open_or_make(Name::Log(0))
    }

    /// Opens the live file's index to write and read it; it is made if need be.
    ///
    /// # Errors
    /// When something else than a file is there, or the system refuses.
    pub fn open_index(&self) -> Result<File, LogError> {
        self.open_or_make(Name::Index(0))
    }

    /// Whether `file` is still what the live file's name leads to: people move and delete logs.
    #[must_use]
    pub fn is_current(&self, file: &File) -> bool {
        leads_to(&self.live, file)
    }

    /// Finishes or undoes what a kill interrupted.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn heal(&self) -> Result<(), LogError> {
        self.change(|_, plan| {
            plan.mend();
            plan.clean();
        })
        .map(drop)
    }

    /// The live file becomes number 1, number 1 becomes number 2 and so on; at most `keep`
    /// rotated files stay. Afterwards there is no live file.
    ///
    /// # Errors
    /// When the system refuses. Some files may have their new names then; the next rotation goes
    /// on from there.
    pub fn rotate(&self, keep: u32) -> Result<Victims, LogError> {
        self.change(|_, plan| {
            plan.mend();
            plan.rotate(keep);
        })
    }

    /// Removes all rotated files.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn remove_archives(&self) -> Result<Victims, LogError> {
        self.change(|_, plan| plan.discard_rotated())
    }

    /// Removes a rotated file with its index, whatever its number is by now. `None`: it is gone.
    pub(crate) fn remove(&self, member: &Member) -> Result<Option<Victims>, LogError> {
        let mut found = false;
        let victims = self.change(|listing, plan| {
            if let Some(now) = find(listing, member) {
                found = true;
                plan.discard(now.number);
            }
        })?;
        Ok(found.then_some(victims))
    }

    /// The log files, newest first. What is there besides regular files is left out.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn members(&self) -> Result<Vec<Member>, LogError> {
        let _names = self.lock();
        match self.place.open()? {
            Some(folder) => Ok(members(&self.list(&folder)?)),
            None => Ok(Vec::new()),
        }
    }

    /// Opens the live file and as many rotated ones, newest first: as they are at one moment, so
    /// that nothing is between two of them.
    ///
    /// # Errors
    /// When something else than a log is there, or the system refuses.
    pub fn open_members(&self, rotated: u32) -> Result<Vec<(Member, Opened)>, LogError> {
        let _names = self.lock();
        let Some(folder) = self.place.open()? else {
            return Ok(Vec::new());
        };
        let mut members = members(&self.list(&folder)?);
        let live = members.partition_point(|member| member.number == 0);
        members.truncate(live.saturating_add(rotated as usize));
        let mut all = Vec::new();
        for member in members {
            if let Some(opened) = self.open_member(&folder, &member)? {
                all.push((member, opened));
            }
        }
        Ok(all)
    }

    /// Opens a member, whatever its number is by now; `None` if it is gone, or was compressed
    /// meanwhile: then it is another file.
    ///
    /// # Errors
    /// When something else than a log is there, or the system refuses.
    pub fn open_for_reading(&self, member: &Member) -> Result<Option<Opened>, LogError> {
        let _names = self.lock();
        let Some(folder) = self.place.open()? else {
            return Ok(None);
        };
        match find(&self.list(&folder)?, member) {
            Some(now) => self.open_member(&folder, &now),
            None => Ok(None),
        }
    }

    fn open_member(&self, folder: &OwnedFd, now: &Member) -> Result<Option<Opened>, LogError> {
        let name = if now.compressed {
            Name::Compressed(now.number)
        } else {
            Name::Log(now.number)
        };
        let Some(log) = self.open(folder, name)? else {
            return Ok(None);
        };
        // What is wrong with an index costs times, never lines.
        let index = self.open(folder, Name::Index(now.number)).ok().flatten();
        Ok(Some(Opened { log, index }))
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path_of(&self, name: Name) -> PathBuf {
        self.live.with_file_name(name.of(&self.base))
    }

    fn open(&self, folder: &OwnedFd, name: Name) -> Result<Option<File>, LogError> {
        let path = self.path_of(name);
        open_existing(folder, &name.of(&self.base), OFlag::O_RDONLY, &path)
    }

    fn open_or_make(&self, name: Name) -> Result<File, LogError> {
        if self.base.is_empty() {
            return Err(LogError::Path {
                path: self.live.clone(),
            });
        }
        let folder = self.place.make()?;
        open_or_make(&folder, &name.of(&self.base), &self.path_of(name))
    }

    /// The files that are there.
    fn list(&self, folder: &OwnedFd) -> Result<Listing, LogError> {
        let mut listing = Listing::new();
        let base = |_: &CStr| Some(&self.base);
        list(folder, &self.place.path(), base, |_, name, stat| {
            listing.insert(name, stat);
        })?;
        Ok(listing)
    }

    /// Changes names as planned; the files that lost their last one.
    fn change(&self, plan: impl FnOnce(&Listing, &mut Plan)) -> Result<Victims, LogError> {
        let _names = self.lock();
        let mut victims = Victims::default();
        let Some(folder) = self.place.open()? else {
            return Ok(victims);
        };
        let listing = self.list(&folder)?;
        let mut steps = Plan::over(listing.keys().copied());
        plan(&listing, &mut steps);
        for step in steps.steps {
            victims.take_over(self.take(&folder, step)?);
        }
        Ok(victims)
    }

    fn take(&self, folder: &OwnedFd, step: Step) -> Result<Victims, LogError> {
        let mut victims = Victims::default();
        let (done, doing, name) = match step {
            Step::Rename(from, to) => {
                let (old, new) = (from.of(&self.base), to.of(&self.base));
                let done = renameat(folder, old.as_os_str(), folder, new.as_os_str());
                (done, "give the next number to", from)
            }
            Step::Remove(name) => {
                let file = name.of(&self.base);
                victims.0.extend(hold(folder, &file));
                let done = unlinkat(folder, file.as_os_str(), UnlinkatFlags::NoRemoveDir);
                (done, "remove", name)
            }
        };
        match done {
            // Somebody else was faster: so much the better.
            Ok(()) | Err(Errno::ENOENT) => Ok(victims),
            Err(errno) => Err(LogError::io(doing, &self.path_of(name), errno)),
        }
    }
}

/// Keeps the file's blocks until somebody has time to free them. Where that fails they are freed
/// on the spot.
fn hold(folder: &OwnedFd, file: &OsStr) -> Option<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(folder, file, flags, Mode::empty()).ok()
}
