//! s6: s6-svscan, one s6-supervise and one s6-log for each app.

use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::Signal;

use super::{App, Manager, Run, Stop, services};
use crate::Outcome;
use crate::place::Place;

/// s6 with a scan folder of its own.
pub struct S6;

impl Manager for S6 {
    fn start(&self, place: &Place) -> Outcome<Run> {
        place.folder("scan")?;
        let mut command = place.command("s6-svscan");
        // Two for each app: itself and its logger.
        command.args(["-c", "10000", "scan"]);
        let ready = place.path("scan/.s6-svscan/control");
        Ok(Run::Stays(command, Some(ready)))
    }

    fn add(&self, place: &Place, apps: &[App]) -> Outcome<Run> {
        place.folder("logs")?;
        services::write(place, apps, |logs| format!("s6-log n20 s268435455 {logs}"))?;
        let mut command = place.command("sh");
        command.args(["-c", &format!("{} && s6-svscanctl -a scan", services::LINK)]);
        Ok(Run::Ends(command))
    }

    fn restart(&self, place: &Place, app: &App) -> Result<Command, &'static str> {
        let mut command = place.command("s6-svc");
        command
            .args(["-wr", "-T", "20000", "-r"])
            .arg(format!("scan/{}", app.name));
        Ok(command)
    }

    fn status(&self, place: &Place, _: &[App]) -> Command {
        let mut command = place.command("sh");
        // s6-svstat takes one service.
        command.args(["-c", "for app in scan/*; do s6-svstat \"$app\"; done"]);
        command
    }

    fn stop(&self, _: &Place) -> Stop {
        Stop::Signal(Signal::SIGTERM)
    }

    fn log(&self, place: &Place, app: &App) -> PathBuf {
        place.path(&format!("logs/{}", app.name))
    }
}
