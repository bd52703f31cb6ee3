//! The engine's death at any moment loses no child.

use std::collections::BTreeSet;
use std::io::Read;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::spawn::{Stage, Way, spawn_by};
use super::{cells, child, in_keeper, launch, pipe, reap};

/// Engines that spawn without a pause are killed at random; every child that there ever was stands in its
/// cell, every one that ran did so as the one that the cell names, and nobody else was ever reaped.
fn engines_are_killed_while_they_spawn(way: Way, kills: u64) {
    let cells = cells(8000);
    in_keeper(|| {
        // The pipe holds about 10,000 pids; it is read at the end.
        let (mut said, say) = pipe();
        nix::fcntl::fcntl(&say, nix::fcntl::FcntlArg::F_SETPIPE_SZ(256 << 10))
            .expect("a larger pipe");
        let used = &cells[0].reserved;
        let mut reaped = BTreeSet::new();
        for round in 0..kills {
            let engine = child(|| {
                let mut launch = launch(&["/bin/sh", "-c", "echo $$"]);
                launch.stdout = say.try_clone().expect("dup");
                while let Some(cell) = cells.get(1 + used.fetch_add(1, Ordering::SeqCst) as usize) {
                    drop(spawn_by(way, &launch, cell));
                }
            });
            // A fixed but scattered sequence of moments, from before the first spawn to some spawns later.
            std::thread::sleep(Duration::from_micros(200 + round * 7919 % 3500));
            nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(engine),
                nix::sys::signal::SIGKILL,
            )
            .expect("kill");
            while let Some((pid, _)) = reap() {
                if pid != engine {
                    assert!(
                        reaped.insert(pid),
                        "pid {pid} twice: let the test use fewer processes"
                    );
                }
            }
        }
        drop(say);
        let mut text = String::new();
        said.read_to_string(&mut text).expect("pids");
        let ran: BTreeSet<i32> = text
            .lines()
            .map(|line| line.parse().expect("a pid"))
            .collect();
        let written: BTreeSet<i32> = cells
            .iter()
            .map(|cell| cell.pid.load(Ordering::SeqCst))
            .filter(|&pid| pid != 0)
            .collect();
        assert_eq!(
            reaped, written,
            "each child is in its cell, and each cell names a child"
        );
        assert_eq!(
            ran, reaped,
            "each child came to its program, its engine dead or not"
        );
        assert!(
            ran.len() as u64 > kills / 4,
            "only {} children: nothing was tested",
            ran.len()
        );
        let at_exec = |stage: u32| stage == Stage::Exec as u32;
        let done = cells
            .iter()
            .filter(|cell| at_exec(cell.stage.load(Ordering::SeqCst)))
            .count();
        assert_eq!(done, ran.len());
    });
}

#[test]
fn no_child_is_lost_when_the_engine_is_killed() {
    engines_are_killed_while_they_spawn(Way::Newest, 300);
}

#[test]
fn no_child_is_lost_when_the_engine_is_killed_on_old_kernels() {
    engines_are_killed_while_they_spawn(Way::Legacy, 300);
}
