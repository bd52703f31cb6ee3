//! `install`: both programs, manual pages, completions and the units in their places.
//!
//! Promises that no file which it did not put there is replaced, and that programs which run go on.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};

use super::Context;
use super::startup::say;
use crate::boot::setup::{self, Found, Setup};
use crate::boot::systemctl::{self, Systemctl};
use crate::boot::units;
use crate::errors::{CliError, Exit};
use crate::files::{self, Put};
use crate::install::manifest::{Manifest, Stamp};
use crate::install::{self, Item, Place, cannot};

/// Put both programs, manual pages, completions and the systemd units in place
///
/// As root into /usr/local, otherwise into ~/.local. The units are there then, and not enabled:
/// `startup` does that. Over an older version it replaces the files; a daemon that runs goes on, and
/// `daemon upgrade` swaps its program.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo target/release/supervisorctl install
  supervisorctl install --prefix /opt/supervisor
  supervisorctl install --prefix /usr --destdir debian/supervisor     (for packagers)")]
pub struct Install {
    #[command(flatten)]
    place: Words,
    /// Replace files of the same names that were not put there by `install`
    #[arg(long)]
    force: bool,
    /// PM2's: a module.
    #[arg(hide = true)]
    module: Option<String>,
}

// Where it goes.
#[derive(Debug, Args)]
pub struct Words {
    /// Above bin and share [default: /usr/local as root, otherwise ~/.local]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub prefix: Option<PathBuf>,
    /// In front of every path, while a package or an image is made
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub destdir: Option<PathBuf>,
}

impl Install {
    /// Does it.
    pub fn run(&self, context: &mut Context) -> Result<Exit, CliError> {
        if let Some(module) = &self.module {
            return Err(CliError::new(
                Exit::Usage,
                format!(
                    "`{module}` cannot be installed: there are no modules; what is needed is built in"
                ),
            ));
        }
        let place = Place::new(self.place.prefix.as_deref(), self.place.destdir.as_deref())?;
        let path = place.real(&place.manifest());
        let before = Manifest::read(&path).map_err(|error| cannot("read", &path, &error))?;
        let mut items = install::items(&place)?;
        if !self.force {
            are_free(&place, &items, &before)?;
        }
        let (units, left) = unit_items(context, &place)?;
        items.extend(units);
        let mut work = Work {
            place: &place,
            manifest: before,
            written: BTreeSet::new(),
        };
        let result = work.put_all(context, &items);
        // What is there belongs into the list, also when something else failed.
        work.note()?;
        result?;
        for line in left {
            say(context, &line)?;
        }
        work.tell(context)?;
        Ok(Exit::Done)
    }
}

/// What has the name of ours must be ours.
fn are_free(place: &Place, items: &[Item], before: &Manifest) -> Result<(), CliError> {
    let is_taken = |item: &&Item| {
        let real = place.real(&item.path);
        fs::symlink_metadata(&real).is_ok()
            && !before.has(&item.path)
            && fs::read(&real).ok().as_ref() != Some(&item.bytes)
    };
    let Some(taken) = items.iter().find(is_taken) else {
        return Ok(());
    };
    let what = format!(
        "{} is there and was not put there by `install`",
        place.real(&taken.path).display()
    );
    Err(CliError::new(Exit::Failed, what)
        .cause("nothing was changed; supervisord, for one, has a program of the same name")
        .hint("remove it, choose another --prefix, or replace it with --force"))
}

