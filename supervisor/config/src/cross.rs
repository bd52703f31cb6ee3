//! What shows only when the files are looked at together, with the apps that are known already and
//! with the env files that they name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use nix::unistd::User;
use supervisor_core::Name;

use crate::app::{all_circles, round};
use crate::logs::Files;
use crate::reading::MOST;
use crate::trust::Reader;
use crate::units::Problem;
use crate::{App, Config, Fault, environment, hints};

/// An app that the daemon has already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The file that it came from; `None`: it was added by a command.
    pub origin: Option<PathBuf>,
    /// What it waits for.
    pub after: Vec<Name>,
    /// Its log files that are not the usual ones ([`App::log_files`]).
    pub logs: Vec<PathBuf>,
}

/// The faults between files that are read in one go, and between them and the known apps: a name that
/// or a log file that is taken, an `after` that names nothing, a circle. A known app that came from one of the files and
/// is gone from it counts as gone. At most 200 are told.
#[must_use]
pub fn cross_check(configs: &[Config], known: &BTreeMap<Name, Known>) -> Vec<Fault> {
    let edges = edges(configs, known);
    let mut faults = taken(configs, known);
    faults.extend(missing(configs, &edges));
    faults.extend(circles(configs, edges));
    faults.extend(shared_logs(configs, known));
    let file = |fault: &Fault| {
        configs
            .iter()
            .position(|c| c.file() == fault.file.as_deref())
    };
    faults.sort_by_key(|fault| (file(fault), fault.line, fault.column));
    faults.truncate(MOST);
    faults
}

fn apps(configs: &[Config]) -> impl Iterator<Item = (&Config, &App)> {
    configs
        .iter()
        .flat_map(|config| config.apps.values().map(move |app| (config, app)))
}

/// The known apps that are there, too, when the files are carried out.
fn staying<'k>(
    configs: &[Config],
    known: &'k BTreeMap<Name, Known>,
) -> impl Iterator<Item = (&'k Name, &'k Known)> {
    known.iter().filter(|(name, known)| {
        let mut from = configs
            .iter()
            .filter(|config| config.file() == known.origin.as_deref());
        known.origin.is_none() || from.all(|config| config.apps.contains_key(name))
    })
}

/// Log files that another app has.
fn shared_logs(configs: &[Config], known: &BTreeMap<Name, Known>) -> Vec<Fault> {
    let mut files = Files::default();
    let is_new = |name: &Name| configs.iter().any(|config| config.apps.contains_key(name));
    for (name, known) in staying(configs, known).filter(|(name, _)| !is_new(name)) {
        for path in &known.logs {
            // What these have between them is nobody's fault here.
            let _ = files.take(path, name);
        }
    }
    let mut faults = Vec::new();
    for (config, app) in apps(configs) {
        // One is enough of an app, whose instances may clash one by one.
        let taken = app
            .log_files()
            .find_map(|(key, path)| Some((key, files.take(&path, &app.name).err()?)));
        // An app that is there twice has its own fault.
        if let Some((key, whose)) = taken.filter(|(_, whose)| *whose != app.name) {
            let problem = Problem::new(format!("app {whose} writes to this file already"));
            let problem = problem.hint("give each app files of its own");
            faults.push(config.fault(&app.name, key, problem));
        }
    }
    faults
}

/// Who waits for whom when the files are carried out.
fn edges(configs: &[Config], known: &BTreeMap<Name, Known>) -> BTreeMap<Name, Vec<Name>> {
    let stays = staying(configs, known);
    let stays = stays.map(|(name, known)| (name.clone(), known.after.clone()));
    let here = apps(configs).map(|(_, app)| (app.name.clone(), app.policy.after.clone()));
    stays.chain(here).collect()
}

