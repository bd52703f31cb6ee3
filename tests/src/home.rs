//! A supervisor of its own for each test.
//!
//! Below one folder with a short name in `/tmp`: `home/` is `SUPERVISOR_HOME`, `work/` is where
//! the apps live. Dropping it stops the daemon the polite way and then looks through `/proc`: a
//! process that still has to do with the folder is killed and fails the test.

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{Output, proc, programs, wait};

/// Where the runtime state says of which boot it is.
const BOOT_ID_AT: u64 = 16;

/// A supervisor of its own, and the folder in which its apps live.
#[derive(Debug)]
pub struct Home {
    root: tempfile::TempDir,
}

/// The two processes of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Daemon {
    /// Holds everything.
    pub keeper: i32,
    /// Decides and does.
    pub engine: i32,
}

impl Home {
    /// A new one; nothing runs in it yet.
    #[must_use]
    pub fn new() -> Home {
        // Fail here, with what to do, rather than in the middle.
        let _programs = (programs::supervisor(), programs::supervisorctl());
        let root = tempfile::Builder::new()
            .prefix("svt")
            .tempdir_in("/tmp")
            .expect("/tmp");
        // Other users may look in, so that what keeps them out is the supervisor's own doing.
        for folder in [
            root.path().to_owned(),
            root.path().join("home"),
            root.path().join("work"),
        ] {
            fs::create_dir_all(&folder).expect("a folder in /tmp");
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("own folder");
        }
        Home { root }
    }

