//! A compressed file in the making takes the place of its original.
//!
//! Promises that the compressed file gets its name only when it is whole and on the disk, and that
//! only then the original loses its own. Whatever happened to the original meanwhile (another
//! number, deleted, written to by somebody), nothing is mixed up: it is known by its inode, which
//! cannot be given to another file while it is open here. Leaves to others what is written.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{Mode, fchmod, fstatat, futimens};
use nix::sys::time::TimeSpec;

use super::Family;
use super::listing::{Member, find};
use super::names::Name;
use super::plan::Step;
use crate::folder::{FILE_MODE, LogError, make};

/// A rotated file and what is to take its place. Dropped without being committed, it leaves
/// nothing behind.
#[derive(Debug)]
pub(crate) struct Compressing<'a> {
    family: &'a Family,
    member: Member,
    /// To be read from its beginning.
    pub(crate) source: File,
    /// To be written.
    pub(crate) part: File,
}

impl Family {
    /// Begins to compress a rotated file; `None` if there is nothing to do any more.
    pub(crate) fn compress(&self, member: &Member) -> Result<Option<Compressing<'_>>, LogError> {
        let _names = self.lock();
        let Some(folder) = self.place.open()? else {
            return Ok(None);
        };
        let Some(member) = find(&self.list(&folder)?, member)
            .filter(|member| member.number > 0 && !member.compressed)
        else {
            return Ok(None);
        };
        let Some(source) = self.open(&folder, Name::Log(member.number))? else {
            return Ok(None);
        };
        // One that was killed left it.
        self.take(&folder, Step::Remove(Name::Unfinished))?;
        let path = self.path_of(Name::Unfinished);
        let Some(part) = make(&folder, &Name::Unfinished.of(&self.base), &path)? else {
            return Ok(None);
        };
        let mode = source
            .metadata()
            .map_err(|e| LogError::io("look at", &path, e))?
            .mode();
        // Whoever locked others out of the log means its compressed form, too.
        fchmod(&part, FILE_MODE & Mode::from_bits_truncate(mode))
            .map_err(|e| LogError::io("set the mode of", &path, e))?;
        Ok(Some(Compressing {
            family: self,
            member,
            source,
            part,
        }))
    }
}

impl Compressing<'_> {
    /// Where the unfinished file is: for messages.
    pub(crate) fn path(&self) -> PathBuf {
        self.family.path_of(Name::Unfinished)
    }

    /// The compressed file is complete: it was made of all bytes that the member had when this
    /// began. False if the original is gone, or was written to meanwhile.
    pub(crate) fn commit(self) -> Result<bool, LogError> {
        let path = self.path();
        let failed = |e| LogError::io("write", &path, e);
        let source = self.source.metadata().map_err(failed)?;
        let time = TimeSpec::new(source.mtime(), source.mtime_nsec());
        futimens(&self.part, &time, &time).map_err(|e| failed(e.into()))?;
        // Before the lock: this can take long.
        self.part.sync_all().map_err(failed)?;
        let _names = self.family.lock();
        let Some(folder) = self.family.place.open()? else {
            return Ok(false);
        };
        let listing = self.family.list(&folder)?;
        // Not found if it was written to: it has another size or time then.
        let Some(original) = find(&listing, &self.member) else {
            return Ok(false);
        };
        if !self.is_ours(&folder)? {
            return Ok(false);
        }
        let mut plan = super::Plan::over(listing.into_keys());
        plan.commit(original.number);
        for step in plan.steps {
            // The original's blocks are freed when `self.source` is closed, after the lock.
            drop(self.family.take(&folder, step)?);
        }
        Ok(true)
    }

    /// Whether the unfinished file's name still leads to ours.
    fn is_ours(&self, folder: &OwnedFd) -> Result<bool, LogError> {
        let path = self.path();
        let name = Name::Unfinished.of(&self.family.base);
        let ours = self
            .part
            .metadata()
            .map_err(|e| LogError::io("look at", &path, e))?;
        match fstatat(folder, name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(named) => Ok((named.st_dev, named.st_ino) == (ours.dev(), ours.ino())),
            Err(Errno::ENOENT) => Ok(false),
            Err(errno) => Err(LogError::io("look at", &path, errno)),
        }
    }
}

impl Drop for Compressing<'_> {
    fn drop(&mut self) {
        let _names = self.family.lock();
        if let Ok(Some(folder)) = self.family.place.open()
            && self.is_ours(&folder).unwrap_or(false)
        {
            // What stays behind here is removed by the next one that begins.
            let _ = self.family.take(&folder, Step::Remove(Name::Unfinished));
        }
    }
}
