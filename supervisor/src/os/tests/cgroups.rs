//! Real cgroups, in a folder of the test's own: needs root and a file system of cgroups of version 2; it
//! says so where there is none.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::Signal;
use supervisor_config::Ceilings;

use super::super::cgroup::Room;
use super::super::spawn::{Launch, Outcome, SpawnCell, Stage, Way, spawn_by};
use super::super::{pidfd, proc};
use super::spawning::WAYS;
use super::{c, in_engine, launch, refuse, running, until};

/// A folder that is gone when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Option<Folder> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("/proc");
        let is_of = |line: &&str| line.contains(" - cgroup2 ");
        let mount = mounts.lines().find(is_of);
        let at = mount.and_then(|line| line.split(' ').nth(4));
        let path = Path::new(at?).join(format!("svtest-{name}-{}", std::process::id()));
        match fs::create_dir(&path) {
            Ok(()) => Some(Folder(path)),
            Err(error) => {
                println!("skipped: {}: {error}", path.display());
                None
            }
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let removed = fs::remove_dir(&self.0);
        assert!(removed.is_ok() || std::thread::panicking(), "{removed:?}");
    }
}

fn into(room: &Room, name: &str, argv: &[&str]) -> Launch {
    let cgroup = room.make(name, &Ceilings::default()).expect("a cgroup");
    Launch {
        cgroup: Some(cgroup),
        ..launch(argv)
    }
}

fn start(way: Way, launch: &Launch) -> (i32, OwnedFd) {
    running(spawn_by(way, launch, &SpawnCell::default()))
}

/// 200 that ignore signals, each in a session of its own, orphaned, with nothing in its environment.
const SCATTER: &str = "trap '' TERM INT HUP QUIT; i=0; while [ $i -lt 200 ]; do \
    (env -i setsid sleep 100 &); i=$((i+1)); done; exec sleep 100";

#[test]
fn a_cgroup_ends_what_nothing_else_finds() {
    let Some(folder) = Folder::new("ends") else {
        return;
    };
    in_engine(|| {
        let room = Room::probe(&folder.0).expect("it is ours");
        for way in WAYS {
            let argv = ["/bin/sh", "-c", SCATTER];
            let launch = into(&room, "a.0.x", &argv);
            let (main, held) = start(way, &launch);
            let own = fs::read_to_string(format!("/proc/{main}/cgroup")).expect("alive");
            assert!(own.lines().any(|line| line.ends_with("/a.0.x")), "{own}");
            until("all of them", || room.members("a.0.x").len() == 201);
            pidfd::send(&held, Signal::SIGKILL).expect("alive");
            until("the keeper reaps", || proc::stat(main).is_none());
            assert!(!room.is_empty("a.0.x"));
            assert!(room.make("a.0.x", &Ceilings::default()).is_err());
            let began = Instant::now();
            assert!(room.end("a.0.x", Duration::from_secs(5)));
            println!("200 processes ended in {:?} ({way:?})", began.elapsed());
            assert!(room.is_empty("a.0.x") && room.members("a.0.x").is_empty());
            until("it can be removed", || room.clear("a.0.x"));
            assert!(!room.has("a.0.x") && room.is_empty("a.0.x"));
        }
        assert_eq!(room.names(), [""; 0]);
    });
}

#[test]
fn cgroups_below_a_runs_own_go_with_it() {
    let Some(folder) = Folder::new("nested") else {
        return;
    };
    in_engine(|| {
        let room = Room::probe(&folder.0).expect("it is ours");
        let below = folder.0.join("a.0.x/own/more");
        let (main, _held) = start(Way::Newest, &into(&room, "a.0.x", &["/bin/sleep", "100"]));
        fs::create_dir_all(&below).expect("an app may do that");
        fs::write(below.join("cgroup.procs"), main.to_string()).expect("it may go there");
        assert!(!room.is_empty("a.0.x"));
        assert_eq!(room.members("a.0.x"), [main]);
        until("it can be removed", || room.clear("a.0.x"));
        assert!(!room.has("a.0.x"));
    });
}

#[test]
fn a_cgroup_that_cannot_be_entered_is_told_apart_from_a_program_that_cannot_run() {
    let Some(folder) = Folder::new("refused") else {
        return;
    };
    in_engine(|| {
        let room = Room::probe(&folder.0).expect("it is ours");
        let gone = into(&room, "a.0.x", &["/bin/true"]);
        assert!(room.clear("a.0.x"));
        let failed = |way| match spawn_by(way, &gone, &SpawnCell::default()) {
            Outcome::NoProcess { errno } => (None, errno),
            Outcome::Failed { stage, errno, .. } => (Some(stage), errno),
            Outcome::Running { .. } => panic!("it ran in a cgroup that is gone"),
        };
        for (way, wanted) in [(Way::Newest, None), (Way::Legacy, Some(Stage::Cgroup))] {
            let (stage, errno) = failed(way);
            assert_eq!(stage, wanted);
            assert!(matches!(errno, Errno::ENOENT | Errno::ENODEV), "{errno}");
        }
        let mut wrong = into(&room, "b.0.x", &["/nowhere"]);
        wrong.programs = vec![c("/nowhere")];
        for way in WAYS {
            let outcome = spawn_by(way, &wrong, &SpawnCell::default());
            let stage = match outcome {
                Outcome::Failed { stage, .. } => stage,
                other => panic!("{other:?}"),
            };
            assert_eq!(stage, Stage::Exec);
        }
        until("it can be removed", || room.clear("b.0.x"));
    });
}

#[test]
fn where_clone3_is_refused_the_child_enters_by_itself() {
    let Some(folder) = Folder::new("filter") else {
        return;
    };
    in_engine(|| {
        refuse(&[(libc::SYS_clone3, libc::ENOSYS)]);
        let room = Room::probe(&folder.0).expect("it is ours");
        let (main, _held) = start(Way::Newest, &into(&room, "a.0.x", &["/bin/sleep", "100"]));
        assert_eq!(room.members("a.0.x"), [main]);
        until("it can be removed", || room.clear("a.0.x"));
    });
}

#[test]
fn a_machine_that_is_short_of_processes_has_cgroups_all_the_same() {
    let Some(folder) = Folder::new("short") else {
        return;
    };
    in_engine(|| {
        refuse(&[(libc::SYS_clone3, libc::EAGAIN)]);
        Room::probe(&folder.0).expect("it is ours");
    });
}

#[test]
fn what_a_killed_engine_was_trying_out_is_removed() {
    let Some(folder) = Folder::new("probe") else {
        return;
    };
    let (old, others) = (folder.0.join("_probe.4194304"), folder.0.join("others"));
    fs::create_dir(&old).expect("a cgroup");
    fs::create_dir(&others).expect("a cgroup");
    Room::probe(&folder.0).expect("it is ours");
    assert!(!old.exists() && others.exists());
    fs::remove_dir(others).expect("nobody is in it");
}
