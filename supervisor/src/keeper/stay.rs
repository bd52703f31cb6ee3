//! `supervisor stay`, the only process of supervisor-apps.service itself: it is there, and nothing else.
//!
//! systemd removes the cgroup of a unit in which nobody is, that of one which "remains after exit"
//! included; this process keeps the one that the apps' cgroups are made in. It stands aside in a cgroup
//! of its own, because controllers can only be switched on where no process is. Only then does it say
//! that it is ready, and the daemon, which is ordered after it, begins.

use std::fs;
use std::io::ErrorKind;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::notify::Notify;
use crate::os::cgroup;

/// No app has a name that begins so.
const ASIDE: &str = "_stay";
/// What finds no room is said again after so long, for as long as systemd waits.
const AGAIN: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(90);

/// Returns where nobody needs it.
pub fn main() -> ExitCode {
    let aside = step_aside();
    let notify = std::env::var_os("NOTIFY_SOCKET").and_then(|address| Notify::new(&address));
    if let Some(mut notify) = notify {
        let begun = Instant::now();
        // While a machine boots, systemd's queue may be full.
        while !notify.say(b"READY=1", None) && begun.elapsed() < PATIENCE {
            std::thread::sleep(AGAIN);
        }
    }
    match aside {
        Ok(()) => loop {
            nix::unistd::pause();
        },
        // The daemon says the same of itself, with what follows from it.
        Err(why) => {
            eprintln!("supervisor: there are no cgroups for apps: {why}");
            ExitCode::SUCCESS
        }
    }
}

fn step_aside() -> Result<(), String> {
    let aside = cgroup::own_folder()?.join(ASIDE);
    let told = |error: std::io::Error| format!("{}: {error}", aside.display());
    match fs::create_dir(&aside) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(told(error)),
        Ok(()) | Err(_) => {}
    }
    fs::write(aside.join("cgroup.procs"), "0").map_err(told)
}
