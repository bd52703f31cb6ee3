//! A folder of its own for each manager that runs: its files, its environment, and by that the
//! processes that belong to it. When it is dropped, no process of it is left and it is deleted.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use supervisor_tests::{proc, programs};

use crate::{Outcome, failed};

/// A folder in `/tmp`, with a short name because sockets are in it.
#[derive(Debug)]
pub struct Place {
    root: tempfile::TempDir,
}

impl Place {
    /// A new one.
    pub fn new() -> Outcome<Place> {
        let root = tempfile::Builder::new().prefix("svb").tempdir_in("/tmp");
        let root = root.map_err(failed(Path::new("/tmp")))?;
        Ok(Place { root })
    }

    /// A file or folder of it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// The same as text.
    pub fn text(&self, name: &str) -> String {
        let path = self.path(name);
        path.to_str().expect("the names here are plain").to_owned()
    }

    /// Makes a folder.
    pub fn folder(&self, name: &str) -> Outcome<PathBuf> {
        let path = self.path(name);
        fs::create_dir_all(&path).map_err(failed(&path))?;
        Ok(path)
    }

    /// Writes a file, and the folder it is in.
    pub fn write(&self, name: &str, text: &str) -> Outcome<PathBuf> {
        let path = self.path(name);
        let folder = path.parent().unwrap_or(&path);
        fs::create_dir_all(folder).map_err(failed(folder))?;
        fs::write(&path, text).map_err(failed(&path))?;
        Ok(path)
    }

    /// Writes a file that can be executed.
    pub fn program(&self, name: &str, text: &str) -> Outcome<PathBuf> {
        let path = self.write(name, text)?;
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&path, mode).map_err(failed(&path))?;
        Ok(path)
    }

    /// A command in this folder, with nothing of the caller's environment but `PATH`. `HOME` is
    /// the folder: by it [`Place::processes`] finds what the command starts.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.root.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.root.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C is for the benchmark, which ends its managers in its own way.
            .process_group(0);
        command
    }

    /// Every process that has to do with this folder.
    pub fn processes(&self) -> Vec<i32> {
        let me = std::process::id().cast_signed();
        let mut pids = proc::all();
        pids.retain(|&pid| pid != me && proc::touches(pid, self.root.path()));
        pids
    }

    /// Those of them that are not apps.
    pub fn managers(&self) -> Vec<i32> {
        let app = programs::testapp();
        let mut pids = self.processes();
        pids.retain(|&pid| proc::program(pid).is_some_and(|program| program != app));
        pids
    }

    /// Waits a while for all of them to end, then kills what is left.
    fn sweep(&self) {
        let patience = Instant::now() + Duration::from_secs(10);
        loop {
            let left = self.processes();
            if left.is_empty() {
                return;
            }
            if Instant::now() > patience {
                // Again and again: something of it may start another one meanwhile.
                left.iter()
                    .for_each(|&pid| proc::kill(pid, Signal::SIGKILL));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.sweep();
    }
}
