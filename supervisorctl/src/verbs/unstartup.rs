//! `unstartup`: the daemon is not started at boot any more.
//!
//! Promises that no app is touched. A daemon that runs under the unit keeps the unit's files, because
//! without them systemd would treat it as any service: not start it again, end it with its apps.

use std::fs;
use std::io;
use std::path::Path;

use clap::Args;
use supervisor_protocol::client::Session;

use super::Context;
use super::startup::say;
use crate::boot::setup::{self, Found, Setup};
use crate::boot::systemctl::{self, Systemctl};
use crate::boot::units::MARK;
use crate::boot::{APPS, DAEMON, Scope, user_name};
use crate::errors::{CliError, Exit};

/// Do not have the daemon started at boot any more; one that runs goes on, with its apps
#[derive(Debug, Args)]
#[command(after_help = "\
Example: sudo supervisorctl unstartup

A daemon that runs under the unit goes on, and the unit's files stay until it has been stopped.")]
pub struct Unstartup {
    /// PM2's: the init system, of which there is one.
    #[arg(hide = true, value_parser = ["systemd"])]
    platform: Option<String>,
}

impl Unstartup {
    /// Does it.
    pub fn run(&self, context: &mut Context) -> Result<Exit, CliError> {
        let setup = Setup::here(&context.paths)?;
        let folder = setup.scope.folder()?;
        let path = folder.join(DAEMON);
        match setup::find(&setup)? {
            Found::None => {
                say(
                    context,
                    &format!("nothing to do: there is no {}", path.display()),
                )?;
                return Ok(Exit::Done);
            }
            Found::Foreign { path, starts_ours } => {
                let error = CliError::new(
                    Exit::Failed,
                    format!("{} was not written by supervisorctl", path.display()),
                );
                // Nobody is to switch off supervisord by this.
                return Err(match starts_ours {
                    true => error.hint(format!("`{} disable {DAEMON}`", setup.scope.systemctl())),
                    false => error.cause("it starts another program, which is left alone"),
                });
            }
            Found::Ours | Found::OfAnother(_) => {}
        }
        let systemctl = Systemctl::of(setup.scope);
        let is_up = systemctl::runs() && systemctl.is_up()?;
        if systemctl.is_enabled()? {
            systemctl.run(&["disable", DAEMON])?;
            say(
                context,
                &format!("disabled {DAEMON}: it does not start at boot any more"),
            )?;
        }
        if is_up {
            say(context, GOES_ON)?;
            return Ok(Exit::Done);
        }
        if systemctl::runs() && folder.join(APPS).exists() {
            // Only the process that keeps its cgroup there, and runs the program that may go next. systemd
            // lets nobody stop this unit by hand, as long as apps may be in it.
            systemctl.run(&["kill", APPS])?;
        }
        for name in [DAEMON, APPS] {
            remove(context, &folder.join(name))?;
        }
        if systemctl::runs() {
            systemctl.run(&["daemon-reload"])?;
        }
        afterwards(context, &setup)
    }
}

const GOES_ON: &str = "\
the daemon that systemd started goes on, with its apps; the unit's files stay meanwhile, because they say how it is
treated. To remove them as well:  supervisorctl daemon stop && supervisorctl unstartup";

/// Only what we wrote.
fn remove(context: &mut Context, path: &Path) -> Result<(), CliError> {
    let removed = match fs::read(path) {
        Ok(text) if text.starts_with(MARK.as_bytes()) => fs::remove_file(path),
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => Err(error),
    };
    removed.map_err(|error| {
        CliError::of_system(format!("cannot remove {}", path.display()), &error)
    })?;
    say(context, &format!("removed {}", path.display()))
}

fn afterwards(context: &mut Context, setup: &Setup) -> Result<Exit, CliError> {
    if Session::open(&context.paths).is_ok() {
        say(
            context,
            "the daemon that runs was started by hand: it goes on, with its apps",
        )?;
    }
    if setup.scope == Scope::User && systemctl::lingers() {
        let user = user_name();
        say(
            context,
            &format!(
                "lingering stays on for {user}, other services may need it; to switch it off:  loginctl \
                 disable-linger"
            ),
        )?;
    }
    Ok(Exit::Done)
}
