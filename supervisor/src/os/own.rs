//! What this process does to itself.
#![expect(unsafe_code, reason = "exec, prctl, environment and descriptors by number")]

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

/// Takes possession of an inherited descriptor; children shall not inherit it in turn.
///
/// # Errors
/// It is not open.
pub fn claim(fd: RawFd) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: callers name each descriptor that they were born with once, and nothing else here
    // owns it; fcntl tells whether it is open at all.
    let fd = unsafe {
        if libc::fcntl(fd, libc::F_GETFD) < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(fd)
    };
    fcntl(&fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    Ok(fd)
}

/// The program that is executed next in this process finds `fd` open.
///
/// # Errors
/// It is not open.
pub fn inherit_on_exec(fd: RawFd) -> io::Result<()> {
    // SAFETY: used for this one call only.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
    Ok(())
}

/// Sets environment variables for the programs that this process executes.
pub fn set_environment(values: &[(&str, String)]) {
    for (name, value) in values {
        // SAFETY: called before this process has a second thread.
        unsafe { std::env::set_var(name, value) };
    }
}

/// Replaces this process by its own program in another role; returns only if that fails.
pub fn exec_self(role: &str, argument: impl AsRef<OsStr>) -> io::Error {
    Command::new("/proc/self/exe").arg0("supervisor").arg(role).arg(argument).exec()
}

/// What `ps` and `top` call this process.
pub fn set_name(name: &str) {
    if let Ok(name) = CString::new(name) {
        // SAFETY: a C string that lives through the call. It fails for no valid string.
        unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0) };
    }
}

/// One heap for all threads: the engine's few threads allocate little, and a heap for each would
/// cost more memory than the lock costs time.
pub fn small_heap() {
    // SAFETY: plain numbers; called before this process has a second thread.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Orphans of this process's descendants come to it.
///
/// # Errors
/// Never on Linux.
pub fn become_subreaper() -> io::Result<()> {
    // SAFETY: plain numbers.
    match unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
