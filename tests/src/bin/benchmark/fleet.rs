//! A manager that runs, with its apps. Dropping it ends both.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use supervisor_tests::{logfiles, monotonic_ns, proc, programs, stamps};

use crate::managers::{App, Kind, Manager, Run, Search, Stop};
use crate::place::Place;
use crate::wait::Begun;
use crate::{Error, Outcome, wait};

/// A manager that runs, with its apps.
pub struct Fleet {
    kind: Kind,
    manager: Box<dyn Manager>,
    place: Place,
    apps: Vec<App>,
    /// The processes that stay because they are the manager.
    services: Vec<i32>,
}

/// Apps that are being started.
pub struct Launch {
    /// When the command was given, in monotonic nanoseconds.
    from: u64,
    /// It may watch the apps for a while before it ends.
    command: Option<Begun>,
}

impl Launch {
    /// Waits for the command's end.
    pub fn end(self) -> Outcome<()> {
        self.command
            .map_or(Ok(()), |command| command.end().map(drop))
    }
}

/// How long an app is up before anything is done to it: no manager takes its end for a crash at
/// the start then.
const SETTLED: Duration = Duration::from_millis(1100);

/// How long a single app may take to be there.
const SOON: Duration = Duration::from_secs(20);

impl Fleet {
    /// The manager runs and has no apps.
    pub fn start(kind: Kind) -> Outcome<Fleet> {
        let mut fleet = Fleet {
            kind,
            manager: kind.manager(),
            place: Place::new()?,
            apps: Vec::new(),
            services: Vec::new(),
        };
        let run = fleet.manager.start(&fleet.place)?;
        if let Some(command) = fleet.run(run)? {
            command.end()?;
        }
        Ok(fleet)
    }

    /// Has it run `count` of `testapp WORD…`.
    pub fn launch(&mut self, count: usize, words: &[&str]) -> Outcome<Launch> {
        let program = programs::testapp();
        let program = program.to_str().expect("the build folder's path is text");
        let words: Vec<String> = [&[program], words]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect();
        let app = |number| App {
            name: format!("app{number}"),
            words: words.clone(),
        };
        self.apps = (0..count).map(app).collect();
        let run = self.manager.add(&self.place, &self.apps)?;
        let from = monotonic_ns();
        let command = self.run(run)?;
        Ok(Launch { from, command })
    }

    /// Waits until all apps run; gives the nanoseconds from the command to the first instruction
    /// of the last one.
    pub fn all_run(&self, launch: &Launch, deadline: Duration) -> Outcome<u64> {
        let count = self.apps.len();
        let stamps = wait::until(&format!("{count} apps run"), deadline, || {
            Some(self.stamps()).filter(|stamps| stamps.len() >= count)
        })?;
        let last = stamps.iter().map(|&(ns, _)| ns).max().unwrap_or_default();
        Ok(last.saturating_sub(launch.from))
    }

    /// Has it run `count` apps that sleep, and returns when they run and the command is done;
    /// gives the same as [`Fleet::all_run`].
    pub fn sleeping(&mut self, count: usize, deadline: Duration) -> Outcome<u64> {
        let launch = self.launch(count, &["sleep"])?;
        let took = self.all_run(&launch, deadline)?;
        launch.end()?;
        Ok(took)
    }

    /// When the first app began, in monotonic nanoseconds.
    pub fn began(&self) -> Option<u64> {
        self.stamps().first().map(|&(ns, _)| ns)
    }

    /// Kills its only app; gives the nanoseconds to the successor's first instruction.
    pub fn crash(&self) -> Outcome<u64> {
        let pid = self.settled()?;
        let from = monotonic_ns();
        proc::kill(pid, Signal::SIGKILL);
        Ok(self.successor(pid)?.saturating_sub(from))
    }

    /// Restarts its only app; gives the nanoseconds to the new process's first instruction, and
    /// to the command's end.
    pub fn restart(&self) -> Outcome<(u64, Duration)> {
        let command = self.manager.restart(&self.place, &self.apps[0]);
        let mut command = command.map_err(|why| Error::Failed(why.to_owned()))?;
        let pid = self.settled()?;
        let from = monotonic_ns();
        let took = wait::timed(&mut command)?;
        Ok((self.successor(pid)?.saturating_sub(from), took))
    }

    /// The pid of its only app, which has been up for a while.
    fn settled(&self) -> Outcome<i32> {
        let stamps = self.stamps();
        let &(since, pid) = stamps
            .last()
            .ok_or_else(|| Error::Failed("no app runs".to_owned()))?;
        let up = Duration::from_nanos(monotonic_ns().saturating_sub(since));
        wait::nap(SETTLED.saturating_sub(up))?;
        Ok(pid)
    }

    /// When the process that came after `pid` began.
    fn successor(&self, pid: i32) -> Outcome<u64> {
        wait::until("the successor runs", SOON, || {
            let (since, new) = *self.stamps().last()?;
            (new != pid).then_some(since)
        })
    }

    /// How long it takes to tell how the apps are.
    pub fn status(&self) -> Outcome<Duration> {
        wait::timed(&mut self.status_command())
    }

