//! This project's programs, as they are shipped.

use std::path::PathBuf;
use std::process::Command;

use supervisor_tests::programs;

use super::{App, Manager, Run, Search, Stop};
use crate::place::Place;
use crate::{Outcome, wait};

/// `supervisor` with a home of its own.
pub struct Ours;

fn ctl(place: &Place) -> Command {
    let mut command = place.command(programs::supervisorctl());
    command.env("SUPERVISOR_HOME", place.path("home"));
    command
}

/// What `supervisorctl` says it is.
pub fn version() -> String {
    let said = wait::printed(Command::new(programs::supervisorctl()).arg("--version"));
    let said = said.unwrap_or_default();
    said.trim()
        .rsplit(' ')
        .next()
        .unwrap_or_default()
        .to_owned()
}

impl Manager for Ours {
    fn start(&self, place: &Place) -> Outcome<Run> {
        let mut command = place.command(programs::supervisor());
        command
            .arg("--daemonize")
            .env("SUPERVISOR_HOME", place.path("home"));
        Ok(Run::Ends(command))
    }

    fn search(&self, place: &Place, app: &App, search: &Search) -> Option<Command> {
        let mut command = ctl(place);
        command.args(["logs", &app.name, "--no-follow"]);
        match search {
            Search::Grep(word) => command.args(["-n", "1000", "--grep", word]),
            Search::Since(since) => command.args(["--since", since]),
        };
        Some(command)
    }

    fn add(&self, place: &Place, apps: &[App]) -> Outcome<Run> {
        let stamps = place.text("stamps");
        // Up for a second is stable, as it is for PM2 and supervisord by default. No log is
        // deleted, and none compressed, which the others do not do.
        let text: String = apps
            .iter()
            .map(|App { name, words }| {
                format!(
                    "[app.{name}]\ncommand = {words:?}\nenv = {{ STAMPS = {stamps:?} }}\n\
                     restart.stable_after = \"1s\"\nlogs.keep = 1000\n\
                     logs.max_total = \"unlimited\"\nlogs.compress = false\n\n"
                )
            })
            .collect();
        let file = place.write("supervisor.toml", &text)?;
        let mut command = ctl(place);
        command.arg("up").arg(file);
        Ok(Run::Ends(command))
    }

    fn restart(&self, place: &Place, app: &App) -> Result<Command, &'static str> {
        let mut command = ctl(place);
        command.args(["restart", &app.name]);
        Ok(command)
    }

    fn status(&self, place: &Place, _: &[App]) -> Command {
        let mut command = ctl(place);
        command.arg("status");
        command
    }

    fn stop(&self, place: &Place) -> Stop {
        let mut command = ctl(place);
        command.args(["daemon", "stop"]);
        Stop::Command(command)
    }

    fn log(&self, place: &Place, app: &App) -> PathBuf {
        place.path(&format!("home/logs/{}/0.out.log", app.name))
    }
}
