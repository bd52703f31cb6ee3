//! The forms of values: how each is read, and what a schema says of it, side by side so that the two
//! do not part.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::{Value as Json, json};
use supervisor_core::{Boot, Exit, Name, RestartWhen, Span};

use crate::endpoint::{HostPort, HttpUrl, Listen, WaitFor};
use crate::reading::Reading;
use crate::value::{self, Value, Word};
use crate::{App, Bytes, Cpus, EnvFile, Output, Quota, StopSignal, Tasks, Umask};
use crate::{app_values as app, limits, network, times};

/// One form.
pub(crate) struct Form<T> {
    /// The value, or `None` after a fault.
    pub(crate) read: fn(&Value, &mut Reading) -> Option<T>,
    pub(crate) schema: fn() -> Json,
}

/// The definition of an app in the schema.
pub(crate) const APP_DEFINITION: &str = "#/definitions/app";

/// What a name is, but for what a pattern cannot say.
const NAME: &str = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$";
/// The most processes and threads that a kernel has numbers for.
const MOST_TASKS: i64 = 4_194_304;
const DURATION_PATTERN: &str = "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$";
const SIZE_PATTERN: &str = "^[0-9]+([KMGT]i?)?B$";
const VARIABLE: &str = "^[A-Za-z_][A-Za-z0-9_]*$";

/// The bytes of a table are read elsewhere.
fn nothing(_: &Value, _: &mut Reading) -> Option<()> {
    None
}

fn text() -> Json {
    json!({"type": "string"})
}

fn some_text() -> Json {
    json!({"type": "string", "minLength": 1})
}

fn pattern(pattern: &str) -> Json {
    json!({"type": "string", "minLength": 1, "pattern": pattern})
}

fn any_of(first: Json, second: Json) -> Json {
    json!({"anyOf": [first, second]})
}

fn array(items: Json) -> Json {
    json!({"type": "array", "items": items})
}

fn duration() -> Json {
    pattern(DURATION_PATTERN)
}

fn size() -> Json {
    pattern(SIZE_PATTERN)
}

fn size_or_unlimited() -> Json {
    any_of(size(), json!({"const": "unlimited"}))
}

/// One of the words of `T`.
pub(crate) const fn words<T: Word>() -> Form<T> {
    Form {
        read: value::word::<T>,
        schema: || {
            let words: Vec<_> = T::WORDS.iter().map(|(word, _)| *word).collect();
            json!({"enum": words})
        },
    }
}

/// An integer from `MIN` to `MAX`, which `T` has room for.
pub(crate) const fn integer<T: TryFrom<i64>, const MIN: i64, const MAX: i64>() -> Form<T> {
    Form {
        read: |value, reading| T::try_from(value::between::<MIN, MAX>(value, reading)?).ok(),
        schema: || json!({"type": "integer", "minimum": MIN, "maximum": MAX}),
    }
}

pub(crate) const APPS: Form<()> = Form {
    read: nothing,
    schema: || {
        json!({
            "type": "object",
            "propertyNames": {"pattern": NAME},
            "additionalProperties": {
                "allOf": [{"$ref": APP_DEFINITION}],
                "required": [crate::keys::OWN],
            },
        })
    },
};

pub(crate) const DEFAULTS: Form<()> = Form {
    read: nothing,
    schema: || {
        json!({
            "allOf": [{"$ref": APP_DEFINITION}],
            "not": {"required": [crate::keys::OWN]},
        })
    },
};

/// Whether there is anything in it.
pub(crate) const TABLE: Form<bool> = Form {
    read: |value, reading| value::table(value, reading).map(|table| !table.is_empty()),
    schema: || json!({"type": "object"}),
};

pub(crate) const COMMAND: Form<Vec<String>> = Form {
    read: app::command,
    schema: || {
        let words = json!({"type": "array", "items": {"type": "string"}, "minItems": 1});
        any_of(some_text(), words)
    },
};

pub(crate) const DIRECTORY: Form<PathBuf> = Form {
    read: app::directory,
    schema: some_text,
};

pub(crate) const ACCOUNT: Form<String> = Form {
    read: app::account,
    schema: || pattern("^[^:/\\s]+$"),
};

pub(crate) const NAMESPACE: Form<String> = Form {
    read: app::namespace,
    schema: || json!({"type": "string", "pattern": "^[A-Za-z0-9._-]{0,64}$"}),
};

pub(crate) const ENV: Form<BTreeMap<String, String>> = Form {
    read: app::env,
    schema: || {
        json!({
            "type": "object",
            "propertyNames": {"pattern": VARIABLE},
            "additionalProperties": {"type": ["string", "integer", "boolean"]},
        })
    },
};

pub(crate) const ENV_FILE: Form<Vec<EnvFile>> = Form {
    read: app::env_file,
    schema: || any_of(some_text(), array(some_text())),
};

pub(crate) const INSTANCES: Form<u32> = Form {
    read: app::instances,
    schema: || {
        let number = json!({"type": "integer", "minimum": 1, "maximum": App::MAX_INSTANCES});
        any_of(number, json!({"const": "max"}))
    },
};

