//! The staging pipe: the only place between an app's pipe and its file.
//!
//! Owns both its ends, the scratch pipe to look at what is in it, and the order of the steps that
//! make a kill harmless: the owner is recorded while the pipe is empty, bytes come in, bytes go to
//! the end of the owner's file, and nothing else comes in before all of them have. Going through it
//! rather than straight into the file keeps an app's own pipe unlocked while a disk hangs, so that
//! the app can still be killed.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice, tee};
use nix::unistd::pipe2;
use rustix::io::ioctl_fionread;

use crate::{Ledger, Losses, Step, StreamId};

/// The most that one call moves, and what a staging pipe can hold.
pub(super) const CHUNK: usize = 1 << 18;

pub(super) struct Stage {
    number: u32,
    read: OwnedFd,
    write: OwnedFd,
    ledger: Arc<dyn Ledger>,
    owner: Option<Arc<StreamId>>,
    held: usize,
    scratch: Option<Scratch>,
}

impl Stage {
    /// With what a predecessor left in it.
    pub(super) fn new(
        number: u32,
        read: OwnedFd,
        write: OwnedFd,
        ledger: Arc<dyn Ledger>,
    ) -> nix::Result<Stage> {
        capacity(&write)?;
        Ok(Stage {
            number,
            held: readable(&read)?,
            read,
            write,
            ledger,
            owner: None,
            scratch: None,
        })
    }

    pub(super) fn ledger(&self) -> &dyn Ledger {
        &*self.ledger
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Whose bytes are in the pipe, if there are any.
    pub(super) fn owner(&self) -> Option<&Arc<StreamId>> {
        self.owner.as_ref().filter(|_| !self.is_empty())
    }

    /// Finishes or tells what a predecessor was doing; nothing has been moved yet.
    pub(super) fn recover_owner(&mut self) -> (Option<Arc<StreamId>>, Step) {
        self.owner = self.ledger.owner(self.number).map(Arc::new);
        (self.owner.clone(), self.ledger.step(self.number))
    }

    pub(super) fn own(&mut self, id: &Arc<StreamId>) {
        debug_assert!(self.is_empty(), "two streams' bytes would mix");
        if self.owner.as_ref() != Some(id) {
            self.ledger.set_owner(self.number, id);
            self.owner = Some(Arc::clone(id));
        }
    }

    /// Takes up to `most` bytes of `id` in; 0 is the end of the pipe, `EAGAIN` an empty one.
    pub(super) fn take(
        &mut self,
        pipe: BorrowedFd<'_>,
        id: &Arc<StreamId>,
        most: usize,
    ) -> nix::Result<usize> {
        self.own(id);
        self.held = move_bytes(pipe, self.write.as_fd(), most.min(CHUNK))?;
        Ok(self.held)
    }

    /// Moves up to `most` bytes to where `file` stands; says how many.
    pub(super) fn splice_to(&mut self, file: &File, most: usize) -> io::Result<usize> {
        let moved = move_bytes(self.read.as_fd(), file.as_fd(), most.min(CHUNK));
        self.account(moved)
    }

    /// A copy of the first bytes that are held: as many as one look shows, at most `most`, and
    /// none only when nothing is held. They stay where they are.
    pub(super) fn peek(&mut self, most: usize) -> io::Result<&[u8]> {
        let scratch = Scratch::made(&mut self.scratch)?;
        let seen = scratch.look(self.read.as_fd(), most)?;
        if seen.is_empty() {
            self.held = readable(&self.read)?;
        }
        Ok(seen)
    }

    /// From now on bytes made from those that are held are being written to `file` from `offset` on.
    pub(super) fn begin(&self, offset: u64, file: (u64, u64)) {
        let step = Step::Writing { offset, file };
        self.ledger.set_step(self.number, &step);
    }

    /// What was begun is undone.
    pub(super) fn end(&self) {
        self.ledger.set_step(self.number, &Step::None);
    }

    /// The first `count` bytes are dealt with: they are taken out, and the owner's losses are these
    /// from now on. Killed in here, the next process finishes it.
    pub(super) fn commit(&mut self, count: usize, losses: Losses) -> io::Result<()> {
        let left = self.held.saturating_sub(count);
        let step = Step::Done {
            left: left as u64,
            losses,
        };
        self.ledger.set_step(self.number, &step);
        self.finish_commit(left, losses)
    }

    pub(super) fn finish_commit(&mut self, left: usize, losses: Losses) -> io::Result<()> {
        if let Some(owner) = &self.owner {
            self.ledger.set_losses(owner, &losses);
        }
        if self.held > left {
            let null = null()?;
            while self.held > left {
                let moved = move_bytes(self.read.as_fd(), null.as_fd(), self.held - left);
                self.account(moved)?;
            }
        }
        self.end();
        Ok(())
    }

    /// Gives up what is held, and says how much it was.
    pub(super) fn discard(&mut self) -> io::Result<u64> {
        let null = null()?;
        let mut gone = 0;
        while !self.is_empty() {
            gone += self.splice_to(&null, CHUNK)? as u64;
        }
        self.end();
        Ok(gone)
    }

    fn account(&mut self, moved: nix::Result<usize>) -> io::Result<usize> {
        match moved {
            Ok(0) | Err(Errno::EAGAIN) => {
                // The only honest reason is an empty pipe. Anything else must not be taken for
                // one: the next stream's bytes would end up in this stream's file.
                self.held = readable(&self.read)?;
                if self.held > 0 {
                    return Err(ErrorKind::WouldBlock.into());
                }
                Ok(0)
            }
            Ok(n) => {
                self.held = self.held.saturating_sub(n);
                Ok(n)
            }
            Err(errno) => Err(errno.into()),
        }
    }
}

/// A pipe of this process alone, to look into another one.
pub(super) struct Scratch {
    read: File,
    write: OwnedFd,
    bytes: Vec<u8>,
}

impl Scratch {
    pub(super) fn made(place: &mut Option<Scratch>) -> io::Result<&mut Scratch> {
        Ok(match place {
            Some(scratch) => scratch,
            none => {
                let (read, write) = pipe()?;
                none.insert(Scratch {
                    read: read.into(),
                    write,
                    bytes: Vec::new(),
                })
            }
        })
    }

