//! The staging pipe: the only place between an app's pipe and its file.
//!
//! Owns both its ends and the order of the steps that make a kill harmless: the owner is recorded
//! while the pipe is empty, bytes come in, bytes go to the end of the owner's file, and nothing
//! else comes in before all of them have. Going through it rather than straight into the file
//! keeps an app's own pipe unlocked while a disk hangs, so that the app can still be killed.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SpliceFFlags, fcntl, splice};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::Staging;
use crate::StreamId;

/// The most that one call moves.
pub(super) const CHUNK: usize = 1 << 18;

/// Held by a predecessor, and how many is not known.
const UNKNOWN: usize = usize::MAX;

pub(super) struct Stage {
    read: OwnedFd,
    write: OwnedFd,
    record: Box<dyn Staging>,
    owner: Option<Arc<StreamId>>,
    held: usize,
}

impl Stage {
    pub(super) fn new(
        read: OwnedFd,
        write: OwnedFd,
        record: Box<dyn Staging>,
    ) -> nix::Result<Stage> {
        capacity(&read)?;
        capacity(&write)?;
        Ok(Stage {
            read,
            write,
            record,
            owner: None,
            held: 0,
        })
    }

    /// Finds out what a predecessor left behind. Not being able to is taken for "something":
    /// emptying the pipe then finds out.
    pub(super) fn look(&mut self) {
        if is_readable(&self.read).unwrap_or(true) {
            self.held = UNKNOWN;
            self.owner = self.record.owner().map(Arc::new);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Whose bytes are in the pipe, if there are any.
    pub(super) fn owner(&self) -> Option<&Arc<StreamId>> {
        self.owner.as_ref().filter(|_| !self.is_empty())
    }

    pub(super) fn begun(&mut self, key: u64) {
        self.record.begun(key);
    }

    /// Takes up to `most` bytes of `id` in; 0 is the end of the pipe, `EAGAIN` an empty one.
    pub(super) fn take(
        &mut self,
        pipe: BorrowedFd<'_>,
        id: &Arc<StreamId>,
        most: usize,
    ) -> nix::Result<usize> {
        debug_assert!(self.is_empty(), "two streams' bytes would mix");
        if self.owner.as_ref() != Some(id) {
            self.record.set_owner(id);
            self.owner = Some(Arc::clone(id));
        }
        self.held = move_bytes(pipe, self.write.as_fd(), most.min(CHUNK))?;
        Ok(self.held)
    }

    /// Moves all that is held to the end of `file`.
    pub(super) fn flush(&mut self, mut file: &File) -> io::Result<()> {
        while !self.is_empty() {
            // Every time: people empty log files with `> file`.
            file.seek(SeekFrom::End(0))?;
            let moved = move_bytes(self.read.as_fd(), file.as_fd(), CHUNK);
            self.account(moved)?;
        }
        Ok(())
    }

    /// Gives up what is held, and says how much it was.
    pub(super) fn discard(&mut self) -> io::Result<u64> {
        let null = File::options().write(true).open("/dev/null")?;
        let mut gone = 0;
        while !self.is_empty() {
            let moved = move_bytes(self.read.as_fd(), null.as_fd(), CHUNK);
            gone += moved.unwrap_or(0) as u64;
            self.account(moved)?;
        }
        Ok(gone)
    }

    fn account(&mut self, moved: nix::Result<usize>) -> io::Result<()> {
        match moved {
            Ok(0) | Err(Errno::EAGAIN) => {
                // The only honest reason is an empty pipe. Anything else must not be taken for
                // one: the next stream's bytes would end up in this stream's file.
                if is_readable(&self.read)? {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                self.held = 0;
            }
            Ok(_) if self.held == UNKNOWN => {}
            Ok(n) => self.held = self.held.saturating_sub(n),
            Err(errno) => return Err(errno.into()),
        }
        Ok(())
    }
}

/// `splice` that never waits for the pipe, whatever the flags of the shared open file description
/// are: those belong to everybody who holds it.
fn move_bytes(from: BorrowedFd<'_>, to: BorrowedFd<'_>, most: usize) -> nix::Result<usize> {
    loop {
        match splice(from, None, to, None, most, SpliceFFlags::SPLICE_F_NONBLOCK) {
            Err(Errno::EINTR) => {}
            done => return done,
        }
    }
}

/// Throws away what is in a pipe, at most `most` bytes of it.
pub(super) fn discard_pipe(pipe: BorrowedFd<'_>, most: usize) -> io::Result<u64> {
    let null = File::options().write(true).open("/dev/null")?;
    let mut gone = 0;
    while gone < most {
        match move_bytes(pipe, null.as_fd(), most - gone) {
            Ok(0) | Err(Errno::EAGAIN) => break,
            Ok(n) => gone += n,
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(gone as u64)
}

/// Whether there is a byte to read; an end of file is none.
pub(super) fn is_readable(fd: impl AsFd) -> nix::Result<bool> {
    let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    loop {
        match poll(&mut fds, PollTimeout::ZERO) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
            Ok(_) => {
                return Ok(fds[0]
                    .revents()
                    .is_some_and(|r| r.contains(PollFlags::POLLIN)));
            }
        }
    }
}

/// How many bytes fit into a pipe; fails for everything else.
pub(super) fn capacity(pipe: impl AsFd) -> nix::Result<usize> {
    let size = fcntl(pipe, FcntlArg::F_GETPIPE_SZ)?;
    usize::try_from(size).map_err(|_| Errno::EINVAL)
}
