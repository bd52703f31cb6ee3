//! One daemon for each state folder and each log folder.
//!
//! Owns the locks, who holds them, and what is said to whoever comes second.

use std::fs::{self, File, OpenOptions};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use supervisor_protocol::Paths;

use super::Refusal;
use crate::keeper::holder::Holder;

/// The exit code where a daemon runs already: to try again would not help, and the unit says so.
const ALREADY_RUNNING: u8 = 10;

/// A daemon that is just leaving gets so long to let go of its lock.
const LOCK_PATIENCE: Duration = Duration::from_secs(3);

/// One daemon for each state folder, and one for each log folder: two pumps on one file would
/// overwrite each other.
///
/// # Errors
/// Another one runs, or somebody else's lock is in the way.
pub fn take(paths: &Paths, under_systemd: bool) -> Result<[File; 2], Refusal> {
    let started = Instant::now();
    if under_systemd && let Some(holder) = Holder::read(&paths.state.join("lock")) {
        holder.end_orphan()?;
    }
    loop {
        match try_lock(paths)? {
            Some(locks) => return Ok(locks),
            None => {
                let holder = holder(paths);
                // Under systemd this process may hold the socket itself, and then it says nothing.
                let patient = under_systemd && started.elapsed() <= LOCK_PATIENCE;
                if !patient
                    && paths
                        .sockets
                        .iter()
                        .any(|path| UnixStream::connect(path).is_ok())
                {
                    return Err(Refusal {
                        message: format!(
                            "already running{holder}; see `supervisorctl daemon status`"
                        ),
                        code: ALREADY_RUNNING.into(),
                    });
                }
                if started.elapsed() > LOCK_PATIENCE {
                    let lock = paths.state.join("lock");
                    return Err(Refusal::from(format!(
                        "another supervisor{holder} holds {} and does not answer; its own log may say why: {}; \
                         end it with SIGKILL to take over",
                        lock.display(),
                        paths.daemon_log().display()
                    )));
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

fn try_lock(paths: &Paths) -> Result<Option<[File; 2]>, String> {
    let path = paths.state.join("lock");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(&path)
        .map_err(|error| format!("cannot open {}: {error}", path.display()))?;
    let found = file
        .metadata()
        .map_err(|error| format!("cannot look at {}: {error}", path.display()))?;
    if !found.is_file() || found.nlink() > 1 {
        let path = path.display();
        return Err(format!("{path} is no plain file of its own; move it away"));
    }
    let logs = File::open(&paths.logs)
        .map_err(|error| format!("cannot open {}: {error}", paths.logs.display()))?;
    for file in [&file, &logs] {
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Ok(None),
            Err(fs::TryLockError::Error(error)) => {
                return Err(format!(
                    "cannot lock below {}: {error}",
                    paths.state.display()
                ));
            }
        }
    }
    let locks = [file, logs];
    note_holder(&locks);
    Ok(Some(locks))
}

/// Writes this process's pid into the lock file, for the message of the next one that comes.
pub fn note_holder(locks: &[File; 2]) {
    // Only for a message: without it, the message names nobody.
    let _ = Holder::me(None).write(locks[0].as_fd());
}

fn holder(paths: &Paths) -> String {
    Holder::read(&paths.state.join("lock"))
        .map_or(String::new(), |holder| format!(" (pid {})", holder.keeper))
}
