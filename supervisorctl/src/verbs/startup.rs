//! `startup`: the daemon at boot, through systemd.
//!
//! Promises that no app is touched: a daemon that runs goes on, whoever started it; where that is not
//! yet what was asked for, it is said how to get there.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use clap::Args;
use supervisor_protocol::client::{ConnectError, Session};

use super::{Context, daemon};
use crate::boot::setup::{self, Found, Setup};
use crate::boot::systemctl::{self, Systemctl};
use crate::boot::units::{self, Unit};
use crate::boot::{DAEMON, Scope, elsewhere, user_name};
use crate::errors::{CliError, Exit};
use crate::files::{self, Put};

/// Have the daemon started at boot: writes the systemd units, enables and starts them
///
/// As root for the machine's daemon, otherwise for your own, which needs no root; with lingering, which
/// this switches on, it starts at boot without your logging in. Once the unit is there, `up` and
/// `start` start the daemon through systemd, too.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo supervisorctl startup
  supervisorctl startup --print

Where there is no systemd, it prints what to do there: OpenRC, runit, rc.local, cron, containers.")]
pub struct Startup {
    /// Only print the units
    #[arg(long)]
    print: bool,
    /// PM2's: the init system, of which there is one.
    #[arg(hide = true, value_parser = ["systemd"])]
    platform: Option<String>,
}

/// Where the daemon is that runs now.
enum Running {
    No,
    UnderUnit(i32),
    ByHand(i32),
}

fn running(context: &Context, systemctl: Systemctl) -> Result<Running, CliError> {
    let mut session = match Session::open(&context.paths) {
        Ok(session) => session,
        Err(ConnectError::NoDaemon { .. }) => return Ok(Running::No),
        Err(error) => return Err(error.into()),
    };
    let keeper = daemon::ask(&mut session)?.keeper_pid;
    Ok(match systemctl.main_pid()? == Some(keeper) {
        true => Running::UnderUnit(keeper),
        false => Running::ByHand(keeper),
    })
}

impl Startup {
    /// Does it.
    pub fn run(&self, context: &mut Context) -> Result<Exit, CliError> {
        let setup = Setup::here(&context.paths)?;
        if self.print {
            let folder = setup.scope.folder()?;
            let units = units::of(&setup)?;
            let text = units.map(|unit| printed(&folder, &unit));
            context.out.text(&text.join("\n"))?;
            return Ok(Exit::Done);
        }
        if !systemctl::runs() {
            context.out.text(&elsewhere::all(&setup)?)?;
            return Err(no_systemd());
        }
        is_safe(&setup)?;
        let systemctl = Systemctl::of(setup.scope);
        let mut changed = setup.scope == Scope::User && linger(context)?;
        let found = setup::find(&setup)?;
        may_write(&found, systemctl)?;
        changed |= write(context, &setup, systemctl)?;
        if !systemctl.is_enabled()? {
            systemctl.run(&["enable", DAEMON])?;
            changed = true;
            say(
                context,
                &format!("enabled {DAEMON}: it starts at every boot"),
            )?;
        }
        start(context, systemctl, changed)
    }
}

/// One line of what was done.
pub fn say(context: &mut Context, line: &str) -> Result<(), CliError> {
    context.out.text(&format!("{line}\n"))
}

fn printed(folder: &Path, unit: &Unit) -> String {
    format!("# {}\n{}", folder.join(unit.name).display(), unit.text)
}

fn no_systemd() -> CliError {
    CliError::new(
        Exit::Failed,
        "systemd does not run here; what is printed above starts the daemon at boot without it",
    )
}

/// What root runs at each boot must be root's, or whoever may change it becomes root.
fn is_safe(setup: &Setup) -> Result<(), CliError> {
    if setup.scope == Scope::User {
        return Ok(());
    }
    for program in [&setup.supervisor, &setup.supervisorctl] {
        // The way to the program, and behind a link the way to what it leads to.
        let real = fs::canonicalize(program).map_err(|error| {
            CliError::of_system(format!("cannot look at {}", program.display()), &error)
        })?;
        for path in program.ancestors().chain(real.ancestors()) {
            let found = fs::metadata(path).map_err(|error| {
                CliError::of_system(format!("cannot look at {}", path.display()), &error)
            })?;
            // In a folder like /tmp nobody can take away what is root's. A group may be meant: Debian's
            // "staff" could long write below /usr/local.
            let is_shared = found.is_dir() && found.mode() & 0o1000 != 0;
            let others_write = found.mode() & 0o002 != 0 && !is_shared;
            if found.uid() != 0 || others_write {
                let what = format!("others than root may change {}", path.display());
                let hint = format!(
                    "`sudo {} install`, then `sudo supervisorctl startup`",
                    setup.supervisorctl.display()
                );
                return Err(CliError::new(Exit::Failed, what)
                    .cause(format!(
                        "{} would run as root at each boot",
                        setup.supervisor.display()
                    ))
                    .hint(hint));
            }
        }
    }
    Ok(())
}

