//! Signals and exits by descriptor.

use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use supervisor_core::Exit;

use super::super::daemon::{Detached, fork_detached};
use super::super::{pidfd, proc};
use super::{child, in_engine, in_keeper, pipe, until, wait};

fn kernel_at_least(wanted: (u32, u32)) -> bool {
    let release = nix::sys::utsname::uname()
        .expect("uname")
        .release()
        .to_string_lossy()
        .into_owned();
    let mut numbers = release
        .split(['.', '-'])
        .map_while(|n| n.parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= wanted
}

#[test]
fn an_exit_is_told_once_the_process_is_reaped() {
    let known = kernel_at_least((6, 15));
    in_keeper(|| {
        let (mut gate, open) = pipe();
        let pid = child(|| {
            drop(open.try_clone());
            std::thread::sleep(Duration::from_millis(1));
            // SAFETY: ends this process.
            unsafe { libc::_exit(42) }
        });
        let held = pidfd::open(pid).expect("alive");
        assert_eq!(pidfd::exit_of(&held), None);
        assert!(pidfd::wait_exited(&held, Duration::from_secs(5)));
        assert_eq!(pidfd::exit_of(&held), None, "not reaped yet");
        wait(pid);
        assert_eq!(pidfd::exit_of(&held), known.then_some(Exit::Code(42)));
        assert_eq!(pidfd::open(pid).err(), Some(Errno::ESRCH));
        assert_eq!(pidfd::send(&held, Signal::SIGTERM), Err(Errno::ESRCH));
        drop(open);
        std::io::Read::read_to_end(&mut gate, &mut Vec::new()).expect("closed");
    });
}

#[test]
fn a_death_by_signal_is_told_as_such() {
    let known = kernel_at_least((6, 15));
    in_keeper(|| {
        let pid = child(|| std::thread::sleep(Duration::from_secs(20)));
        let held = pidfd::open(pid).expect("alive");
        assert!(!pidfd::has_exited(&held));
        assert!(!pidfd::wait_exited(&held, Duration::from_millis(2)));
        pidfd::send(&held, Signal::SIGKILL).expect("alive");
        assert!(pidfd::wait_exited(&held, Duration::from_secs(5)));
        assert_eq!(pidfd::from_status(wait(pid)), Exit::Signal(9));
        assert_eq!(pidfd::exit_of(&held), known.then_some(Exit::Signal(9)));
    });
}

#[test]
fn a_group_gets_its_signal() {
    in_keeper(|| {
        let leader = child(|| {
            nix::unistd::setsid().expect("no leader yet");
            child(|| std::thread::sleep(Duration::from_secs(20)));
            std::thread::sleep(Duration::from_secs(20));
        });
        let held = pidfd::open(leader).expect("alive");
        until("its child", || {
            proc::children(leader).is_some_and(|c| c.len() == 1)
        });
        let below = proc::children(leader).expect("alive")[0];
        pidfd::send_group(&held, leader, Signal::SIGTERM as i32).expect("alive");
        // The keeper is a subreaper: the orphan comes to it.
        for pid in [leader, below] {
            assert_eq!(pidfd::from_status(wait(pid)), Exit::Signal(15));
        }
        assert_eq!(
            pidfd::send_group(&held, leader, Signal::SIGTERM as i32),
            Err(Errno::ESRCH)
        );
    });
}

#[test]
fn statuses_are_read_as_wait_writes_them() {
    assert_eq!(pidfd::from_status(0), Exit::Code(0));
    assert_eq!(pidfd::from_status(255 << 8), Exit::Code(255));
    assert_eq!(pidfd::from_status(9), Exit::Signal(9));
    assert_eq!(
        pidfd::from_status(11 | 0x80),
        Exit::Signal(11),
        "with a core dump"
    );
    assert_eq!(
        pidfd::from_status(0x137f),
        Exit::Unknown,
        "stopped is not an end"
    );
}

#[test]
fn a_detached_child_has_a_session_of_its_own_and_no_terminal() {
    in_engine(|| match fork_detached().expect("fork") {
        Detached::Parent { child } => {
            until("its session", || {
                proc::stat(child.as_raw()).is_some_and(|s| s.session == child.as_raw())
            });
            until("its descriptors", || {
                (0..3).all(|fd| {
                    std::fs::read_link(format!("/proc/{child}/fd/{fd}"))
                        .is_ok_and(|to| to.ends_with("null"))
                })
            });
            nix::sys::signal::kill(child, Signal::SIGKILL).expect("alive");
        }
        Detached::Child => std::thread::sleep(Duration::from_secs(20)),
    });
}