/// Names in an `after` that no app has.
fn missing(configs: &[Config], edges: &BTreeMap<Name, Vec<Name>>) -> impl Iterator<Item = Fault> {
    let after = apps(configs).flat_map(|(config, app)| {
        let names = app.policy.after.iter();
        names.map(move |name| (config, app, name))
    });
    let missing = after.filter(|(_, _, name)| !edges.contains_key(*name));
    missing.take(MOST).map(|(config, app, name)| {
        let near = hints::nearest(name.as_str(), edges.keys().map(Name::as_str));
        let problem = Problem::new(format!("there is no app {name}")).hint(match near {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => "define it here or in another file, or take it out".to_owned(),
        });
        config
            .places
            .item_fault(&app.name, "after", name.as_str(), problem)
    })
}

/// Circles that go through one of the files; one of known apps alone is nobody's fault here.
fn circles(configs: &[Config], edges: BTreeMap<Name, Vec<Name>>) -> Vec<Fault> {
    let at = |circle: &[Name], name: &Name, next: &Name| {
        let config = configs
            .iter()
            .find(|config| config.apps.contains_key(name))?;
        Some(
            config
                .places
                .item_fault(name, "after", next.as_str(), round(circle)),
        )
    };
    let located = |circle: Vec<Name>| {
        let mut links = circle.iter().zip(circle.iter().cycle().skip(1));
        links.find_map(|(name, next)| at(&circle, name, next))
    };
    all_circles(edges).into_iter().filter_map(located).collect()
}

/// Names that belong to another file, or to the command line.
fn taken(configs: &[Config], known: &BTreeMap<Name, Known>) -> Vec<Fault> {
    let mut first: BTreeMap<&Name, &Config> = BTreeMap::new();
    let mut faults = Vec::new();
    for (config, name) in configs
        .iter()
        .flat_map(|config| config.apps.keys().map(move |name| (config, name)))
    {
        let earlier = first.get(name).map(|earlier| earlier.file());
        // Read without it now, that file has given it away.
        let given = |origin: &Option<&Path>| {
            let ours = |other: &Config| origin.is_some() && other.file() == *origin;
            configs.iter().any(ours)
        };
        let other = known.get(name).map(|known| known.origin.as_deref());
        let other = other.filter(|origin| !given(origin));
        let whose = match earlier.or(other.filter(|origin| *origin != config.file())) {
            Some(Some(path)) => format!("belongs to {}", path.display()),
            Some(None) => "was added by `supervisorctl start`".to_owned(),
            None => {
                first.insert(name, config);
                continue;
            }
        };
        let problem = Problem::new(format!("there is an app {name} already, and it {whose}"));
        let problem = problem.hint("choose another name, or delete that one first");
        faults.push(config.fault(name, crate::places::HEADER, problem));
        if faults.len() == MOST {
            break;
        }
    }
    faults
}

/// Reads the env files of all apps as they would be read at their start, and gives every fault at the
/// `env_file` that names the file. For a daemon of root an app's user may own its files.
#[must_use]
pub fn check_env_files(config: &Config, reader: Reader) -> Vec<Fault> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for app in config.apps.values() {
        let Err(faults) = environment(app, reader_for(app, reader)) else {
            continue;
        };
        for fault in faults.list {
            let told = config.fault(&app.name, "env_file", env_file_problem(&fault));
            // What the defaults name is wrong once, not once for each app.
            if found.len() < MOST && seen.insert(told.to_string()) {
                found.push(told);
            }
        }
    }
    found
}

fn reader_for(app: &App, reader: Reader) -> Reader {
    let by_name = |name: &str| User::from_name(name).ok()?.map(|user| user.uid.as_raw());
    let uid = app
        .user
        .as_deref()
        .and_then(|user| user.parse().ok().or_else(|| by_name(user)));
    match uid {
        Some(uid) if reader.euid == 0 => reader.for_app(uid),
        Some(_) | None => reader,
    }
}

/// A fault of an env file, to be told at the key that names the file: the place in the file goes into
/// the sentence.
#[must_use]
pub fn env_file_problem(fault: &Fault) -> Problem {
    let mut place = fault
        .file
        .as_ref()
        .map_or_else(String::new, |file| file.display().to_string());
    if let (Some(line), Some(column)) = (fault.line, fault.column) {
        place = format!("{place}:{line}:{column}");
    }
    Problem {
        message: format!("{place}: {}", fault.message),
        hint: fault.hint.clone(),
    }
}