/// The units as `startup` would write them, and what there is to say about those that stay.
fn unit_items(context: &Context, place: &Place) -> Result<(Vec<Item>, Vec<String>), CliError> {
    let [supervisor, supervisorctl] =
        ["supervisor", "supervisorctl"].map(|name| place.program(name));
    let mut setup = Setup::with(place.scope(), supervisor, supervisorctl, &context.paths);
    if !place.is_live() {
        // For another machine: nothing of this one's.
        setup.variables = Vec::new();
        let paths = supervisor_protocol::Paths::system();
        setup.folders = [paths.state, paths.logs];
    } else {
        match setup::find(&setup)? {
            Found::None | Found::Ours => {}
            Found::OfAnother(path) => {
                let line = format!(
                    "left {}: it is for a supervisor that lives elsewhere",
                    path.display()
                );
                return Ok((Vec::new(), vec![line]));
            }
            Found::Foreign { path, .. } => {
                let line = format!(
                    "left {}: it was not written by supervisorctl",
                    path.display()
                );
                return Ok((Vec::new(), vec![line]));
            }
        }
    }
    let folder = place.units()?;
    let units = units::of(&setup)?.map(|unit| Item {
        path: folder.join(unit.name),
        bytes: unit.text.into_bytes(),
        mode: 0o644,
    });
    Ok((units.into(), Vec::new()))
}

struct Work<'a> {
    place: &'a Place,
    manifest: Manifest,
    /// What is new or replaced.
    written: BTreeSet<PathBuf>,
}

impl Work<'_> {
    fn put_all(&mut self, context: &mut Context, items: &[Item]) -> Result<(), CliError> {
        for item in items {
            if self.put(item)? == Put::Written {
                say(
                    context,
                    &format!("wrote {}", self.place.real(&item.path).display()),
                )?;
                self.written.insert(item.path.clone());
            }
        }
        if self.written.is_empty() {
            say(context, "nothing to do: everything is in place already")?;
        }
        Ok(())
    }

    fn put(&mut self, item: &Item) -> Result<Put, CliError> {
        let real = self.place.real(&item.path);
        self.make_folder(item.path.parent().unwrap_or(Path::new("/")))?;
        let put =
            files::put(&real, &item.bytes, item.mode).and_then(|put| Ok((put, Stamp::of(&real)?)));
        let (put, stamp) = put.map_err(|error| cannot("write", &real, &error))?;
        self.manifest.put(item.path.clone(), stamp);
        Ok(put)
    }

    /// Those that are made are noted, under their final names.
    fn make_folder(&mut self, path: &Path) -> Result<(), CliError> {
        let real = self.place.real(path);
        let made = files::make_folders(&real).map_err(|error| cannot("make", &real, &error))?;
        let depth = made.len();
        let mut folders: Vec<_> = path.ancestors().take(depth).collect();
        folders.reverse();
        for folder in folders
            .into_iter()
            .filter(|folder| *folder != Path::new("/"))
        {
            self.manifest.made(folder.to_owned());
        }
        Ok(())
    }

    fn note(&mut self) -> Result<(), CliError> {
        let path = self.place.manifest();
        self.make_folder(path.parent().unwrap_or(Path::new("/")))?;
        let real = self.place.real(&path);
        files::put(&real, self.manifest.text().as_bytes(), 0o644)
            .map_err(|error| cannot("write", &real, &error))?;
        Ok(())
    }

    /// What follows from it.
    fn tell(&self, context: &mut Context) -> Result<(), CliError> {
        if !self.place.is_live() {
            return Ok(());
        }
        let is_unit = |path: &PathBuf| path.extension().is_some_and(|end| end == "service");
        if self.written.iter().any(is_unit) && systemctl::runs() {
            let systemctl = Systemctl::of(self.place.scope());
            // A user's may not run at the moment; then it reads them when it starts.
            let _ = systemctl.run(&["daemon-reload"]);
        }
        let daemon = self.place.program("supervisor");
        if self.written.contains(&daemon) && !install::running(&daemon).is_empty() {
            say(
                context,
                "the daemon that runs is the one from before; `supervisorctl daemon upgrade` swaps it for this one \
                 and touches no app",
            )?;
        }
        let folder = daemon.parent().unwrap_or(Path::new("/"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        if !std::env::split_paths(&path).any(|other| other == folder) {
            say(
                context,
                &format!(
                    "{} is not in PATH: add it in your shell's profile",
                    folder.display()
                ),
            )?;
        }
        if !self.written.is_empty() {
            say(
                context,
                "`supervisorctl startup` has the daemon started at boot; `uninstall` takes all this away",
            )?;
        }
        Ok(())
    }
}
