//! The table of keys: what may stand in a file, how it is read, where it goes, and what a change of
//! it costs. A new key is one row here, its field in the model, and whoever acts on it.

use std::borrow::Cow;

use crate::app_values as app;
use crate::reading::Reading;
use crate::units::shown;
use crate::value::{self, Value};
use crate::{App, Effect};

/// One row. `R` is what is done with the key.
pub(crate) struct Key<R> {
    /// Dotted, below the app or the top of the file.
    pub(crate) path: &'static str,
    pub(crate) role: R,
}

/// What is done with a key of an app.
pub(crate) enum AppRole {
    /// It is carried out.
    Carried {
        /// Reads the value into the app, or notes what is wrong with it.
        set: fn(&mut App, &Value, &mut Reading),
        /// Whether two apps agree in it.
        same: fn(&App, &App) -> bool,
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
    NotYet(NotYet),
}

/// A key that is known, but that nothing carries out: it may only ask for what is done anyway.
pub(crate) struct NotYet {
    /// Whether the value asks for more; `None` after a fault.
    pub(crate) asks: fn(&Value, &mut Reading) -> Option<bool>,
    /// A value that does not, as it is written.
    pub(crate) instead: Option<&'static str>,
}

/// A key that is one field of the app.
macro_rules! carried {
    ($path:literal, $effect:ident, $($field:ident).+, $read:path) => {
        Key {
            path: $path,
            role: AppRole::Carried {
                set: |app, value, reading| {
                    if let Some(new) = $read(value, reading) {
                        app.$($field).+ = new.into();
                    }
                },
                same: |old, new| old.$($field).+ == new.$($field).+,
                effect: Effect::$effect,
            },
        }
    };
}

/// A key that nothing carries out: its reader, then the value that is as good as none and how to
/// tell from a value that it asks for more.
macro_rules! not_yet {
    ($role:ident, $path:literal, $read:path) => {
        not_yet!($role, $path, $read, None, |_| true)
    };
    ($role:ident, $path:literal, $read:path, $instead:literal, $asks:expr) => {
        not_yet!($role, $path, $read, Some($instead), $asks)
    };
    ($role:ident, $path:literal, $read:path, $instead:expr, $asks:expr) => {
        Key {
            path: $path,
            role: $role::NotYet(NotYet {
                asks: |value, reading| $read(value, reading).map($asks),
                instead: $instead,
            }),
        }
    };
}

/// The keys of an app, without the `app.NAME.` before them. Keys of one table stand together.
pub(crate) const APP: &[Key<AppRole>] = &[
    carried!("command", Process, command, app::command),
    carried!("directory", Process, directory, app::directory),
    carried!("user", Process, user, app::account),
    carried!("group", Process, group, app::account),
    carried!("namespace", Policy, namespace, app::namespace),
    Key {
        path: "env",
        role: AppRole::Carried {
            // Laid over what the defaults say, name by name.
            set: |app, value, reading| app.env.extend(app::env(value, reading).unwrap_or_default()),
            same: |old, new| old.env == new.env,
            effect: Effect::Process,
        },
    },
    carried!("env_file", Process, env_file, app::env_file),
    carried!("instances", Instances, instances, app::instances),
    not_yet!(AppRole, "stdin", app::stdin, "\"null\"", |asks| asks),
    carried!("boot", Policy, policy.boot, app::boot),
    carried!("after", Policy, policy.after, app::after),
    not_yet!(AppRole, "wait_for", value::texts, "[]", |waits| !waits
        .is_empty()),
    not_yet!(AppRole, "listen", value::texts, "[]", |sockets| !sockets
        .is_empty()),
    not_yet!(AppRole, "schedule", value::some_text),
    not_yet!(AppRole, "timezone", value::some_text),
    carried!(
        "restart.policy",
        Policy,
        policy.restart.policy,
        app::restart_when
    ),
    carried!(
        "restart.delay",
        Policy,
        policy.restart.delay,
        value::duration
    ),
    carried!(
        "restart.max_delay",
        Policy,
        policy.restart.max_delay,
        value::duration
    ),
    carried!(
        "restart.stable_after",
        Policy,
        policy.restart.stable_after,
        value::duration
    ),
    carried!(
        "restart.max_restarts",
        Policy,
        policy.restart.max_restarts,
        value::count
    ),
    carried!(
        "restart.success",
        Policy,
        policy.restart.success,
        app::exits
    ),
    carried!("stop.signal", Policy, stop_signal, app::signal),
    carried!("stop.timeout", Policy, policy.stop.timeout, value::duration),
    not_yet!(AppRole, "ready.http", value::some_text),
    not_yet!(AppRole, "ready.tcp", value::some_text),
    not_yet!(AppRole, "ready.exec", app::command),
    not_yet!(AppRole, "ready.log", value::some_text),
    not_yet!(AppRole, "ready.notify", value::boolean),
    not_yet!(AppRole, "ready.timeout", value::duration),
    not_yet!(AppRole, "health.http", value::some_text),
    not_yet!(AppRole, "health.tcp", value::some_text),
    not_yet!(AppRole, "health.exec", app::command),
    not_yet!(AppRole, "health.notify", value::boolean),
    not_yet!(AppRole, "health.interval", value::duration),
    not_yet!(AppRole, "health.timeout", value::duration),
    not_yet!(AppRole, "health.failures", value::count),
    not_yet!(
        AppRole,
        "logs.max_size",
        value::size_or_unlimited,
        "\"unlimited\"",
        |most| most.is_some()
    ),
    not_yet!(
        AppRole,
        "logs.max_age",
        value::duration,
        "\"0s\"",
        |age| age.0 > 0
    ),
    not_yet!(AppRole, "logs.keep", value::count, "10", |_| false),
    not_yet!(
        AppRole,
        "logs.max_total",
        value::size_or_unlimited,
        "\"unlimited\"",
        |most| most.is_some()
    ),
    not_yet!(AppRole, "logs.compress", value::boolean, "false", |yes| yes),
    not_yet!(AppRole, "logs.merge", value::boolean, "false", |yes| yes),
    not_yet!(AppRole, "logs.format", app::log_format, "\"raw\"", |asks| {
        asks
    }),
    not_yet!(AppRole, "logs.on_full", app::on_full, "\"block\"", |asks| {
        asks
    }),
    not_yet!(AppRole, "logs.stdout", value::some_text),
    not_yet!(AppRole, "logs.stderr", value::some_text),
    not_yet!(AppRole, "limits.memory", value::size),
    not_yet!(AppRole, "limits.memory_hard", value::size),
    not_yet!(AppRole, "limits.cpu", value::any),
    not_yet!(AppRole, "limits.pids", value::count),
    not_yet!(AppRole, "limits.nofile", value::count),
    not_yet!(AppRole, "limits.nice", value::integer),
    not_yet!(AppRole, "limits.oom_score_adj", value::integer),
    not_yet!(AppRole, "limits.umask", value::any),
    not_yet!(AppRole, "watch.paths", value::texts),
    not_yet!(AppRole, "watch.ignore", value::texts),
    not_yet!(AppRole, "watch.debounce", value::duration),
];

/// The keys of the file itself.
pub(crate) const FILE: &[Key<FileRole>] = &[
    Key {
        path: "app",
        role: FileRole::Apps,
    },
    Key {
        path: "defaults",
        role: FileRole::Defaults,
    },
    not_yet!(FileRole, "daemon.group", app::account),
    not_yet!(FileRole, "daemon.viewers", value::texts),
    not_yet!(FileRole, "daemon.log_level", value::some_text),
    not_yet!(
        FileRole,
        "daemon.logs_max_total",
        value::size_or_unlimited,
        "\"unlimited\"",
        |most| { most.is_some() }
    ),
    not_yet!(FileRole, "http", value::table, None, |table| !table
        .is_empty()),
    not_yet!(FileRole, "notify", value::table, None, |table| !table
        .is_empty()),
];

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
