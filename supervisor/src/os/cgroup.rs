//! cgroups of version 2: a folder that is delegated to us, and in it one for each run.
//!
//! Owns: finding the folder and trying out what it can do; making a run's cgroup with its ceilings; whether
//! anybody is in it; its end and its removal; what it says about memory that ran out.
//! Promises: it touches nothing but what lies in the delegated folder and bears a name of ours; `cgroup.kill`
//! leaves nobody, whatever they fork; where a kernel or a file system does not let us, the answer is a
//! sentence, and everything goes on without cgroups.
//! Leaves to others: who belongs into which (`clone` puts the child there before it runs), and what is
//! told to whom.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};
use supervisor_config::{Bytes, Ceilings, Cpus, Tasks};

use super::{clone, proc};

/// In the environment of the daemon: the folder that is delegated to it.
pub const FOLDER: &str = "SUPERVISOR_CGROUP";

/// The unit that the daemon runs as, and the one beside it whose cgroup is delegated to it.
const OWN_UNIT: &str = "supervisor.service";
const APPS_UNIT: &str = "supervisor-apps.service";

/// A cgroup to try things out; no app has a name that begins so.
const PROBE: &str = "_probe.";

/// An app that has cgroups of its own below its run's nests them at most so deep, or they stay.
const DEEPEST: u32 = 32;

/// What a folder can keep processes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Controller {
    /// Memory, and who was killed for it.
    Memory,
    /// CPU time.
    Cpu,
    /// Numbers of processes and threads.
    Pids,
}

impl Controller {
    /// All that are used.
    pub const ALL: [Controller; 3] = [Controller::Memory, Controller::Cpu, Controller::Pids];

    /// As the kernel calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Controller::Memory => "memory",
            Controller::Cpu => "cpu",
            Controller::Pids => "pids",
        }
    }

    /// The key that asks for it.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Controller::Memory => "limits.memory_hard",
            Controller::Cpu => "limits.cpu",
            Controller::Pids => "limits.pids",
        }
    }

    /// Whether these ceilings ask for it.
    #[must_use]
    pub fn is_asked_by(self, ceilings: &Ceilings) -> bool {
        match self {
            Controller::Memory => ceilings.memory.is_some(),
            Controller::Cpu => ceilings.cpu.is_some(),
            Controller::Pids => ceilings.pids.is_some(),
        }
    }
}

/// The kernel killed processes of a run because memory ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oom {
    /// The run's own ceiling that was reached; `None`: it was the machine's memory, or a cgroup's above.
    pub at: Option<u64>,
}

/// The folder that is delegated to us.
#[derive(Debug)]
pub struct Room {
    path: PathBuf,
    /// Why a controller cannot be used.
    off: BTreeMap<Controller, String>,
}

impl Room {
    /// Finds the folder and tries out what it can do.
    ///
    /// # Errors
    /// Why there is none, as the rest of a sentence.
    pub fn find() -> Result<Room, String> {
        let named = std::env::var_os(FOLDER).filter(|path| !path.is_empty());
        let path = match named {
            Some(path) => PathBuf::from(path),
            None => beside_own_unit()?,
        };
        Room::probe(&path).map_err(|why| format!("{}: {why}", path.display()))
    }

    /// One that needs no kernel: a plain folder.
    #[cfg(test)]
    pub(super) fn pretended(path: &Path, off: &[Controller]) -> Room {
        let off = off.iter().map(|&controller| (controller, String::new()));
        Room {
            path: path.to_owned(),
            off: off.collect(),
        }
    }

