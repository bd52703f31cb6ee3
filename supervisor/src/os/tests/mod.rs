//! Real processes: a keeper that reaps, below it an engine that runs the test, below the keeper what the
//! engine spawns. Both are forks of the test program, so no test sees another one's children.
#![expect(
    unsafe_code,
    reason = "fork, shared memory, and a filter of system calls"
)]

mod cgroups;
mod crash;
mod failures;
mod pidfds;
mod spawning;
mod trees;

use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::os::fd::{FromRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::unistd::{ForkResult, fork, pipe2};

use super::proc;
use super::spawn::{Launch, Outcome, SpawnCell};

/// What the keeper saw: pid and wait status.
type Exits = Vec<(i32, i32)>;

/// No scenario takes longer; beyond it the kernel ends it.
const LIMIT_SECONDS: u32 = 30;

/// Runs `keeper` as a process of its own, to which orphans below it come.
fn in_keeper(keeper: impl FnOnce()) {
    // SAFETY: the child touches no lock of this program but the allocator's, which libc keeps usable.
    match unsafe { fork() }.expect("fork") {
        ForkResult::Child => {
            // SAFETY: plain numbers.
            unsafe {
                libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
                libc::alarm(LIMIT_SECONDS);
            }
            finish(keeper);
        }
        ForkResult::Parent { child } => assert_eq!(wait(child.as_raw()), 0, "the scenario failed"),
    }
}

/// Runs `engine` below a keeper that reaps; returns what was reaped once the engine has ended, without it.
fn in_engine(engine: impl FnOnce()) -> Exits {
    let (mut reports, report) = pipe();
    in_keeper(move || {
        let report = report;
        let engine = child(engine);
        let mut code = None;
        while let Some((pid, status)) = reap() {
            if pid == engine {
                code = Some(status);
            } else {
                let mut record = pid.to_ne_bytes().to_vec();
                record.extend(status.to_ne_bytes());
                nix::unistd::write(&report, &record).expect("report");
            }
            // Each death may bring new orphans.
            if code.is_some() {
                end_children();
            }
        }
        assert_eq!(code, Some(0), "the engine's part failed");
    });
    let mut bytes = Vec::new();
    reports.read_to_end(&mut bytes).expect("reports");
    let number = |bytes: &[u8]| i32::from_ne_bytes(bytes.try_into().expect("four bytes"));
    bytes
        .chunks(8)
        .map(|record| (number(&record[..4]), number(&record[4..])))
        .collect()
}

/// Forks; the child runs `part` and ends with 0, or with 101 if that panics.
fn child(part: impl FnOnce()) -> i32 {
    // SAFETY: as above.
    match unsafe { fork() }.expect("fork") {
        ForkResult::Child => {
            // SAFETY: plain number.
            unsafe { libc::alarm(LIMIT_SECONDS) };
            finish(part)
        }
        ForkResult::Parent { child } => child.as_raw(),
    }
}

fn finish(part: impl FnOnce()) -> ! {
    // What the harness captures in a fork is lost with it.
    std::panic::set_hook(Box::new(|panic| {
        let _ = nix::unistd::write(std::io::stderr(), format!("{panic}\n").as_bytes());
    }));
    let code = if catch_unwind(AssertUnwindSafe(part)).is_ok() {
        0
    } else {
        101
    };
    // SAFETY: ends this process, without the harness's own end.
    unsafe { libc::_exit(code) }
}

/// The next child that ends, also one without an exit signal; `None`: there are no more.
fn reap() -> Option<(i32, i32)> {
    let mut status = 0;
    // SAFETY: a live number.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL) };
    (pid > 0).then_some((pid, status))
}

fn wait(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: a live number.
    let reaped = unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) };
    assert_eq!(reaped, pid);
    status
}

