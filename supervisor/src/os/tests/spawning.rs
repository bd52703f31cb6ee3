//! Each child gets exactly what was asked for.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::super::pipe::pipe_for_app;
use super::super::spawn::{Launch, SpawnCell, Way, spawn, spawn_by};
use super::super::users::{Identity, resolve};
use super::super::{pidfd, proc};
use super::{adopt, c, cells, in_engine, is_root, launch, null, pipe, refuse, running, until};

pub(super) const WAYS: [Way; 2] = [Way::Newest, Way::Legacy];

pub(super) fn somebody() -> Option<Identity> {
    let identity = is_root().then(|| resolve(Some("nobody"), None).expect("nobody exists"))??;
    // More than one group, unsorted, to see that all of them arrive.
    Some(Identity {
        groups: vec![identity.gid, 4242, 7],
        ..identity
    })
}

/// `/proc/PID/status` by its keys.
fn status(pid: i32) -> BTreeMap<String, String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("alive");
    let words = |value: &str| value.split_whitespace().collect::<Vec<_>>().join(" ");
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(k, v)| (k.to_owned(), words(v)))
        .collect()
}

fn descriptors(pid: i32) -> Vec<i32> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("alive");
    let mut found: Vec<i32> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    found.sort_unstable();
    found
}

/// Looks at a child from outside.
fn check(pid: i32, launch: &Launch) {
    let status = status(pid);
    let none = "0000000000000000";
    // Signals 32 and 33 are libc's; a program that has just started may already handle them.
    for (key, wanted) in [
        ("SigBlk", none),
        ("SigIgn", none),
        ("SigPnd", none),
        ("ShdPnd", none),
    ] {
        assert_eq!(status[key], wanted, "{key} of {pid}");
    }
    assert_eq!(status["SigCgt"], none, "handlers of {pid}");
    assert_eq!(status["Umask"], format!("{:04o}", launch.umask));
    assert_eq!(
        status["NoNewPrivs"],
        u8::from(launch.no_new_privs).to_string()
    );
    if let Some(identity) = &launch.identity {
        let four = |id: u32| [id; 4].map(|id| id.to_string()).join(" ");
        assert_eq!(
            (&status["Uid"], &status["Gid"]),
            (&four(identity.uid), &four(identity.gid))
        );
        let mut groups = identity.groups.clone();
        groups.sort_unstable();
        let groups: Vec<String> = groups.iter().map(u32::to_string).collect();
        assert_eq!(status["Groups"], groups.join(" "));
        assert_eq!(status["CapEff"], none);
    }
    let stat = proc::stat(pid).expect("alive");
    assert_eq!(
        (stat.ppid, stat.session, stat.pgrp),
        (launch.keeper, pid, pid)
    );
    let cwd = fs::read_link(format!("/proc/{pid}/cwd")).expect("alive");
    assert_eq!(cwd, Path::new(launch.directory.to_str().expect("text")));
    let wanted: Vec<u8> = launch
        .env
        .iter()
        .flat_map(|e| e.to_bytes_with_nul().to_vec())
        .collect();
    // The old memory is let go, and with it the engine, a moment before the new one is furnished.
    until("its environment", || {
        let env = fs::read(format!("/proc/{pid}/environ")).expect("alive");
        assert!(env.is_empty() || env == wanted);
        !env.is_empty()
    });
    // The loader opens libraries for a moment; a leak would stay.
    until("exactly three descriptors", || {
        descriptors(pid) == [0, 1, 2]
    });
}

#[test]
fn every_child_of_a_busy_engine_gets_exactly_what_was_asked_for() {
    const EACH: usize = 1000;
    let cells = cells(2 * EACH);
    let exits = in_engine(|| {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let _stopper = Stopper(&stop);
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        let thread = std::thread::spawn(|| fs::read("/proc/self/comm"));
                        drop(thread.join().expect("a thread").expect("linux"));
                    }
                });
            }
            for (way, cells) in WAYS.into_iter().zip(cells.chunks(EACH)) {
                cells.iter().for_each(|cell| start_and_check(way, cell));
            }
        });
    });
    assert_eq!(exits.len(), 2 * EACH);
    for cell in cells {
        let pid = cell.pid.load(Ordering::Relaxed);
        let status = exits
            .iter()
            .find(|(reaped, _)| *reaped == pid)
            .expect("reaped by the keeper")
            .1;
        assert_eq!(status, 0, "cat ends at the end of its input");
    }
}

/// Lets the busy threads end, also when a check fails.
struct Stopper<'a>(&'a AtomicBool);

impl Drop for Stopper<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn start_and_check(way: Way, cell: &SpawnCell) {
    let (stdin, feeder) = pipe();
    let mut launch = launch(&["/bin/cat"]);
    launch.programs.insert(0, c("/no/such/cat"));
    launch.stdin = Some(stdin.into());
    launch.identity = somebody();
    launch.no_new_privs = true;
    launch.directory = c("/usr");
    let (pid, held) = running(spawn_by(way, &launch, cell));
    assert_eq!(pid, cell.pid.load(Ordering::Relaxed));
    check(pid, &launch);
    assert!(!pidfd::has_exited(&held));
    drop(feeder);
    assert!(
        pidfd::wait_exited(&held, Duration::from_secs(10)),
        "its input has ended"
    );
}

