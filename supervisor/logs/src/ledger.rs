//! What must outlive the process that pumps, besides the pipes themselves.

use std::os::fd::OwnedFd;

use crate::StreamId;

/// How many staging pipes there may be, one for each filesystem that logs are on.
pub const STAGES: u32 = 12;

/// Kept where the next process finds it. Every call that stores must be visible to the next process
/// when it returns, whatever happens to this one; being killed in the middle of a call may leave
/// either value behind, but no mixture, unless said otherwise.
pub trait Ledger: Send + Sync {
    /// A staging pipe was made: copies of both ends must outlive this process.
    fn hold_stage(&self, stage: u32, read: &OwnedFd, write: &OwnedFd);

    /// The stream whose bytes are in this staging pipe. Only asked for when there are some.
    fn owner(&self, stage: u32) -> Option<StreamId>;

    /// Called before bytes enter the staging pipe, always while it is empty: being killed in the
    /// middle of this may leave any record behind.
    fn set_owner(&self, stage: u32, owner: &StreamId);

    /// What was being done with the bytes of this staging pipe.
    fn step(&self, stage: u32) -> Step;

    /// Notes what is being done.
    fn set_step(&self, stage: u32, step: &Step);

    /// The first byte of the pipe `key`, attached as fresh, is about to be moved, and a half line
    /// before it has been ended; `position` is where it comes to stand in the stream. From here on
    /// the pipe must be attached with `fresh: false`. Whoever keeps this bit gets the newline
    /// between two runs exactly once, whatever is killed when; the pump itself does not need it.
    fn begun(&self, key: u64, position: u64);

    /// The position that [`Ledger::begun`] named for this pipe.
    fn begun_at(&self, key: u64) -> Option<u64>;

    /// What could not be kept of a stream, so far.
    fn losses(&self, id: &StreamId) -> Losses;

    /// Notes what could not be kept.
    fn set_losses(&self, id: &StreamId, losses: &Losses);
}

/// What could not be kept of a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Losses {
    /// Lines whose end was dropped.
    pub lines: u64,
    /// Bytes that were dropped.
    pub bytes: u64,
    /// Those of `lines` that the log does not tell of yet.
    pub untold_lines: u64,
    /// Those of `bytes` that the log does not tell of yet.
    pub untold_bytes: u64,
    /// The last byte that was dropped did not end its line: the rest of it must go, too.
    pub inside_line: bool,
}

/// What is being done with the bytes of a staging pipe, where one system call cannot do it all.
/// A process that finds `Writing` undoes it, one that finds `Done` finishes it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Step {
    /// Nothing: the bytes in the pipe are still to be moved.
    #[default]
    None,
    /// Bytes made from those in the pipe are being written to the end of the owner's file.
    Writing {
        /// The file's length before.
        offset: u64,
        /// Which file: device and inode. If the owner's file is another one by now, there is nothing
        /// to undo.
        file: (u64, u64),
    },
    /// What was made of the first bytes in the pipe is in the file, or nowhere on purpose: they
    /// are being taken out of it.
    Done {
        /// How many bytes are in the pipe afterwards.
        left: u64,
        /// The owner's losses afterwards.
        losses: Losses,
    },
}
