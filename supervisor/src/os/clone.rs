//! The child itself: clone3, and where that is refused, clone.
//!
//! Owns: the flags, the cgroup that the child is born in, the child's stack, the signal mask around the call.
//! Promises: the kernel has written the pid into the cell before the child runs; the caller sleeps until
//! the child has exec'd or is gone; no signal handler of this process ever runs in the child.
//! Leaves to others: what the child does.
#![expect(unsafe_code, reason = "clone on a stack of its own")]

use std::ffi::{c_int, c_void};
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::{Mutex, PoisonError};

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, mprotect};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use super::child::{self, Plan};
use super::spawn::Way;
use super::{pidfd, proc};

/// A child that has exec'd or is gone.
pub(super) struct Child {
    pub pid: i32,
    pub pidfd: Option<OwnedFd>,
}

/// Memory and the wait are shared with the child; its parent is ours, the keeper; its exit sends no
/// signal to anybody (the kernel insists on that with CLONE_PARENT).
const FLAGS: c_int =
    libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PARENT | libc::CLONE_PARENT_SETTID;

/// Made once, and the lock around its use: two children on one stack would not do.
static STACK: Mutex<Option<Stack>> = Mutex::new(None);

/// Clones; the child carries out `plan`.
pub(super) fn clone(way: Way, plan: &mut Plan<'_>) -> nix::Result<Child> {
    let mut stack = STACK.lock().unwrap_or_else(PoisonError::into_inner);
    let stack = match &mut *stack {
        Some(stack) => stack,
        none => none.insert(Stack::new()?),
    };
    let _blocked = Blocked::all()?;
    // clone3 clears the handlers, but leaves what is ignored (SIGPIPE in a Rust program) ignored.
    plan.handlers = stack.ignored;
    match way {
        Way::Newest => match newest(plan, stack) {
            // Old kernels, container filters; where plain clone is refused as well, its errno counts.
            Err(Errno::ENOSYS | Errno::EPERM | Errno::EINVAL | Errno::E2BIG) => legacy(plan, stack),
            done => done,
        },
        #[cfg(test)]
        Way::Legacy => legacy(plan, stack),
    }
}

/// The frozen beginning of the kernel's `struct clone_args`, as far as 5.7 knows it.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

const INTO_CGROUP: u64 = 0x2_0000_0000;

/// Whether a process can be started in this cgroup: starts one, which ends at once.
pub(super) fn try_into_cgroup(cgroup: BorrowedFd<'_>) -> nix::Result<()> {
    let args = CloneArgs {
        flags: INTO_CGROUP,
        exit_signal: libc::SIGCHLD as u64,
        cgroup: cgroup.as_raw_fd() as u64,
        ..CloneArgs::default()
    };
    // SAFETY: as fork; the child makes one system call, and shares nothing with this process.
    let pid = unsafe {
        let pid = libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>());
        if pid == 0 {
            loop {
                libc::syscall(libc::SYS_exit_group, 0);
            }
        }
        pid
    };
    let pid = Pid::from_raw(Errno::result(pid)? as i32);
    // Nobody else waits for it, and how it ended does not matter.
    let _ = waitpid(pid, None);
    Ok(())
}

#[cfg(target_arch = "x86_64")]
fn newest(plan: &Plan<'_>, stack: &Stack) -> nix::Result<Child> {
    use std::os::fd::FromRawFd;

    const CLEAR_SIGHAND: u64 = 0x1_0000_0000;
    let mut pidfd: c_int = -1;
    let into = if plan.cgroup.is_some() {
        INTO_CGROUP
    } else {
        0
    };
    let args = CloneArgs {
        flags: (FLAGS | libc::CLONE_PIDFD) as u64 | CLEAR_SIGHAND | into,
        pidfd: (&raw mut pidfd).expose_provenance() as u64,
        parent_tid: plan.cell.pid.as_ptr().expose_provenance() as u64,
        cgroup: plan.cgroup.unwrap_or(0) as u64,
        stack: stack.bottom.as_ptr().expose_provenance() as u64,
        stack_size: Stack::SIZE as u64,
        ..CloneArgs::default()
    };
    let result: i64;
    // SAFETY: the kernel reads `args` and writes `pidfd` and the cell's pid, all alive. The child continues
    // behind `syscall` with our registers on the top of a stack of its own (16-byte aligned, as `call`
    // wants it) and goes to `run`, which never returns. This thread sleeps meanwhile (CLONE_VFORK), so
    // everything that `plan` refers to stays, and finds its own stack and registers untouched.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r12",
            "call r13",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 => result,
            in("rdi") &raw const args,
            in("rsi") size_of::<CloneArgs>(),
            in("r12") ptr::from_ref(plan),
            in("r13") child::run as extern "C" fn(*mut c_void) -> c_int,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    if result < 0 {
        return Err(Errno::from_raw(-result as i32));
    }
    // SAFETY: the kernel has just opened it for us. Volatile: it wrote it behind the compiler's back.
    let pidfd = unsafe { OwnedFd::from_raw_fd(ptr::read_volatile(&raw const pidfd)) };
    Ok(Child {
        pid: result as i32,
        pidfd: Some(pidfd),
    })
}

