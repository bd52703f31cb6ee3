//! The pipes between a run's streams and the supervisor.
//!
//! Promises: the app's end is an open file description of its own, so that what an app does to it
//! (a killed Node leaves `O_NONBLOCK` behind) reaches nobody else; it goes one way only, and the inode's mode lets
//! the app's user open `/dev/stdout` again for writing (`/dev/stdin` for reading), but lets no app read
//! lines back, its own or another's.
//! Leaves to others: who holds which end, and for how long.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, fchown};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::{Uid, pipe2};

use super::users::Identity;

/// The two ends; both close-on-exec, both blocking.
#[derive(Debug)]
pub struct AppPipe {
    /// The keeper's and the engine's.
    pub ours: OwnedFd,
    /// The app's.
    pub apps: OwnedFd,
}

/// A new pipe for an app of this user (`None`: of this process's own).
///
/// # Errors
/// No descriptors left, or no `/proc`.
pub fn pipe_for_app(identity: Option<&Identity>) -> io::Result<AppPipe> {
    // A user without privileges has so many pages for pipes in all, and beyond them gets tiny pipes.
    let wanted = if Uid::effective().is_root() {
        256 << 10
    } else {
        64 << 10
    };
    let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
    // Refused where the user's pages are used up: a smaller pipe works too, and we read back what it is.
    let _ = fcntl(&write, FcntlArg::F_SETPIPE_SZ(wanted));
    let write = File::from(write);
    // Reopened before the mode changes: without privileges we would need the permission ourselves.
    let app = OpenOptions::new()
        .write(true)
        .custom_flags(libc::O_CLOEXEC)
        .open(format!("/proc/self/fd/{}", write.as_raw_fd()))?;
    lend(&write, 0o200, identity)?;
    Ok(AppPipe {
        ours: read,
        apps: app.into(),
    })
}

/// A new pipe for the standard input of an app of this user. Our end does not block: an app that does
/// not read must not hold up whoever writes.
///
/// # Errors
/// No descriptors left.
pub fn input_for_app(identity: Option<&Identity>) -> io::Result<AppPipe> {
    // The two ends of a pipe are two descriptions: the app's is its own.
    let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
    fcntl(&write, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    let read = File::from(read);
    lend(&read, 0o400, identity)?;
    Ok(AppPipe {
        ours: write,
        apps: read.into(),
    })
}

fn lend(pipe: &File, mode: u32, identity: Option<&Identity>) -> io::Result<()> {
    pipe.set_permissions(Permissions::from_mode(mode))?;
    if let Some(identity) = identity {
        fchown(pipe, Some(identity.uid), Some(identity.gid))?;
    }
    Ok(())
}
