//! What definitions change in what is wanted: the plan, and what is to be put in and taken out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use supervisor_config::{
    App, Config, Effect, Fault, KeyChange, Known, Problem, changes, cross_check,
};
use supervisor_core::{Name, Want};
use supervisor_protocol::{self as wire, Failure, FailureKind, Plan};

use super::reading::{Read, invalid};
use super::targets::no_such_app;
use crate::persist::desired::{Desired, Entry, Wish};

/// What is to be done about one file, or about the command line.
#[derive(Debug, Default)]
pub struct Change {
    /// For people.
    pub plan: Plan,
    /// Apps to put in: new and changed ones.
    pub put: Vec<App>,
    /// Apps to remove.
    pub remove: Vec<Name>,
    /// Where they come from.
    pub origin: Option<PathBuf>,
}

impl Change {
    fn of(origin: Option<&Path>) -> Change {
        Change {
            plan: Plan {
                file: origin.unwrap_or(Path::new("")).to_owned(),
                ..Plan::default()
            },
            origin: origin.map(Path::to_owned),
            ..Change::default()
        }
    }

    /// A command line that names what is there already: whose start it asks for.
    pub fn start_again(&self) -> Option<Name> {
        let known = self.plan.untouched.first().or(self.plan.stopped.first());
        let known = known.filter(|_| self.origin.is_none() && self.put.is_empty());
        known.and_then(|name| Name::new(name).ok())
    }
}

/// Says what another number of instances changes.
///
/// # Errors
/// No such app, or no such number.
pub fn scale(name: &str, instances: u32, desired: &Desired) -> Result<Change, Failure> {
    if !(1..=App::MAX_INSTANCES).contains(&instances) {
        let most = App::MAX_INSTANCES;
        let message = format!("an app has 1 to {most} instances, not {instances}");
        return Err(Failure::new(FailureKind::Usage, message)
            .hint("to have none of it running: `supervisorctl stop NAME`"));
    }
    let name = Name::new(name).map_err(|_| no_such_app(name))?;
    let entry = known(desired, &name).ok_or_else(|| no_such_app(name.as_str()))?;
    let mut app = entry.app.clone();
    app.instances = instances;
    if let Err((key, problem)) = app.logs_fit(instances) {
        let message = format!("{name} cannot be scaled, because of its {key}: {problem}");
        return Err(Failure::new(FailureKind::Invalid, message));
    }
    Ok(Change {
        put: vec![app],
        origin: entry.origin.clone(),
        ..Change::default()
    })
}

/// Says what was read changes in what is wanted, or why it cannot be carried out.
///
/// # Errors
/// A name that belongs to another file, an `after` that names nothing, a circle, apps that could not
/// be started, a log file in `logs`, the folder of the usual ones: every fault.
pub fn plan(read: &Read, desired: &Desired, logs: &Path) -> Result<Vec<Change>, Failure> {
    // What came from a configured file that is gone is gone with it.
    let known: BTreeMap<Name, Known> = desired
        .apps
        .iter()
        .filter(|(_, entry)| stays(entry) && gone_file(read, entry).is_none())
        .map(|(name, entry)| {
            let origin = entry.origin.clone();
            let after = entry.app.policy.after.clone();
            let logs = entry.app.log_files().map(|(_, path)| path).collect();
            let known = Known {
                origin,
                after,
                logs,
            };
            (name.clone(), known)
        })
        .collect();
    let mut faults = cross_check(&read.configs, &known);
    faults.extend(
        read.configs
            .iter()
            .flat_map(|config| misplaced(config, logs)),
    );
    let mut planned = Vec::new();
    for config in &read.configs {
        planned.push(plan_one(config, read, desired, &mut faults)?);
    }
    if !faults.is_empty() {
        faults.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        return Err(invalid(&faults));
    }
    planned.extend(gone(read, desired));
    Ok(planned)
}

/// Log files among the usual ones, which another app may have or get.
fn misplaced<'c>(config: &'c Config, logs: &'c Path) -> impl Iterator<Item = Fault> + 'c {
    let files = config.apps.values().filter_map(move |app| {
        let mut files = app.log_files();
        let (key, _) = files.find(|(_, path)| path.starts_with(logs))?;
        Some((app, key))
    });
    files.map(move |(app, key)| {
        let problem = Problem::new(format!(
            "{} has the usual files of all apps, and no others",
            logs.display()
        ));
        let problem = problem.hint("leave it out for the usual file, or choose another folder");
        config.fault(&app.name, key, problem)
    })
}

