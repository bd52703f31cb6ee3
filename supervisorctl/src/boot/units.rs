//! The texts of the two units.
//!
//! Promises that a path stands in them exactly as it is, whatever systemd's quotes, specifiers and
//! variables would make of it, or is refused; and that the same setup always gives the same text.

use std::ffi::OsStr;
use std::path::Path;

use super::setup::Setup;
use super::{APPS, DAEMON, Scope};
use crate::errors::{CliError, Exit};

/// How each of our units begins: what tells them from those that somebody else wrote.
pub const MARK: &str = "# Written by `supervisorctl startup`";

/// One unit file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// The file's name.
    pub name: &'static str,
    /// What is in it.
    pub text: String,
}

/// Both units, in the order in which they are written: each wants only what is there already.
pub fn of(setup: &Setup) -> Result<[Unit; 2], CliError> {
    let apps = Unit {
        name: APPS,
        text: apps(setup)?,
    };
    let daemon = Unit {
        name: DAEMON,
        text: daemon(setup)?,
    };
    Ok([apps, daemon])
}

fn head(scope: Scope, name: &str) -> String {
    let systemctl = scope.systemctl();
    format!(
        "{MARK}, which writes it anew; settings of your own: `{systemctl} edit {name}`.\n\n[Unit]\n"
    )
}

fn apps(setup: &Setup) -> Result<String, CliError> {
    let head = head(setup.scope, APPS);
    let program = program(&setup.supervisor)?;
    let score = score(setup.scope);
    Ok(format!(
        "{head}\
Description=The apps of the supervisor
Documentation=man:supervisor(8)
# Nothing is asked of it but its control group, which holds those of the apps. Where apps are, nobody
# can be started in it again, so a restart could only fail.
RefuseManualStop=yes

[Service]
Type=notify
NotifyAccess=main
# systemd removes a control group in which nobody is: this process is there, and does nothing.
ExecStart={program} stay
# Its end is nothing to the apps.
KillMode=process
Delegate=yes
OOMPolicy=continue
TasksMax=infinity
{score}\
"
    ))
}

fn score(scope: Scope) -> &'static str {
    match scope {
        Scope::System => "OOMScoreAdjust=-1000\n",
        Scope::User => "",
    }
}

fn daemon(setup: &Setup) -> Result<String, CliError> {
    let head = head(setup.scope, DAEMON);
    let order = order(setup)?;
    let start = program(&setup.supervisor)?;
    let reload = program(&setup.supervisorctl)?;
    let environment = environment(setup)?;
    let score = score(setup.scope);
    let wanted_by = match setup.scope {
        Scope::System => "multi-user.target",
        Scope::User => "default.target",
    };
    Ok(format!(
        "{head}\
Description=Supervisor: runs programs and keeps them running
Documentation=man:supervisor(8) man:supervisorctl(1)
{order}\
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={start}
# Config files are read again.
ExecReload={reload} daemon reload
{environment}\
# Only the keeper is signalled: at a stop it stops the apps in order, at a restart it hands them over.
KillMode=process
TimeoutStopSec=5min
# It ends with 0 when it was stopped, and only then stays away.
Restart=on-failure
RestartSec=100ms
# One that was started by hand runs already.
RestartPreventExitStatus=10
WatchdogSec=30
FileDescriptorStoreMax=1100
# The daemon raises its own; apps begin with the first, as they would without it.
LimitNOFILE=1024:1048576
TasksMax=infinity
OOMPolicy=continue
{score}
[Install]
WantedBy={wanted_by}
"
    ))
}

/// After what it starts.
fn order(setup: &Setup) -> Result<String, CliError> {
    Ok(match setup.scope {
        Scope::System => {
            let folders = setup.folders.each_ref().map(|path| value("folder", path));
            let [state, logs] = folders;
            format!(
                "Wants={APPS}\n\
                 After={APPS} network.target local-fs.target remote-fs.target nss-user-lookup.target\n\
                 RequiresMountsFor={} {}\n",
                state?, logs?
            )
        }
        // A user's systemd knows none of those: they are up when it starts.
        Scope::User => format!("Wants={APPS}\nAfter={APPS}\n"),
    })
}

/// The lines that set the environment.
pub fn environment(setup: &Setup) -> Result<String, CliError> {
    let lines = setup.variables.iter().map(|(name, text)| {
        let plain = plain(name, text)?;
        Ok(format!(
            "Environment={}\n",
            quoted(&format!("{name}={plain}"))
        ))
    });
    lines.collect()
}

/// A program as the first word of a command. The colon: `$` means nothing.
fn program(path: &Path) -> Result<String, CliError> {
    let text = plain("program", path.as_os_str())?;
    if text.contains(['"', '\'', '\\']) {
        return Err(refused(
            "program",
            text,
            "systemd starts no program with a quote or a backslash in its path",
        ));
    }
    Ok(format!(":{}", quoted(text)))
}

fn value(what: &str, path: &Path) -> Result<String, CliError> {
    plain(what, path.as_os_str()).map(quoted)
}

/// Text that a unit can hold at all.
fn plain<'a>(what: &str, text: &'a OsStr) -> Result<&'a str, CliError> {
    let shown = text.to_string_lossy();
    let text = text
        .to_str()
        .ok_or_else(|| refused(what, &shown, "a unit is UTF-8 text"))?;
    if text.contains(char::is_control) {
        return Err(refused(
            what,
            text,
            "a unit holds no line breaks and other control characters",
        ));
    }
    Ok(text)
}

fn refused(what: &str, text: &str, why: &str) -> CliError {
    let message = format!("the {what} {text:?} cannot stand in a systemd unit");
    CliError::new(Exit::Failed, message)
        .cause(why)
        .hint("use a path without it")
}

/// One word for systemd: quotes and backslashes with a backslash before them, specifiers doubled.
fn quoted(text: &str) -> String {
    let mut word = String::with_capacity(text.len() + 2);
    word.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => word.extend(['\\', c]),
            '%' => word.push_str("%%"),
            c => word.push(c),
        }
    }
    word.push('"');
    word
}

#[cfg(test)]
#[path = "units_tests.rs"]
mod tests;
