//! The conversation with systemd: through `systemctl` and `loginctl`, whose words are passed on.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::Uid;
use supervisor_protocol::Paths;

use super::setup::{self, Found, Setup};
use super::{DAEMON, Scope};
use crate::errors::{CliError, Exit};
use crate::verbs::launch;

/// After `daemon stop` systemd needs a moment to see it.
const ENDS_WITHIN: Duration = Duration::from_secs(3);

/// Whether systemd is what runs this machine.
pub fn runs() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// `systemctl`, for one of the two.
#[derive(Clone, Copy, Debug)]
pub struct Systemctl {
    scope: Scope,
}

impl Systemctl {
    /// For the systemd of this scope.
    pub fn of(scope: Scope) -> Systemctl {
        Systemctl { scope }
    }

    /// Runs it and gives what it printed.
    ///
    /// # Errors
    /// It failed: with its own words.
    pub fn run(self, words: &[&str]) -> Result<String, CliError> {
        let typed = format!("{} {}", self.scope.systemctl(), words.join(" "));
        let output = self
            .output(words)
            .map_err(|error| cannot_run(&typed, &error))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let hint = match (self.scope, words.first()) {
            (_, Some(&"start")) => format!("`{} -n 30` shows why", self.scope.journalctl()),
            (Scope::User, _) => format!(
                "a user's systemd runs while the user is logged in, or always: `sudo loginctl enable-linger {}`",
                super::user_name()
            ),
            (Scope::System, _) => "`systemctl --failed` shows what is wrong besides".to_owned(),
        };
        Err(failed(&typed, &output).hint(hint))
    }

    /// A property of the daemon's unit.
    pub fn property(self, name: &str) -> Result<String, CliError> {
        let property = format!("--property={name}");
        let text = self.run(&["show", &property, "--value", DAEMON])?;
        Ok(text.trim().to_owned())
    }

    /// Whether it starts the daemon at boot.
    pub fn is_enabled(self) -> Result<bool, CliError> {
        // It ends with 1 for most answers that are not "enabled".
        let output = self.output(&["is-enabled", DAEMON]);
        let output = output.map_err(|error| cannot_run("systemctl is-enabled", &error))?;
        Ok(String::from_utf8_lossy(&output.stdout).trim() == "enabled")
    }

    /// Whether the daemon's unit runs, or is about to. One that is just ending is waited for.
    pub fn is_up(self) -> Result<bool, CliError> {
        let deadline = Instant::now() + ENDS_WITHIN;
        loop {
            match self.property("ActiveState")?.as_str() {
                "inactive" | "failed" => return Ok(false),
                "deactivating" if Instant::now() < deadline => {
                    thread::sleep(Duration::from_millis(50));
                }
                _ => return Ok(true),
            }
        }
    }

    /// The daemon that it runs, if it does.
    pub fn main_pid(self) -> Result<Option<i32>, CliError> {
        let pid = self.property("MainPID")?;
        Ok(pid.parse().ok().filter(|&pid| pid > 0))
    }

    fn output(self, words: &[&str]) -> io::Result<Output> {
        let mut command = Command::new("systemctl");
        if self.scope == Scope::User {
            command.arg("--user");
            if let Some(folder) = runtime_folder() {
                command.env("XDG_RUNTIME_DIR", folder);
            }
        }
        quiet(command.args(words)).output()
    }
}

/// Where a user's systemd listens, for one who came by `su` or cron and was not told.
fn runtime_folder() -> Option<PathBuf> {
    if env::var_os("XDG_RUNTIME_DIR").is_some() {
        return None;
    }
    let folder = PathBuf::from(format!("/run/user/{}", Uid::effective()));
    folder.is_dir().then_some(folder)
}

/// A user's services start at boot and stay after the logout.
///
/// # Errors
/// It is not allowed: with the words of `loginctl`.
pub fn enable_linger() -> Result<(), CliError> {
    const TYPED: &str = "loginctl enable-linger";
    let mut command = Command::new("loginctl");
    let output = quiet(command.args(["--no-ask-password", "enable-linger"])).output();
    let output = output.map_err(|error| cannot_run(TYPED, &error))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(failed(TYPED, &output)),
    }
}

/// Whether they do already.
pub fn lingers() -> bool {
    Path::new("/var/lib/systemd/linger")
        .join(super::user_name())
        .exists()
}

/// Its colours and pages are for a person who sees it directly, and its language is to be known.
fn quiet(command: &mut Command) -> &mut Command {
    command
        .stdin(Stdio::null())
        .env("SYSTEMD_COLORS", "0")
        .env("SYSTEMD_PAGER", "")
        .env("LC_ALL", "C.UTF-8")
}

fn cannot_run(typed: &str, error: &io::Error) -> CliError {
    CliError::of_system(format!("`{typed}` cannot be run"), error)
}

fn failed(typed: &str, output: &Output) -> CliError {
    let words = String::from_utf8_lossy(&output.stderr);
    let error = CliError::new(Exit::Failed, format!("`{typed}` failed"));
    match words.trim() {
        "" => error.cause(format!("it ended with {}", output.status)),
        words => error.cause(words),
    }
}

/// The systemd that starts this supervisor: one is there, and has a unit for it that is enabled.
/// Then nobody else may start it: from a login it would end with the login, and it would be a
/// second one.
pub fn in_charge(paths: &Paths) -> Result<Option<Systemctl>, CliError> {
    let Some(supervisor) = launch::find_program().filter(|_| runs()) else {
        return Ok(None);
    };
    let setup = Setup::with(Scope::own(), supervisor, PathBuf::new(), paths);
    let is_its = match setup::find(&setup)? {
        Found::Ours => true,
        Found::Foreign { starts_ours, .. } => starts_ours,
        Found::OfAnother(_) | Found::None => false,
    };
    let systemctl = Systemctl::of(setup.scope);
    Ok((is_its && systemctl.is_enabled()?).then_some(systemctl))
}
