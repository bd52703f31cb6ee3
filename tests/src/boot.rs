//! A machine with a real systemd as its first process: booted, rebooted, cut off from power.
//!
//! A container of systemd-nspawn over a root filesystem that `tests/machines/make.sh` made; that is
//! never written to. Programs and files get into it before it boots ([`Machine::place`],
//! [`Machine::write`]) or while it runs ([`Machine::sh`]). What it serves on its own loopback is
//! asked for by threads that enter its network ([`Machine::get`], [`Load`]).
//!
//! It has mount and pid namespaces of its own and dies with this process, however that ends. Only
//! one runs at a time: what is measured in it is not to be disturbed by another that boots.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{Daemon, Output, http, proc, wait_until};

mod groups;
mod load;

pub use load::{Load, Served};

use load::enter_network;

/// Longer than any boot or shutdown may take.
const LONGEST: Duration = Duration::from_secs(60);
/// How nspawn ends where the machine wants to boot again.
const REBOOT: i32 = 133;

static ALONE: Mutex<()> = Mutex::new(());

/// What `tests/machines/make.sh` made.
#[must_use]
pub fn made(what: &str) -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    let found = cache
        .unwrap_or_else(home)
        .join("supervisor-tests")
        .join(what);
    assert!(
        found.join("made").is_file(),
        "{} is missing: tests/machines/make.sh makes it (tests/run.sh does all of it)",
        found.display()
    );
    found
}

/// Does a named part of a test, and says how long it took.
pub fn step<T>(what: &str, part: impl FnOnce() -> T) -> T {
    println!("{what} …");
    let started = Instant::now();
    let result = part();
    println!("    {} ms", started.elapsed().as_millis());
    result
}

/// A machine; off at first.
#[derive(Debug)]
pub struct Machine {
    work: tempfile::TempDir,
    groups: Vec<PathBuf>,
    hull: Child,
    orders: ChildStdin,
    ends: mpsc::Receiver<i32>,
    /// Its first process, while it is on.
    init: Option<i32>,
    _alone: MutexGuard<'static, ()>,
}

impl Machine {
    /// A new one, as it comes from the archive.
    #[must_use]
    pub fn new() -> Machine {
        // A test that failed says nothing about the next machine.
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let root = made("root");
        let work = tempfile::Builder::new().prefix("svm").tempdir_in("/tmp");
        let work = work.expect("/tmp");
        for folder in ["upper", "scratch", "tree"] {
            fs::create_dir(work.path().join(folder)).expect("a folder in /tmp");
            // The root of the machine, for everybody in it.
            let mode = fs::Permissions::from_mode(0o755);
            fs::set_permissions(work.path().join(folder), mode).expect("own folder");
        }
        let groups = groups::make();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("machines/container.sh");
        let mut command = Command::new("setpriv");
        command
            .args([
                "--pdeathsig",
                "KILL",
                "unshare",
                "--mount",
                "--pid",
                "--fork",
            ])
            .args(["--kill-child", "--mount-proc", "--propagation", "private"])
            .arg(script)
            .arg(root)
            .arg(work.path())
            .args(&groups)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut hull = command.spawn().expect("setpriv, of util-linux");
        let orders = hull.stdin.take().expect("piped");
        let answers = BufReader::new(hull.stdout.take().expect("piped"));
        let (sender, ends) = mpsc::channel();
        thread::spawn(move || {
            let codes = answers.lines().map_while(Result::ok);
            // Until the hull is gone, or nobody listens any more.
            codes
                .filter_map(|code| code.parse().ok())
                .all(|code| sender.send(code).is_ok())
        });
        Machine {
            work,
            groups,
            hull,
            orders,
            ends,
            init: None,
            _alone: alone,
        }
    }

    /// Copies a program or a folder to a path in it; only while it is off.
    pub fn place(&self, from: &Path, to: &str) {
        let to = self.path(to);
        fs::create_dir_all(to.parent().expect("not the root")).expect("our own folder");
        Output::of(Command::new("cp").arg("-rL").arg(from).arg(&to)).ok();
        Output::of(Command::new("chmod").arg("-R").arg("a+rX").arg(&to)).ok();
    }