pub(crate) const NAMES: Form<Vec<Name>> = Form {
    read: app::after,
    schema: || array(pattern(NAME)),
};

pub(crate) const EXITS: Form<BTreeSet<Exit>> = Form {
    read: app::exits,
    schema: || {
        let code = json!({"type": "integer", "minimum": 0, "maximum": 255});
        array(any_of(code, text()))
    },
};

pub(crate) const SIGNAL: Form<StopSignal> = Form {
    read: app::signal,
    schema: || any_of(some_text(), json!({"type": "integer", "minimum": 1})),
};

pub(crate) const DURATION: Form<Span> = Form {
    read: value::duration,
    schema: duration,
};

pub(crate) const SOME_TIME: Form<Span> = Form {
    read: value::some_time,
    schema: duration,
};

pub(crate) const SOME_SIZE: Form<u64> = Form {
    read: value::some_size,
    schema: size,
};

pub(crate) const COUNT: Form<u32> = Form {
    read: |value, reading| {
        let count = value::between::<0, { u32::MAX as i64 }>(value, reading)?;
        u32::try_from(count).ok()
    },
    schema: || json!({"type": "integer", "minimum": 0, "maximum": u32::MAX}),
};

pub(crate) const YES: Form<bool> = Form {
    read: value::boolean,
    schema: || json!({"type": "boolean"}),
};

pub(crate) const WAIT_FOR: Form<Vec<WaitFor>> = Form {
    read: |value, reading| value.each("an array of texts", network::wait_for, reading),
    schema: || array(pattern("^(tcp:.+:[0-9]+|unix:.+|file:.+|http://.+)$")),
};

pub(crate) const LISTEN: Form<Vec<Listen>> = Form {
    read: |value, reading| value.each("an array of texts", network::listen, reading),
    schema: || array(pattern("^(unix:.+|.+:[0-9]+)$")),
};

pub(crate) const HTTP: Form<HttpUrl> = Form {
    read: network::http,
    schema: || pattern("^http://.+$"),
};

pub(crate) const TCP: Form<HostPort> = Form {
    read: network::tcp,
    schema: || pattern("^.+:[0-9]+$"),
};

pub(crate) const CRON: Form<String> = Form {
    read: times::schedule,
    schema: || pattern("^\\s*(\\S+\\s+){4}\\S+\\s*$"),
};

pub(crate) const TIMEZONE: Form<String> = Form {
    read: times::timezone,
    schema: some_text,
};

pub(crate) const REGEX: Form<String> = Form {
    read: limits::regex,
    schema: some_text,
};

pub(crate) const GLOBS: Form<Vec<String>> = Form {
    read: |value, reading| value.each("an array of patterns", limits::glob, reading),
    schema: || array(some_text()),
};

pub(crate) const PATHS: Form<Vec<String>> = Form {
    read: |value, reading| value.each("an array of paths", app::path, reading),
    schema: || array(some_text()),
};

/// A path, or `"null"`, which is a file only as `"./null"`.
pub(crate) const LOG_FILE: Form<Output> = Form {
    read: app::output,
    schema: some_text,
};

/// A size that log files can be kept to.
pub(crate) const LOG_SIZE: Form<Option<u64>> = Form {
    read: app::log_size,
    schema: size_or_unlimited,
};

/// The same for all logs together.
pub(crate) const QUOTA: Form<Quota> = Form {
    read: |value, reading| {
        let size = app::log_size(value, reading)?;
        Some(size.map_or(Quota::Unlimited, Quota::Bytes))
    },
    schema: size_or_unlimited,
};

/// How old a log file may get.
pub(crate) const LOG_AGE: Form<Span> = Form {
    read: app::log_age,
    schema: duration,
};

pub(crate) const MEMORY: Form<Bytes> = Form {
    read: |value, reading| value::some_size(value, reading).map(Bytes),
    schema: size,
};

pub(crate) const TASKS: Form<Tasks> = Form {
    read: |value, reading| {
        let tasks = value::between::<1, MOST_TASKS>(value, reading)?;
        u32::try_from(tasks).ok().map(Tasks)
    },
    schema: || json!({"type": "integer", "minimum": 1, "maximum": MOST_TASKS}),
};

pub(crate) const CPU: Form<Cpus> = Form {
    read: |value, reading| limits::cpu(value, reading).map(Cpus),
    schema: || {
        any_of(
            json!({"type": "number", "exclusiveMinimum": 0}),
            pattern("^[0-9]+%$"),
        )
    },
};

pub(crate) const UMASK: Form<Umask> = Form {
    read: limits::umask,
    schema: || {
        let number = json!({"type": "integer", "minimum": 0, "maximum": 0o777});
        any_of(pattern("^0?[0-7]{1,3}$"), number)
    },
};

impl Word for Boot {
    const WORDS: &'static [(&'static str, Boot)] = &[
        ("always", Boot::Always),
        ("never", Boot::Never),
        ("last", Boot::Last),
    ];
}

impl Word for RestartWhen {
    const WORDS: &'static [(&'static str, RestartWhen)] = &[
        ("always", RestartWhen::Always),
        ("on-failure", RestartWhen::OnFailure),
        ("never", RestartWhen::Never),
    ];
}