    /// `SUPERVISOR_HOME`.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.root.path().join("home")
    }

    /// Where the apps live and `supervisorctl` is called.
    #[must_use]
    pub fn work(&self) -> PathBuf {
        self.root.path().join("work")
    }

    /// A file of the work folder.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.work().join(name)
    }

    /// The same as text, for config files and arguments.
    #[must_use]
    pub fn text_of(&self, name: &str) -> String {
        self.file(name)
            .to_str()
            .expect("test folders have plain names")
            .to_owned()
    }

    /// Writes a file of the work folder.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.file(name);
        fs::write(&file, text).expect("the work folder can be written");
        file
    }

    /// Copies a program or a folder into the work folder, readable for everybody. `cp` does it:
    /// a file that this process wrote could still be open in a child of another test's thread,
    /// and could not be executed then ("text file busy").
    pub fn copy(&self, from: &Path, name: &str) -> PathBuf {
        let to = self.file(name);
        Output::of(Command::new("cp").arg("-r").arg(from).arg(&to)).ok();
        Output::of(Command::new("chmod").arg("-R").arg("a+rX").arg(&to)).ok();
        to
    }

    /// A program with this supervisor's environment and nothing else of the caller's.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.work())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.root.path())
            .env("SUPERVISOR_HOME", self.path());
        command
    }

    /// `supervisorctl` with these words, in the work folder.
    #[track_caller]
    pub fn ctl<S: AsRef<str>>(&self, words: &[S]) -> Output {
        let mut command = self.command(&programs::supervisorctl());
        Output::of(command.args(words.iter().map(AsRef::as_ref)))
    }

    /// Writes `supervisor.toml` into the work folder and makes it so.
    #[track_caller]
    pub fn up(&self, config: &str) -> Output {
        let file = self.write("supervisor.toml", config);
        self.ctl(&["up", file.to_str().expect("test folders have plain names")])
    }

    /// `supervisor --daemonize`.
    #[track_caller]
    pub fn start_daemon(&self) {
        Output::of(self.command(&programs::supervisor()).arg("--daemonize")).ok();
    }

    /// The rows of `status --json`.
    #[track_caller]
    #[must_use]
    pub fn status(&self) -> Vec<Value> {
        match self.ctl(&["status", "--json"]).ok().json() {
            Value::Array(rows) => rows,
            other => panic!("status --json is not a list: {other}"),
        }
    }

    /// The row of an app's first instance.
    #[track_caller]
    #[must_use]
    pub fn row(&self, name: &str) -> Value {
        let rows = self.status();
        let found = rows
            .iter()
            .find(|row| row["name"] == name && row["instance"] == 0);
        found
            .unwrap_or_else(|| panic!("no {name}:0 in {rows:?}"))
            .clone()
    }

    /// The pid of an app's first instance, which must have one.
    #[track_caller]
    #[must_use]
    pub fn pid(&self, name: &str) -> i32 {
        let row = self.row(name);
        pid_in(&row).unwrap_or_else(|| panic!("no pid: {row}"))
    }

    /// `show --json` of an app's first instance.
    #[track_caller]
    #[must_use]
    pub fn show(&self, name: &str) -> Value {
        let shown = self.ctl(&["show", name, "--json"]).ok().json();
        shown
            .as_array()
            .map_or(shown.clone(), |list| list[0].clone())
    }

    /// Waits until an app's first instance is as `is` wants it.
    #[track_caller]
    pub fn wait_row(&self, name: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        wait::wait_until(&format!("{name}: {what}"), Duration::from_secs(20), || {
            last = self.row(name);
            is(&last).then(|| last.clone())
        })
    }

    /// The daemon's two processes, as it says itself.
    #[track_caller]
    #[must_use]
    pub fn daemon(&self) -> Daemon {
        let status = self.ctl(&["daemon", "status", "--json"]).ok().json();
        let pid = |key: &str| {
            let pid = status[key].as_i64().and_then(|pid| i32::try_from(pid).ok());
            pid.unwrap_or_else(|| panic!("no {key} in {status}"))
        };
        Daemon {
            keeper: pid("keeper_pid"),
            engine: pid("engine_pid"),
        }
    }

    /// Kills the engine with SIGKILL as soon as the daemon answers, and returns when it is dead.
    #[track_caller]
    pub fn kill_engine(&self) -> Daemon {
        let daemon = self.daemon();
        proc::kill(daemon.engine, Signal::SIGKILL);
        self.wait_gone(daemon.engine);
        daemon
    }

    /// What a power cut does: everything is dead at once, and what is left of the runtime state is of
    /// another boot of the machine.
    #[track_caller]
    pub fn power_cut(&self) {
        let Daemon { keeper, engine } = self.daemon();
        // The engine cannot take the keeper's place, nor the keeper start another one.
        proc::kill(keeper, Signal::SIGSTOP);
        proc::kill(engine, Signal::SIGKILL);
        proc::kill(keeper, Signal::SIGKILL);
        wait::wait_until("everything is dead", Duration::from_secs(10), || {
            let left = self.processes();
            left.iter()
                .for_each(|&pid| proc::kill(pid, Signal::SIGKILL));
            left.is_empty().then_some(())
        });
        let state = self.path().join("run/runtime.state");
        let file = fs::File::options().write(true).open(state);
        let boot_id = b"00000000-0000-0000-0000-000000000000";
        let written = file.and_then(|file| file.write_all_at(boot_id, BOOT_ID_AT));
        written.expect("the runtime state is there");
    }

    /// Kills the engine that a keeper has now, whether it answers or not.
    #[track_caller]
    pub fn kill_engine_of(&self, keeper: i32) {
        let engine = wait::wait_until("an engine", Duration::from_secs(10), || {
            proc::engine_of(keeper)
        });
        proc::kill(engine, Signal::SIGKILL);
        self.wait_gone(engine);
    }

    /// Waits until a process is gone.
    #[track_caller]
    pub fn wait_gone(&self, pid: i32) {
        wait::wait_until(&format!("{pid} is gone"), Duration::from_secs(10), || {
            (!proc::alive(pid)).then_some(())
        });
    }

    /// Every process that has to do with this supervisor, its apps included.
    #[must_use]
    pub fn processes(&self) -> Vec<i32> {
        let me = std::process::id().cast_signed();
        let others = proc::all().into_iter().filter(|&pid| pid != me);
        others
            .filter(|&pid| proc::touches(pid, self.root.path()))
            .collect()
    }

    /// The main processes of one instance of an app that does not fork, found without asking the
    /// daemon.
    #[must_use]
    pub fn running(&self, name: &str, instance: u32) -> Vec<i32> {
        let instance = instance.to_string();
        let of_it = |&pid: &i32| {
            proc::variable(pid, "SUPERVISOR_APP").as_deref() == Some(name)
                && proc::variable(pid, "SUPERVISOR_INSTANCE").as_ref() == Some(&instance)
        };
        self.processes().into_iter().filter(of_it).collect()
    }

    /// What an app's first instance wrote to a stream (`out` or `err`).
    #[must_use]
    pub fn log(&self, name: &str, stream: &str) -> String {
        let file = self.path().join(format!("logs/{name}/0.{stream}.log"));
        String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned()
    }

    /// The starts that test apps noted in a file of the work folder (`STAMPS`): nanoseconds and
    /// pid, in order.
    #[must_use]
    pub fn stamps(&self, name: &str) -> Vec<(u64, i32)> {
        wait::stamps(&self.file(name))
    }

    /// Waits until a stamp file has `count` starts.
    #[track_caller]
    pub fn wait_stamps(&self, name: &str, count: usize) -> Vec<(u64, i32)> {
        wait::wait_until(
            &format!("{count} starts in {name}"),
            Duration::from_secs(30),
            || Some(self.stamps(name)).filter(|stamps| stamps.len() >= count),
        )
    }

    /// The daemon's own last words.
    #[must_use]
    pub fn daemon_log(&self) -> String {
        let file = self.path().join("logs/supervisor.log");
        let text = String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Default for Home {
    fn default() -> Home {
        Home::new()
    }
}

/// The `pid` of a row.
fn pid_in(row: &Value) -> Option<i32> {
    row["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok())
}

impl Drop for Home {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- the daemon's log:\n{}\n---", self.daemon_log());
        }
        // Without `Output::of`: a panic while the test already panics would abort and hide why.
        let mut stop = self.command(Path::new("timeout"));
        let stop = stop
            .arg("40")
            .arg(programs::supervisorctl())
            .args(["daemon", "stop"])
            .output();
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut left = self.processes();
        while !left.is_empty() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
            left = self.processes();
        }
        if left.is_empty() {
            return;
        }
        let named: Vec<String> = left
            .iter()
            .map(|&pid| format!("{pid} {:?}", proc::command(pid)))
            .collect();
        // Again and again: a keeper that is killed before its engine starts another one.
        while !left.is_empty() {
            left.iter()
                .for_each(|&pid| proc::kill(pid, Signal::SIGKILL));
            thread::sleep(Duration::from_millis(5));
            left = self.processes();
        }
        let message = format!("`daemon stop` ({stop:?}) left processes behind: {named:#?}");
        assert!(thread::panicking(), "{message}");
        eprintln!("{message}");
    }
}
