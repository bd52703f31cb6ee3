//! A machine's own cgroups, one in each hierarchy that systemd uses.

use std::fs;
use std::path::{Path, PathBuf};

/// Makes them.
pub fn make() -> Vec<PathBuf> {
    let mount = Path::new("/sys/fs/cgroup");
    let hierarchies = if mount.join("cgroup.controllers").exists() {
        vec![mount.to_owned()]
    } else {
        ["unified", "systemd"].map(|name| mount.join(name)).into()
    };
    let name = format!("supervisor-tests-{}", std::process::id());
    let there = hierarchies.into_iter().filter(|folder| folder.is_dir());
    let groups: Vec<PathBuf> = there.map(|folder| folder.join(&name)).collect();
    for group in &groups {
        fs::create_dir_all(group).expect("root may make cgroups");
    }
    groups
}

/// Removes a cgroup and those below it; false while something is left in one.
pub fn remove(group: &Path) -> bool {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove(&entry.path());
        }
    }
    // Why it cannot be removed yet shows in that it is still there.
    let _ = fs::remove_dir(group);
    !group.exists()
}
