//! Processes, seen from outside through `/proc`. A process that ends while it is looked at is
//! simply not there; a zombie is not there either.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

/// Of `/proc/PID/stat`, by number as in proc(5), from 3 on (what is before can hold spaces).
fn stat(pid: i32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// Whether it exists and is not a zombie.
#[must_use]
pub fn alive(pid: i32) -> bool {
    stat(pid).is_some_and(|stat| !matches!(stat[0].as_str(), "Z" | "X"))
}

/// What tells it from another process that gets the same pid later: its start, in ticks.
#[must_use]
pub fn started(pid: i32) -> Option<u64> {
    stat(pid)?.get(19)?.parse().ok()
}

/// Its parent.
#[must_use]
pub fn parent(pid: i32) -> Option<i32> {
    stat(pid)?.get(1)?.parse().ok()
}

/// Every pid there is.
#[must_use]
pub fn all() -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("/proc is mounted");
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

/// The environment it was started with, one `NAME=value` each. A process that executes a program shows
/// none for a moment, and one that the kernel runs never has one.
#[must_use]
pub fn environment(pid: i32) -> Vec<String> {
    const MOMENT: Duration = Duration::from_millis(100);
    let started = Instant::now();
    loop {
        let found = words(pid, "environ");
        if !found.is_empty() || started.elapsed() > MOMENT || program(pid).is_none() {
            return found;
        }
        std::thread::yield_now();
    }
}

/// A variable of that environment.
#[must_use]
pub fn variable(pid: i32, name: &str) -> Option<String> {
    let found = environment(pid).into_iter().find_map(|line| {
        line.strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('='))
            .map(str::to_owned)
    });
    found.filter(|_| alive(pid))
}

/// Its command line.
#[must_use]
pub fn command(pid: i32) -> Vec<String> {
    words(pid, "cmdline")
}

fn words(pid: i32, file: &str) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    bytes
        .split(|&byte| byte == 0)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect()
}

/// The program it runs.
#[must_use]
pub fn program(pid: i32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/exe")).ok()
}

/// Whether it has anything to do with a folder: works in it, runs a program of it, or names it
/// in its command line or environment.
#[must_use]
pub fn touches(pid: i32, folder: &Path) -> bool {
    let text = folder.to_str().expect("test folders have plain names");
    let below = |link: &str| {
        fs::read_link(format!("/proc/{pid}/{link}")).is_ok_and(|to| to.starts_with(folder))
    };
    alive(pid)
        && (below("cwd")
            || below("exe")
            || command(pid).iter().any(|word| word.contains(text))
            || environment(pid).iter().any(|line| line.contains(text)))
}

/// How many descriptors it has open; 0 when it is gone.
#[must_use]
pub fn descriptors(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// Its proportional share of memory (PSS), in KiB.
#[must_use]
pub fn pss_kib(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
        .unwrap_or_else(|error| panic!("smaps_rollup of {pid}: {error}"));
    text.lines()
        .find_map(|line| {
            line.strip_prefix("Pss:")?
                .trim()
                .strip_suffix("kB")?
                .trim()
                .parse()
                .ok()
        })
        .expect("smaps_rollup has a line Pss")
}

/// The physical memory that it has now and the most that it had since [`forget_peak`], in KiB.
#[must_use]
pub fn resident_kib(pid: i32) -> (u64, u64) {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))
        .unwrap_or_else(|error| panic!("status of {pid}: {error}"));
    let of = |key: &str| -> u64 {
        let value = text.lines().find_map(|line| line.strip_prefix(key));
        let number = value.and_then(|value| value.trim().strip_suffix(" kB")?.parse().ok());
        number.unwrap_or_else(|| panic!("no {key} in the status of {pid}"))
    };
    (of("VmRSS:"), of("VmHWM:"))
}

/// The most memory that it had is from now on the most that it has from now on.
pub fn forget_peak(pid: i32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("a process of our own");
}

/// The bytes that it has written so far, to whatever.
#[must_use]
pub fn wrote(pid: i32) -> u64 {
    let io = fs::read_to_string(format!("/proc/{pid}/io"))
        .unwrap_or_else(|error| panic!("io of {pid}: {error}"));
    let count = io
        .lines()
        .find_map(|line| line.strip_prefix("wchar: ")?.parse().ok());
    count.expect("/proc/PID/io has a line wchar")
}

/// The CPU time that all of its threads have used, those that have ended too; `None` when it is
/// gone.
#[must_use]
pub fn cpu_ns(pid: i32) -> Option<u64> {
    let clock = nix::time::clock_getcpuclockid(Pid::from_raw(pid)).ok()?;
    let used = nix::time::clock_gettime(clock).ok()?;
    Some(used.tv_sec().cast_unsigned() * 1_000_000_000 + used.tv_nsec().cast_unsigned())
}

/// The engine that a keeper has at this moment, ready or not.
///
/// Between its clone and its exec an app, too, is a child of the keeper that runs the daemon's
/// program (it borrows the engine's memory); the flag "forked but never exec'd" tells it apart.
#[must_use]
pub fn engine_of(keeper: i32) -> Option<i32> {
    const FORKED_NOT_EXECED: u64 = 0x40;
    let children = fs::read_to_string(format!("/proc/{keeper}/task/{keeper}/children")).ok()?;
    let daemon = program(keeper)?;
    children
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .find(|&pid| {
            let execed = stat(pid)
                .and_then(|stat| stat.get(6)?.parse::<u64>().ok())
                .is_some_and(|flags| flags & FORKED_NOT_EXECED == 0);
            execed && alive(pid) && program(pid).as_ref() == Some(&daemon)
        })
}

/// Sends a signal; a process that is gone is no fault.
pub fn kill(pid: i32, signal: Signal) {
    assert!(pid > 1, "{pid} is not the pid of one process of ours");
    if let Err(error) = signal::kill(Pid::from_raw(pid), signal) {
        assert_eq!(error, nix::errno::Errno::ESRCH, "{signal} to {pid}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_as_it_should_be() {
        let me = std::process::id().cast_signed();
        assert!(alive(me));
        assert_eq!(parent(me), Some(nix::unistd::getppid().as_raw()));
        assert!(started(me).is_some_and(|ticks| ticks > 0));
        assert!(program(me).is_some_and(|program| program == std::env::current_exe().unwrap()));
        assert!(descriptors(me) >= 3);
        assert!(pss_kib(me) > 100);
        forget_peak(me);
        let (now, most) = resident_kib(me);
        assert!(now > 100 && most >= now / 2, "{now} {most}");
        assert!(cpu_ns(me).is_some_and(|ns| ns > 0));
        assert!(touches(me, &std::env::current_dir().unwrap()));
        assert!(!touches(me, Path::new("/nonexistent-folder")));
        assert!(all().contains(&me));
    }

    #[test]
    fn a_zombie_is_not_alive() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id().cast_signed();
        crate::wait_until("true ends", std::time::Duration::from_secs(5), || {
            (!alive(pid)).then_some(())
        });
        assert!(stat(pid).is_some(), "still a zombie");
        child.wait().unwrap();
        assert!(stat(pid).is_none());
    }
}
