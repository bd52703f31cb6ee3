//! What `/proc` tells about processes.
//!
//! Owns: the parsers. Promises: a process may vanish at any moment, and then the answer is `None`; a name
//! with spaces, parentheses or line ends in it confuses nothing.
//! Leaves to others: whether the number still means the same process (compare [`Stat::start`], or hold a
//! pidfd).

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::sync::OnceLock;

/// `/proc/PID/stat`, as far as it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The process.
    pub pid: i32,
    /// Its program's name, at most 15 bytes.
    pub comm: String,
    /// `R`, `S`, `D`, `T`, `Z`, …
    pub state: char,
    /// Its parent.
    pub ppid: i32,
    /// Its process group.
    pub pgrp: i32,
    /// Its session.
    pub session: i32,
    /// CPU time so far, user and system, in clock ticks.
    pub ticks: u64,
    /// How many threads it has.
    pub threads: u32,
    /// When it started, in clock ticks since the machine did. With the pid it names a process.
    pub start: u64,
    /// Size of its memory in bytes; 0: it has let go of it and is about to be dead.
    pub vsize: u64,
    /// Resident pages.
    pub rss_pages: u64,
}

impl Stat {
    /// Dead, and only not reaped yet. (A process whose first thread has ended while others run on shows
    /// `Z` too.)
    #[must_use]
    pub fn is_dead(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x') && self.threads <= 1
    }
}

/// What is known of a process.
#[must_use]
pub fn stat(pid: i32) -> Option<Stat> {
    // Two thousand of these are read for one table: one call to read, and no memory of its own. The
    // line has 52 numbers and a name of at most 64 bytes.
    let mut line = [0; 1536];
    let mut file = File::open(format!("/proc/{pid}/stat")).ok()?;
    let length = file.read(&mut line).ok()?;
    parse_stat(&line[..length])
}

fn parse_stat(bytes: &[u8]) -> Option<Stat> {
    // The name may contain anything, `)` included; no later field does.
    let open = bytes.iter().position(|&b| b == b'(')?;
    let close = bytes.iter().rposition(|&b| b == b')')?;
    let pid = std::str::from_utf8(bytes.get(..open)?)
        .ok()?
        .trim()
        .parse()
        .ok()?;
    let comm = String::from_utf8_lossy(bytes.get(open + 1..close)?).into_owned();
    let rest = std::str::from_utf8(bytes.get(close + 1..)?).ok()?;
    let mut fields = [""; 22];
    for (field, word) in fields.iter_mut().zip(rest.split_ascii_whitespace()) {
        *field = word;
    }
    let number = |index: usize| fields[index].parse::<i64>().ok();
    let count = |index: usize| u64::try_from(number(index)?).ok();
    let id = |index: usize| i32::try_from(number(index)?).ok();
    Some(Stat {
        pid,
        comm,
        state: fields[0].chars().next()?,
        ppid: id(1)?,
        pgrp: id(2)?,
        session: id(3)?,
        ticks: count(11)? + count(12)?,
        threads: u32::try_from(number(17)?).ok()?,
        start: count(19)?,
        vsize: count(20)?,
        rss_pages: count(21)?,
    })
}

/// All processes that there are now. One that starts meanwhile may be missing.
#[must_use]
pub fn all() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// The children of a process, of all its threads. `None`: it is gone, or this kernel does not tell
/// ([`tells_children`]). Children that are reaped while it is read can make others disappear from it:
/// whoever needs certainty reads twice and finds the first answer within the second.
#[must_use]
pub fn children(pid: i32) -> Option<Vec<i32>> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let mut found = Vec::new();
    for task in tasks {
        let Ok(task) = task else { continue };
        // A thread that ends hands its children to another one, which the caller's second look sees.
        found.extend(children_at(task.path().join("children")).unwrap_or_default());
    }
    tells_children().then_some(found)
}

/// [`children`] of a process that has one thread, as the keeper has.
#[must_use]
pub fn children_of_single(pid: i32) -> Option<Vec<i32>> {
    children_at(format!("/proc/{pid}/task/{pid}/children"))
}

fn children_at(path: impl AsRef<Path>) -> Option<Vec<i32>> {
    let text = read(path)?;
    let text = String::from_utf8_lossy(&text);
    Some(
        text.split_ascii_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect(),
    )
}

/// Whether this kernel has `/proc/PID/task/TID/children`.
#[must_use]
pub fn tells_children() -> bool {
    static TELLS: OnceLock<bool> = OnceLock::new();
    *TELLS.get_or_init(|| Path::new("/proc/thread-self/children").exists())
}

/// One variable of a process's environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variable {
    /// It has this value.
    Is(String),
    /// The process has an environment, and this is not in it.
    Absent,
    /// Nothing to be seen: by its own will, or for the moment in which it executes a program or exits.
    Empty,
    /// We may not look.
    Hidden,
}

