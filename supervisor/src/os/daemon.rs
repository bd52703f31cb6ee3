//! Into the background.
//!
//! Owns: the fork, and letting go of the terminal. Promises: the child is the leader of a session of its
//! own, and its standard input, output and error are `/dev/null`.
//! Leaves to others: telling the parent when it is ready (a pipe made beforehand).
#![expect(unsafe_code, reason = "fork")]

use std::fs::OpenOptions;

use nix::errno::Errno;
use nix::unistd::{ForkResult, Pid, dup2_stderr, dup2_stdin, dup2_stdout, fork, setsid};

/// Which of the two this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detached {
    /// The process that was started from the terminal; it waits, tells, and exits.
    Parent {
        /// The one that stays.
        child: Pid,
    },
    /// The one that stays.
    Child,
}

/// Forks; the child leaves the terminal. To be called while this process has one thread.
///
/// # Errors
/// `/dev/null` cannot be opened, or the kernel refuses a process. The child has no errors of its own.
pub fn fork_detached() -> nix::Result<Detached> {
    let null = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))?;
    // SAFETY: one thread, as the caller promises, so no lock is held by a thread that the child lacks.
    match unsafe { fork()? } {
        ForkResult::Parent { child } => Ok(Detached::Parent { child }),
        ForkResult::Child => {
            // These cannot fail: a fresh child leads no process group, and the descriptors are open.
            let _ = setsid();
            let _ = dup2_stdin(&null)
                .and_then(|()| dup2_stdout(&null))
                .and_then(|()| dup2_stderr(&null));
            Ok(Detached::Child)
        }
    }
}
