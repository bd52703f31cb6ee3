//! One process from a prepared request.
//!
//! Owns: the request, the cell in shared memory that kernel and child write to, the outcome.
//! Promises: the pid stands in the cell before the child runs its first instruction, so that the death of
//! this process at any moment loses no child; a failure before exec is told with its stage and errno and
//! is never taken for the app's own exit; the child's parent is the keeper.
//! Leaves to others: reaping, and which thread calls (one at a time; a lock sees to it).

use std::ffi::{CString, c_char};
use std::fmt;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use nix::errno::Errno;
use nix::unistd::Uid;

use super::child::{Ids, Plan};
use super::clone;
use super::users::Identity;

/// The part of a slot that the kernel and the child write to. It lies in a `MAP_SHARED` mapping of a file
/// and survives this process. The layout is frozen: a keeper of another version reads it too.
///
/// What a successor reads: pid 0: nothing was ever started. A pid and a stage before [`Stage::Exec`]: the
/// child is on its way, or was killed there, or failed (errno says why). [`Stage::Exec`] without an errno:
/// it runs the program.
#[repr(C)]
#[derive(Debug, Default)]
pub struct SpawnCell {
    /// Written by the kernel before the child runs; 0 before.
    pub pid: AtomicI32,
    /// The step that the child is at, as a [`Stage`].
    pub stage: AtomicU32,
    /// Why the step failed; 0: it has not.
    pub errno: AtomicI32,
    /// Zero.
    pub reserved: AtomicU32,
}

/// The steps of a child on its way to exec. The numbers are frozen: a later step may come earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Stage {
    None = 0,
    Session = 1,
    Signals = 2,
    Umask = 3,
    Nice = 4,
    OomScore = 5,
    Limits = 6,
    Groups = 7,
    Gid = 8,
    Uid = 9,
    Privileges = 10,
    Directory = 11,
    Verify = 12,
    Descriptors = 13,
    Parent = 14,
    Exec = 15,
    /// Comes after the OOM score, and only where the kernel has not put the child there at its birth.
    Cgroup = 16,
}

impl Stage {
    /// All of them, by their numbers.
    pub const ALL: [Stage; 17] = [
        Stage::None,
        Stage::Session,
        Stage::Signals,
        Stage::Umask,
        Stage::Nice,
        Stage::OomScore,
        Stage::Limits,
        Stage::Groups,
        Stage::Gid,
        Stage::Uid,
        Stage::Privileges,
        Stage::Directory,
        Stage::Verify,
        Stage::Descriptors,
        Stage::Parent,
        Stage::Exec,
        Stage::Cgroup,
    ];

    /// The stage with this number; `None` for a number of a later version.
    #[must_use]
    pub fn from_u32(number: u32) -> Option<Stage> {
        Stage::ALL.get(usize::try_from(number).ok()?).copied()
    }

    /// What could not be done, for a person: "cannot change to the directory".
    #[must_use]
    pub fn cannot(self) -> &'static str {
        match self {
            Stage::None => "the new process was killed before it could begin",
            Stage::Session => "cannot open a new session",
            Stage::Signals => "cannot reset the signals",
            Stage::Umask => "cannot set the umask",
            Stage::Nice => "cannot set the nice value",
            Stage::OomScore => "cannot set the OOM score",
            Stage::Limits => "cannot set the limit of open files",
            Stage::Groups => "cannot set the supplementary groups",
            Stage::Gid => "cannot change to the group",
            Stage::Uid => "cannot change to the user",
            Stage::Privileges => "cannot give up gaining privileges",
            Stage::Directory => "cannot change to the directory",
            Stage::Verify => "the change of user did not take hold",
            Stage::Descriptors => "cannot connect stdin, stdout and stderr",
            Stage::Parent => "the keeper is gone",
            Stage::Exec => "cannot execute the program",
            Stage::Cgroup => "cannot enter its cgroup",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.cannot())
    }
}

/// A request, complete and checked: the child only carries it out.
#[derive(Debug)]
pub struct Launch {
    /// Tried in this order until one can be executed; absolute, or relative to `directory`.
    pub programs: Vec<CString>,
    /// The arguments, the program's name first.
    pub argv: Vec<CString>,
    /// The whole environment, `KEY=VALUE`.
    pub env: Vec<CString>,
    /// Where it runs.
    pub directory: CString,
    /// `None`: /dev/null.
    pub stdin: Option<OwnedFd>,
    /// Its standard output.
    pub stdout: OwnedFd,
    /// Its standard error.
    pub stderr: OwnedFd,
    /// Whom it runs as; `None`: as this process.
    pub identity: Option<Identity>,
    /// Its file mode creation mask.
    pub umask: u32,
    /// Soft and hard limit of open files; `None`: inherited.
    pub nofile: Option<(u64, u64)>,
    /// Written to `/proc/self/oom_score_adj`; `None`: inherited.
    pub oom_score_adj: Option<i32>,
    /// Its nice value; `None`: inherited.
    pub nice: Option<i32>,
    /// The pid that must be its parent.
    pub keeper: i32,
    /// Set `no_new_privs`: setuid programs give nothing to it.
    pub no_new_privs: bool,
    /// The folder of the cgroup that it starts in; `None`: this process's own.
    pub cgroup: Option<OwnedFd>,
}