    /// Writes a file in it; only while it is off.
    pub fn write(&self, to: &str, text: &str) {
        let to = self.path(to);
        fs::create_dir_all(to.parent().expect("not the root")).expect("our own folder");
        fs::write(&to, text).expect("our own folder");
    }

    /// What was written to a file in it, also when it is off.
    #[must_use]
    pub fn read(&self, path: &str) -> String {
        let bytes = fs::read(self.path(path)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn path(&self, path: &str) -> PathBuf {
        self.work
            .path()
            .join("upper")
            .join(path.trim_start_matches('/'))
    }

    /// Turns it on and waits until systemd has started everything; how long that took.
    #[track_caller]
    pub fn boot(&mut self) -> Duration {
        assert!(self.init.is_none(), "it is on already");
        let started = Instant::now();
        self.orders.write_all(b"boot\n").expect("the hull listens");
        let init = wait_until("the machine has a first process", LONGEST, || {
            let ended = self.ends.try_recv();
            assert!(ended.is_err(), "it does not boot: {}", self.console());
            self.find_init()
        });
        self.init = Some(init);
        wait_until("systemd has started everything", LONGEST, || {
            let state = self.run(&["systemctl", "is-system-running"]);
            matches!(state.stdout.trim(), "running" | "degraded").then_some(())
        });
        started.elapsed()
    }

    /// As the person at the machine would do it; how long going down took.
    #[track_caller]
    pub fn reboot(&mut self) -> Duration {
        let down = self.goes_down(&["systemctl", "reboot"], Some(REBOOT));
        self.boot();
        down
    }

    /// Every process is gone in an instant; then the power is back.
    #[track_caller]
    pub fn power_cut(&mut self) {
        proc::kill(self.init(), Signal::SIGKILL);
        self.wait_off(None);
        self.boot();
    }

    /// Turns it off; how long that took.
    #[track_caller]
    pub fn shut_down(&mut self) -> Duration {
        self.goes_down(&["systemctl", "poweroff"], Some(0))
    }

    fn goes_down(&mut self, words: &[&str], code: Option<i32>) -> Duration {
        let started = Instant::now();
        // The connection may end before the answer has come.
        self.run(words);
        self.wait_off(code);
        started.elapsed()
    }

    fn wait_off(&mut self, expected: Option<i32>) {
        self.init = None;
        match self.ends.recv_timeout(LONGEST) {
            Ok(code) => assert!(
                expected.is_none_or(|expected| expected == code),
                "the machine ended with {code}: {}",
                self.console()
            ),
            Err(_) => panic!(
                "the machine did not go off within {LONGEST:?}: {}",
                self.console()
            ),
        }
    }

    /// nspawn's child that has pid 1 in the machine: below setpriv (which is unshare by then) and
    /// the script.
    fn find_init(&self) -> Option<i32> {
        let script = only_child(self.hull.id().cast_signed())?;
        let nspawn = only_child(script)?;
        let init = only_child(nspawn)?;
        let status = fs::read_to_string(format!("/proc/{init}/status")).ok()?;
        let pids = status
            .lines()
            .find_map(|line| line.strip_prefix("NSpid:"))?;
        let is_first = pids.split_whitespace().next_back() == Some("1");
        (is_first && status.starts_with("Name:\tsystemd\n")).then_some(init)
    }

    fn init(&self) -> i32 {
        self.init.expect("the machine is on")
    }

    /// A command in it, as root, with what a login shell of root has in its environment.
    #[must_use]
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &self.init().to_string(), "--all", "--"])
            .args(words)
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .env("HOME", "/root")
            .env("LANG", "C.UTF-8");
        command
    }

    /// Runs it.
    #[track_caller]
    pub fn run(&self, words: &[&str]) -> Output {
        Output::of(&mut self.command(words))
    }

    /// Lines for a shell.
    #[track_caller]
    pub fn sh(&self, lines: &str) -> Output {
        self.run(&["sh", "-ec", lines])
    }

    /// `supervisorctl`.
    #[track_caller]
    pub fn ctl(&self, words: &[&str]) -> Output {
        self.run(&[&["supervisorctl"], words].concat())
    }

    /// SIGKILL to processes of it, all by one call.
    #[track_caller]
    pub fn kill(&self, pids: &[i32]) {
        let pids: Vec<String> = pids.iter().map(i32::to_string).collect();
        self.sh(&format!("kill -KILL {}", pids.join(" "))).ok();
    }

    /// The row of an app's first instance in `status --json`.
    #[track_caller]
    #[must_use]
    pub fn row(&self, name: &str) -> Value {
        let rows = self.ctl(&["status", "--json"]).ok().json();
        let mut rows = rows.as_array().expect("a list").iter();
        let found = rows.find(|row| row["name"] == name && row["instance"] == 0);
        found.unwrap_or_else(|| panic!("no {name}")).clone()
    }

    /// The same, as soon as it is as `is` wants it.
    #[track_caller]
    pub fn wait_row(&self, name: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        wait_until(&format!("{name}: {what}"), Duration::from_secs(20), || {
            Some(self.row(name)).filter(&is)
        })
    }

    /// The daemon's processes, by the pids they have in it, if it answers.
    #[must_use]
    pub fn daemon(&self) -> Option<Daemon> {
        let answer = self.ctl(&["daemon", "status", "--json"]);
        if answer.code != 0 {
            return None;
        }
        let about = answer.json();
        let pid = |key: &str| i32::try_from(about[key].as_i64()?).ok();
        Some(Daemon {
            keeper: pid("keeper_pid")?,
            engine: pid("engine_pid")?,
        })
    }

    /// A property of a unit.
    #[track_caller]
    #[must_use]
    pub fn property(&self, unit: &str, name: &str) -> String {
        let shown = self.run(&["systemctl", "show", "--value", "-p", name, unit]);
        shown.ok().stdout.trim().to_owned()
    }

    /// `GET` from inside.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn get(&self, port: u16, path: &str) -> io::Result<(u16, Value)> {
        let init = self.init();
        let inside = || {
            enter_network(init);
            http::get(port, path)
        };
        thread::scope(|scope| scope.spawn(inside).join().expect("it does not panic"))
    }

    /// Requests without a pause, until it is stopped.
    #[must_use]
    pub fn load(&self, port: u16, path: &'static str) -> Load {
        Load::start(self.init(), port, path)
    }

    /// What the machine wrote to its console last.
    #[must_use]
    pub fn console(&self) -> String {
        let text = fs::read(self.work.path().join("console")).unwrap_or_default();
        last_lines(&String::from_utf8_lossy(&text), 20)
    }

    /// For somebody who has to find out what went wrong.
    fn tell(&self) {
        eprintln!("--- the console:\n{}", self.console());
        let log = self.read("/var/log/supervisor/supervisor.log");
        eprintln!("--- the daemon's log:\n{}", last_lines(&log, 40));
        if self.init.is_some() {
            let mut journal = self.command(&["journalctl", "--no-pager", "-n", "40"]);
            if let Ok(output) = journal.args(["-u", "supervisor*"]).output() {
                eprintln!("--- systemd:\n{}", String::from_utf8_lossy(&output.stdout));
            }
        }
        eprintln!("---");
    }
}

impl Default for Machine {
    fn default() -> Machine {
        Machine::new()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if thread::panicking() {
            self.tell();
        }
        // With it go its namespaces, and with those everything in them. It may be gone already.
        let _ = self.hull.kill();
        let _ = self.hull.wait();
        let deadline = Instant::now() + Duration::from_secs(10);
        while !self.groups.iter().all(|group| groups::remove(group)) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
        let null = fs::metadata("/dev/null").map_or(0, |null| null.permissions().mode());
        let intact = null & 0o7777 == 0o666;
        assert!(intact || thread::panicking(), "/dev/null has mode {null:o}");
    }
}

fn only_child(pid: i32) -> Option<i32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
