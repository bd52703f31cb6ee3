//! The daemon is replaced by the program on disk, while the apps go on: `daemon upgrade`, with good
//! programs and with broken ones.
//!
//! Each test installs programs at a path of its own, by renaming them over the one before, as a
//! package does.

mod broken;
mod keeper;
mod load;
mod states;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use supervisor_tests::{Daemon, Home, Output, programs};

/// A daemon that was started from a path of its own.
struct Installed {
    home: Home,
    path: PathBuf,
}

impl Installed {
    /// With the program as it is shipped, and a daemon that runs.
    fn new() -> Installed {
        let home = Home::new();
        fs::create_dir(home.file("bin")).expect("a new folder");
        let path = home.file("bin/supervisor");
        let installed = Installed { home, path };
        installed.install(&programs::supervisor());
        Output::of(installed.home.command(&installed.path).arg("--daemonize")).ok();
        installed
    }

    /// Puts another program in its place.
    fn install(&self, program: &Path) {
        let next = self.home.copy(program, "bin/next");
        self.rename(&next);
    }

    fn rename(&self, next: &Path) {
        fs::rename(next, &self.path).expect("the same folder");
    }

    /// Puts a program there that does this when it is started as engine or keeper.
    fn install_faulty(&self, fault: &str) {
        self.home.write("bin/fault", fault);
        self.install(&programs::testapp());
    }

    /// Puts a file with this mode there.
    fn install_bytes(&self, bytes: &[u8], mode: &str) {
        let next = self.home.file("bin/next");
        fs::write(&next, bytes).expect("the folder can be written");
        Output::of(Command::new("chmod").arg(mode).arg(&next)).ok();
        self.rename(&next);
    }

    /// `daemon upgrade`, with these words.
    fn upgrade(&self, words: &[&str]) -> Output {
        self.home.ctl(&[&["daemon", "upgrade"], words].concat())
    }

    fn daemon(&self) -> Daemon {
        self.home.daemon()
    }

    /// Which file is installed now.
    fn file(&self) -> u64 {
        fs::metadata(&self.path).expect("it is there").ino()
    }

    /// How `daemon status` tells of the last upgrade.
    fn state(&self) -> serde_json::Value {
        let status = self.home.ctl(&["daemon", "status", "--json"]).ok().json();
        status["upgrade"]["state"].clone()
    }
}

/// Which file a process runs.
fn runs(pid: i32) -> u64 {
    let program = fs::metadata(format!("/proc/{pid}/exe"));
    program.expect("it runs").ino()
}
