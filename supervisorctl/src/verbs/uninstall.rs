//! `uninstall`: takes away exactly what `install` put in place.
//!
//! Promises that no other file is touched, nor what a supervisor has of its own: config, state, logs.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use nix::unistd::Uid;
use supervisor_protocol::Paths;

use super::Context;
use super::install::Words;
use super::startup::say;
use crate::boot::systemctl::{self, Systemctl};
use crate::boot::units::MARK;
use crate::boot::{APPS, DAEMON};
use crate::errors::{CliError, Exit};
use crate::files;
use crate::install::manifest::{Manifest, Stamp};
use crate::install::{self, Place, cannot};

/// Take away what `install` put in place; config, state and logs stay
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo supervisorctl uninstall
  supervisorctl uninstall --prefix /opt/supervisor")]
pub struct Uninstall {
    #[command(flatten)]
    place: Words,
    /// Also while a daemon runs from there: it goes on, and cannot be started again
    #[arg(long)]
    force: bool,
    /// PM2's: a module.
    #[arg(hide = true)]
    module: Option<String>,
}

impl Uninstall {
    /// Does it.
    pub fn run(&self, context: &mut Context) -> Result<Exit, CliError> {
        if let Some(module) = &self.module {
            return Err(CliError::new(
                Exit::Usage,
                format!("`{module}` is not installed: there are no modules"),
            ));
        }
        let Words { prefix, destdir } = &self.place;
        let place = Place::of_this_program(prefix.as_deref(), destdir.as_deref())?;
        let path = place.real(&place.manifest());
        is_trusted(&path)?;
        let mut manifest = Manifest::read(&path).map_err(|error| cannot("read", &path, &error))?;
        if manifest.is_empty() {
            return Err(CliError::new(
                Exit::Failed,
                format!(
                    "nothing was installed there: there is no {}",
                    path.display()
                ),
            )
            .hint("--prefix DIR, as at `install`"));
        }
        if !self.force {
            may_go(&place)?;
        }
        let result = take_away(context, &place, &mut manifest);
        let noted = note(&place, &manifest);
        result.and(noted)?;
        if place.is_live() {
            afterwards(context, &place)?;
        }
        Ok(Exit::Done)
    }
}

/// The list says what is removed: whoever could write it must not choose what root removes.
fn is_trusted(list: &Path) -> Result<(), CliError> {
    let Ok(found) = fs::symlink_metadata(list) else {
        return Ok(());
    };
    let own = [0, Uid::effective().as_raw()].contains(&found.uid());
    if own && !found.is_symlink() && found.mode() & 0o022 == 0 {
        return Ok(());
    }
    let what = format!(
        "others may change {}, the list of what to remove",
        list.display()
    );
    let owner = found.uid();
    Err(CliError::new(Exit::Failed, what)
        .cause(format!(
            "it belongs to uid {owner} (mode {:04o})",
            found.mode() & 0o7777
        ))
        .hint("run `supervisorctl uninstall` as the user that it belongs to"))
}

/// Nobody needs it: no daemon runs from there, and none is to be started at boot.
fn may_go(place: &Place) -> Result<(), CliError> {
    if !place.is_live() {
        return Ok(());
    }
    let daemon = place.program("supervisor");
    if let Some(pid) = install::running(&daemon).first() {
        return Err(CliError::new(
            Exit::Failed,
            format!("a daemon runs from {} (pid {pid})", daemon.display()),
        )
        .hint(
            "`supervisorctl daemon stop` stops its apps and then itself; with --force it goes on, and nobody starts \
             it again",
        ));
    }
    let has_unit = fs::symlink_metadata(place.units()?.join(DAEMON)).is_ok();
    if has_unit && systemctl::runs() && Systemctl::of(place.scope()).is_enabled()? {
        return Err(CliError::new(
            Exit::Failed,
            format!("{DAEMON} is enabled: it starts the daemon at boot"),
        )
        .hint("first `supervisorctl unstartup`"));
    }
    Ok(())
}

fn take_away(
    context: &mut Context,
    place: &Place,
    manifest: &mut Manifest,
) -> Result<(), CliError> {
    let files: Vec<(PathBuf, Stamp)> = manifest
        .files()
        .map(|(path, stamp)| (path.to_owned(), stamp))
        .collect();
    // The units of a daemon that goes on say how it is treated.
    let keeps_units = place.is_live() && !install::running(&place.program("supervisor")).is_empty();
    for (path, stamp) in files {
        let is_unit = path
            .file_name()
            .is_some_and(|name| name == DAEMON || name == APPS);
        let real = place.real(&path);
        let line = match Stamp::of(&real) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(cannot("look at", &real, &error)),
            Ok(_) if is_unit && keeps_units => {
                Some(format!("left {}: the daemon runs under it", real.display()))
            }
            Ok(now) if now == stamp || (is_unit && is_ours(&real)) => {
                fs::remove_file(&real).map_err(|error| cannot("remove", &real, &error))?;
                Some(format!("removed {}", real.display()))
            }
            Ok(_) => Some(format!(
                "left {}: somebody has changed it since",
                real.display()
            )),
        };
        manifest.forget(&path);
        if let Some(line) = line {
            say(context, &line)?;
        }
    }
    Ok(())
}

/// `startup` writes it, too.
fn is_ours(unit: &Path) -> bool {
    fs::read(unit).is_ok_and(|text| text.starts_with(MARK.as_bytes()))
}

/// The list itself goes when all it names is gone, and so do the folders that were made for it.
fn note(place: &Place, manifest: &Manifest) -> Result<(), CliError> {
    let real = place.real(&place.manifest());
    if manifest.files().next().is_some() {
        return files::put(&real, manifest.text().as_bytes(), 0o644)
            .map(|_| ())
            .map_err(|error| cannot("write", &real, &error));
    }
    fs::remove_file(&real).map_err(|error| cannot("remove", &real, &error))?;
    for folder in manifest.folders() {
        // One that something else is in stays, and so does one that is gone already.
        let _ = fs::remove_dir(place.real(folder));
    }
    Ok(())
}

/// What stays.
fn afterwards(context: &mut Context, place: &Place) -> Result<(), CliError> {
    if systemctl::runs() {
        // A user's may not run at the moment; then it has nothing to forget.
        let _ = Systemctl::of(place.scope()).run(&["daemon-reload"]);
    }
    let stays = own_places(&context.paths);
    if !stays.is_empty() {
        let words: Vec<_> = stays.iter().map(|path| path.to_string_lossy()).collect();
        let words = shlex::try_join(words.iter().map(AsRef::as_ref)).unwrap_or_default();
        say(
            context,
            &format!("config, state and logs stay; to remove those, too:  rm -r {words}"),
        )?;
    }
    Ok(())
}

/// What is ours without a doubt: supervisord has folders of the same names.
fn own_places(paths: &Paths) -> Vec<PathBuf> {
    let mut places = vec![paths.config_file.clone()];
    let more = fs::read_dir(&paths.config_dir)
        .into_iter()
        .flatten()
        .flatten();
    let more = more.map(|entry| entry.path());
    places.extend(more.filter(|path| path.extension().is_some_and(|end| end == "toml")));
    places.push(paths.state.clone());
    let is_shared = paths.logs.join("supervisord.log").exists();
    if !is_shared && !paths.logs.starts_with(&paths.state) {
        places.push(paths.logs.clone());
    }
    places.retain(|place| place.exists());
    places
}
