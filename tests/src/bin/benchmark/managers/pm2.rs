//! PM2, in fork mode, without an interpreter.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use super::{App, Manager, Run, Stop, find_program};
use crate::Outcome;
use crate::place::Place;

/// PM2 with a home of its own.
pub struct Pm2;

fn pm2(place: &Place, words: &[&str]) -> Command {
    let mut command = place.command("pm2");
    command.args(words).env("PM2_HOME", place.path("pm2"));
    command
}

/// What its package says. `pm2 --version` would start a daemon.
pub fn version() -> Option<String> {
    let program = fs::canonicalize(find_program("pm2")?).ok()?;
    let package = program.parent()?.parent()?.join("package.json");
    let package: Value = serde_json::from_str(&fs::read_to_string(package).ok()?).ok()?;
    Some(package["version"].as_str()?.to_owned())
}

impl Manager for Pm2 {
    fn start(&self, place: &Place) -> Outcome<Run> {
        Ok(Run::Ends(pm2(place, &["ping"])))
    }

    fn add(&self, place: &Place, apps: &[App]) -> Outcome<Run> {
        let apps: Vec<Value> = apps
            .iter()
            .map(|app| {
                json!({
                    "name": app.name,
                    "script": app.words[0],
                    "args": app.words[1..],
                    "interpreter": "none",
                    "exec_mode": "fork",
                    "env": { "STAMPS": place.text("stamps") },
                    "out_file": self.log(place, app),
                    "error_file": place.path(&format!("{}.err.log", app.name)),
                })
            })
            .collect();
        place.write("apps.json", &json!({ "apps": apps }).to_string())?;
        Ok(Run::Ends(pm2(place, &["start", "apps.json"])))
    }

    fn restart(&self, place: &Place, app: &App) -> Result<Command, &'static str> {
        Ok(pm2(place, &["restart", &app.name]))
    }

    fn status(&self, place: &Place, _: &[App]) -> Command {
        pm2(place, &["list"])
    }

    fn stop(&self, place: &Place) -> Stop {
        Stop::Command(pm2(place, &["kill"]))
    }

    fn log(&self, place: &Place, app: &App) -> PathBuf {
        place.path(&format!("{}.out.log", app.name))
    }
}
