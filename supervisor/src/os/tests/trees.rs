//! Trees that do all they can to be overlooked.

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::super::spawn::{Launch, SpawnCell, spawn};
use super::super::tree::{Table, Tree, kill_rest, members, quick_empty, usage};
use super::super::{pidfd, proc};
use super::{c, helper_argv, in_engine, launch, running, until};

const PATIENCE: Duration = Duration::from_secs(10);

/// A run with a token of its own.
fn run(token: &str, argv: &[&str]) -> (i32, OwnedFd, i32) {
    let mut launch: Launch = launch(argv);
    launch.env.push(c(&format!("SUPERVISOR_RUN={token}")));
    let (pid, held) = running(spawn(&launch, &SpawnCell::default()));
    (pid, held, launch.keeper)
}

fn shell(token: &str, script: &str) -> (i32, OwnedFd, i32) {
    run(token, &["/bin/sh", "-c", script])
}

/// Kills the main process alone, and waits until the keeper has reaped it.
fn end_main(pid: i32, held: &OwnedFd) {
    pidfd::send(held, Signal::SIGKILL).expect("alive");
    until("the keeper reaps", || proc::stat(pid).is_none());
}

/// 200 processes that ignore signals, each in a session of its own, their parents gone.
const SCATTER: &str = "trap '' TERM INT HUP QUIT; i=0; \
    while [ $i -lt 200 ]; do (setsid sleep 100 &); i=$((i+1)); done; exec sleep 100";

#[test]
fn two_hundred_scattered_processes_end_with_their_main_process() {
    in_engine(|| {
        let (main, _held, keeper) = shell("scatter:1", SCATTER);
        let (other, other_held, _) = shell("other:1", "exec sleep 100");
        let tree = Tree {
            keeper,
            main,
            main_alive: true,
            token: "scatter:1",
        };
        until("all of them", || members(&tree).len() == 201);
        assert_eq!(members(&tree)[0], main);
        assert!(usage(&tree).processes == 201 && usage(&tree).memory_bytes > 201 * 4096);
        // One tree alone is looked at from above, many by a look at everybody.
        for asked in [vec![main], vec![main; 10_000]] {
            let table = Table::look(keeper, asked, HashSet::from([main, other]));
            assert_eq!(tree.usage_in(&table).processes, 201);
        }
        assert!(kill_rest(&tree, PATIENCE).is_empty());
        assert_eq!(members(&tree), [0; 0]);
        until("the keeper reaps", || proc::stat(main).is_none());
        let over = Tree {
            main_alive: false,
            ..tree
        };
        until("the keeper reaps", || {
            quick_empty(&over, |pid| pid == other)
        });
        assert!(!pidfd::has_exited(&other_held), "another run is left alone");
    });
}

#[test]
fn two_hundred_scattered_processes_end_after_their_main_process() {
    in_engine(|| {
        let (main, held, keeper) = shell("scatter:2", SCATTER);
        let (_, other_held, _) = shell("scatter:22", "exec sleep 100");
        let tree = Tree {
            keeper,
            main,
            main_alive: true,
            token: "scatter:2",
        };
        until("all of them", || members(&tree).len() == 201);
        end_main(main, &held);
        let tree = Tree {
            main_alive: false,
            ..tree
        };
        assert_eq!(members(&tree).len(), 200);
        assert!(!quick_empty(&tree, |_| false));
        assert!(kill_rest(&tree, PATIENCE).is_empty());
        assert_eq!(members(&tree), [0; 0]);
        assert!(
            !pidfd::has_exited(&other_held),
            "a token is compared as a whole"
        );
    });
}

#[test]
fn what_lost_its_token_is_found_by_session_and_parentage() {
    in_engine(|| {
        let script = "env -i sleep 100 & env -i sh -c 'setsid sleep 100 & wait' & exec sleep 100";
        let (main, held, keeper) = shell("bare:1", script);
        let tree = Tree {
            keeper,
            main,
            main_alive: true,
            token: "bare:1",
        };
        until("all of them", || members(&tree).len() == 4);
        end_main(main, &held);
        let tree = Tree {
            main_alive: false,
            ..tree
        };
        assert!(!quick_empty(&tree, |_| false));
        assert_eq!(members(&tree).len(), 3);
        assert!(kill_rest(&tree, PATIENCE).is_empty());
        until("the keeper reaps", || quick_empty(&tree, |_| false));
    });
}

#[test]
fn a_number_that_went_to_a_stranger_protects_him() {
    in_engine(|| {
        let (stranger, held, keeper) = shell("stranger:1", "env -i sleep 100 & exec sleep 100");
        let tree = Tree {
            keeper,
            main: stranger,
            main_alive: false,
            token: "before:1",
        };
        // His child has his session and nothing in its environment that would speak for it.
        let child = || proc::children(stranger).and_then(|c| proc::stat(*c.first()?));
        until("his child", || {
            child().is_some_and(|child| child.comm == "sleep")
        });
        assert_eq!(members(&tree), [0; 0]);
        assert!(kill_rest(&tree, PATIENCE).is_empty());
        assert!(!pidfd::has_exited(&held));
        assert!(child().is_some_and(|child| !child.is_dead()));
    });
}