    pub(super) fn probe(path: &Path) -> Result<Room, String> {
        if !path.is_absolute() {
            return Err(format!("{FOLDER} is an absolute path"));
        }
        let found = statfs(path).map_err(|errno| errno.desc().to_owned())?;
        if found.filesystem_type() != CGROUP2_SUPER_MAGIC {
            return Err("it is not in a file system of cgroups of version 2".to_owned());
        }
        remove_old_probes(path);
        let probe = path.join(format!("{PROBE}{}", std::process::id()));
        let tried = try_out(&probe);
        let removed = remove(&probe, DEEPEST);
        tried?;
        removed.map_err(|error| format!("what is made there cannot be removed: {error}"))?;
        Ok(Room {
            path: path.to_owned(),
            off: turn_on(path),
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why this controller cannot be used; `None`: it can.
    #[must_use]
    pub fn why_off(&self, controller: Controller) -> Option<&str> {
        self.off.get(&controller).map(String::as_str)
    }

    /// Makes the cgroup of a run and keeps it to `ceilings`, as far as there are controllers for them; gives
    /// a descriptor to start a process with. It may be there already, but nobody in it.
    ///
    /// # Errors
    /// As the kernel says. Something may be there then: [`Room::clear`] it.
    pub fn make(&self, name: &str, ceilings: &Ceilings) -> io::Result<OwnedFd> {
        let folder = self.path.join(name);
        match fs::create_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && self.is_empty(name) => {}
            made => made?,
        }
        for (controller, file, value) in settings(ceilings) {
            if self.why_off(controller).is_none() {
                fs::write(folder.join(file), value)?;
            }
        }
        let swap = folder.join("memory.swap.max");
        if ceilings.memory.is_some() && swap.exists() {
            fs::write(swap, "0")?;
        }
        Ok(File::open(folder)?.into())
    }

    /// Whether there is a cgroup of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.path.join(name).is_dir()
    }

    /// Whether certainly nobody lives in it, or below it.
    #[must_use]
    pub fn is_empty(&self, name: &str) -> bool {
        match fs::read_to_string(self.path.join(name).join("cgroup.events")) {
            Ok(events) => count(&events, "populated") == Some(0),
            Err(error) => is_gone(&error),
        }
    }

    /// Kills everybody in it, and waits until they are dead; false: the time was over first.
    #[must_use]
    pub fn end(&self, name: &str, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        let mut pause = Duration::from_micros(200);
        loop {
            if self.is_empty(name) {
                return true;
            }
            // What goes wrong with it shows in that somebody lives on.
            let _ = fs::write(self.path.join(name).join("cgroup.kill"), "1");
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return self.is_empty(name);
            }
            sleep(pause.min(left));
            pause = (pause * 2).min(Duration::from_millis(10));
        }
    }

    /// Who lives in it, for people only: these are numbers, not held processes.
    #[must_use]
    pub fn members(&self, name: &str) -> Vec<i32> {
        let mut found = Vec::new();
        members(&self.path.join(name), DEEPEST, &mut found);
        found
    }

    /// Removes the cgroup of a run that is over, with whoever is in it; false: not yet, try again.
    #[must_use]
    pub fn clear(&self, name: &str) -> bool {
        self.end(name, Duration::ZERO) && remove(&self.path.join(name), DEEPEST).is_ok()
    }

    /// Whether, and at what, memory ran out in it so that somebody was killed.
    #[must_use]
    pub fn oom(&self, name: &str) -> Option<Oom> {
        self.why_off(Controller::Memory).is_none().then_some(())?;
        let folder = self.path.join(name);
        let events = fs::read_to_string(folder.join("memory.events")).ok()?;
        count(&events, "oom_kill").filter(|&killed| killed > 0)?;
        // `oom` counts only the times when a ceiling was in the way.
        let own = count(&events, "oom").filter(|&times| times > 0);
        let most = fs::read_to_string(folder.join("memory.max")).ok();
        let most = most.and_then(|most| most.trim().parse().ok());
        Some(Oom { at: own.and(most) })
    }

    /// The names of the cgroups in it.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        folders
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect()
    }
}

/// What is to be written where for these ceilings.
fn settings(ceilings: &Ceilings) -> Vec<(Controller, &'static str, String)> {
    let mut found = Vec::new();
    if let Some(Bytes(bytes)) = ceilings.memory {
        // All of them at once: what is left of an app that lost some of its processes is no app.
        found.push((Controller::Memory, "memory.oom.group", "1".to_owned()));
        found.push((Controller::Memory, "memory.max", bytes.to_string()));
    }
    if let Some(Cpus(thousandths)) = ceilings.cpu {
        // In microseconds; less than 1,000 at a time is refused.
        let period = if thousandths < 10 { 1_000_000 } else { 100_000 };
        let time = u64::from(thousandths) * period / 1000;
        found.push((Controller::Cpu, "cpu.max", format!("{time} {period}")));
    }
    if let Some(Tasks(tasks)) = ceilings.pids {
        found.push((Controller::Pids, "pids.max", tasks.to_string()));
    }
    found
}

fn beside_own_unit() -> Result<PathBuf, String> {
    let own = own_path()?;
    if own.file_name() != Some(OsStr::new(OWN_UNIT)) {
        return Err(format!("not run by systemd as {OWN_UNIT}"));
    }
    reached(&own.with_file_name(APPS_UNIT))
}

/// The folder of this process's own cgroup.
pub fn own_folder() -> Result<PathBuf, String> {
    reached(&own_path()?)
}