/// Only where the entry into the child is written down in assembler; clone does the same elsewhere.
#[cfg(not(target_arch = "x86_64"))]
fn newest(_: &Plan<'_>, _: &Stack) -> nix::Result<Child> {
    Err(Errno::ENOSYS)
}

/// Here CLONE_PIDFD and CLONE_PARENT_SETTID would write to the same place, and the pid matters more.
fn legacy(plan: &mut Plan<'_>, stack: &Stack) -> nix::Result<Child> {
    plan.handlers = u64::MAX;
    plan.enters = plan.cgroup.is_some();
    let plan = &*plan;
    let argument = ptr::from_ref(plan).cast_mut().cast::<c_void>();
    let pid_at = plan.cell.pid.as_ptr();
    // SAFETY: as with clone3: own stack, this thread sleeps until the child has exec'd or is gone, and
    // `run` neither returns nor writes to the plan.
    let pid = unsafe { libc::clone(child::run, stack.top(), FLAGS, argument, pid_at) };
    let pid = Errno::result(pid)?;
    // It may be gone and reaped by now, and its number given to another: a child of the keeper it must be.
    let pidfd = pidfd::open(pid).ok();
    let ours = pidfd.is_some() && proc::stat(pid).is_some_and(|stat| stat.ppid == plan.keeper);
    Ok(Child {
        pid,
        pidfd: pidfd.filter(|_| ours),
    })
}

/// The child's stack, with a page below it that ends an overflow, and what this process ignores: it
/// decides that when it begins.
struct Stack {
    bottom: NonNull<c_void>,
    ignored: u64,
}

// SAFETY: plain memory, used under the lock of `STACK`.
unsafe impl Send for Stack {}

impl Stack {
    const SIZE: usize = 64 << 10;
    /// At least one page of any architecture.
    const GUARD: usize = 64 << 10;

    fn new() -> nix::Result<Stack> {
        let length = NonZeroUsize::new(Stack::GUARD + Stack::SIZE).ok_or(Errno::EINVAL)?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_STACK;
        // SAFETY: a new mapping, nobody else's memory is touched. It is never unmapped.
        let start = unsafe { mmap_anonymous(None, length, protection, flags)? };
        // SAFETY: the lower end of the mapping just made.
        unsafe { mprotect(start, Stack::GUARD, ProtFlags::PROT_NONE)? };
        // SAFETY: within the mapping.
        let bottom = unsafe { start.byte_add(Stack::GUARD) };
        let ignored = (1..=64).fold(0, |set, signal| {
            set | u64::from(is_ignored(signal)) << (signal - 1)
        });
        Ok(Stack { bottom, ignored })
    }

    fn top(&self) -> *mut c_void {
        self.bottom.as_ptr().wrapping_byte_add(Stack::SIZE)
    }
}

/// Asked of the kernel: libc does not tell of the two signals that it keeps for itself.
fn is_ignored(signal: c_int) -> bool {
    // The kernel's structure has the handler first, and fits in here on every architecture.
    let mut found = [0_u64; 8];
    // SAFETY: the kernel writes to `found` alone, and changes nothing.
    let result = unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            signal,
            ptr::null::<c_void>(),
            found.as_mut_ptr(),
            size_of::<u64>(),
        )
    };
    result == 0 && found[0] == libc::SIG_IGN as u64
}

/// Every signal is blocked in this thread, libc's own two as well, for as long as this lives: the child
/// inherits the mask and empties it just before exec.
struct Blocked {
    before: u64,
}

impl Blocked {
    fn all() -> nix::Result<Blocked> {
        let mut before = 0;
        mask(&u64::MAX, &raw mut before)?;
        Ok(Blocked { before })
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // Cannot fail with valid addresses.
        let _ = mask(&self.before, ptr::null_mut());
    }
}

fn mask(set: &u64, before: *mut u64) -> nix::Result<()> {
    let (nr, how) = (libc::SYS_rt_sigprocmask, libc::SIG_SETMASK);
    // SAFETY: both are 64 bits, the size of the kernel's set, as the last argument says.
    let result = unsafe { libc::syscall(nr, how, ptr::from_ref(set), before, size_of::<u64>()) };
    Errno::result(result).map(drop)
}