    /// Fails unless it tells of all apps. (The bare limit tells nothing.)
    pub fn check_status(&self) -> Outcome<()> {
        if self.kind == Kind::Bare {
            return Ok(());
        }
        let text = wait::printed(&mut self.status_command())?;
        if text.lines().count() >= self.apps.len() {
            return Ok(());
        }
        Err(Error::Failed(format!(
            "does not tell of {} apps: {text}",
            self.apps.len()
        )))
    }

    fn status_command(&self) -> Command {
        self.manager.status(&self.place, &self.apps)
    }

    /// The proportional share of memory of the manager's processes, in bytes.
    pub fn memory(&self) -> Outcome<u64> {
        let kib: u64 = self.managers()?.into_iter().map(proc::pss_kib).sum();
        Ok(kib * 1024)
    }

    /// The CPU time that the manager's processes have used, in nanoseconds: none without one.
    pub fn cpu_ns(&self) -> Outcome<u64> {
        self.cpu_ns_of(|_| true)
    }

    /// The same without the command that may still watch the apps start.
    pub fn cpu_ns_without(&self, launch: &Launch) -> Outcome<u64> {
        let command = launch.command.as_ref().map(|command| command.pid);
        self.cpu_ns_of(|pid| Some(pid) != command)
    }

    fn cpu_ns_of(&self, counts: impl Fn(i32) -> bool) -> Outcome<u64> {
        if self.kind == Kind::Bare {
            return Ok(0);
        }
        let mut pids = self.managers()?;
        pids.retain(|&pid| counts(pid));
        Ok(pids.into_iter().filter_map(proc::cpu_ns).sum())
    }

    fn managers(&self) -> Outcome<Vec<i32>> {
        let pids = self.place.managers();
        if pids.is_empty() {
            return Err(Error::Failed("there is no manager process".to_owned()));
        }
        Ok(pids)
    }

    /// Lets the peak of the manager's memory begin anew; gives what it has now, in bytes.
    pub fn forget_peak(&self) -> Outcome<u64> {
        let pids = self.managers()?;
        pids.iter().for_each(|&pid| proc::forget_peak(pid));
        Ok(pids
            .into_iter()
            .map(|pid| proc::resident_kib(pid).0 * 1024)
            .sum())
    }

    /// The most memory that each of the manager's processes had since then, added up.
    pub fn peak(&self) -> Outcome<u64> {
        let pids = self.managers()?.into_iter();
        Ok(pids.map(|pid| proc::resident_kib(pid).1 * 1024).sum())
    }

    /// A folder that its apps can write to.
    pub fn folder(&self) -> String {
        self.place.text("")
    }

    /// The files of its only app's output, oldest first.
    pub fn logs(&self) -> Vec<PathBuf> {
        logfiles::files(&self.manager.log(&self.place, &self.apps[0]))
    }

    /// The command that finds something in its only app's logs.
    pub fn search(&self, search: Search<'_>) -> Outcome<Command> {
        let command = self.manager.search(&self.place, &self.apps[0], &search);
        command.ok_or_else(|| Error::Failed("has no command for it".to_owned()))
    }

    /// How much of its only app's output is in files.
    pub fn logged(&self) -> u64 {
        let log = self.manager.log(&self.place, &self.apps[0]);
        let size = |path| fs::metadata(path).map_or(0, |meta| meta.len());
        let Ok(entries) = fs::read_dir(&log) else {
            return logfiles::files(&log).into_iter().map(size).sum();
        };
        entries
            .flatten()
            .filter(|entry| {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                // s6-log and svlogd: the live file and those that were rotated.
                name == "current" || name.starts_with('@')
            })
            .map(|entry| size(entry.path()))
            .sum()
    }

    fn stamps(&self) -> Vec<(u64, i32)> {
        stamps(&self.place.path("stamps"))
    }

    /// Starts something; gives a command that will end by itself.
    fn run(&mut self, run: Run) -> Outcome<Option<Begun>> {
        match run {
            Run::Ends(mut command) => wait::begin(&mut command).map(Some),
            Run::Stays(mut command, ready) => {
                self.services.push(wait::begin(&mut command)?.pid);
                if let Some(file) = ready {
                    wait::until("the manager is ready", SOON, || file.exists().then_some(()))?;
                }
                Ok(None)
            }
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        match self.manager.stop(&self.place) {
            Stop::Command(command) => {
                // Not with `wait::timed`, which gives up at once after Ctrl-C.
                let mut limited = self.place.command("timeout");
                limited.arg("60").arg(command.get_program());
                limited.args(command.get_args());
                let set = |(name, value): (_, Option<_>)| Some((name, value?));
                limited.envs(command.get_envs().filter_map(set));
                // What it does not stop, the place kills.
                let _ = limited.status();
            }
            Stop::Signal(signal) => {
                // One that has ended has left its pid to others.
                let here = self.place.processes();
                let services = self.services.iter().filter(|pid| here.contains(pid));
                services.for_each(|&pid| proc::kill(pid, signal));
            }
        }
    }
}
