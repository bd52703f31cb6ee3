//! What systemd wants when it sends SIGTERM: `systemctl stop` and `systemctl restart` send the same.
//!
//! The keeper asks a helper, this program in the role `job`, which looks at systemd's list of jobs. A
//! restart hands over, and the apps are not touched; so does a start, which has lasted too long for systemd:
//! that an engine cannot begin is no reason to stop what runs. Only where the unit lets it: somebody else's
//! may keep no descriptors, or have everything killed that is in its cgroup. Everything else, also no
//! answer, is a stop.
#![expect(unsafe_code, reason = "fork and exec")]

use std::io;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, SigmaskHow, Signal, killpg, sigprocmask};
use nix::unistd::Pid;

use super::start::Environment;

/// The helper's exit code for a restart.
const RESTART: u8 = 10;
/// The keeper waits so long for the answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// What systemd wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The apps are to be stopped.
    Stop,
    /// Another keeper follows at once.
    Restart,
}

/// A helper that is at work.
#[derive(Debug)]
pub struct Asking {
    /// Its process.
    pub pid: Pid,
    /// Its answer is waited for until then.
    pub until: Instant,
}

impl Asking {
    /// Starts a helper.
    ///
    /// # Errors
    /// No process is to be had.
    pub fn begin(environment: &Environment) -> io::Result<Asking> {
        // SAFETY: this process has one thread, and the child below only makes system calls.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            // A session of its own, and so a group that can be ended with whoever it waits for.
            let _ = nix::unistd::setsid();
            // It fails for no valid mask.
            let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
            let words = [c"supervisor".as_ptr(), c"job".as_ptr(), std::ptr::null()];
            // SAFETY: C strings in lists that end in null; the program is this one.
            unsafe {
                libc::execve(
                    c"/proc/self/exe".as_ptr(),
                    words.as_ptr(),
                    environment.as_ptr(),
                );
                libc::_exit(1);
            }
        }
        match pid {
            1.. => Ok(Asking {
                pid: Pid::from_raw(pid),
                until: Instant::now() + PATIENCE,
            }),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// What the helper's end says, as `wait` gives it.
    pub fn answer(status: i32) -> Answer {
        match status == i32::from(RESTART) << 8 {
            true => Answer::Restart,
            false => Answer::Stop,
        }
    }

    /// It has taken too long.
    pub fn give_up(&self) {
        // It is not reaped yet, so the number is its own; that it has just ended is as good.
        let _ = killpg(self.pid, Signal::SIGKILL);
    }
}

/// The helper.
pub fn main() -> ExitCode {
    let cgroup = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let unit = Unit::of(&cgroup);
    let list = [
        "list-jobs",
        "--no-legend",
        "--no-pager",
        "--plain",
        "--full",
    ];
    let show = ["show", "--property=KillMode,NFileDescriptorStore"];
    match unit.answer(&unit.ask(&list)) {
        Answer::Restart if lets_hand_over(&unit.ask(&show)) => ExitCode::from(RESTART),
        Answer::Restart | Answer::Stop => ExitCode::SUCCESS,
    }
}

/// By what `systemctl show` prints.
fn lets_hand_over(properties: &str) -> bool {
    let value = |name: &str| {
        let mut lines = properties.lines().filter_map(|line| line.split_once('='));
        lines.find_map(|(key, value)| (key == name).then_some(value))
    };
    let stores = value("NFileDescriptorStore").and_then(|number| number.parse::<u32>().ok());
    stores.is_some_and(|number| number > 0) && matches!(value("KillMode"), Some("process" | "none"))
}

/// The unit that a process belongs to.
#[derive(Debug, PartialEq, Eq)]
struct Unit {
    name: String,
    of_user: bool,
}

impl Unit {
    /// By `/proc/self/cgroup`. Where that does not tell (a cgroup namespace), by the unit's usual name.
    fn of(cgroup: &str) -> Unit {
        let path = |line: &str| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            matches!(controllers, "" | "name=systemd").then(|| path.to_owned())
        };
        let parts = |path: &str| -> Vec<String> {
            let parts = path.split('/');
            // systemd puts this before a name that would mean something else to the kernel.
            parts
                .map(|part| part.strip_prefix('_').unwrap_or(part).to_owned())
                .collect()
        };
        let unit = |path: String| {
            let parts = parts(&path);
            let at = parts.iter().rposition(|part| part.ends_with(".service"))?;
            let of_user = parts[..at].iter().any(|part| part.starts_with("user@"));
            let name = parts[at].clone();
            Some(Unit { name, of_user })
        };
        cgroup
            .lines()
            .filter_map(path)
            .find_map(unit)
            .unwrap_or_else(|| Unit {
                name: "supervisor.service".to_owned(),
                of_user: !nix::unistd::Uid::effective().is_root(),
            })
    }