#[test]
fn what_a_stranger_with_the_number_left_behind_is_protected_by_its_token() {
    in_engine(|| {
        let (stranger, held, keeper) = shell("stranger:2", "sleep 100 & exec sleep 100");
        let tree = Tree {
            keeper,
            main: stranger,
            main_alive: false,
            token: "before:2",
        };
        until("its child", || {
            proc::children(stranger).is_some_and(|c| c.len() == 1)
        });
        end_main(stranger, &held);
        assert_eq!(members(&tree), [0; 0]);
        assert!(kill_rest(&tree, PATIENCE).is_empty());
        let own = Tree {
            token: "stranger:2",
            ..tree
        };
        assert_eq!(members(&own).len(), 1);
        assert!(kill_rest(&own, PATIENCE).is_empty());
    });
}

#[test]
fn one_that_forks_and_exits_all_the_time_is_caught() {
    in_engine(|| {
        let argv = helper_argv();
        let mut launch = launch(&argv.iter().map(String::as_str).collect::<Vec<_>>());
        launch
            .env
            .extend([c("SUPERVISOR_RUN=hop:1"), c("ROLE=hop")]);
        let (main, held) = running(spawn(&launch, &SpawnCell::default()));
        until("its first hop", || pidfd::has_exited(&held));
        until("the keeper reaps", || proc::stat(main).is_none());
        let tree = Tree {
            keeper: launch.keeper,
            main,
            main_alive: false,
            token: "hop:1",
        };
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            // Somebody else has the processors most of the time.
            for _ in 0..4 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                });
            }
            let left = kill_rest(&tree, PATIENCE);
            stop.store(true, Ordering::Relaxed);
            assert!(left.is_empty());
        });
        until("the keeper reaps", || quick_empty(&tree, |_| false));
        // What hopped on would be there for much longer than this.
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(100) {
            assert_eq!(members(&tree), [0; 0]);
        }
    });
}

/// Forks, and goes on as the child in a new session, again and again; for 20 s should nobody end it.
pub(super) fn hop() {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(20) {
        // SAFETY: plain numbers; after a fork only system calls are made.
        unsafe {
            match libc::fork() {
                0 => drop(libc::setsid()),
                _ => libc::_exit(0),
            }
        }
    }
}

#[test]
fn what_multiplies_is_caught() {
    in_engine(|| {
        // Each one starts another before it ends, and a watcher starts them again.
        let script = "spawn() { while :; do (setsid sh -c 'sleep 0.01; sleep 100' &); sleep 0.001; done; }; \
            spawn & spawn & exec sleep 100";
        let (main, held, keeper) = shell("many:1", script);
        let tree = Tree {
            keeper,
            main,
            main_alive: true,
            token: "many:1",
        };
        until("some of them", || members(&tree).len() > 40);
        end_main(main, &held);
        let tree = Tree {
            main_alive: false,
            ..tree
        };
        assert!(kill_rest(&tree, PATIENCE).is_empty());
        until("the keeper reaps", || quick_empty(&tree, |_| false));
    });
}

#[test]
fn a_deadline_ends_the_attempt_and_names_who_is_left() {
    in_engine(|| {
        let (main, held, keeper) = shell("left:1", "exec sleep 100");
        let tree = Tree {
            keeper,
            main,
            main_alive: true,
            token: "left:1",
        };
        // Without the right to signal it, it stays.
        if !super::is_root() {
            return;
        }
        // SAFETY: plain number; this process has one thread.
        assert_eq!(unsafe { libc::setresuid(65534, 65534, 65534) }, 0);
        let start = Instant::now();
        assert_eq!(kill_rest(&tree, Duration::from_millis(30)).pids, [main]);
        assert!(start.elapsed() < Duration::from_secs(2));
        assert!(!pidfd::has_exited(&held));
    });
}

#[test]
fn a_stranger_without_an_environment_holds_up_nobody() {
    in_engine(|| {
        // It has left its run: nothing can tell whose it was, so it is nobody's.
        let (gone, held, _) = shell("left:1", "env -i setsid sleep 20 & exec sleep 0.05");
        until("its end", || pidfd::has_exited(&held));
        let (main, held, keeper) = shell("stays:1", "exec sleep 100");
        end_main(main, &held);
        let tree = Tree {
            keeper,
            main,
            main_alive: false,
            token: "stays:1",
        };
        let own = std::process::id() as i32;
        let start = Instant::now();
        until("clear", || {
            quick_empty(&tree, |pid| pid == own || pid == gone)
        });
        assert!(kill_rest(&tree, Duration::from_secs(5)).is_empty());
        assert!(
            start.elapsed() < Duration::from_secs(1),
            "{:?}",
            start.elapsed()
        );
        for pid in proc::children(keeper).expect("this kernel tells") {
            if proc::cmdline(pid).is_some_and(|words| words == ["sleep", "20"]) {
                let left = pidfd::open(pid).expect("it sleeps");
                pidfd::send(&left, Signal::SIGKILL).expect("it sleeps");
            }
        }
    });
}
