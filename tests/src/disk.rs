//! A small disk of its own for a folder: one that can be filled, and one that can hang. Needs
//! root; where the kernel does not let us there is none, and the test says that it was skipped.
//!
//! Dropping it thaws it, ends the home's daemon and unmounts it, also while the test panics; so it
//! is made after the [`Home`] that it belongs to.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Home, programs};

/// What kind of filesystem it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// In memory.
    Tmpfs,
    /// On a loop device; can be frozen.
    Ext4,
}

/// A small filesystem that is mounted at a folder.
#[derive(Debug)]
pub struct Disk<'a> {
    home: &'a Home,
    at: PathBuf,
}

impl Disk<'_> {
    /// Mounts a new one of so many KiB; `None`, said on standard output, where that cannot be.
    #[must_use]
    pub fn mount(home: &Home, kind: Kind, kib: u64, at: PathBuf) -> Option<Disk<'_>> {
        fs::create_dir_all(&at).expect("a folder of the home");
        let done = match kind {
            Kind::Tmpfs => {
                let size = format!("size={kib}k");
                run(Command::new("mount")
                    .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
                    .arg(&at))
            }
            Kind::Ext4 => {
                let image = home.file(&format!(
                    "{}.disk",
                    at.file_name()
                        .and_then(|name| name.to_str())
                        .expect("a plain name")
                ));
                let made = File::create(&image).and_then(|file| file.set_len(kib * 1024));
                made.expect("room for a small disk");
                // No journal and no reserve: the last block is for whoever comes first.
                let mut make = Command::new("mkfs.ext4");
                make.args(["-q", "-F", "-O", "^has_journal", "-m", "0"])
                    .arg(&image);
                run(&mut make)
                    && run(Command::new("mount")
                        .args(["-o", "loop"])
                        .arg(&image)
                        .arg(&at))
            }
        };
        if !done {
            println!("skipped: {kind:?} cannot be mounted here");
            return None;
        }
        // As the supervisor makes its folder of logs itself.
        fs::set_permissions(&at, fs::Permissions::from_mode(0o750)).expect("our own disk");
        Some(Disk { home, at })
    }

    /// Fills it to the last byte with a file that is nobody's log.
    pub fn fill(&self) {
        let mut file = File::create(self.filler()).expect("the disk is ours");
        for size in [64 << 10, 4 << 10, 1 << 10, 1] {
            let piece = vec![b'#'; size];
            while file.write_all(&piece).is_ok() {}
        }
    }

    /// Frees what [`Disk::fill`] took.
    pub fn free(&self) {
        fs::remove_file(self.filler()).expect("it is filled");
    }

    /// From now on every write to it waits.
    ///
    /// # Panics
    /// When it cannot be frozen.
    #[must_use]
    pub fn freeze(&self) -> Frozen<'_> {
        assert!(
            run(Command::new("fsfreeze").arg("-f").arg(&self.at)),
            "fsfreeze"
        );
        Frozen { at: &self.at }
    }

    fn filler(&self) -> PathBuf {
        self.at.join("filler")
    }
}

/// A disk that hangs until this is dropped.
#[derive(Debug)]
pub struct Frozen<'a> {
    at: &'a Path,
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        if !run(Command::new("fsfreeze").arg("-u").arg(self.at)) {
            eprintln!("{} is still frozen", self.at.display());
        }
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        // Not while the daemon has files open in it: its processes end a moment after `daemon
        // stop` does. What it leaves behind shows when the home is dropped.
        let mut stop = self.home.command(Path::new("timeout"));
        stop.arg("40")
            .arg(programs::supervisorctl())
            .args(["daemon", "stop"]);
        run(&mut stop);
        let deadline = Instant::now() + Duration::from_secs(5);
        while !self.home.processes().is_empty() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        // Lazily where something still holds it: it goes when that does.
        if !run(Command::new("umount").arg(&self.at))
            && !run(Command::new("umount").arg("--lazy").arg(&self.at))
        {
            eprintln!("{} is still mounted", self.at.display());
        }
    }
}

fn run(command: &mut Command) -> bool {
    let silent = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    silent.status().is_ok_and(|status| status.success())
}
