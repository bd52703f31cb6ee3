//! Definitions that somebody wants carried out: reading and checking them (outside the engine's turn,
//! since a disk takes its time), and the plan of what they change.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use supervisor_config::{
    App, Effect, Fault, Origin, Reader, changed_keys, effect, find_cycle, parse, read,
};
use supervisor_core::{Name, Want};
use supervisor_protocol::{Failure, FailureKind, Paths, Plan};

use super::prepare::obstacle;
use crate::persist::desired::Desired;

/// What was read: files, or one app from the command line.
#[derive(Debug)]
pub struct Read {
    /// The files, each with its apps; the command line has no path.
    pub sources: Vec<Source>,
    /// Only tell the plan.
    pub dry_run: bool,
    /// Answer when all are up.
    pub wait: bool,
}

/// One file.
#[derive(Debug)]
pub struct Source {
    /// `None`: the command line.
    pub path: Option<PathBuf>,
    /// What it defines.
    pub apps: BTreeMap<Name, App>,
    /// Why an app could not be started, looked up beforehand.
    pub obstacles: BTreeMap<Name, String>,
}

/// What is to be done about one source.
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
    /// A command line that names what is there already: whose start it asks for.
    pub fn start_again(&self) -> Option<Name> {
        let known = self.plan.untouched.first().or(self.plan.stopped.first());
        let known = known.filter(|_| self.origin.is_none() && self.put.is_empty());
        known.and_then(|name| Name::new(name).ok())
    }
}

/// Reads the file, or the configured ones.
///
/// # Errors
/// Every fault of every file.
pub fn read_files(file: Option<&Path>, paths: &Paths) -> Result<Vec<Source>, Failure> {
    let files = match file {
        Some(file) => vec![file.to_owned()],
        None => configured(paths)?,
    };
    let reader = Reader::this();
    let mut faults: Vec<Fault> = Vec::new();
    let mut sources = Vec::new();
    for path in files {
        // What a file is called does not depend on how one got there.
        let path = path.canonicalize().unwrap_or(path);
        let config = read(&path, reader).and_then(|text| parse(&text, &Origin::File(path.clone())));
        match config {
            Ok(config) => {
                sources.push(Source {
                    path: Some(path),
                    obstacles: obstacles(&config.apps),
                    apps: config.apps,
                });
            }
            Err(more) => faults.extend(more.list),
        }
    }
    if faults.is_empty() {
        Ok(sources)
    } else {
        Err(invalid(&faults))
    }
}

/// Reads the one app of a command line.
///
/// # Errors
/// Every fault.
pub fn read_command(
    text: &str,
    directory: PathBuf,
    path: Option<String>,
) -> Result<Vec<Source>, Failure> {
    let origin = Origin::CommandLine { directory, path };
    let config = parse(text, &origin).map_err(|faults| invalid(&faults.list))?;
    let obstacles = obstacles(&config.apps);
    Ok(vec![Source {
        path: None,
        apps: config.apps,
        obstacles,
    }])
}

