//! supervisord, with its command line over a socket of its own.

use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::Signal;

use super::{App, Manager, Run, Stop};
use crate::Outcome;
use crate::place::Place;

/// supervisord with a configuration of its own.
pub struct Supervisord;

const CONFIG: &str = "\
[supervisord]
nodaemon = true
logfile = supervisord.log
pidfile = supervisord.pid
childlogdir = .
minfds = 10240

[unix_http_server]
file = s.sock

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl = unix://s.sock

[include]
files = apps.conf
";

/// By its full path: this project's program has the same name.
fn ctl(place: &Place, words: &[&str]) -> Command {
    let program = super::find_program("supervisord").unwrap_or_default();
    let mut command = place.command(program.with_file_name("supervisorctl"));
    command.args(["-c", "supervisord.conf"]).args(words);
    command
}

impl Manager for Supervisord {
    fn start(&self, place: &Place) -> Outcome<Run> {
        place.write("apps.conf", "")?;
        let here = |name| place.text(name);
        let config = CONFIG
            .replace("s.sock", &here("s.sock"))
            .replace("= supervisord.", &format!("= {}.", here("supervisord")))
            .replace("apps.conf", &here("apps.conf"))
            .replace("childlogdir = .", &format!("childlogdir = {}", here("")));
        place.write("supervisord.conf", &config)?;
        let mut command = place.command("supervisord");
        command.args(["-c", "supervisord.conf"]);
        Ok(Run::Stays(command, Some(place.path("s.sock"))))
    }

    fn add(&self, place: &Place, apps: &[App]) -> Outcome<Run> {
        let stamps = place.text("stamps");
        let text: String = apps
            .iter()
            .map(|app| {
                format!(
                    "[program:{}]\ncommand = {}\nenvironment = STAMPS=\"{stamps}\"\n\
                     autorestart = true\nstdout_logfile = {}\nstdout_logfile_maxbytes = 0\n\n",
                    app.name,
                    app.words.join(" "),
                    self.log(place, app).display()
                )
            })
            .collect();
        place.write("apps.conf", &text)?;
        Ok(Run::Ends(ctl(place, &["update"])))
    }

    fn restart(&self, place: &Place, app: &App) -> Result<Command, &'static str> {
        Ok(ctl(place, &["restart", &app.name]))
    }

    fn status(&self, place: &Place, _: &[App]) -> Command {
        ctl(place, &["status"])
    }

    fn stop(&self, _: &Place) -> Stop {
        Stop::Signal(Signal::SIGTERM)
    }

    fn log(&self, place: &Place, app: &App) -> PathBuf {
        place.path(&format!("{}.log", app.name))
    }
}