    /// What `systemctl` prints about this unit.
    fn ask(&self, words: &[&str]) -> String {
        let mut systemctl = Command::new("systemctl");
        if self.of_user {
            systemctl.arg("--user");
        }
        let asked = systemctl
            .args(words)
            .arg(&self.name)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output();
        let said = asked.map_or_else(|_| Vec::new(), |output| output.stdout);
        String::from_utf8_lossy(&said).into_owned()
    }

    /// By what `systemctl list-jobs` prints: number, unit, type, state.
    fn answer(&self, jobs: &str) -> Answer {
        let job = |line: &str| {
            let mut words = line.split_whitespace().skip(1);
            let unit = words.next()?;
            let job = words.next()?;
            (unit == self.name).then(|| job.to_owned())
        };
        match jobs.lines().find_map(job).as_deref() {
            Some("restart" | "try-restart" | "start") => Answer::Restart,
            Some(_) | None => Answer::Stop,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_stands_in_the_cgroup() {
        let of = |text: &str| {
            let unit = Unit::of(text);
            (unit.name, unit.of_user)
        };
        let system = "0::/system.slice/supervisor.service\n";
        assert_eq!(of(system), ("supervisor.service".into(), false));
        let user = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/apps.service\n";
        assert_eq!(of(user), ("apps.service".into(), true));
        let old = "9:pids:/x.service\n1:name=systemd:/system.slice/_cpu.service/sub\n0::/\n";
        assert_eq!(of(old), ("cpu.service".into(), false));
        assert_eq!(of("0::/\n").0, "supervisor.service");
    }

    #[test]
    fn only_a_restart_of_this_unit_is_one() {
        let unit = Unit {
            name: "supervisor.service".into(),
            of_user: false,
        };
        let restart = "77 other.service stop running\n78 supervisor.service restart running\n";
        assert_eq!(unit.answer(restart), Answer::Restart);
        let late = "78 supervisor.service start running\n";
        assert_eq!(unit.answer(late), Answer::Restart);
        for other in [
            "",
            "78 supervisor.service stop running\n",
            "78 other.service restart running\n",
            "No jobs running.\n",
        ] {
            assert_eq!(unit.answer(other), Answer::Stop, "{other}");
        }
    }

    #[test]
    fn a_unit_that_keeps_nothing_or_kills_everything_is_not_handed_over() {
        assert!(lets_hand_over("KillMode=process\nNFileDescriptorStore=7\n"));
        assert!(lets_hand_over("NFileDescriptorStore=1\nKillMode=none\n"));
        for other in [
            "",
            "KillMode=process\n",
            "KillMode=process\nNFileDescriptorStore=0\n",
            "KillMode=control-group\nNFileDescriptorStore=7\n",
            "KillMode=mixed\nNFileDescriptorStore=7\n",
        ] {
            assert!(!lets_hand_over(other), "{other}");
        }
    }

    #[test]
    fn only_the_helpers_own_code_is_a_restart() {
        assert_eq!(Asking::answer(10 << 8), Answer::Restart);
        for other in [0, 1 << 8, 9, 10, 10 << 8 | 0x80] {
            assert_eq!(Asking::answer(other), Answer::Stop, "{other}");
        }
    }
}
