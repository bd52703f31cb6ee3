//! Starting an engine.
#![expect(unsafe_code, reason = "fork and exec")]

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::Pid;

/// Where an engine finds what it is born with: these three, and standard input, output and error.
pub const CHANNEL: RawFd = 3;
/// The keeper's eventfd.
pub const POKE: RawFd = 4;
/// The exit records.
pub const EXITS: RawFd = 5;

/// The program this process runs, whatever stands at its path by now.
pub fn own_program() -> io::Result<OwnedFd> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_CLOEXEC)
        .open("/proc/self/exe")?;
    Ok(file.into())
}

/// Starts an engine from `program`; gives its pid and the keeper's end of the channel.
pub fn engine(program: RawFd, poke: RawFd, exits: RawFd) -> io::Result<(Pid, OwnedFd)> {
    let (ours, theirs) = socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        SockFlag::SOCK_CLOEXEC,
    )?;
    // SAFETY: this process has one thread, and the child below only makes system calls.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        born(program, [theirs.as_raw_fd(), poke, exits]);
    }
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((Pid::from_raw(pid), ours))
}

/// In the child: arranges the descriptors and becomes the engine.
fn born(program: RawFd, wanted: [RawFd; 3]) -> ! {
    // Its own session: Ctrl-C at the terminal is for the keeper, which stops in order.
    let _ = nix::unistd::setsid();
    // First out of the way of the final numbers, then to them.
    let mut high = [0; 3];
    for (index, &fd) in wanted.iter().enumerate() {
        // SAFETY: plain numbers.
        high[index] = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 64) };
        if high[index] < 0 {
            die();
        }
    }
    // SAFETY: plain numbers.
    let program = unsafe { libc::fcntl(program, libc::F_DUPFD_CLOEXEC, 64) };
    for (&fd, to) in high.iter().zip([CHANNEL, POKE, EXITS]) {
        // SAFETY: plain numbers.
        if unsafe { libc::dup2(fd, to) } < 0 {
            die();
        }
    }
    if nix::sys::signal::sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None).is_err()
    {
        die();
    }
    let arguments = [c"supervisor".as_ptr(), c"engine".as_ptr(), std::ptr::null()];
    // SAFETY: the arguments are C strings ending in null, the environment is this process's own.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            program,
            c"".as_ptr(),
            arguments.as_ptr(),
            environ(),
            libc::AT_EMPTY_PATH,
        );
    }
    die()
}

unsafe extern "C" {
    #[link_name = "environ"]
    static ENVIRON: *const *const libc::c_char;
}

fn environ() -> *const *const libc::c_char {
    // SAFETY: glibc keeps this variable for the life of the process.
    unsafe { ENVIRON }
}

fn die() -> ! {
    // SAFETY: ends the child without running anything of the parent's.
    unsafe { libc::_exit(Errno::last_raw().clamp(1, 125)) }
}