fn configured(paths: &Paths) -> Result<Vec<PathBuf>, Failure> {
    let mut files: Vec<PathBuf> = Vec::new();
    if paths.config_file.exists() {
        files.push(paths.config_file.clone());
    }
    let mut more: Vec<PathBuf> = std::fs::read_dir(&paths.config_dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect();
    more.sort();
    files.extend(more);
    if files.is_empty() {
        return Err(Failure {
            kind: FailureKind::Invalid,
            message: "there is no config file".to_owned(),
            causes: Vec::new(),
            hint: Some(format!(
                "write {} or {}/NAME.toml, or name a file: `supervisorctl up FILE`",
                paths.config_file.display(),
                paths.config_dir.display()
            )),
        });
    }
    Ok(files)
}

fn obstacles(apps: &BTreeMap<Name, App>) -> BTreeMap<Name, String> {
    apps.iter()
        .filter_map(|(name, app)| obstacle(app).map(|why| (name.clone(), why)))
        .collect()
}

fn invalid(faults: &[Fault]) -> Failure {
    let message = match faults {
        [one] => one.to_string(),
        many => format!("{} faults; nothing was changed", many.len()),
    };
    let causes = match faults {
        [_] => Vec::new(),
        many => many.iter().map(ToString::to_string).collect(),
    };
    Failure {
        kind: FailureKind::Invalid,
        message,
        causes,
        hint: None,
    }
}

fn refused(kind: FailureKind, message: String, hint: Option<&str>) -> Failure {
    Failure {
        kind,
        message,
        causes: Vec::new(),
        hint: hint.map(str::to_owned),
    }
}

/// Says what the sources change in what is wanted, or why they cannot be carried out.
///
/// # Errors
/// A name that belongs to another file, a circle, an app that could not be started.
pub fn plan(sources: &[Source], desired: &Desired) -> Result<Vec<Change>, Failure> {
    let mut changes: Vec<Change> = Vec::new();
    for source in sources {
        for name in source.apps.keys() {
            let earlier = changes
                .iter()
                .find(|c| c.put.iter().any(|app| app.name == *name));
            let twice = earlier.and_then(|change| change.origin.as_ref());
            if let Some(first) = twice {
                return Err(taken(name, Some(first)));
            }
        }
        changes.push(plan_one(source, desired)?);
    }
    check_order(&changes, desired)?;
    Ok(changes)
}

fn plan_one(source: &Source, desired: &Desired) -> Result<Change, Failure> {
    let mut change = Change {
        origin: source.path.clone(),
        ..Change::default()
    };
    change.plan.file = source.path.clone().unwrap_or_default();
    for (name, app) in &source.apps {
        let known = desired
            .apps
            .get(name)
            .filter(|e| e.instances.values().any(|w| !w.remove));
        let keys = match known {
            None => None,
            Some(entry) if entry.origin != source.path => {
                return Err(taken(name, entry.origin.as_ref()));
            }
            Some(entry) if source.path.is_none() => Some(same_words(&entry.app, app)?),
            Some(entry) => Some(changed_keys(&entry.app, app)),
        };
        let stopped = known.is_some_and(|e| {
            e.instances
                .values()
                .filter(|w| !w.remove)
                .all(|wish| wish.want == Want::Down)
        });
        let text = name.to_string();
        match &keys {
            Some(keys) if keys.is_empty() && stopped => change.plan.stopped.push(text),
            Some(keys) if keys.is_empty() => change.plan.untouched.push(text),
            _ => {
                let starts = keys
                    .as_ref()
                    .is_none_or(|keys| keys.iter().any(|key| effect(key) != Effect::Policy));
                if starts && let Some(why) = source.obstacles.get(name) {
                    return Err(refused(
                        FailureKind::Invalid,
                        format!("{name}: {why}"),
                        None,
                    ));
                }
                change.put.push(app.clone());
                match keys {
                    Some(keys) => change.plan.change.push((text, keys)),
                    None => change.plan.create.push(text),
                }
            }
        }
    }
    if source.path.is_some() {
        for (name, entry) in &desired.apps {
            let stays = entry.instances.values().any(|wish| !wish.remove);
            if stays && entry.origin == source.path && !source.apps.contains_key(name) {
                change.remove.push(name.clone());
                change.plan.remove.push(name.to_string());
            }
        }
    }
    Ok(change)
}

/// Typed again, word for word, `start` of an app means that app. Typed otherwise, it would take the place
/// of another one.
fn same_words(known: &App, typed: &App) -> Result<Vec<String>, Failure> {
    let mut keys = changed_keys(known, typed);
    // The same words in another terminal.
    keys.retain(|key| key != "PATH");
    if keys.is_empty() {
        return Ok(keys);
    }
    Err(refused(
        FailureKind::Conflict,
        format!(
            "there is an app {} already, with another {}",
            typed.name,
            keys.join(", ")
        ),
        Some("`--name` gives the new one a name of its own; or delete that one first"),
    ))
}

fn taken(name: &Name, origin: Option<&PathBuf>) -> Failure {
    let whose = match origin {
        Some(path) => format!("belongs to {}", path.display()),
        None => "was added by `supervisorctl start`".to_owned(),
    };
    refused(
        FailureKind::Conflict,
        format!("there is an app {name} already, and it {whose}"),
        Some("choose another name, or delete that one first"),
    )
}

/// Whatever an app starts after must be there, and no circle may arise.
fn check_order(changes: &[Change], desired: &Desired) -> Result<(), Failure> {
    let mut edges: BTreeMap<Name, Vec<Name>> = desired
        .apps
        .iter()
        .map(|(name, entry)| (name.clone(), entry.app.policy.after.clone()))
        .collect();
    for change in changes {
        for name in &change.remove {
            edges.remove(name);
        }
        for app in &change.put {
            edges.insert(app.name.clone(), app.policy.after.clone());
        }
    }
    for app in changes.iter().flat_map(|change| &change.put) {
        if let Some(missing) = app
            .policy
            .after
            .iter()
            .find(|name| !edges.contains_key(*name))
        {
            return Err(refused(
                FailureKind::Invalid,
                format!(
                    "{}: `after` names {missing}, and there is no such app",
                    app.name
                ),
                Some("define it in the same file, or before this one"),
            ));
        }
    }
    match find_cycle(&edges) {
        None => Ok(()),
        Some(path) => {
            let path: Vec<&str> = path.iter().map(Name::as_str).collect();
            Err(refused(
                FailureKind::Invalid,
                format!("`after` goes round in a circle: {}", path.join(" → ")),
                Some("take one of these out of an `after`"),
            ))
        }
    }
}
