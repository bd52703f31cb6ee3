//! What runs in the child between clone and exec.
//!
//! Owns: the order of the steps and the report of each into the cell.
//! Promises: raw system calls only, no allocation, no lock, no panic. The child shares the memory of a
//! threaded process whose other threads go on running: libc's `setuid` and `setgroups` would wait for all
//! of them for ever, and an allocator's lock may be held by one. Any failure means no exec.
//! Leaves to others: everything that can be prepared beforehand; the plan holds it.
#![expect(
    unsafe_code,
    reason = "raw system calls, the only ones that are sound here"
)]

use std::convert::Infallible;
use std::ffi::{CStr, c_char, c_int, c_long, c_void};
use std::ptr;
use std::sync::atomic::Ordering;

use super::spawn::{SpawnCell, Stage};

/// All that the child needs, laid out before it exists.
pub(super) struct Plan<'a> {
    pub cell: &'a SpawnCell,
    pub keeper: i32,
    /// These three end in a null pointer.
    pub programs: &'a [*const c_char],
    pub argv: &'a [*const c_char],
    pub env: &'a [*const c_char],
    pub directory: &'a CStr,
    /// What becomes 0, 1 and 2; all at 3 or above.
    pub descriptors: [c_int; 3],
    pub ids: Option<Ids<'a>>,
    pub umask: u32,
    pub nofile: Option<(u64, u64)>,
    pub oom_score_adj: Option<&'a str>,
    pub nice: Option<i32>,
    pub no_new_privs: bool,
    /// The folder of its cgroup.
    pub cgroup: Option<c_int>,
    /// It is not there yet and has to go by itself.
    pub enters: bool,
    /// The signals that are not at their default, by bits; bit 0 is signal 1.
    pub handlers: u64,
}

/// Whom the child becomes.
pub(super) struct Ids<'a> {
    pub uid: u32,
    pub gid: u32,
    pub groups: &'a [u32],
    pub set_groups: bool,
    /// Room for as many as `groups` has.
    pub groups_seen: *mut u32,
}

/// The errno of a failed call.
type Errno = c_int;