    /// The first bytes of `pipe`, which stay there: at most `most`, and what one call shows; none
    /// if it is empty.
    pub(super) fn look(&mut self, pipe: BorrowedFd<'_>, most: usize) -> io::Result<&[u8]> {
        let copied = loop {
            let flags = SpliceFFlags::SPLICE_F_NONBLOCK;
            match tee(pipe, self.write.as_fd(), most.min(CHUNK), flags) {
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => break 0,
                other => break other?,
            }
        };
        self.bytes.resize(copied, 0);
        self.read.read_exact(&mut self.bytes)?;
        Ok(&self.bytes)
    }
}

/// A pipe as big as one move.
pub(super) fn pipe() -> nix::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
    // Refused where this user's pages for pipes are used up; a smaller one works, too.
    let _ = fcntl(&write, FcntlArg::F_SETPIPE_SZ(CHUNK as i32));
    Ok((read, write))
}

fn null() -> io::Result<File> {
    File::options().write(true).open("/dev/null")
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

/// How many bytes are in a pipe.
pub(super) fn readable(pipe: impl AsFd) -> nix::Result<usize> {
    let count = ioctl_fionread(pipe).map_err(|e| Errno::from_raw(e.raw_os_error()))?;
    usize::try_from(count).map_err(|_| Errno::EOVERFLOW)
}

/// How many bytes fit into a pipe; fails for everything else.
pub(super) fn capacity(pipe: impl AsFd) -> nix::Result<usize> {
    let size = fcntl(pipe, FcntlArg::F_GETPIPE_SZ)?;
    usize::try_from(size).map_err(|_| Errno::EINVAL)
}
