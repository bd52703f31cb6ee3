//! Text → checked model. Walks the whole file by the table of keys and notes every fault on the
//! way; then checks what concerns several keys or several apps. Touches no file: whether a
//! directory, a user or another app exists is known to the daemon.

use std::collections::BTreeMap;
use std::ops::Range;

use supervisor_core::{Name, Policy};
use toml::de::DeTable;

use crate::hints;
use crate::keys::{self, AppRole, FileRole, Key, NotYet, quoted};
use crate::reading::Reading;
use crate::units::{Problem, duration_text};
use crate::value::{self, Value};
use crate::{App, Config, Faults, Origin, StopSignal, find_cycle};

/// The keys that were found in one table, each with its row.
type Entries<'v, R> = Vec<(&'static Key<R>, Value<'v>)>;

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
        reading.broken(
            &place(error),
            Problem::new(format!("this is not TOML: {}", error.message())),
        );
    }
    let config = file(document.get_ref(), origin, &mut reading);
    if reading.is_clean() {
        Ok(config)
    } else {
        Err(reading.into_faults())
    }
}

fn file<'v>(document: &'v DeTable<'v>, origin: &Origin, reading: &mut Reading) -> Config {
    let mut found = Vec::new();
    entries(keys::FILE, document, ("", ""), reading, &mut found);
    let mut apps = None;
    let mut defaults = Vec::new();
    for (key, value) in found {
        match &key.role {
            FileRole::Apps => apps = app_table(&value, reading),
            FileRole::Defaults => defaults = default_entries(&value, reading),
            FileRole::NotYet(not_yet) => refuse(not_yet, &value, reading),
        }
    }
    apps.map(|table| all_apps(table, &defaults, origin, reading))
        .unwrap_or_default()
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
fn entries<'v, R>(
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
            let hint = unknown_hint(word.get_ref(), &value, below.1, keys);
            let problem = Problem {
                message: "there is no such key".to_owned(),
                hint,
            };
            reading.fault(&value.key, &word.span(), problem);
        } else if let Some(table) = value.as_table() {
            entries(
                keys,
                table,
                (&format!("{}.", value.key), &inside),
                reading,
                found,
            );
        } else {
            let problem = Problem::new("this is a table, with keys of its own");
            let known = hints::level(&inside, keys).join(", ");
            value.fault::<()>(problem.hint(format!("its keys are {known}")), reading);
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

/// What every app starts from. Its faults are noted here, once.
fn default_entries<'v>(value: &Value<'v>, reading: &mut Reading) -> Entries<'v, AppRole> {
    let mut found = Vec::new();
    let Some(table) = value::table(value, reading) else {
        return found;
    };
    entries(keys::APP, table, ("defaults.", ""), reading, &mut found);
    let mut nobody = blank(Name::new("defaults").expect("it is a name"), None, reading);
    found.retain(|(key, value)| {
        let own = key.path == "command";
        if own {
            let problem = Problem::new("every app has a command of its own");
            reading.fault(
                &value.key,
                &value.span,
                problem.hint("write it below [app.NAME]"),
            );
        }
        !own
    });
    apply_all(&found, &mut nobody, reading);
    found
}

fn all_apps<'v>(
    table: &'v DeTable<'v>,
    defaults: &Entries<'v, AppRole>,
    origin: &Origin,
    reading: &mut Reading,
) -> Config {
    let path = match origin {
        Origin::File(_) => None,
        Origin::CommandLine { path, .. } => path.clone(),
    };
    let mut config = Config::default();
    let mut waits = BTreeMap::new();
    for (word, raw) in table {
        let value = Value::new(format!("app.{}", quoted(word.get_ref())), raw);
        let Some(table) = value.as_table() else {
            let problem = Problem::new("an app is a table");
            value.fault::<()>(
                problem.hint("write [app.NAME], with its keys below"),
                reading,
            );
            continue;
        };
        let name = match Name::new(word.get_ref()) {
            Ok(name) => name,
            Err(bad) => {
                reading.fault(&value.key, &word.span(), Problem::new(bad.to_string()));
                // Its keys are read all the same, for their faults.
                Name::new("unnamed").expect("it is a name")
            }
        };
        let mut own = Vec::new();
        entries(
            keys::APP,
            table,
            (&format!("{}.", value.key), ""),
            reading,
            &mut own,
        );
        let mut app = blank(name.clone(), path.clone(), reading);
        reading.muted(|reading| apply_all(defaults, &mut app, reading));
        apply_all(&own, &mut app, reading);
        let keys = Keys {
            header: &value.key,
            place: word.span(),
            table,
            own: &own,
            defaults,
        };
        keys.check(&mut app, reading);
        if let Some(after) = keys.find("after") {
            waits.insert(name.clone(), (after.key.clone(), after.span.clone()));
        }
        config.apps.insert(name, app);
    }
    if reading.is_whole() {
        cycles(&config, &waits, reading);
    }
    config
}

