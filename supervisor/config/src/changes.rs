//! What differs between two versions of an app, and what that asks of the processes that run.

use crate::App;
use crate::keys::{self, AppRole, Key};

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

/// The `PATH` of who called `start` has no key, but an app that gets another one is another process.
const PATH: &str = "PATH";

/// The dotted keys in which two versions of an app differ, in the order of the table of keys. What
/// the files in `env_file` say is not part of it: they are read at each start.
#[must_use]
pub fn changed_keys(old: &App, new: &App) -> Vec<String> {
    let differs = |key: &&Key<AppRole>| match &key.role {
        AppRole::Carried { same, .. } => !same(old, new),
        AppRole::NotYet(_) => false,
    };
    let path = (old.path != new.path).then_some(PATH);
    let keys = keys::APP.iter().filter(differs).map(|key| key.path);
    keys.chain(path).map(str::to_owned).collect()
}

/// The most that a change of `key` asks for; of an unknown one, everything.
#[must_use]
pub fn effect(key: &str) -> Effect {
    let known = keys::APP.iter().find(|row| row.path == key);
    match known.map(|row| &row.role) {
        Some(AppRole::Carried { effect, .. }) => *effect,
        Some(AppRole::NotYet(_)) | None => Effect::Process,
    }
}

/// Whether one of the changed keys asks for new processes.
#[must_use]
pub fn needs_restart<K: AsRef<str>>(keys: &[K]) -> bool {
    keys.iter()
        .any(|key| effect(key.as_ref()) == Effect::Process)
}
