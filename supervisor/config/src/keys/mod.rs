//! The table of keys: what may stand in a file, what it is for, how it is read, where it goes, and
//! what a change of it costs. Reading, hints, the schema and the telling of changes all come from
//! it: a new key is one row, its field in the model, and whoever acts on it.

mod app;
mod file;

use std::borrow::Cow;

use serde_json::Value as Json;

use crate::reading::Reading;
use crate::shown::Told;
use crate::units::shown;
use crate::value::Value;
use crate::{App, DaemonSettings, Effect};

pub(crate) use app::{APP, GROUPS};
pub(crate) use file::{DAEMONS_OWN, FILE, FILE_GROUPS};

/// The one key that every app must have, and have itself.
pub(crate) const OWN: &str = "command";

/// One row. `R` is what is done with the key.
pub(crate) struct Key<R> {
    /// Dotted, below the app or the top of the file.
    pub(crate) path: &'static str,
    /// One sentence or two for people; starts with a blank.
    pub(crate) doc: &'static str,
    /// What may be its value, as JSON Schema.
    pub(crate) schema: fn() -> Json,
    pub(crate) role: R,
}

/// A table of some keys of an app.
pub(crate) struct Group {
    pub(crate) path: &'static str,
    pub(crate) doc: &'static str,
    /// What somebody probably wants who writes a plain value in its place.
    pub(crate) example: &'static str,
    /// Exactly one of these keys must be there, if the table is.
    pub(crate) one_of: &'static [&'static str],
}

/// What is done with a key of an app.
pub(crate) enum AppRole {
    /// It is carried out.
    Carried {
        /// Reads the value into the app, or notes what is wrong with it.
        set: fn(&mut App, &Value, &mut Reading),
        /// The value of an app.
        tell: for<'a> fn(&'a App) -> Told<'a>,
        effect: Effect,
    },
    NotYet(NotYet),
}

/// What is done with a key of the file.
pub(crate) enum FileRole {
    /// The apps by name.
    Apps,
    /// What every app starts from.
    Defaults,
    /// Reads the value into the daemon's settings, or notes what is wrong with it.
    Daemon(fn(&mut DaemonSettings, &Value, &mut Reading)),
    NotYet(NotYet),
}

/// A key that is known, but that nothing carries out: it may only ask for what is done anyway.
pub(crate) struct NotYet {
    /// Whether the value asks for more; `None` after a fault.
    pub(crate) asks: fn(&Value, &mut Reading) -> Option<bool>,
    /// A value that does not, as it is written.
    pub(crate) instead: Option<&'static str>,
}

/// Whether nothing carries out what a row asks for.
pub(crate) trait Role {
    fn is_not_yet(&self) -> bool;
}

impl Role for AppRole {
    fn is_not_yet(&self) -> bool {
        matches!(self, AppRole::NotYet(_))
    }
}

impl Role for FileRole {
    fn is_not_yet(&self) -> bool {
        matches!(self, FileRole::NotYet(_))
    }
}

/// Rows. The comment of each is its `doc`; then come key, form and role. Rustfmt leaves them alone.
macro_rules! rows {
    ($(#[$attribute:meta])* $name:ident: $role:ident {
        $($(#[doc = $doc:literal])+ $path:literal: $form:expr => $kind:ident $arguments:tt;)+
    }) => {
        $(#[$attribute])*
        pub(crate) const $name: &[Key<$role>] = &[$(
            Key {
                path: $path,
                doc: concat!($($doc),+),
                schema: $form.schema,
                role: $kind!($role, $form, $arguments),
            },
        )+];
    };
}

/// A key that nothing carries out; where there is a value that is as good as none, that value and
/// how to tell from one that it asks for more.
macro_rules! not_yet {
    ($role:ident, $form:expr, ()) => {
        $role::NotYet(NotYet {
            asks: |value, reading| ($form.read)(value, reading).map(|_| true),
            instead: None,
        })
    };
    ($role:ident, $form:expr, ($instead:expr, $asks:expr)) => {
        $role::NotYet(NotYet {
            asks: |value, reading| ($form.read)(value, reading).map($asks),
            instead: $instead,
        })
    };
}

pub(crate) use {not_yet, rows};

/// A word of a dotted key, in quotes where TOML needs them, cut where it is longer than any name.
pub(crate) fn quoted(word: &str) -> Cow<'_, str> {
    const LONGEST: usize = 64;
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if (1..=LONGEST).contains(&word.len()) && word.chars().all(bare) {
        Cow::Borrowed(word)
    } else {
        Cow::Owned(shown(word))
    }
}
