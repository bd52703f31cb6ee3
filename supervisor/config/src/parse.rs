//! Text → checked model. Walks the whole file by the table of keys and notes every fault on the
//! way. Touches no file but the machine's time zone database: whether a directory, a user or another
//! file's app exists is known to the daemon. What concerns several keys of an app, or several apps,
//! is in `app`.

use std::collections::BTreeMap;

use toml::de::DeTable;

use crate::keys::{self, FileRole, Key, NotYet, quoted};
use crate::places::Places;
use crate::reading::Reading;
use crate::units::{Problem, plain_text};
use crate::value::{self, Value};
use crate::{Config, Faults, Origin, app, hints, places, secrets};

/// The keys that were found in one table, each with its row.
pub(crate) type Entries<'v, R> = Vec<(&'static Key<R>, Value<'v>)>;

/// Reads the text of a config file, or of the same form made from the options of a command.
///
/// # Errors
/// Every fault of the text, in its order. After a fault in the TOML itself, what stands below it
/// could be misread and is not judged.
pub fn parse(text: &str, origin: &Origin) -> Result<Config, Faults> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reading = Reading::new(text, origin);
    if reading.folder().to_str().is_none() {
        let problem = Problem::new("the path of the folder it is in is not valid UTF-8");
        reading.fault("", &(0..0), problem.hint("move it to another folder"));
    }
    let (document, errors) = DeTable::parse_recoverable(text);
    let place = |error: &toml::de::Error| error.span().unwrap_or(text.len()..text.len());
    if let Some(first) = errors.iter().map(|error| place(error).start).min() {
        reading.broken_from(first);
    }
    for error in &errors {
        let why = plain_text(error.message());
        reading.broken(
            &place(error),
            Problem::new(format!("this is not TOML: {why}")),
        );
    }
    let document = document.get_ref();
    reading.hide(secrets::environments(document));
    let (config, keys) = file(document, origin, &mut reading);
    Ok(Config {
        places: Places::new(reading.finish()?, keys),
        ..config
    })
}

fn file<'v>(
    document: &'v DeTable<'v>,
    origin: &Origin,
    reading: &mut Reading,
) -> (Config, places::Keys) {
    let own = origin.is_daemons_own() || misplaced(document, reading);
    let mut found = Vec::new();
    entries(keys::FILE, document, ("", ""), reading, &mut found);
    let mut config = Config::default();
    let mut apps = None;
    let mut defaults = Vec::new();
    let mut daemon = BTreeMap::new();
    for (key, value) in found {
        match &key.role {
            FileRole::Apps => apps = app_table(&value, reading),
            FileRole::Defaults => defaults = app::defaults(&value, reading),
            FileRole::Daemon(set) => {
                daemon.insert(key.path.to_owned(), value.place());
                set(&mut config.daemon, &value, reading);
            }
            FileRole::NotYet(not_yet) if own => refuse(not_yet, &value, reading),
            FileRole::NotYet(_) => {}
        }
    }
    let mut keys = places::Keys {
        defaults: app::places(&defaults),
        daemon,
        ..places::Keys::default()
    };
    if let Some(table) = apps {
        config.apps = app::all(table, &defaults, origin, reading, &mut keys.apps);
    }
    (config, keys)
}

/// Notes the daemon's own tables in a file that is not the daemon's own. Whether there are none.
fn misplaced(document: &DeTable, reading: &mut Reading) -> bool {
    let mut none = true;
    for (word, _) in document {
        if keys::DAEMONS_OWN.contains(&&**word.get_ref()) {
            let problem = Problem::new("this stands in supervisor.toml of the config folder only")
                .hint("that file is the daemon's own; move it there");
            reading.fault(word.get_ref(), &word.span(), problem);
            none = false;
        }
    }
    none
}

fn app_table<'v>(value: &Value<'v>, reading: &mut Reading) -> Option<&'v DeTable<'v>> {
    if value.is_array() {
        let problem = Problem::new("apps are not in an array, each has a name of its own");
        return value.fault(
            problem.hint("write [app.NAME] rather than [[app]]"),
            reading,
        );
    }
    value::table(value, reading)
}

/// Collects the known keys of `table` and of the tables in it; notes the others. `below` is what
/// stands before its keys: as the file writes it, and as the rows do.
pub(crate) fn entries<'v, R>(
    keys: &'static [Key<R>],
    table: &'v DeTable<'v>,
    below: (&str, &str),
    reading: &mut Reading,
    found: &mut Entries<'v, R>,
) {
    for (word, raw) in table {
        let written = format!("{}{}", below.0, quoted(word.get_ref()));
        let path = format!("{}{}", below.1, word.get_ref());
        let inside = format!("{path}.");
        let value = Value::new(written, raw);
        // A dot inside quotes is not the dot between two keys.
        let one_word = !word.get_ref().contains('.');
        if let Some(key) = keys.iter().find(|key| one_word && key.path == path) {
            found.push((key, value));
        } else if !one_word || !keys.iter().any(|key| key.path.starts_with(&inside)) {
            let hint = if reading.is_full() {
                None
            } else {
                unknown_hint(word.get_ref(), &value, below.1, keys)
            };
            if hint.is_none() {
                // Nobody knows what it is; it may be a secret.
                reading.hide(secrets::all_of(raw));
            }
            let problem = Problem {
                message: "there is no such key".to_owned(),
                hint: hint.or_else(|| hints::listed(below.1, keys)),
            };
            reading.fault(&value.key, &word.span(), problem);
        } else if let Some(table) = value.as_table() {
            let below = (&*format!("{}.", value.key), &*inside);
            entries(keys, table, below, reading, found);
        } else {
            let problem = Problem::new("this is a table, with keys of its own");
            value.fault::<()>(problem.hint(hints::for_table(&path, keys)), reading);
        }
    }
}

fn unknown_hint<R>(word: &str, value: &Value, prefix: &str, keys: &[Key<R>]) -> Option<String> {
    let is_app = |table: &DeTable| table.contains_key("command");
    if prefix.is_empty() && value.as_table().is_some_and(is_app) {
        let app = value
            .key
            .strip_prefix("app.")
            .unwrap_or(&value.key)
            .replace('"', "");
        return Some(format!("an app is written [app.{}]", quoted(&app)));
    }
    hints::for_unknown(word, prefix, keys)
}

/// Refuses a value that asks for what nothing carries out: an app that ran without would not be what
/// the file says.
pub(crate) fn refuse(not_yet: &NotYet, value: &Value, reading: &mut Reading) {
    if (not_yet.asks)(value, reading) == Some(true) {
        let problem = Problem::new("this is not carried out yet by this version");
        let hint = match not_yet.instead {
            Some(instead) => format!("leave it out, or write {instead}"),
            None => "leave it out".to_owned(),
        };
        value.fault::<()>(problem.hint(hint), reading);
    }
}
