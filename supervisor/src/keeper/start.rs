//! Starting an engine, the rehearsal of a keeper, and a keeper in place of this one.
#![expect(unsafe_code, reason = "fork and exec")]

use std::ffi::{CStr, c_char};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::Pid;

use super::systemd;
use crate::launch::UNDER_SYSTEMD;

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

/// What the processes that the keeper starts find in their environment: its own, without what is only
/// for a service's main process. The keeper's own stays whole, for a keeper that it becomes.
#[derive(Debug)]
pub struct Environment(Vec<*const c_char>);

impl Environment {
    /// To be made once: the strings are this process's own, which never change after that.
    pub fn new(under_systemd: bool) -> Environment {
        let mut kept = Vec::new();
        let mut next = environ();
        // SAFETY: the environment is a list of C strings that ends in null.
        while let Some(entry) = unsafe { next.as_ref() }.filter(|entry| !entry.is_null()) {
            // SAFETY: as above.
            let text = unsafe { CStr::from_ptr(*entry) }.to_bytes();
            let is = |name: &&str| {
                let rest = text.strip_prefix(name.as_bytes());
                rest.is_some_and(|rest| rest.starts_with(b"="))
            };
            if !systemd::VARIABLES.iter().chain(&[UNDER_SYSTEMD]).any(is) {
                kept.push(*entry);
            }
            // SAFETY: this was not the null at the end.
            next = unsafe { next.add(1) };
        }
        if under_systemd {
            kept.push(c"SUPERVISOR_UNDER_SYSTEMD=1".as_ptr());
        }
        kept.push(std::ptr::null());
        Environment(kept)
    }

    /// As the kernel wants it.
    pub fn as_ptr(&self) -> *const *const c_char {
        self.0.as_ptr()
    }
}

/// Starts an engine from `program`; gives its pid and the keeper's end of the channel.
pub fn engine(
    program: RawFd,
    poke: RawFd,
    exits: RawFd,
    environment: &Environment,
) -> io::Result<(Pid, OwnedFd)> {
    let (ours, theirs) = socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        SockFlag::SOCK_CLOEXEC,
    )?;
    // SAFETY: this process has one thread, and the child below only makes system calls.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        born(program, [theirs.as_raw_fd(), poke, exits], environment);
    }
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((Pid::from_raw(pid), ours))
}

/// In the child: arranges the descriptors and becomes the engine.
fn born(program: RawFd, wanted: [RawFd; 3], environment: &Environment) -> ! {
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
    execute(program, [c"engine", c"", c""], environment.as_ptr());
    die()
}

/// Starts a rehearsal of `program` as a keeper that inherits `fds`, which `list` describes.
pub fn rehearsal(
    program: RawFd,
    list: RawFd,
    fds: impl Iterator<Item = RawFd>,
    environment: &Environment,
) -> io::Result<Pid> {
    let number = Number::of(list);
    // SAFETY: this process has one thread, and the child below only makes system calls.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: plain numbers. It shall not outlive this keeper with all of its descriptors.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) };
        for fd in fds {
            // SAFETY: plain numbers.
            if unsafe { libc::fcntl(fd, libc::F_SETFD, 0) } < 0 {
                die();
            }
        }
        execute(
            program,
            [c"keeper", c"--rehearse", number.text()],
            environment.as_ptr(),
        );
        die();
    }
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Pid::from_raw(pid))
}

/// Replaces this keeper by one of `program` that inherits what `list` describes; returns only if that
/// fails.
pub fn successor(program: RawFd, list: RawFd) -> Errno {
    // Its environment stays whole: it is the same main process of the same service.
    execute(
        program,
        [c"keeper", Number::of(list).text(), c""],
        environ(),
    );
    Errno::last()
}

/// Executes a program with these words, as far as they are not empty.
fn execute(program: RawFd, words: [&CStr; 3], environment: *const *const c_char) {
    let mut arguments = [std::ptr::null(); 5];
    let words = words.iter().filter(|word| !word.is_empty());
    for (argument, word) in arguments
        .iter_mut()
        .zip([&c"supervisor"].into_iter().chain(words))
    {
        *argument = word.as_ptr();
    }
    // SAFETY: the arguments are C strings that live through the call, ending in null, and so is the
    // environment, which the callers keep.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            program,
            c"".as_ptr(),
            arguments.as_ptr(),
            environment,
            libc::AT_EMPTY_PATH,
        );
    }
}

/// A descriptor's number as a word, without an allocation.
struct Number([u8; 12]);

impl Number {
    fn of(fd: RawFd) -> Number {
        let mut text = [0; 12];
        // Eleven characters at most, and one for the end.
        let _ = write!(&mut text[..], "{fd}");
        Number(text)
    }

    fn text(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or(c"")
    }
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
