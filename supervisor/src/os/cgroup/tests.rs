//! What is written where, in a plain folder; how the mount is found. Real cgroups: `os/tests/cgroups.rs`.

use super::*;

/// A folder with the files of a cgroup, whose controllers are these.
fn pretended(off: &[Controller]) -> (tempfile::TempDir, Room) {
    let folder = tempfile::tempdir().expect("a folder");
    let room = Room::pretended(folder.path(), off);
    (folder, room)
}

fn all() -> Ceilings {
    Ceilings {
        memory: Some(Bytes(512_000_000)),
        cpu: Some(Cpus(1500)),
        pids: Some(Tasks(200)),
    }
}

/// The files of a run's cgroup and what is in them.
fn files(folder: &Path, name: &str) -> Vec<(String, String)> {
    let entries = fs::read_dir(folder.join(name)).expect("it was made");
    let mut found: Vec<_> = entries
        .map(|entry| {
            let entry = entry.expect("an entry");
            let name = entry.file_name().into_string().expect("text");
            (name, fs::read_to_string(entry.path()).expect("text"))
        })
        .collect();
    found.sort();
    found
}

fn said(files: &[(&str, &str)]) -> Vec<(String, String)> {
    let said = files.iter();
    said.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn a_greedy_app_is_kept_to_what_its_file_says() {
    let (folder, room) = pretended(&[]);
    room.make("a.0", &all()).expect("a plain folder");
    let wanted = [
        ("cpu.max", "150000 100000"),
        ("memory.max", "512000000"),
        ("memory.oom.group", "1"),
        ("pids.max", "200"),
    ];
    assert_eq!(files(folder.path(), "a.0"), said(&wanted));
    room.make("b.0", &Ceilings::default())
        .expect("a plain folder");
    assert_eq!(files(folder.path(), "b.0"), []);
    let tiny = Ceilings {
        cpu: Some(Cpus(1)),
        ..Ceilings::default()
    };
    room.make("c.0", &tiny).expect("a plain folder");
    let wanted = [("cpu.max", "1000 1000000")];
    assert_eq!(files(folder.path(), "c.0"), said(&wanted));
}

#[test]
fn without_a_controller_its_ceiling_is_left_out() {
    let (folder, room) = pretended(&[Controller::Memory, Controller::Cpu]);
    room.make("a.0", &all()).expect("a plain folder");
    assert_eq!(files(folder.path(), "a.0"), said(&[("pids.max", "200")]));
    assert_eq!(room.oom("a.0"), None);
}

#[test]
fn swap_is_no_way_out_where_it_is_counted() {
    let (folder, room) = pretended(&[]);
    let run = folder.path().join("a.0");
    fs::create_dir(&run).expect("a folder");
    fs::write(run.join("memory.swap.max"), "max").expect("a file");
    fs::write(run.join("cgroup.events"), "populated 0\nfrozen 0\n").expect("a file");
    room.make("a.0", &all()).expect("nobody is in it");
    assert!(files(folder.path(), "a.0").contains(&said(&[("memory.swap.max", "0")])[0]));
    // Somebody is: that is another run's, or nobody knows whose.
    fs::write(run.join("cgroup.events"), "populated 1\nfrozen 0\n").expect("a file");
    assert!(room.make("a.0", &all()).is_err());
}

#[test]
fn who_was_killed_for_memory_is_read_from_its_events() {
    let (folder, room) = pretended(&[]);
    room.make("a.0", &all()).expect("a plain folder");
    assert_eq!(room.oom("a.0"), None);
    let told = |events: &str| {
        fs::write(folder.path().join("a.0/memory.events"), events).expect("a file");
        room.oom("a.0")
    };
    assert_eq!(told("low 0\nhigh 0\nmax 3\noom 0\noom_kill 0\n"), None);
    let own = Oom {
        at: Some(512_000_000),
    };
    let events = "low 0\nhigh 0\nmax 9\noom 1\noom_kill 2\noom_group_kill 1\n";
    assert_eq!(told(events), Some(own));
    let machines = Oom { at: None };
    assert_eq!(told("max 0\noom 0\noom_kill 1\n"), Some(machines));
}

#[test]
fn the_folder_is_found_where_the_file_system_is_mounted() {
    let systemd = "25 30 0:23 / /sys rw - sysfs sysfs rw\n\
        29 25 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
    let apps = Path::new("/system.slice/supervisor-apps.service");
    assert_eq!(
        mounted(systemd, apps).as_deref(),
        Some(Path::new(
            "/sys/fs/cgroup/system.slice/supervisor-apps.service"
        ))
    );
    // A part of it, at a place with a space.
    let part = "31 25 0:26 /system.slice /srv/c\\040g rw - cgroup2 none rw\n";
    assert_eq!(
        mounted(part, apps).as_deref(),
        Some(Path::new("/srv/c g/supervisor-apps.service"))
    );
    let other = "31 25 0:26 /user.slice /srv/cg rw - cgroup2 none rw\n";
    assert_eq!(mounted(other, apps), None);
    let first = "33 25 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
    assert_eq!(mounted(first, apps), None);
}

#[test]
fn what_is_no_cgroup_is_refused_with_a_reason() {
    let why = |path: &str| Room::probe(Path::new(path)).expect_err("no cgroup");
    assert_eq!(why("a/b"), "SUPERVISOR_CGROUP is an absolute path");
    assert_eq!(
        why("/tmp"),
        "it is not in a file system of cgroups of version 2"
    );
    assert_eq!(why("/nonexistent-folder"), "No such file or directory");
}
