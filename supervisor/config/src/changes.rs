//! What differs between two versions of an app, and what that asks of the processes that run.

use crate::App;
use crate::keys::{self, AppRole};
use crate::shown::{Told, text};

/// What a change asks of an app that runs, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// New rules for the processes that run; they are not touched.
    Policy,
    /// More or fewer instances; those that stay are not touched.
    Instances,
    /// New processes.
    Process,
}

/// One key in which two versions of an app differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyChange {
    /// Dotted, below the app: `restart.delay`; `env.PORT` for a variable.
    pub key: String,
    /// What it was, as a file would say it, in one short line; `None`: it was not set. Of what may
    /// be a secret only that it was set is told, by [`KeyChange::SECRET`].
    pub old: Option<String>,
    /// What it is, likewise.
    pub new: Option<String>,
    /// What this change asks for.
    pub effect: Effect,
}

impl KeyChange {
    /// Stands for a value that is not told.
    pub const SECRET: &str = "…";

    /// The key of the caller's `PATH`. No file can set it and it is told without its values, but an
    /// app that was started again from a terminal with another one is another process.
    pub const PATH: &str = "PATH";

    fn secret(key: String, was: bool, is: bool, effect: Effect) -> KeyChange {
        let told = |there: bool| there.then(|| KeyChange::SECRET.to_owned());
        KeyChange {
            key,
            old: told(was),
            new: told(is),
            effect,
        }
    }
}

/// Where two versions of an app differ, in the order of the table of keys. What the files in
/// `env_file` say is not part of it: they are read at each start.
#[must_use]
pub fn changes(old: &App, new: &App) -> Vec<KeyChange> {
    let mut found = Vec::new();
    for key in keys::APP {
        let AppRole::Carried { tell, effect, .. } = &key.role else {
            continue;
        };
        match (tell(old), tell(new)) {
            (Told::Value(old), Told::Value(new)) if old != new => found.push(KeyChange {
                key: key.path.to_owned(),
                old: text(&old),
                new: text(&new),
                effect: *effect,
            }),
            (Told::Names(old), Told::Names(new)) => {
                let mut names: Vec<_> = old.keys().chain(new.keys()).collect();
                names.sort_unstable();
                names.dedup();
                names.retain(|name| old.get(*name) != new.get(*name));
                found.extend(names.into_iter().map(|name| {
                    let key = format!("{}.{}", key.path, keys::quoted(name));
                    let (was, is) = (old.contains_key(name), new.contains_key(name));
                    KeyChange::secret(key, was, is, *effect)
                }));
            }
            // The same, or a value and names, which no row mixes.
            (Told::Value(_), Told::Value(_) | Told::Names(_))
            | (Told::Names(_), Told::Value(_)) => {}
        }
    }
    if old.path != new.path {
        let (was, is) = (old.path.is_some(), new.path.is_some());
        let key = KeyChange::PATH.to_owned();
        found.push(KeyChange::secret(key, was, is, Effect::Process));
    }
    found
}