/// The child's first and last function: it ends in exec or in exit status 127.
pub(super) extern "C" fn run(plan: *mut c_void) -> c_int {
    // SAFETY: the cloner passes a `Plan` and waits (CLONE_VFORK) until this process has exec'd or is gone;
    // should it be killed meanwhile, the memory stays, because it is shared with this process.
    let plan = unsafe { &*plan.cast::<Plan<'_>>() };
    let Err(errno) = steps(plan);
    plan.cell.errno.store(errno, Ordering::Release);
    loop {
        // SAFETY: ends this process; nothing of the shared memory is touched.
        unsafe { libc::syscall(libc::SYS_exit_group, 127) };
    }
}

fn steps(plan: &Plan<'_>) -> Result<Infallible, Errno> {
    let at = |stage: Stage| plan.cell.stage.store(stage as u32, Ordering::Release);
    at(Stage::Session);
    call(libc::SYS_setsid, [0; 5])?;
    at(Stage::Signals);
    default_handlers(plan.handlers);
    at(Stage::Umask);
    call(libc::SYS_umask, [plan.umask as usize, 0, 0, 0, 0])?;
    if let Some(nice) = plan.nice {
        at(Stage::Nice);
        call(
            libc::SYS_setpriority,
            [libc::PRIO_PROCESS as usize, 0, nice as usize, 0, 0],
        )?;
    }
    if let Some(score) = plan.oom_score_adj {
        at(Stage::OomScore);
        write(libc::AT_FDCWD, c"/proc/self/oom_score_adj", score)?;
    }
    if let Some(cgroup) = plan.cgroup.filter(|_| plan.enters) {
        at(Stage::Cgroup);
        // Zero is whoever writes it.
        write(cgroup, c"cgroup.procs", "0")?;
    }
    // After what is written to files: with a lowered limit they could not be opened, since all descriptors
    // of the cloner are still open here.
    if let Some((soft, hard)) = plan.nofile {
        at(Stage::Limits);
        let limit = libc::rlimit64 {
            rlim_cur: soft,
            rlim_max: hard,
        };
        let limit = (&raw const limit).expose_provenance();
        call(
            libc::SYS_prlimit64,
            [0, libc::RLIMIT_NOFILE as usize, limit, 0, 0],
        )?;
    }
    if let Some(ids) = &plan.ids {
        if ids.set_groups {
            at(Stage::Groups);
            let groups = ids.groups.as_ptr().expose_provenance();
            call(libc::SYS_setgroups, [ids.groups.len(), groups, 0, 0, 0])?;
        }
        at(Stage::Gid);
        let gid = ids.gid as usize;
        call(libc::SYS_setresgid, [gid, gid, gid, 0, 0])?;
        at(Stage::Uid);
        let uid = ids.uid as usize;
        call(libc::SYS_setresuid, [uid, uid, uid, 0, 0])?;
    }
    if plan.no_new_privs {
        at(Stage::Privileges);
        call(
            libc::SYS_prctl,
            [libc::PR_SET_NO_NEW_PRIVS as usize, 1, 0, 0, 0],
        )?;
    }
    at(Stage::Directory);
    call(
        libc::SYS_chdir,
        [plan.directory.as_ptr().expose_provenance(), 0, 0, 0, 0],
    )?;
    if let Some(ids) = &plan.ids {
        at(Stage::Verify);
        verify(ids)?;
    }
    at(Stage::Descriptors);
    connect(plan.descriptors)?;
    at(Stage::Parent);
    if call(libc::SYS_getppid, [0; 5])? != c_long::from(plan.keeper) {
        return Err(libc::ESRCH);
    }
    at(Stage::Exec);
    Err(execute(plan))
}

/// One system call; the errno lands in the waiting cloner's thread-local, where nobody minds.
fn call(number: c_long, a: [usize; 5]) -> Result<c_long, Errno> {
    // SAFETY: every caller in this file passes numbers, or addresses of live objects of the size that the
    // kernel expects. The cloner's thread is suspended, so its thread-local storage is ours alone.
    let result = unsafe { libc::syscall(number, a[0], a[1], a[2], a[3], a[4]) };
    if result != -1 {
        return Ok(result);
    }
    // SAFETY: as above.
    Err(unsafe { *libc::__errno_location() })
}

/// All of `handlers` (bit 0 is signal 1) to default. The table is this process's own copy.
fn default_handlers(handlers: u64) {
    // SIG_DFL, no flags, no restorer, an empty mask: zeros, whatever the architecture's order is.
    let default = [0_u64; 8];
    let default = default.as_ptr().expose_provenance();
    for signal in (1..=64).filter(|signal| handlers >> (signal - 1) & 1 == 1) {
        // SIGKILL and SIGSTOP refuse, and are at their default anyway.
        let _ = call(
            libc::SYS_rt_sigaction,
            [signal, default, 0, size_of::<u64>(), 0],
        );
    }
}

fn write(folder: c_int, path: &CStr, text: &str) -> Result<(), Errno> {
    let path = path.as_ptr().expose_provenance();
    let flags = (libc::O_WRONLY | libc::O_CLOEXEC) as usize;
    let file = call(libc::SYS_openat, [folder as usize, path, flags, 0, 0])?;
    let at = text.as_ptr().expose_provenance();
    call(libc::SYS_write, [file as usize, at, text.len(), 0, 0])?;
    // It would be closed before exec anyway.
    let _ = call(libc::SYS_close, [file as usize, 0, 0, 0, 0]);
    Ok(())
}

/// Looks whether the kernel really has made us who we shall be, and that there is no way back.
fn verify(ids: &Ids<'_>) -> Result<(), Errno> {
    for (number, wanted) in [
        (libc::SYS_getresuid, ids.uid),
        (libc::SYS_getresgid, ids.gid),
    ] {
        let mut seen = [0_u32; 3];
        let at = seen.as_mut_ptr();
        let [real, effective, saved] =
            [at, at.wrapping_add(1), at.wrapping_add(2)].map(<*mut u32>::expose_provenance);
        call(number, [real, effective, saved, 0, 0])?;
        // SAFETY: three numbers, which the kernel has just written; volatile, because it did so behind the
        // compiler's back.
        if unsafe { ptr::read_volatile(&raw const seen) } != [wanted; 3] {
            return Err(libc::EPERM);
        }
    }
    if ids.set_groups {
        let count = call(
            libc::SYS_getgroups,
            [
                ids.groups.len(),
                ids.groups_seen.expose_provenance(),
                0,
                0,
                0,
            ],
        );
        // More than there is room for is EINVAL: not what was asked for either.
        if count.unwrap_or(-1) as usize != ids.groups.len() || !same_groups(ids) {
            return Err(libc::EPERM);
        }
    }
    let unchanged = u32::MAX as usize;
    if ids.uid != 0 && call(libc::SYS_setresuid, [unchanged, 0, unchanged, 0, 0]).is_ok() {
        return Err(libc::EPERM);
    }
    Ok(())
}

/// The kernel sorts them, so the order says nothing.
fn same_groups(ids: &Ids<'_>) -> bool {
    ids.groups.iter().all(|wanted| {
        // SAFETY: the room has as many elements as `groups`.
        (0..ids.groups.len())
            .any(|i| unsafe { ids.groups_seen.wrapping_add(i).read_volatile() } == *wanted)
    })
}

/// Makes 0, 1 and 2, and nothing else, get through exec.
fn connect(descriptors: [c_int; 3]) -> Result<(), Errno> {
    for (target, source) in descriptors.into_iter().enumerate() {
        call(libc::SYS_dup3, [source as usize, target, 0, 0, 0])?;
    }
    let last = u32::MAX as usize;
    match call(libc::SYS_close_range, [3, last, 0, 0, 0]) {
        Ok(_) => Ok(()),
        Err(libc::ENOSYS | libc::EPERM) => close_each(),
        Err(errno) => Err(errno),
    }
}

/// Where a filter refuses `close_range`: one by one, up to the most that this kernel could have given out.
fn close_each() -> Result<(), Errno> {
    let mut limit = libc::rlimit64 {
        rlim_cur: 0,
        rlim_max: 0,
    };
    let limit_at = (&raw mut limit).expose_provenance();
    call(
        libc::SYS_prlimit64,
        [0, libc::RLIMIT_NOFILE as usize, 0, limit_at, 0],
    )?;
    // SAFETY: a live object that the kernel has just written.
    let limit = unsafe { ptr::read_volatile(&raw const limit) };
    // The limit may have been lowered while higher descriptors are open: go on well beyond it.
    let beyond = limit.rlim_max.clamp(1 << 16, 1 << 20);
    for fd in 3..beyond {
        // Most of them are not open.
        let _ = call(libc::SYS_close, [fd as usize, 0, 0, 0, 0]);
    }
    Ok(())
}

/// Tries the programs in turn; returns the errno that says most.
fn execute(plan: &Plan<'_>) -> Errno {
    let none = [0_u64];
    let mask = [
        libc::SIG_SETMASK as usize,
        none.as_ptr().expose_provenance(),
        0,
        size_of::<u64>(),
        0,
    ];
    if let Err(errno) = call(libc::SYS_rt_sigprocmask, mask) {
        return errno;
    }
    let argv = plan.argv.as_ptr().expose_provenance();
    let env = plan.env.as_ptr().expose_provenance();
    let mut telling = libc::ENOENT;
    for program in plan
        .programs
        .iter()
        .take_while(|program| !program.is_null())
    {
        let Err(errno) = call(
            libc::SYS_execve,
            [program.expose_provenance(), argv, env, 0, 0],
        ) else {
            continue;
        };
        match errno {
            // As a shell does it: a file that is there but must not be run says more than one that is not.
            libc::EACCES => telling = errno,
            libc::ENOENT | libc::ENOTDIR | libc::ESTALE | libc::ENODEV | libc::ETIMEDOUT => {}
            _ => return errno,
        }
    }
    telling
}
