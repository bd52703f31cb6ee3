//! Processes by descriptor: a number may be given to another process, a pidfd never changes its mind.
//!
//! Owns: opening, signalling, and what an exit was. Promises: raw system calls (the names in libc are newer
//! than the oldest one we run on); an exit code is only told when the kernel vouches for it.
//! Leaves to others: whether the process is the one that is meant; check that after opening.
#![expect(unsafe_code, reason = "system calls that libc has no names for")]

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use supervisor_core::Exit;

/// A pidfd of the process that has this number now; `ESRCH`: none has.
///
/// # Errors
/// As the kernel says.
pub fn open(pid: i32) -> nix::Result<OwnedFd> {
    // SAFETY: no memory is passed.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = Errno::result(fd)?;
    // SAFETY: the kernel has just opened it for us (close-on-exec, as all pidfds).
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Sends a signal to the process.
///
/// # Errors
/// `ESRCH`: it is gone.
pub fn send(pidfd: impl AsFd, signal: Signal) -> nix::Result<()> {
    send_raw(pidfd.as_fd(), signal as i32, 0)
}

/// Sends a signal, by its number, which may be a real-time one, to the process group whose leader is (or
/// was) the process `pid` of this pidfd.
///
/// # Errors
/// `ESRCH`: nobody is left in it.
pub fn send_group(pidfd: impl AsFd, pid: i32, signal: i32) -> nix::Result<()> {
    const PROCESS_GROUP: u32 = 1 << 2;
    match send_raw(pidfd.as_fd(), signal, PROCESS_GROUP) {
        Err(Errno::EINVAL) => send_group_by_number(pidfd, pid, signal),
        done => done,
    }
}

/// Before 6.9: the number is the leader's as long as that is not reaped, and a leader that was alive a
/// microsecond ago has at most become a zombie.
fn send_group_by_number(pidfd: impl AsFd, pid: i32, signal: i32) -> nix::Result<()> {
    if pid <= 1 || has_exited(&pidfd) {
        return Err(Errno::ESRCH);
    }
    // SAFETY: plain numbers.
    Errno::result(unsafe { libc::kill(-pid, signal) }).map(drop)
}

fn send_raw(pidfd: BorrowedFd<'_>, signal: i32, flags: u32) -> nix::Result<()> {
    let info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: no siginfo is passed; the kernel makes its own.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            info,
            flags,
        )
    };
    Errno::result(result).map(drop)
}

/// Whether the process is dead, reaped or not. Readable means dead on every kernel.
#[must_use]
pub fn has_exited(pidfd: impl AsFd) -> bool {
    readable(pidfd.as_fd(), PollTimeout::ZERO)
}

/// Waits until the process is dead; false: the time was over first.
#[must_use]
pub fn wait_exited(pidfd: impl AsFd, patience: Duration) -> bool {
    let end = Instant::now() + patience;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let timeout =
            PollTimeout::try_from(left.as_micros().div_ceil(1000)).unwrap_or(PollTimeout::MAX);
        if readable(pidfd.as_fd(), timeout) {
            return true;
        }
        if left.is_zero() {
            return false;
        }
    }
}

/// An interrupted or failed poll says nothing about the process: not readable.
fn readable(pidfd: BorrowedFd<'_>, timeout: PollTimeout) -> bool {
    let mut one = [PollFd::new(pidfd, PollFlags::POLLIN)];
    poll(&mut one, timeout) == Ok(1)
        && one[0]
            .revents()
            .is_some_and(|r| r.contains(PollFlags::POLLIN))
}

/// The kernel's `struct pidfd_info` in its first size, which every kernel that has it understands.
#[repr(C)]
#[derive(Default)]
struct Info {
    mask: u64,
    cgroup: u64,
    ids: [u32; 11],
    exit_code: i32,
}

/// How the process ended, once it was reaped by whoever its parent is. `None`: nobody can say (still
/// there, not reaped yet, or a kernel before 6.15).
#[must_use]
pub fn exit_of(pidfd: impl AsFd) -> Option<Exit> {
    const EXIT: u64 = 1 << 3;
    let mut info = Info {
        mask: EXIT,
        ..Info::default()
    };
    let request = nix::request_code_readwrite!(0xff, 11, size_of::<Info>());
    // SAFETY: the request says how large the structure is, and the kernel writes no more than that.
    let result = unsafe { libc::ioctl(pidfd.as_fd().as_raw_fd(), request as _, &raw mut info) };
    (result == 0 && info.mask & EXIT != 0).then(|| from_status(info.exit_code))
}

/// Whether the exit of a process that is nobody's child can be learned: since kernel 6.15.
#[must_use]
pub fn tells_exits() -> bool {
    let release = nix::sys::utsname::uname().map(|name| name.release().to_owned());
    let release = release.unwrap_or_default();
    let release = release.to_string_lossy();
    let mut numbers = release
        .split('.')
        .map(|part| part.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(6), Some(15))
}

/// From the status as `wait` gives it.
#[must_use]
pub fn from_status(status: i32) -> Exit {
    let (signal, code) = (status & 0x7f, status >> 8 & 0xff);
    match signal {
        0 => Exit::Code(code as u8),
        0x7f => Exit::Unknown,
        _ => Exit::Signal(signal as u8),
    }
}
