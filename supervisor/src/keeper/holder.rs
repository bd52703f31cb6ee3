//! Who lives in a state folder, as its lock file says: the keeper, and the engine that it has now.
//!
//! Two lines, `KEEPER\nENGINE START\n`, in a record of fixed length, so that the keeper writes over it
//! and never needs more room. The engine's start tells it from another process that has its number later.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::Duration;

use nix::fcntl::{OFlag, open};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;

use super::store::Words;
use crate::os::{pidfd, proc};

const LENGTH: usize = 64;
/// A process that is killed is gone in so long, unless the kernel cannot let go of it.
const PATIENCE: Duration = Duration::from_secs(3);

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its process.
    pub keeper: i32,
    /// The engine's, and when that started, in ticks since boot.
    pub engine: Option<(i32, u64)>,
}

impl Holder {
    /// This process, with this engine.
    pub fn me(engine: Option<i32>) -> Holder {
        Holder {
            keeper: std::process::id().cast_signed(),
            engine: engine.and_then(|pid| Some((pid, start_of(pid)?))),
        }
    }

    /// Writes it to the lock file. Without an allocation.
    ///
    /// # Errors
    /// As the disk says.
    pub fn write(&self, lock: BorrowedFd<'_>) -> io::Result<()> {
        let mut record = [b'\n'; LENGTH];
        let words = match self.engine {
            Some((pid, start)) => Words::new(format_args!("{}\n{pid} {start}", self.keeper)),
            None => Words::new(format_args!("{}", self.keeper)),
        };
        let text = words.text();
        record[..text.len()].copy_from_slice(text);
        // One call: nobody reads half of it.
        nix::sys::uio::pwrite(lock, &record, 0)?;
        Ok(())
    }

    /// What the lock file says; `None`: nothing.
    pub fn read(path: &Path) -> Option<Holder> {
        let mut text = String::new();
        let file = File::open(path).ok()?;
        file.take(LENGTH as u64).read_to_string(&mut text).ok()?;
        Holder::parse(&text)
    }

    fn parse(text: &str) -> Option<Holder> {
        let mut lines = text.lines();
        let keeper = lines.next()?.parse().ok()?;
        let engine = lines.next().and_then(|line| {
            let (pid, start) = line.split_once(' ')?;
            Some((pid.parse().ok()?, start.parse().ok()?))
        });
        Some(Holder { keeper, engine })
    }

    /// Ends the engine, if its keeper is dead and it is not: it may hang, and there must not be two.
    ///
    /// # Errors
    /// It does not end.
    pub fn end_orphan(&self) -> Result<(), String> {
        let Some((pid, start)) = self.engine else {
            return Ok(());
        };
        let Ok(engine) = pidfd::open(pid) else {
            return Ok(());
        };
        // After the descriptor is open: what is looked at now is what it means.
        let is_orphan = proc::stat(pid)
            .is_some_and(|stat| stat.start == start && stat.ppid != self.keeper)
            && proc::cmdline(pid).is_some_and(|words| words == ["supervisor", "engine"]);
        if !is_orphan {
            return Ok(());
        }
        // It fails when the process has ended, which is what is wanted.
        let _ = pidfd::send(&engine, Signal::SIGKILL);
        match pidfd::wait_exited(&engine, PATIENCE) {
            true => Ok(()),
            false => Err(format!(
                "the engine of a keeper that is gone (pid {pid}) was killed and does not end: the kernel waits for a disk, see /proc/{pid}/stack"
            )),
        }
    }
}

/// When a process started. Without an allocation, since the keeper asks.
fn start_of(pid: i32) -> Option<u64> {
    let mut path = [0; 32];
    let mut rest = &mut path[..];
    write!(rest, "/proc/{pid}/stat").ok()?;
    let left = rest.len();
    let length = path.len() - left;
    let file = open(
        &path[..length],
        OFlag::O_RDONLY | OFlag::O_CLOEXEC,
        Mode::empty(),
    )
    .ok()?;
    let mut line = [0; 1024];
    let length = nix::unistd::read(&file, &mut line).ok()?;
    let line = &line[..length];
    // The name, which may contain anything, ends with the last parenthesis; the start is field 22.
    let close = line.iter().rposition(|&b| b == b')')?;
    let mut fields = line[close + 1..].split(|&b| b == b' ').skip(1);
    std::str::from_utf8(fields.nth(22 - 3)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let whole = Holder {
            keeper: i32::MAX,
            engine: Some((i32::MAX, u64::MAX)),
        };
        let short = Holder {
            keeper: 7,
            engine: None,
        };
        for holder in [whole, short, whole] {
            holder.write(file.as_file().as_fd()).expect("writes");
            assert_eq!(Holder::read(file.path()), Some(holder));
            assert_eq!(file.as_file().metadata().expect("a file").len(), 64);
        }
        assert_eq!(
            Holder::parse("4711\n"),
            Some(Holder {
                keeper: 4711,
                engine: None
            })
        );
        assert_eq!(Holder::parse(""), None);
        assert_eq!(Holder::parse("x\n1 2\n"), None);
    }

    #[test]
    fn a_start_is_what_proc_says() {
        let own = std::process::id().cast_signed();
        assert_eq!(start_of(own), proc::stat(own).map(|stat| stat.start));
        assert_eq!(start_of(i32::MAX), None);
    }

    #[test]
    fn only_an_engine_is_ended() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .expect("sleep runs");
        let pid = child.id().cast_signed();
        let start = start_of(pid).expect("it lives");
        for engine in [(pid, start), (pid, start + 1)] {
            let holder = Holder {
                keeper: i32::MAX,
                engine: Some(engine),
            };
            holder.end_orphan().expect("nothing to do");
        }
        assert!(proc::stat(pid).is_some_and(|stat| !stat.is_dead()));
        child.kill().expect("our child");
        child.wait().expect("our child");
    }
}
