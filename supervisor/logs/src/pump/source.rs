//! A pipe that feeds a stream.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// What the worker does with a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It wakes the thread when there is something to read.
    Watched,
    /// It does not, because the stream's log cannot be written now.
    Waiting,
    /// All writers are gone and all is read; it would wake the thread for ever.
    Ended,
    /// The run is over, but bytes are left that could not be written.
    Kept,
}

pub(super) struct Source {
    pub(super) key: u64,
    pub(super) pipe: OwnedFd,
    /// No byte was ever moved, by anybody.
    pub(super) fresh: bool,
    pub(super) capacity: usize,
    pub(super) state: State,
    /// Where in the stream its first byte stands, if that is known.
    pub(super) begun_at: Option<u64>,
    /// When bytes of it were moved last.
    pub(super) moved_at: Instant,
}

impl Source {
    /// Nobody can write to it any more, and nothing is in it.
    pub(super) fn is_over(&self) -> bool {
        let mut fds = [PollFd::new(self.pipe.as_fd(), PollFlags::POLLIN)];
        // A pipe that cannot be asked is found out when it is read.
        let asked = poll(&mut fds, PollTimeout::ZERO).unwrap_or(0);
        let is = |flags| {
            fds[0]
                .revents()
                .is_some_and(|found| found.intersects(flags))
        };
        asked > 0 && is(PollFlags::POLLHUP) && !is(PollFlags::POLLIN)
    }
}