/// What came of it.
#[derive(Debug)]
pub enum Outcome {
    /// It has exec'd (and may have exited since).
    Running {
        /// Its pid.
        pid: i32,
        /// `None`: it was gone before a pidfd could be opened (only where clone3 is refused).
        pidfd: Option<OwnedFd>,
    },
    /// There was a child, but the program never ran. The child exits with 127; the keeper reaps it.
    Failed {
        /// The pid that the child had.
        #[cfg_attr(
            not(test),
            expect(dead_code, reason = "its exit is told by the keeper")
        )]
        pid: i32,
        /// The step that failed.
        stage: Stage,
        /// Why; `UnknownErrno`: it was killed there.
        errno: Errno,
    },
    /// There never was a child.
    NoProcess {
        /// Why.
        errno: Errno,
    },
}

/// How to ask the kernel for the child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// clone3, and clone where that is refused.
    Newest,
    /// clone at once.
    #[cfg(test)]
    Legacy,
}

/// Starts the process that `launch` describes and tells `cell` about it while it comes to life.
/// Blocks until the child has exec'd or is gone.
///
/// The cell's fields are reset first: the caller sees to it that nobody needs the run before any more.
pub fn spawn(launch: &Launch, cell: &SpawnCell) -> Outcome {
    spawn_by(Way::Newest, launch, cell)
}

/// [`spawn`], by a chosen way.
pub fn spawn_by(way: Way, launch: &Launch, cell: &SpawnCell) -> Outcome {
    cell.pid.store(0, Ordering::Release);
    cell.stage.store(Stage::None as u32, Ordering::Release);
    cell.errno.store(0, Ordering::Release);
    match prepare_and_clone(way, launch, cell) {
        Ok(child) => told(child, cell),
        Err(errno) => Outcome::NoProcess { errno },
    }
}

fn prepare_and_clone(way: Way, launch: &Launch, cell: &SpawnCell) -> nix::Result<clone::Child> {
    let null;
    let stdin = match &launch.stdin {
        Some(fd) => fd,
        None => {
            null = OwnedFd::from(File::open("/dev/null").map_err(|e| errno_of(&e))?);
            &null
        }
    };
    let raised = [
        above_stdio(stdin)?,
        above_stdio(&launch.stdout)?,
        above_stdio(&launch.stderr)?,
    ];
    let given = [stdin, &launch.stdout, &launch.stderr];
    let mut descriptors = [0; 3];
    for (slot, (raised, given)) in descriptors.iter_mut().zip(raised.iter().zip(given)) {
        *slot = raised.as_ref().unwrap_or(given).as_raw_fd();
    }
    let programs = pointers(&launch.programs);
    let argv = pointers(&launch.argv);
    let env = pointers(&launch.env);
    let oom_score_adj = launch.oom_score_adj.map(|score| score.to_string());
    let mut groups_seen = vec![0; launch.identity.as_ref().map_or(0, |i| i.groups.len())];
    let mut plan = Plan {
        cell,
        keeper: launch.keeper,
        programs: &programs,
        argv: &argv,
        env: &env,
        directory: &launch.directory,
        descriptors,
        ids: launch.identity.as_ref().map(|identity| Ids {
            uid: identity.uid,
            gid: identity.gid,
            groups: &identity.groups,
            // Only root may set them; another user's daemon has the right ones already.
            set_groups: Uid::effective().is_root(),
            groups_seen: groups_seen.as_mut_ptr(),
        }),
        umask: launch.umask,
        nofile: launch.nofile,
        oom_score_adj: oom_score_adj.as_deref(),
        nice: launch.nice,
        no_new_privs: launch.no_new_privs,
        cgroup: launch.cgroup.as_ref().map(AsRawFd::as_raw_fd),
        enters: false,
        handlers: u64::MAX,
    };
    clone::clone(way, &mut plan)
}

/// Reads from the cell how far the child came, now that it has exec'd or is gone.
fn told(child: clone::Child, cell: &SpawnCell) -> Outcome {
    let clone::Child { pid, pidfd } = child;
    let errno = cell.errno.load(Ordering::Acquire);
    // Only the child wrote the number, from the enum.
    let stage = Stage::from_u32(cell.stage.load(Ordering::Acquire)).unwrap_or(Stage::None);
    if stage == Stage::Exec && errno == 0 {
        Outcome::Running { pid, pidfd }
    } else {
        Outcome::Failed {
            pid,
            stage,
            errno: Errno::from_raw(errno),
        }
    }
}

/// A copy of `fd` at 3 or above when it lies below: `dup3` onto 0, 1 and 2 in turn must not overwrite a
/// source. Made here and not in the child, whose limit of open files may already be lower than what is open.
fn above_stdio(fd: &OwnedFd) -> nix::Result<Option<OwnedFd>> {
    // `try_clone` is F_DUPFD_CLOEXEC with 3 as the least number.
    if fd.as_raw_fd() < 3 {
        fd.try_clone().map(Some).map_err(|e| errno_of(&e))
    } else {
        Ok(None)
    }
}

fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

/// What execve wants: the addresses, and a null pointer at the end.
fn pointers(texts: &[CString]) -> Vec<*const c_char> {
    texts
        .iter()
        .map(|text| text.as_ptr())
        .chain([ptr::null()])
        .collect()
}