fn own_path() -> Result<PathBuf, String> {
    let own = fs::read_to_string("/proc/self/cgroup").map_err(|error| error.to_string())?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::"));
    own.map(PathBuf::from).ok_or_else(no_cgroups)
}

fn reached(cgroup: &Path) -> Result<PathBuf, String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").map_err(|error| error.to_string())?;
    mounted(&mounts, cgroup).ok_or_else(no_cgroups)
}

fn no_cgroups() -> String {
    "no file system of cgroups of version 2 is mounted".to_owned()
}

/// Where a cgroup can be reached, by the lines of `/proc/self/mountinfo`.
fn mounted(mounts: &str, cgroup: &Path) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (mount, file_system) = line.split_once(" - ")?;
        (file_system.split(' ').next() == Some("cgroup2")).then_some(())?;
        let mut fields = mount.split(' ').skip(3);
        let (root, at) = (unescaped(fields.next()?), unescaped(fields.next()?));
        Some(Path::new(&at).join(cgroup.strip_prefix(root).ok()?))
    })
}

/// The four characters that the kernel writes as octal numbers there.
fn unescaped(field: &str) -> String {
    let escapes = [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ];
    escapes
        .iter()
        .fold(field.to_owned(), |text, (escape, character)| {
            text.replace(escape, character)
        })
}

/// Whether runs can have cgroups here: by making one, starting a process in it and asking for its end.
fn try_out(probe: &Path) -> Result<(), String> {
    let refused = |what: &str, error: &io::Error| format!("{what}: {error}");
    match fs::create_dir(probe) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(refused("nothing can be made there", &error));
        }
        Ok(()) | Err(_) => {}
    }
    let kill = probe.join("cgroup.kill");
    if let Err(error) = OpenOptions::new().write(true).open(kill) {
        return Err(refused("its processes cannot be ended together", &error));
    }
    let folder = File::open(probe).map_err(|error| refused("it cannot be opened", &error))?;
    match clone::try_into_cgroup(folder.as_fd()) {
        // Where clone3 is refused, the child enters by itself; what comes of that, its start tells. And a
        // machine that is short of something at this moment says nothing about the folder: without it,
        // apps would start without their ceilings for as long as this engine lives.
        Ok(()) | Err(Errno::ENOSYS | Errno::EAGAIN | Errno::ENOMEM) => Ok(()),
        Err(errno) => Err(refused("nobody can be started in it", &errno.into())),
    }
}

/// Left by engines that were killed while they tried.
fn remove_old_probes(path: &Path) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(PROBE));
        if pid.is_some_and(|pid| pid.parse().is_ok_and(|pid| proc::stat(pid).is_none())) {
            // Nothing but clutter if it stays.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// Turns the controllers on for what is made in the folder; says why where that cannot be.
fn turn_on(path: &Path) -> BTreeMap<Controller, String> {
    let there = fs::read_to_string(path.join("cgroup.controllers")).unwrap_or_default();
    let turn_on = |controller: Controller| {
        let name = controller.name();
        if !there.split_whitespace().any(|there| there == name) {
            return Some("the controller is not delegated".to_owned());
        }
        let turned = fs::write(path.join("cgroup.subtree_control"), format!("+{name}"));
        turned.err().map(|error| match error.kind() {
            ErrorKind::ResourceBusy => "there are processes in that cgroup itself".to_owned(),
            _ => error.to_string(),
        })
    };
    let all = Controller::ALL.into_iter();
    all.filter_map(|controller| Some((controller, turn_on(controller)?)))
        .collect()
}

/// Removes a cgroup and those that its processes have made below it.
fn remove(folder: &Path, depth: u32) -> io::Result<()> {
    match fs::remove_dir(folder) {
        Err(error) if is_gone(&error) => return Ok(()),
        Err(_) if depth > 0 => {}
        removed => return removed,
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove(&entry.path(), depth - 1)?;
        }
    }
    fs::remove_dir(folder)
}

fn members(folder: &Path, depth: u32, found: &mut Vec<i32>) {
    let own = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    found.extend(own.lines().filter_map(|line| line.parse::<i32>().ok()));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if depth > 0 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            members(&entry.path(), depth - 1, found);
        }
    }
}

/// The number behind `key` in a file of such lines.
fn count(text: &str, key: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.find_map(|(found, number)| (found == key).then(|| number.trim().parse().ok())?)
}

/// The cgroup is not there (any more): an open file of it says `ENODEV`.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(libc::ENODEV)
}

#[cfg(test)]
mod tests;