/// Whether something changed.
fn linger(context: &mut Context) -> Result<bool, CliError> {
    let user = user_name();
    if systemctl::lingers() {
        return Ok(false);
    }
    match systemctl::enable_linger() {
        Ok(()) => {
            say(
                context,
                &format!(
                    "lingering is on for {user}: services start at boot and go on after the logout"
                ),
            )?;
            Ok(true)
        }
        Err(error) => {
            let causes = error.causes.join("; ");
            say(
                context,
                &format!(
                    "lingering is off for {user}: the daemon would start at the first login and end at the last \
                     logout ({causes})\n  to change that:  sudo loginctl enable-linger {user}"
                ),
            )?;
            Ok(false)
        }
    }
}

fn may_write(found: &Found, systemctl: Systemctl) -> Result<(), CliError> {
    match found {
        Found::None | Found::Ours => Ok(()),
        Found::OfAnother(path) => {
            if !systemctl.is_enabled()? && !systemctl.is_up()? {
                return Ok(());
            }
            let what = format!("{} starts another supervisor already", path.display());
            Err(CliError::new(Exit::Failed, what)
                .cause("its `Environment=` lines name another place than this command's environment does")
                .hint("`supervisorctl unstartup`, then `supervisorctl startup`; or set SUPERVISOR_HOME as there"))
        }
        Found::Foreign { path, .. } => Err(CliError::new(
            Exit::Failed,
            format!("{} was not written by supervisorctl", path.display()),
        )
        .cause("it has the same name; supervisord's package, for one, brings such a unit")
        .hint("remove that package, or the file, and try again; `startup --print` shows what ours would be")),
    }
}

/// Writes what is not so already; gives whether something changed.
fn write(context: &mut Context, setup: &Setup, systemctl: Systemctl) -> Result<bool, CliError> {
    let folder = setup.scope.folder()?;
    let mut changed = false;
    for unit in units::of(setup)? {
        if put(&folder, &unit)? == Put::Written {
            changed = true;
            say(
                context,
                &format!("wrote {}", folder.join(unit.name).display()),
            )?;
        }
    }
    if changed || systemctl.property("NeedDaemonReload")? == "yes" {
        systemctl.run(&["daemon-reload"])?;
    }
    Ok(changed)
}

/// Writes a unit into its folder.
pub fn put(folder: &Path, unit: &Unit) -> Result<Put, CliError> {
    let path = folder.join(unit.name);
    files::make_folders(folder)
        .and_then(|_| files::put(&path, unit.text.as_bytes(), 0o644))
        .map_err(|error| CliError::of_system(format!("cannot write {}", path.display()), &error))
}

fn start(context: &mut Context, systemctl: Systemctl, changed: bool) -> Result<Exit, CliError> {
    let text = match running(context, systemctl)? {
        Running::No => {
            systemctl.run(&["start", DAEMON])?;
            match running(context, systemctl)? {
                Running::UnderUnit(pid) | Running::ByHand(pid) => format!(
                    "started {DAEMON}: the daemon runs (pid {pid}); what ran before runs again"
                ),
                Running::No => {
                    return Err(CliError::new(
                        Exit::Failed,
                        format!("systemd started {DAEMON}, and it does not answer"),
                    )
                    .hint(format!(
                        "its own log may say why: {}",
                        context.paths.daemon_log().display()
                    )));
                }
            }
        }
        Running::UnderUnit(pid) if changed => format!(
            "the daemon runs under it already (pid {pid}); `{} restart {DAEMON}` has it start with the new \
             settings, and touches no app",
            Scope::own().systemctl()
        ),
        Running::UnderUnit(pid) => format!(
            "nothing to do: {DAEMON} is in place and enabled, and the daemon runs under it (pid {pid})"
        ),
        Running::ByHand(pid) => format!(
            "the daemon that runs now (pid {pid}) was started by hand: it and its apps go on as they are, and from \
             the next boot on systemd starts it\n  to have it under systemd at once, which restarts its apps:  \
             supervisorctl daemon stop && supervisorctl daemon start"
        ),
    };
    say(context, &text)?;
    Ok(Exit::Done)
}