#[test]
fn limits_and_priorities_are_set_and_the_engines_own_stay() {
    in_engine(|| {
        let before = (
            status_of_self(),
            fs::read_to_string("/proc/self/oom_score_adj").expect("linux"),
        );
        // Many open descriptors, so that the new limit is below the highest of them.
        let many: Vec<OwnedFd> = (0..100).map(|_| null()).collect();
        for way in WAYS {
            let (stdin, feeder) = pipe();
            let mut launch = launch(&["/bin/cat"]);
            launch.stdin = Some(stdin.into());
            launch.nofile = Some((40, 50));
            launch.oom_score_adj = Some(321);
            launch.nice = Some(7);
            let (pid, _held) = running(spawn_by(way, &launch, &SpawnCell::default()));
            check(pid, &launch);
            let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("alive");
            let line = limits
                .lines()
                .find(|l| l.starts_with("Max open files"))
                .expect("a limit");
            let words: Vec<&str> = line.split_whitespace().collect();
            assert_eq!(&words[3..5], ["40", "50"]);
            assert_eq!(
                fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).expect("alive"),
                "321\n"
            );
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("alive");
            assert_eq!(stat.split_whitespace().nth(18), Some("7"), "nice");
            drop(feeder);
        }
        assert_eq!(many.len(), 100);
        let after = (
            status_of_self(),
            fs::read_to_string("/proc/self/oom_score_adj").expect("linux"),
        );
        assert_eq!(before, after);
    });
}

fn status_of_self() -> Vec<String> {
    let mut status = status(std::process::id() as i32);
    let keys = [
        "Uid",
        "Gid",
        "Groups",
        "Umask",
        "SigBlk",
        "SigIgn",
        "SigCgt",
        "NoNewPrivs",
    ];
    keys.into_iter()
        .map(|key| status.remove(key).expect(key))
        .collect()
}

#[test]
fn the_engines_signals_are_not_the_childs() {
    in_engine(|| {
        let ignore = nix::sys::signal::SigHandler::SigIgn;
        // SAFETY: no handler is installed.
        unsafe { nix::sys::signal::signal(nix::sys::signal::SIGHUP, ignore) }.expect("valid");
        nix::sys::signal::SigSet::all()
            .thread_block()
            .expect("valid");
        let before = status_of_self();
        for way in WAYS {
            let (stdin, _feeder) = pipe();
            let mut launch = launch(&["/bin/cat"]);
            launch.stdin = Some(stdin.into());
            let (pid, _held) = running(spawn_by(way, &launch, &SpawnCell::default()));
            check(pid, &launch);
        }
        assert_eq!(
            status_of_self(),
            before,
            "and the engine's own stay as they were"
        );
    });
}

#[test]
fn descriptors_may_lie_anywhere() {
    in_engine(|| {
        let (mut output, write) = pipe();
        // The engine's own 0, 1 and 2 in the wrong order: 0 is to become 2, 2 is to become 1.
        let copy = nix::unistd::dup(&write).expect("dup");
        for target in [0, 2] {
            // SAFETY: plain numbers; nothing of this process uses them any more.
            assert_eq!(unsafe { libc::dup2(copy.as_raw_fd(), target) }, target);
        }
        let mut launch = launch(&["/bin/sh", "-c", "echo out; echo err >&2"]);
        launch.stdout = adopt(2);
        launch.stderr = adopt(0);
        running(spawn(&launch, &SpawnCell::default()));
        drop((launch, write, copy));
        let mut text = String::new();
        std::io::Read::read_to_string(&mut output, &mut text).expect("read");
        assert_eq!(text, "out\nerr\n");
    });
}

#[test]
fn a_container_that_refuses_the_new_calls_is_no_obstacle() {
    in_engine(|| {
        refuse(&[
            (libc::SYS_clone3, libc::EPERM),
            (libc::SYS_close_range, libc::ENOSYS),
        ]);
        let (stdin, _feeder) = pipe();
        let mut launch = launch(&["/bin/cat"]);
        launch.stdin = Some(stdin.into());
        launch.no_new_privs = true;
        let (pid, _held) = running(spawn(&launch, &SpawnCell::default()));
        until("exactly three descriptors", || {
            descriptors(pid) == [0, 1, 2]
        });
        assert_eq!(proc::stat(pid).expect("alive").ppid, launch.keeper);
    });
}

#[test]
fn the_apps_user_can_write_to_its_pipe_again_but_nobody_can_read_there() {
    let exits = in_engine(|| {
        let identity = somebody();
        let pipe = pipe_for_app(identity.as_ref()).expect("a pipe");
        let script = "echo one; echo two >/dev/stdout && ! (true </dev/stdout) 2>/dev/null";
        let mut launch = launch(&["/bin/sh", "-c", script]);
        // Root may read anything, so without another user there is nothing to see.
        if identity.is_none() {
            launch.argv[2] = c("echo one; echo two >/dev/stdout");
        }
        let flags = nix::fcntl::fcntl(&pipe.apps, nix::fcntl::FcntlArg::F_GETFL).expect("open");
        assert_eq!(flags & libc::O_ACCMODE, libc::O_WRONLY);
        launch.stderr = nix::unistd::dup(&pipe.apps).expect("dup");
        launch.stdout = pipe.apps;
        launch.identity = identity;
        let (_, held) = running(spawn(&launch, &SpawnCell::default()));
        drop(launch);
        let mut text = String::new();
        std::io::Read::read_to_string(&mut std::fs::File::from(pipe.ours), &mut text)
            .expect("read");
        assert_eq!(text, "one\ntwo\n");
        until("its end", || pidfd::has_exited(&held));
    });
    assert_eq!(exits.len(), 1);
    assert_eq!(exits[0].1, 0, "writing is possible, reading is not");
}