/// Looks a variable up in the environment that a process was started with.
#[must_use]
pub fn variable(pid: i32, key: &str) -> Variable {
    match try_read(format!("/proc/{pid}/environ")) {
        Ok(bytes) if bytes.is_empty() && has_no_environment(pid) => Variable::Absent,
        Ok(bytes) => find_variable(&bytes, key),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Variable::Hidden,
        // Gone, or on its way: then some kernels say ESRCH and others show nothing.
        Err(_) => Variable::Empty,
    }
}

/// Whether the process was started with no environment at all: then its place in memory is known and has
/// no length. While a program is being executed, the place is not known yet.
fn has_no_environment(pid: i32) -> bool {
    let Some(text) = read(format!("/proc/{pid}/stat")) else {
        return false;
    };
    let text = String::from_utf8_lossy(&text);
    // Behind the name come the state (field 3 of proc(5)) and the rest.
    let mut rest = text
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace();
    let (start, end) = (rest.nth(50 - 3), rest.next());
    start == end && start.is_some_and(|start| start != "0")
}

fn find_variable(bytes: &[u8], key: &str) -> Variable {
    if bytes.is_empty() {
        return Variable::Empty;
    }
    let value = bytes.split(|&b| b == 0).find_map(|entry| {
        let rest = entry.strip_prefix(key.as_bytes())?;
        rest.strip_prefix(b"=")
    });
    match value {
        Some(value) => Variable::Is(String::from_utf8_lossy(value).into_owned()),
        None => Variable::Absent,
    }
}

/// The arguments that a process was started with; empty for a zombie or a kernel thread.
#[must_use]
pub fn cmdline(pid: i32) -> Option<Vec<String>> {
    let bytes = read(format!("/proc/{pid}/cmdline"))?;
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    Some(
        bytes
            .split(|&b| b == 0)
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect(),
    )
}

/// Names the time since the machine started: with another one, every pid means nothing.
#[must_use]
pub fn boot_id() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned())
}

/// A whole file of `/proc`, up to a bound: an environment can be as large as its owner likes.
fn try_read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    const MOST: u64 = 4 << 20;
    let mut bytes = Vec::with_capacity(1024);
    File::open(path)?.take(MOST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn read(path: impl AsRef<Path>) -> Option<Vec<u8>> {
    try_read(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAIL: &str =
        "S 10 20 30 0 -1 4194560 1 2 3 4 50 7 8 9 20 0 3 0 12345 999 77 18446744073709551615 1";

    #[test]
    fn a_name_with_anything_in_it_confuses_nothing() {
        for name in [
            "node",
            "a b",
            "x) R 1 1 1",
            "((",
            ")",
            "",
            "two\nlines",
            ") S 9 9 9 ((",
        ] {
            let stat = parse_stat(format!("4711 ({name}) {TAIL}\n").as_bytes()).expect(name);
            assert_eq!(stat.comm, name);
            assert_eq!(
                (stat.pid, stat.state, stat.ppid, stat.pgrp, stat.session),
                (4711, 'S', 10, 20, 30)
            );
            assert_eq!(
                (stat.ticks, stat.threads, stat.start, stat.rss_pages),
                (57, 3, 12345, 77)
            );
        }
        assert_eq!(parse_stat(b"12 (cut) S 1 2"), None);
        assert_eq!(parse_stat(b""), None);
        assert_eq!(parse_stat(b")("), None);
    }

    #[test]
    fn a_variable_is_found_by_its_whole_name() {
        let env = b"A=1\0SUPERVISOR_RUNNER=x\0SUPERVISOR_RUN=7:9=z\0B=\0";
        assert_eq!(
            find_variable(env, "SUPERVISOR_RUN"),
            Variable::Is("7:9=z".into())
        );
        assert_eq!(find_variable(env, "B"), Variable::Is(String::new()));
        assert_eq!(find_variable(env, "SUPERVISOR"), Variable::Absent);
        assert_eq!(find_variable(b"", "A"), Variable::Empty);
    }

    #[test]
    fn this_process_is_told_right() {
        let own = std::process::id() as i32;
        let stat = stat(own).expect("we live");
        assert_eq!(
            (stat.pid, stat.ppid),
            (own, nix::unistd::getppid().as_raw())
        );
        assert!(stat.rss_pages > 0 && !stat.is_dead());
        assert!(cmdline(own).expect("we live").len() <= std::env::args().count());
        assert!(all().contains(&own));
        assert_eq!(boot_id().expect("linux").len(), 36);
        assert_eq!(super::stat(i32::MAX), None);
        assert_eq!(children(i32::MAX), None);
        assert_eq!(variable(i32::MAX, "A"), Variable::Empty);
    }
}
