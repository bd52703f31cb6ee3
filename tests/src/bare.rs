//! What the machine itself takes for an app's output: the app's own file, and a loop that moves
//! from a pipe to a file and does nothing else.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};

use crate::{proc, programs};

/// What it took to get bytes into a file.
#[derive(Clone, Copy, Debug)]
pub struct Took {
    /// Until all of it was there.
    pub time: Duration,
    /// The CPU time of who moved it.
    pub cpu: Duration,
}

/// As large as the pipes of apps are.
const PIPE: i32 = 256 << 10;

/// A process that goes when this does.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // It may have ended by itself; both fail only then.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn testapp(words: &[&str]) -> Command {
    let mut command = Command::new(programs::testapp());
    command
        .args(words)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

/// An app writes so many bytes, `width` at a time, straight to a new file in this folder.
///
/// # Errors
/// When something cannot be started or is not done within two minutes.
pub fn direct(folder: &Path, bytes: u64, width: u64) -> io::Result<Took> {
    let file = folder.join("direct");
    let mut writer = testapp(&["write", &bytes.to_string(), &width.to_string()]);
    let started = Instant::now();
    let _writer = Guard(writer.stdout(File::create(&file)?).spawn()?);
    wait_for(&file, bytes)?;
    let (time, cpu) = (started.elapsed(), Duration::ZERO);
    fs::remove_file(&file)?;
    Ok(Took { time, cpu })
}

/// An app writes the same to a pipe, which a loop splices to a new file.
///
/// # Errors
/// As for [`direct`].
pub fn spliced(folder: &Path, bytes: u64, width: u64) -> io::Result<Took> {
    let file = folder.join("spliced");
    let (read, write) = io::pipe()?;
    // The usual 64 KiB where an ordinary user has used up what he may have.
    let _ = fcntl(&write, FcntlArg::F_SETPIPE_SZ(PIPE));
    let mut writer = testapp(&["write", &bytes.to_string(), &width.to_string()]);
    let mut mover = testapp(&["splice", file.to_str().expect("plain names")]);
    writer.stdout(write);
    mover.stdin(read);
    let started = Instant::now();
    let mover = Guard(mover.spawn()?);
    let _writer = Guard(writer.spawn()?);
    wait_for(&file, bytes)?;
    let time = started.elapsed();
    let cpu = proc::cpu_ns(mover.0.id().cast_signed());
    let cpu = Duration::from_nanos(cpu.ok_or_else(|| io::Error::other("the loop has ended"))?);
    fs::remove_file(&file)?;
    Ok(Took { time, cpu })
}

fn wait_for(file: &Path, bytes: u64) -> io::Result<()> {
    let started = Instant::now();
    while fs::metadata(file).map_or(0, |meta| meta.len()) < bytes {
        if started.elapsed() > Duration::from_secs(120) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_move_all_of_it_and_leave_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        assert!(direct(folder.path(), 1_000_000, 100).unwrap().cpu.is_zero());
        let took = spliced(folder.path(), 10_000_000, 4096).unwrap();
        assert!(!took.cpu.is_zero() && took.cpu <= took.time * 2, "{took:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
