//! A folder of cgroups of the test's own, which daemons may use. Needs root and a file system of
//! cgroups of version 2; where there is none, the test says that it was skipped.
//!
//! It has to be empty when it is dropped: it is made before the [`Home`] whose daemon uses it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::{Home, Output, programs, wait};

/// See the module.
#[derive(Debug)]
pub struct Cgroups {
    path: PathBuf,
}

impl Cgroups {
    /// Makes one; `None`, said on standard output, where that cannot be.
    #[must_use]
    pub fn new() -> Option<Cgroups> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("/proc is mounted");
        let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "));
        let at = mount.and_then(|line| line.split(' ').nth(4));
        let Some(at) = at else {
            println!("skipped: no file system of cgroups of version 2 is mounted");
            return None;
        };
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(at).join(format!("svtest-{}-{number}", std::process::id()));
        match fs::create_dir(&path) {
            Ok(()) => Some(Cgroups { path }),
            Err(error) => {
                println!("skipped: {}: {error}", path.display());
                None
            }
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Starts a daemon that uses it.
    #[track_caller]
    pub fn start_daemon(&self, home: &Home) {
        let mut command = home.command(&programs::supervisor());
        command
            .arg("--daemonize")
            .env("SUPERVISOR_CGROUP", &self.path);
        Output::of(&mut command).ok();
    }

    /// The names of the cgroups in it.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.path).expect("it is ours");
        let folders = entries
            .map(|entry| entry.expect("an entry"))
            .filter(|entry| entry.file_type().expect("a type").is_dir());
        let mut names: Vec<String> = folders
            .map(|entry| entry.file_name().into_string().expect("plain names"))
            .collect();
        names.sort();
        names
    }

    /// The processes in the cgroups of an app's first instance.
    #[must_use]
    pub fn members(&self, app: &str) -> Vec<i32> {
        let of_app = self.names().into_iter();
        let of_app = of_app.filter(|name| name.starts_with(&format!("{app}.0.")));
        let procs =
            of_app.map(|name| fs::read_to_string(self.path.join(name).join("cgroup.procs")));
        procs
            .flat_map(|procs| {
                let procs = procs.unwrap_or_default();
                let pids = procs.lines().filter_map(|line| line.parse().ok());
                pids.collect::<Vec<i32>>()
            })
            .collect()
    }

    /// Waits until there are so many cgroups in it.
    #[track_caller]
    pub fn wait_count(&self, count: usize) {
        let what = format!("{count} cgroups in {}", self.path.display());
        wait::wait_until(&what, Duration::from_secs(10), || {
            (self.names().len() == count).then_some(())
        });
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        let left = self.names();
        if std::thread::panicking() {
            for name in &left {
                // What a failed test leaves; somebody may still be in it.
                let _ = fs::remove_dir(self.path.join(name));
            }
        }
        let removed = fs::remove_dir(&self.path);
        assert!(
            (left.is_empty() && removed.is_ok()) || std::thread::panicking(),
            "the daemon left {left:?} in {} ({removed:?})",
            self.path.display()
        );
    }
}
