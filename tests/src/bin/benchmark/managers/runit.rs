//! runit: runsvdir, one runsv and one svlogd for each app.

use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::Signal;

use super::{App, Manager, Run, Stop, services};
use crate::Outcome;
use crate::place::Place;

/// runit with a scan folder of its own.
pub struct Runit;

impl Manager for Runit {
    fn start(&self, place: &Place) -> Outcome<Run> {
        place.folder("scan")?;
        let mut command = place.command("runsvdir");
        command.arg("scan");
        Ok(Run::Stays(command, None))
    }

    fn add(&self, place: &Place, apps: &[App]) -> Outcome<Run> {
        for app in apps {
            // Neither rotate nor delete.
            place.write(&format!("logs/{}/config", app.name), "s0\nn0\n")?;
        }
        services::write(place, apps, |logs| format!("svlogd {logs}"))?;
        let mut command = place.command("sh");
        command.args(["-c", services::LINK]);
        Ok(Run::Ends(command))
    }

    fn restart(&self, place: &Place, app: &App) -> Result<Command, &'static str> {
        let mut command = place.command("sv");
        command.arg("restart").arg(format!("./scan/{}", app.name));
        Ok(command)
    }

    fn status(&self, place: &Place, apps: &[App]) -> Command {
        let mut command = place.command("sv");
        let folders = apps.iter().map(|app| format!("./scan/{}", app.name));
        command.arg("status").args(folders);
        command
    }

    fn stop(&self, _: &Place) -> Stop {
        Stop::Signal(Signal::SIGHUP)
    }

    fn log(&self, place: &Place, app: &App) -> PathBuf {
        place.path(&format!("logs/{}", app.name))
    }
}