/// What a failed test leaves behind.
fn end_children() {
    let me = std::process::id() as i32;
    let left = proc::children(me).unwrap_or_else(|| {
        proc::all()
            .into_iter()
            .filter(|&pid| proc::stat(pid).is_some_and(|s| s.ppid == me))
            .collect()
    });
    for pid in left {
        // SAFETY: children of this process, not reaped yet.
        unsafe { libc::kill(pid, libc::SIGKILL) };
    }
}

/// Waits until `done`, or fails.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "never came: {what}"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn pipe() -> (File, OwnedFd) {
    let (read, write) = pipe2(OFlag::O_CLOEXEC).expect("pipe");
    (read.into(), write)
}

fn null() -> OwnedFd {
    File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .expect("/dev/null")
        .into()
}

fn c(text: &str) -> CString {
    CString::new(text).expect("no zero inside")
}

/// A request for the engine to run `argv` in `/`, silently, as itself.
fn launch(argv: &[&str]) -> Launch {
    Launch {
        programs: vec![c(argv[0])],
        argv: argv.iter().map(|a| c(a)).collect(),
        env: vec![c("PATH=/usr/local/bin:/usr/bin:/bin")],
        directory: c("/"),
        stdin: None,
        stdout: null(),
        stderr: null(),
        identity: None,
        umask: 0o027,
        nofile: None,
        oom_score_adj: None,
        nice: None,
        keeper: nix::unistd::getppid().as_raw(),
        no_new_privs: false,
        cgroup: None,
    }
}

fn running(outcome: Outcome) -> (i32, OwnedFd) {
    match outcome {
        Outcome::Running {
            pid,
            pidfd: Some(pidfd),
        } => (pid, pidfd),
        other => panic!("not running: {other:?}"),
    }
}

/// Cells in memory that forks share.
fn cells(count: usize) -> &'static [SpawnCell] {
    let length = count * size_of::<SpawnCell>();
    let (protection, flags) = (
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_SHARED | libc::MAP_ANONYMOUS,
    );
    // SAFETY: a new mapping, zeros, never unmapped; a cell is made of atomics.
    unsafe {
        let start = libc::mmap(std::ptr::null_mut(), length, protection, flags, -1, 0);
        assert_ne!(start, libc::MAP_FAILED);
        std::slice::from_raw_parts(start.cast(), count)
    }
}

/// From now on these system calls fail in this thread and what it starts.
fn refuse(calls: &[(i64, i32)]) {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, k, jf| libc::sock_filter { code, jt: 0, jf, k };
    let mut filter = vec![step(LOAD, 0, 0)];
    for &(number, errno) in calls {
        filter.push(step(EQUAL, number as u32, 1));
        filter.push(step(RETURN, libc::SECCOMP_RET_ERRNO | errno as u32, 0));
    }
    filter.push(step(RETURN, libc::SECCOMP_RET_ALLOW, 0));
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: a filter that lives through the call.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(
            libc::prctl(
                libc::PR_SET_SECCOMP,
                libc::SECCOMP_MODE_FILTER,
                &raw const program
            ),
            0
        );
    }
}

fn is_root() -> bool {
    nix::unistd::Uid::effective().is_root()
}

/// Takes what somebody else has opened.
fn adopt(fd: i32) -> OwnedFd {
    // SAFETY: the caller has just opened it and gives it away.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// A program that other tests start as an app: this very test, told by `ROLE` what to be.
#[test]
#[ignore = "a program that other tests start"]
fn helper() {
    if std::env::var("ROLE").as_deref() == Ok("hop") {
        trees::hop();
    }
}

/// The arguments that start [`helper`].
fn helper_argv() -> Vec<String> {
    let program = std::env::current_exe().expect("own path");
    let (_, module) = module_path!()
        .split_once("::")
        .expect("a module below the crate");
    let words = [
        program.to_str().expect("text"),
        &format!("{module}::helper"),
        "--exact",
        "--ignored",
    ];
    words
        .into_iter()
        .chain(["--nocapture", "--test-threads=1"])
        .map(str::to_owned)
        .collect()
}
