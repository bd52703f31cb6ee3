//! The managers that are compared, behind one trait: what differs between them is their files
//! and their command lines, so that is all a manager says. Starting, timing, waiting and
//! cleaning up are the same for all ([`crate::fleet`]).
//!
//! Each runs the way its manual shows: with its defaults, except that nothing limits its logs and
//! that its tables are large enough for the apps. s6 and runit, which leave logs to a second
//! service, have one beside each app, so that all do the same work.

mod bare;
mod ours;
mod pm2;
mod runit;
mod s6;
mod services;
mod supervisord;

use std::env;
use std::path::PathBuf;
use std::process::Command;

use clap::ValueEnum;
use nix::sys::signal::Signal;

use crate::place::Place;
use crate::{Outcome, wait};

/// A manager, or the limit that the machine itself sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Kind {
    /// This project's.
    Ours,
    /// What the kernel takes for it: posix_spawn and waitpid, `true`, an app's own file,
    /// a loop of splice, ripgrep.
    Bare,
    /// PM2, from npm.
    Pm2,
    /// supervisord.
    Supervisord,
    /// s6, with s6-svscan and s6-log.
    S6,
    /// runit, with runsvdir and svlogd.
    Runit,
}

/// An app as the manager is to run it. Its environment has `STAMPS`, the place's stamp file.
#[derive(Clone, Debug)]
pub struct App {
    /// Its name.
    pub name: String,
    /// Program and arguments.
    pub words: Vec<String>,
}

/// How something is started.
#[derive(Debug)]
pub enum Run {
    /// By a command that ends by itself when it is done.
    Ends(Command),
    /// By a command that stays; it is ready when the file is there.
    Stays(Command, Option<PathBuf>),
}

/// How everything of a manager is ended.
#[derive(Debug)]
pub enum Stop {
    /// By a command.
    Command(Command),
    /// By a signal to the process that stays.
    Signal(Signal),
}

/// What is looked for in an app's logs.
#[derive(Clone, Copy, Debug)]
pub enum Search<'a> {
    /// Lines with a word.
    Grep(&'a str),
    /// Lines since so long ago.
    Since(&'a str),
}

/// What differs between managers. Every command works in the manager's own [`Place`].
pub trait Manager {
    /// Starts it, without apps.
    fn start(&self, place: &Place) -> Outcome<Run>;
    /// Writes what the apps need (this is not timed) and gives the command that makes them run.
    fn add(&self, place: &Place, apps: &[App]) -> Outcome<Run>;
    /// The command that restarts an app and comes back when that is done, or why there is none.
    fn restart(&self, place: &Place, app: &App) -> Result<Command, &'static str>;
    /// The command that tells how all the apps are.
    fn status(&self, place: &Place, apps: &[App]) -> Command;
    /// The command that prints what it finds in an app's logs; most have none.
    fn search(&self, _: &Place, _: &App, _: &Search<'_>) -> Option<Command> {
        None
    }
    /// Ends it and its apps.
    fn stop(&self, place: &Place) -> Stop;
    /// Where an app's standard output goes: a file, or a folder of logs.
    fn log(&self, place: &Place, app: &App) -> PathBuf;
}

impl Kind {
    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Ours => "supervisor",
            Kind::Bare => "bare",
            Kind::Pm2 => "PM2",
            Kind::Supervisord => "supervisord",
            Kind::S6 => "s6",
            Kind::Runit => "runit",
        }
    }

    /// The word for it in `--managers` and in the JSON.
    pub fn id(self) -> String {
        let value = self.to_possible_value().expect("no manager is hidden");
        value.get_name().to_owned()
    }

    /// Its files and command lines.
    pub fn manager(self) -> Box<dyn Manager> {
        match self {
            Kind::Ours => Box::new(ours::Ours),
            Kind::Bare => Box::new(bare::Bare),
            Kind::Pm2 => Box::new(pm2::Pm2),
            Kind::Supervisord => Box::new(supervisord::Supervisord),
            Kind::S6 => Box::new(s6::S6),
            Kind::Runit => Box::new(runit::Runit),
        }
    }

    /// Its version, or, where it is missing, how to install it.
    pub fn find(self) -> Result<String, &'static str> {
        match self {
            Kind::Ours => Ok(ours::version()),
            Kind::Bare => Ok("-".to_owned()),
            Kind::Pm2 => pm2::version().ok_or("npm install --global pm2"),
            Kind::Supervisord => installed("supervisord", "supervisor")
                .ok_or("apt-get install --no-install-recommends supervisor"),
            Kind::S6 => installed("s6-svscan", "s6").ok_or("apt-get install s6"),
            Kind::Runit => installed("runsvdir", "runit")
                .ok_or("apt-get install --no-install-recommends runit"),
        }
    }
}

/// The version of the Debian package of a program that is there.
fn installed(program: &str, package: &str) -> Option<String> {
    find_program(program)?;
    let mut query = Command::new("dpkg-query");
    let version = wait::printed(query.args(["-W", "-f", "${Version}", package]));
    Some(version.unwrap_or_else(|_| "unknown".to_owned()))
}

/// A program of `PATH`.
fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}
