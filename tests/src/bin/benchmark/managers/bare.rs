//! No manager: the limit that the machine sets.

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::Signal;
use supervisor_tests::programs;

use super::{App, Manager, Run, Stop};
use crate::place::Place;
use crate::{Outcome, failed};

/// A loop of posix_spawn and waitpid; the apps write straight to a file; `status` is `true`.
pub struct Bare;

impl Manager for Bare {
    fn start(&self, place: &Place) -> Outcome<Run> {
        Ok(Run::Ends(place.command("true")))
    }

    fn add(&self, place: &Place, apps: &[App]) -> Outcome<Run> {
        let log = place.path("log");
        let log = File::create(&log).map_err(failed(&log))?;
        let mut command = place.command(programs::testapp());
        command
            .args(["respawner", &place.text("stamps"), &apps.len().to_string()])
            .args(&apps[0].words[1..])
            .stdout(log);
        Ok(Run::Stays(command, None))
    }

    fn restart(&self, _: &Place, _: &App) -> Result<Command, &'static str> {
        Err("a loop of posix_spawn and waitpid has no restart command")
    }

    fn status(&self, place: &Place, _: &[App]) -> Command {
        place.command("true")
    }

    fn stop(&self, _: &Place) -> Stop {
        Stop::Signal(Signal::SIGTERM)
    }

    fn log(&self, place: &Place, _: &App) -> PathBuf {
        place.path("log")
    }
}