fn plan_one(
    config: &Config,
    read: &Read,
    desired: &Desired,
    faults: &mut Vec<Fault>,
) -> Result<Change, Failure> {
    let mut change = Change::of(config.file());
    for (name, app) in &config.apps {
        let text = name.to_string();
        let entry = known(desired, name);
        let keys = match entry {
            Some(entry) if config.file().is_none() => same_words(&entry.app, app)?,
            Some(entry) => differences(entry, app, config.file()),
            None => Vec::new(),
        };
        let stopped = entry.is_some_and(|entry| wishes(entry).all(|wish| wish.want == Want::Down));
        if let Some(entry) = entry.filter(|_| !stopped) {
            let down = entry
                .instances
                .iter()
                .filter(|(_, w)| !w.remove && w.want == Want::Down);
            let down = down.map(|(number, _)| format!("{name}:{number}"));
            change.plan.stopped.extend(down);
        }
        match (entry, keys.is_empty()) {
            (Some(_), true) if stopped => change.plan.stopped.push(text),
            (Some(_), true) => change.plan.untouched.push(text),
            (_, _) => {
                let starts = entry.is_none() || keys.iter().any(|key| key.effect != Effect::Policy);
                if starts {
                    faults.extend(read.obstacles.get(name).into_iter().flatten().cloned());
                }
                change.put.push(app.clone());
                match entry {
                    Some(_) => change.plan.change.push(changed(text, keys)),
                    None => change.plan.create.push(text),
                }
            }
        }
    }
    if config.file().is_some() {
        let from_here = |entry: &Entry| entry.origin.as_deref() == config.file();
        // Moved to another file, it is not gone.
        let named = |name: &Name| {
            read.configs
                .iter()
                .any(|other| other.apps.contains_key(name))
        };
        for (name, entry) in &desired.apps {
            if stays(entry) && from_here(entry) && !named(name) {
                change.remove.push(name.clone());
                change.plan.remove.push(name.to_string());
            }
        }
    }
    Ok(change)
}

/// Configured files that are not there any more, with the apps that came from them and did not go
/// to another one.
fn gone(read: &Read, desired: &Desired) -> Vec<Change> {
    let mut gone: BTreeMap<&Path, Change> = BTreeMap::new();
    let named = |name: &Name| {
        read.configs
            .iter()
            .any(|config| config.apps.contains_key(name))
    };
    for (name, entry) in desired.apps.iter().filter(|(_, entry)| stays(entry)) {
        if let Some(path) = gone_file(read, entry).filter(|_| !named(name)) {
            let change = gone.entry(path).or_insert_with(|| Change::of(Some(path)));
            change.remove.push(name.clone());
            change.plan.remove.push(name.to_string());
        }
    }
    gone.into_values().collect()
}

/// The configured file that an app came from, if all of them were read and it was not there.
fn gone_file<'d>(read: &Read, entry: &'d Entry) -> Option<&'d Path> {
    let configured = read.configured.as_ref()?;
    let path = entry.origin.as_deref()?;
    let is_there = |config: &Config| config.file() == Some(path);
    let gone = configured.has(path) && !read.configs.iter().any(is_there);
    gone.then_some(path)
}

fn wishes(entry: &Entry) -> impl Iterator<Item = &Wish> {
    entry.instances.values().filter(|wish| !wish.remove)
}

fn stays(entry: &Entry) -> bool {
    wishes(entry).next().is_some()
}

/// An app that is not on its way out.
fn known<'d>(desired: &'d Desired, name: &Name) -> Option<&'d Entry> {
    desired.apps.get(name).filter(|entry| stays(entry))
}

fn differences(entry: &Entry, app: &App, file: Option<&Path>) -> Vec<KeyChange> {
    let mut keys = changes(&entry.app, app);
    if entry.origin.as_deref() != file {
        let written = |path: Option<&Path>| path.map(|path| path.display().to_string());
        keys.push(KeyChange {
            key: "file".to_owned(),
            old: written(entry.origin.as_deref()),
            new: written(file),
            effect: Effect::Policy,
        });
    }
    keys
}

fn changed(name: String, keys: Vec<KeyChange>) -> wire::Change {
    let effect = keys.iter().map(|key| key.effect).max();
    wire::Change {
        name,
        effect: match effect.unwrap_or(Effect::Policy) {
            Effect::Policy => wire::Effect::Keeps,
            Effect::Instances => wire::Effect::Scales,
            Effect::Process => wire::Effect::Restarts,
        },
        keys: keys
            .into_iter()
            .map(|change| wire::KeyChange {
                key: change.key,
                old: change.old,
                new: change.new,
            })
            .collect(),
    }
}

/// Typed again, word for word, `start` of an app means that app. Typed otherwise, it would take the place
/// of another one.
fn same_words(known: &App, typed: &App) -> Result<Vec<KeyChange>, Failure> {
    let mut keys = changes(known, typed);
    // The same words in another terminal, and without a number, which `scale` may have changed.
    let same = |key: &str| key == KeyChange::PATH || key == "instances" && typed.instances == 1;
    keys.retain(|change| !same(&change.key));
    if keys.is_empty() {
        return Ok(keys);
    }
    let list: Vec<&str> = keys.iter().map(|change| change.key.as_str()).collect();
    let message = format!(
        "there is an app {} already, with another {}",
        typed.name,
        list.join(", ")
    );
    Err(Failure::new(FailureKind::Conflict, message)
        .hint("`--name` gives the new one a name of its own; or delete that one first"))
}
