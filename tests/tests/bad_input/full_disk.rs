//! A disk that is full where the state is written.

use std::fs;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use supervisor_tests::{Home, Output, programs, testapp};

use crate::LONG;
use crate::untouched::untouched;

/// A state folder on a disk of its own, small enough to be filled.
struct SmallDisk<'a> {
    home: &'a Home,
}

impl SmallDisk<'_> {
    /// `None` where the kernel does not let us.
    fn below(home: &Home) -> Option<SmallDisk<'_>> {
        let state = home.path().join("state");
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&state)
            .expect("our own folder");
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs"])
            .arg(&state);
        let mounted = mount.stderr(Stdio::null()).status();
        mounted
            .is_ok_and(|status| status.success())
            .then_some(SmallDisk { home })
    }

    fn filler(&self) -> std::path::PathBuf {
        self.home.path().join("state/filler")
    }

    fn fill(&self) {
        let mut file = fs::File::create(self.filler()).expect("our own folder");
        while file.write_all(&[0; 4096]).is_ok() {}
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        // Before the folder is removed, and not while the daemon has files open in it: its processes
        // end a moment after `daemon stop` does. What fails here shows when the home is dropped.
        let mut stop = self.home.command(&programs::supervisorctl());
        let _ = stop.args(["daemon", "stop"]).output();
        let deadline = Instant::now() + Duration::from_secs(5);
        while !self.home.processes().is_empty() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        let state = self.home.path().join("state");
        let _ = Command::new("umount").arg(state).status();
    }
}

#[test]
fn a_full_disk() {
    let home = Home::new();
    let Some(disk) = SmallDisk::below(&home) else {
        println!("skipped: a disk of its own cannot be mounted here");
        return;
    };
    let file = home.write("kept.toml", &testapp("kept", &["sleep"], ""));
    home.ctl(&["up", file.to_str().expect("plain names")]).ok();
    let before = untouched(&home);
    disk.fill();
    let big = format!("env = {{ BIG = {:?} }}", "x".repeat(20_000));
    home.write("big.toml", &testapp("big", &["sleep"], &big));
    let changes: [&[&str]; 5] = [
        &["up", "big.toml"],
        &["start", "sleep", "--name", "typed", "--", "1000"],
        &["stop", "kept"],
        &["delete", "kept"],
        &["scale", "kept", "3"],
    ];
    for words in changes {
        let output = home.ctl(words).exits(1);
        is_clear_on_full(&output);
        assert_eq!(untouched(&home), before, "{output}");
    }
    // A look, and a restart, write nothing that has to be kept.
    home.ctl(&["status"]).ok();
    home.ctl(&["show", "kept"]).ok();
    home.kill_engine();
    assert_eq!(
        untouched(&home),
        before,
        "an engine that comes later knows all of it, too"
    );

    fs::remove_file(disk.filler()).expect("it was there");
    home.ctl(&["up", "big.toml"]).ok();
    assert_eq!(home.status().len(), 2);
}

#[track_caller]
fn is_clear_on_full(output: &Output) {
    let text = output.text().to_lowercase();
    assert!(
        text.contains("no space left") || text.contains("disk"),
        "{output}"
    );
    assert!(text.len() < LONG && !text.contains("panicked"), "{output}");
}
