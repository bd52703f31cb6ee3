//! What this process does to itself.
#![expect(
    unsafe_code,
    reason = "exec, prctl, environment and descriptors by number"
)]

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
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

/// Which object a descriptor means: tells pipes apart, and processes by their pidfds.
///
/// # Errors
/// It is not open.
pub fn inode(fd: RawFd) -> io::Result<u64> {
    // SAFETY: used for this one call only.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    Ok(nix::sys::stat::fstat(fd)?.st_ino)
}

/// The program that is executed next in this process finds nothing but standard input, output and
/// error, and what [`inherit_on_exec`] names after this.
pub fn inherit_nothing() {
    const CLOSE_RANGE_CLOEXEC: libc::c_uint = 1 << 2;
    // SAFETY: plain numbers. It is there since kernel 5.11; what it could not mark is only carried
    // along, as by any other program.
    unsafe {
        libc::syscall(
            libc::SYS_close_range,
            3,
            libc::c_uint::MAX,
            CLOSE_RANGE_CLOEXEC,
        )
    };
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

/// Undoes [`inherit_on_exec`].
pub fn close_on_exec(fd: RawFd) {
    // SAFETY: used for this one call only.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    // It fails only for one that is not open, and then there is nothing to inherit.
    let _ = fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC));
}

/// Sets environment variables for the programs that this process executes.
pub fn set_environment(values: &[(&str, impl AsRef<OsStr>)]) {
    for (name, value) in values {
        // SAFETY: called before this process has a second thread.
        unsafe { std::env::set_var(name, value) };
    }
}

/// Removes an environment variable for the programs that this process executes.
pub fn remove_environment(name: &str) {
    // SAFETY: called before this process has a second thread.
    unsafe { std::env::remove_var(name) };
}

/// Replaces this process by its own program in another role; returns only if that fails.
pub fn exec_self(role: &str, argument: impl AsRef<OsStr>) -> io::Error {
    Command::new("/proc/self/exe")
        .arg0("supervisor")
        .arg(role)
        .arg(argument)
        .exec()
}

/// What `ps` and `top` call this process.
pub fn set_name(name: &str) {
    if let Ok(name) = CString::new(name) {
        // SAFETY: a C string that lives through the call. It fails for no valid string.
        unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0) };
    }
}

/// A log that reaches a limit of file size is an error to be told, not a reason to be killed.
pub fn survive_file_size_limit() {
    // SAFETY: to ignore a signal touches no memory.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// One heap for all threads: the engine's few threads allocate little, and a heap for each would
/// cost more memory than the lock costs time.
pub fn small_heap() {
    // SAFETY: plain numbers; called before this process has a second thread.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// The programs and libraries that this process has mapped and not written to.
#[derive(Debug, Default)]
pub struct CleanPages {
    mappings: Vec<(usize, usize)>,
}

impl CleanPages {
    /// Looks for them. A mapping with pages of its own, by relocation or by a debugger, is left out,
    /// since there the memory is the only copy.
    pub fn find() -> CleanPages {
        let mut found = CleanPages::default();
        // Without it, more memory stays mapped than is needed, and nothing else is amiss.
        let Ok(file) = File::open("/proc/self/smaps") else {
            return found;
        };
        let mut mapping = None;
        for line in BufReader::with_capacity(1024, file)
            .lines()
            .map_while(Result::ok)
        {
            if let Some(next) = file_mapping(&line) {
                mapping = next;
            } else if line
                .strip_prefix("Anonymous:")
                .is_some_and(|rest| rest.trim() == "0 kB")
            {
                found.mappings.extend(mapping.take());
            }
        }
        found
    }

    /// Gives them back: what is still needed, the kernel maps again from its cache.
    pub fn give_back(&self) {
        for &(start, length) in &self.mappings {
            // SAFETY: private mappings of files without a page of their own: the next access finds
            // the same bytes in the file. A failure leaves them as they were.
            unsafe { libc::madvise(start as *mut libc::c_void, length, libc::MADV_DONTNEED) };
        }
    }
}

/// Reads the first line of a mapping: `Some(None)` is one that is not a file's or can be written to.
fn file_mapping(line: &str) -> Option<Option<(usize, usize)>> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let start = usize::from_str_radix(start, 16).ok()?;
    let end = usize::from_str_radix(end, 16).ok()?;
    let rights = words.next()?;
    let inode = words.nth(2)?;
    let ours = rights.ends_with('p') && !rights.contains('w') && inode != "0";
    Some(ours.then(|| (start, end.saturating_sub(start))))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unwritable_files_are_given_back() {
        let line = |rights: &str, inode: &str| {
            file_mapping(&format!(
                "7f00-8f00 {rights} 00001000 fd:00 {inode}    /usr/bin/x"
            ))
        };
        assert_eq!(line("r-xp", "77"), Some(Some((0x7f00, 0x1000))));
        assert_eq!(line("rw-p", "77"), Some(None));
        assert_eq!(line("r--s", "77"), Some(None));
        assert_eq!(line("r--p", "0"), Some(None));
        assert_eq!(file_mapping("Anonymous:             0 kB"), None);
        assert_eq!(file_mapping("VmFlags: rd mr mw me sd"), None);
    }

    #[test]
    fn a_process_goes_on_without_its_clean_pages() {
        let clean = CleanPages::find();
        assert!(clean.mappings.len() > 2, "program, libraries: {clean:?}");
        clean.give_back();
        assert_eq!(format!("{:?}", [1, 2].map(|n| n * 2)), "[2, 4]");
    }
}
