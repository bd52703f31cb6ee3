//! Finding a run's process again, and its pipes, with certainty or not at all.

use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use supervisor_core::RunId;

use super::Engine;
use super::birth::Given;
use super::spawner::{child_tag, pipe_tags, stdin_tag};
use crate::keeper::link::Tag;
use crate::os::proc::{self, Variable};
use crate::os::{pidfd, tree};
use crate::persist::slots::{CellId, RunNotes};

/// A child on its way to exec is there in so many milliseconds.
const PATIENCE_MS: u32 = 50;

/// Waits for a child that an engine left on its way to exec; one that clears its environment is only
/// waited for in vain.
pub(super) fn until_execed(pid: i32, token: &str) {
    for _ in 0..PATIENCE_MS {
        if proc::variable(pid, tree::TOKEN_KEY) == Variable::Is(token.to_owned()) {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

impl Engine {
    /// The pidfd of a run's process, if it lives, and whether its parent is somebody else than the keeper.
    pub(super) fn find_process(
        &self,
        cell: CellId,
        pid: i32,
        notes: &RunNotes,
        token: &str,
        given: &mut Given,
    ) -> (Option<Arc<OwnedFd>>, bool) {
        let stat = proc::stat(pid);
        let child = stat.as_ref().is_some_and(|stat| stat.ppid == self.keeper);
        let tag = child_tag(cell, pid);
        if let Some(fd) = given.remove(&tag) {
            // The keeper has held it since the process was made: there is no doubt who it is. Once the
            // process is reaped, only the keeper's record says whose child it was.
            let reaped_by_us = stat.is_none() && self.exits.cell(cell.0).is_some();
            return (Some(Arc::new(fd)), !child && !reaped_by_us);
        }
        let Ok(fd) = pidfd::open(pid) else {
            return (None, false);
        };
        // After the descriptor is open: what is looked at now is what it means.
        let Some(stat) = proc::stat(pid) else {
            return (None, false);
        };
        let ours = if notes.birth != 0 {
            stat.start == notes.birth
        } else if stat.ppid == self.keeper {
            // A child of the keeper has this number for as long as nobody has written its exit down; it
            // may not have its environment yet. The number itself may be damaged, and name another one.
            let engine = std::process::id().cast_signed();
            pid != engine && !self.by_pid.contains_key(&pid) && !has_another_token(pid, token)
        } else {
            has_token(pid, token)
        };
        if !ours {
            return (None, false);
        }
        if notes.birth == 0 {
            self.slots.set_birth(cell, stat.start);
        }
        self.estate.hold(tag, &fd);
        (Some(Arc::new(fd)), stat.ppid != self.keeper)
    }

    /// A child that no record knows: of a run that is over, or its record is damaged. Two of one instance
    /// must never run.
    pub(super) fn end_unknown(&self, tag: Tag, pidfd: &OwnedFd) {
        self.estate.drop_held(tag);
        if pidfd::has_exited(pidfd) {
            return;
        }
        let pid = i32::try_from(tag.generation).unwrap_or(0);
        tracing::error!("no record knows pid {pid} any more; ending it");
        // It may have gone at this moment, which is what is wanted.
        let _ = pidfd::send_group(pidfd, pid, Signal::SIGKILL as i32);
        let _ = pidfd::send(pidfd, Signal::SIGKILL);
    }

    /// Opens our end of a pipe that only the app has any more: 0 is its standard input.
    pub(super) fn reopen(
        &self,
        cell: CellId,
        pid: i32,
        run: RunId,
        stream: u32,
    ) -> Option<OwnedFd> {
        let path = format!("/proc/{pid}/fd/{stream}");
        let found = std::fs::metadata(&path).ok();
        let found = found.filter(|found| found.file_type().is_fifo())?;
        if stream == 2 {
            // Merged: it is taken over with standard output.
            let first = std::fs::metadata(format!("/proc/{pid}/fd/1")).ok();
            let id = |file: &Metadata| (file.dev(), file.ino());
            if first.is_some_and(|first| id(&first) == id(&found)) {
                return None;
            }
        }
        let (input, tag, mode) = match stream {
            0 => (true, stdin_tag(cell, run), 0o400),
            _ => (false, pipe_tags(cell, run)[stream as usize - 1], 0o200),
        };
        let open = || -> io::Result<File> {
            OpenOptions::new()
                .read(!input)
                .write(input)
                .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
                .open(&path)
        };
        let file = open().or_else(|_| {
            // The mode lets its owner go one way only; and this is its owner.
            std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
            let file = open();
            std::fs::set_permissions(&path, Permissions::from_mode(mode))?;
            file
        });
        match file {
            Ok(file) => {
                let fd = OwnedFd::from(file);
                self.estate.hold(tag, &fd);
                Some(fd)
            }
            Err(error) => {
                tracing::error!("stream {stream} of pid {pid} cannot be taken over: {error}");
                None
            }
        }
    }
}

/// Whether the process belongs to another run.
fn has_another_token(pid: i32, token: &str) -> bool {
    matches!(proc::variable(pid, tree::TOKEN_KEY), Variable::Is(other) if other != token)
}

/// Whether the process belongs to this run. For a moment around exec an environment is empty.
pub(super) fn has_token(pid: i32, token: &str) -> bool {
    for _ in 0..PATIENCE_MS {
        match proc::variable(pid, tree::TOKEN_KEY) {
            Variable::Is(found) => return found == token,
            Variable::Absent | Variable::Hidden => return false,
            Variable::Empty => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    false
}