/// An app that nothing is known of but its name.
fn blank(name: Name, path: Option<String>, reading: &Reading) -> App {
    App {
        name,
        command: Vec::new(),
        directory: reading.folder().components().collect(),
        user: None,
        group: None,
        namespace: String::new(),
        env: BTreeMap::new(),
        env_file: Vec::new(),
        instances: 1,
        stop_signal: StopSignal::default(),
        policy: Policy::default(),
        path,
    }
}

fn apply_all(entries: &Entries<AppRole>, app: &mut App, reading: &mut Reading) {
    for (key, value) in entries {
        match &key.role {
            AppRole::Carried { set, .. } => set(app, value, reading),
            AppRole::NotYet(not_yet) => refuse(not_yet, value, reading),
        }
    }
}

/// Refuses a value that asks for what nothing carries out: an app that ran without would not be what
/// the file says.
fn refuse(not_yet: &NotYet, value: &Value, reading: &mut Reading) {
    if (not_yet.asks)(value, reading) == Some(true) {
        let problem = Problem::new("this is not carried out yet by this version");
        let hint = match not_yet.instead {
            Some(instead) => format!("leave it out, or write {instead}"),
            None => "leave it out".to_owned(),
        };
        value.fault::<()>(problem.hint(hint), reading);
    }
}

/// All keys of one app, for the checks that concern more than one of them.
struct Keys<'a, 'v> {
    header: &'a str,
    place: Range<usize>,
    table: &'v DeTable<'v>,
    own: &'a Entries<'v, AppRole>,
    defaults: &'a Entries<'v, AppRole>,
}

impl<'v> Keys<'_, 'v> {
    /// The value that holds for the app: its own, or else the default.
    fn find(&self, path: &str) -> Option<&Value<'v>> {
        let mut all = self.own.iter().chain(self.defaults);
        all.find(|(key, _)| key.path == path)
            .map(|(_, value)| value)
    }

    fn has_own(&self, path: &str) -> bool {
        self.own.iter().any(|(key, _)| key.path == path)
    }

    fn check(&self, app: &mut App, reading: &mut Reading) {
        self.command(reading);
        self.after(app, reading);
        self.delays(app, reading);
        for file in &mut app.env_file {
            file.path = app.directory.join(&file.path).components().collect();
        }
    }

    fn command(&self, reading: &mut Reading) {
        if !reading.is_whole() || self.has_own("command") {
            return;
        }
        // One fault is enough where its key was only misspelt.
        let meant = |word: &str| hints::meant(word, "", keys::APP);
        let tried = self
            .table
            .keys()
            .any(|word| meant(word.get_ref()).as_deref() == Some("command"));
        if !tried {
            let problem = Problem::new("it has no command");
            let hint = "write for instance command = [\"node\", \"dist/index.js\"]";
            reading.fault(self.header, &self.place, problem.hint(hint));
        }
    }

    /// An app that waits for itself never starts; but "all wait for the database" in the defaults
    /// does not mean the database.
    fn after(&self, app: &mut App, reading: &mut Reading) {
        let before = app.policy.after.len();
        app.policy.after.retain(|name| *name != app.name);
        let own = self.own.iter().find(|(key, _)| key.path == "after");
        if let Some((_, value)) = own.filter(|_| app.policy.after.len() < before) {
            value.fault::<()>(Problem::new("an app cannot wait for itself"), reading);
        }
    }

    fn delays(&self, app: &App, reading: &mut Reading) {
        let restart = &app.policy.restart;
        let value = self
            .find("restart.delay")
            .or_else(|| self.find("restart.max_delay"));
        let (Some(value), true) = (
            value,
            restart.delay > restart.max_delay && reading.is_whole(),
        ) else {
            return;
        };
        let (delay, most) = (
            duration_text(restart.delay),
            duration_text(restart.max_delay),
        );
        let problem = Problem::new(format!("delay ({delay}) is longer than max_delay ({most})"));
        value.fault::<()>(
            problem.hint(format!("write max_delay = \"{delay}\" too")),
            reading,
        );
    }
}

/// Notes the circles of apps that wait for one another: each app in one of them at most, since the
/// other circles may be gone with the first.
fn cycles(config: &Config, waits: &BTreeMap<Name, (String, Range<usize>)>, reading: &mut Reading) {
    let after = |(name, app): (&Name, &App)| (name.clone(), app.policy.after.clone());
    let mut edges: BTreeMap<_, _> = config.apps.iter().map(after).collect();
    while let Some(cycle) = find_cycle(&edges) {
        let way: Vec<_> = cycle
            .iter()
            .chain(cycle.first())
            .map(Name::as_str)
            .collect();
        let problem = Problem::new(format!(
            "{} wait for one another, so none could start",
            way.join(" → ")
        ));
        if let Some((key, span)) = cycle.first().and_then(|name| waits.get(name)) {
            reading.fault(
                key,
                span,
                problem.hint("take one of them out of an `after`"),
            );
        }
        edges.retain(|name, _| !cycle.contains(name));
    }
}
