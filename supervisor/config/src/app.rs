//! The apps of a file: the defaults below each, and the checks that concern several keys of one app
//! or several apps of the file.

use std::collections::BTreeMap;

use supervisor_core::{Name, Policy};
use toml::de::DeTable;

use crate::keys::{self, AppRole, Group, quoted};
use crate::logs::Files;
use crate::parse::{Entries, entries, refuse};
use crate::places::HEADER;
use crate::reading::{MOST, Reading};
use crate::source::Place;
use crate::units::{Problem, duration_text};
use crate::value::{self, Value};
use crate::{App, Ceilings, Limits, Logs, Origin, Output, Stdin, StopSignal, find_cycle, hints};

/// What every app starts from. Its faults are noted here, once.
pub(crate) fn defaults<'v>(value: &Value<'v>, reading: &mut Reading) -> Entries<'v, AppRole> {
    let mut found = Vec::new();
    let Some(table) = value::table(value, reading) else {
        return found;
    };
    entries(keys::APP, table, ("defaults.", ""), reading, &mut found);
    let mut nobody = App::blank(Name::new("defaults").expect("it is a name"));
    found.retain(|(key, value)| {
        let own = key.path == keys::OWN;
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
    for group in keys::GROUPS {
        one_at_most(group, &found, reading);
    }
    found
}

/// Where each key stands, and each item of an array.
pub(crate) fn places(entries: &Entries<AppRole>) -> BTreeMap<String, Place> {
    let mut places = BTreeMap::new();
    for (key, value) in entries {
        places.insert(key.path.to_owned(), value.place());
        for (index, item) in value.array().into_iter().enumerate() {
            places.insert(format!("{}[{index}]", key.path), item.place());
        }
    }
    places
}

/// All apps, and their places into `known`.
pub(crate) fn all<'v>(
    table: &'v DeTable<'v>,
    defaults: &Entries<'v, AppRole>,
    origin: &Origin,
    reading: &mut Reading,
    known: &mut BTreeMap<Name, BTreeMap<String, Place>>,
) -> BTreeMap<Name, App> {
    let path = match origin {
        Origin::File { .. } => None,
        Origin::CommandLine { path, .. } => path.clone(),
    };
    let mut apps = BTreeMap::new();
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
        let below = (&*format!("{}.", value.key), "");
        entries(keys::APP, table, below, reading, &mut own);
        let mut app = App::blank(name.clone());
        app.directory = reading.folder().components().collect();
        app.path.clone_from(&path);
        reading.muted(|reading| apply_all(defaults, &mut app, reading));
        apply_all(&own, &mut app, reading);
        let header = Place {
            key: value.key,
            span: word.span(),
        };
        let keys = Keys {
            header: &header,
            table,
            own: &own,
            defaults,
        };
        keys.check(&mut app, reading);
        let mut places = places(&own);
        places.insert(HEADER.to_owned(), header);
        known.insert(name.clone(), places);
        apps.insert(name, app);
    }
    if reading.is_whole() {
        circles(&apps, known, reading);
    }
    apps
}

impl App {
    /// An app that nothing is known of but its name.
    pub(crate) fn blank(name: Name) -> App {
        App {
            name,
            command: Vec::new(),
            directory: std::path::PathBuf::new(),
            user: None,
            group: None,
            namespace: String::new(),
            env: BTreeMap::new(),
            env_file: Vec::new(),
            instances: 1,
            stdin: Stdin::default(),
            stop_signal: StopSignal::default(),
            wait_for: Vec::new(),
            policy: Policy::default(),
            logs: Logs::default(),
            limits: Limits::default(),
            ceilings: Ceilings::default(),
            path: None,
        }
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

/// Notes a second way to ask where one is all that there can be.
fn one_at_most(group: &Group, entries: &Entries<AppRole>, reading: &mut Reading) {
    let mut ways: Vec<_> = ways(group, entries).collect();
    ways.sort_by_key(|value| value.span.start);
    if let [first, second, ..] = &*ways {
        let word = |value: &Value| value.key.rsplit('.').next().unwrap_or("").to_owned();
        let problem = Problem::new(format!(
            "it stands beside {}, and only one of them can be",
            word(first)
        ));
        let hint = format!("keep {} or {}", word(first), word(second));
        reading.fault(&second.key, &second.span, problem.hint(hint));
    }
}

fn ways<'e, 'v>(
    group: &'e Group,
    entries: &'e Entries<'v, AppRole>,
) -> impl Iterator<Item = &'e Value<'v>> {
    let found = entries
        .iter()
        .filter(|(key, _)| group.one_of.contains(&key.path));
    found.map(|(_, value)| value)
}

/// All keys of one app, for the checks that concern more than one of them.
struct Keys<'a, 'v> {
    header: &'a Place,
    table: &'v DeTable<'v>,
    own: &'a Entries<'v, AppRole>,
    defaults: &'a Entries<'v, AppRole>,
}

impl<'v> Keys<'_, 'v> {
    /// The value that holds for the app: its own, or else the default.
    fn find(&self, path: &str) -> Option<&Value<'v>> {
        let default = self.defaults.iter().find(|(key, _)| key.path == path);
        self.own(path).or(default.map(|(_, value)| value))
    }

    fn own(&self, path: &str) -> Option<&Value<'v>> {
        let found = self.own.iter().find(|(key, _)| key.path == path);
        found.map(|(_, value)| value)
    }

    fn check(&self, app: &mut App, reading: &mut Reading) {
        self.after(app, reading);
        if reading.is_whole() {
            self.command(reading);
            self.delays(app, reading);
            self.timezone(reading);
            for group in keys::GROUPS.iter().filter(|group| !group.one_of.is_empty()) {
                self.one_way(group, reading);
            }
        }
        for file in &mut app.env_file {
            file.path = app.directory.join(&file.path).components().collect();
        }
        self.wait_for(app, reading);
        self.logs(app, reading);
    }

    /// The core only has to know that there is something.
    fn wait_for(&self, app: &mut App, reading: &mut Reading) {
        let directory = &app.directory;
        for wait in &mut app.wait_for {
            match wait.clone().below(directory) {
                Ok(absolute) => *wait = absolute,
                Err(problem) => self.told("wait_for", problem, reading),
            }
        }
        app.policy.conditional = !app.wait_for.is_empty();
    }

    fn logs(&self, app: &mut App, reading: &mut Reading) {
        if app.logs.merge && self.own("logs.stderr").is_none() && self.own("logs.merge").is_some() {
            // Where the defaults have stderr go does not matter to an app that says this of itself.
            app.logs.stderr = Output::Usual;
        }
        let (name, directory) = (&app.name, &app.directory);
        let outputs = [
            ("logs.stdout", &mut app.logs.stdout),
            ("logs.stderr", &mut app.logs.stderr),
        ];
        for (key, output) in outputs {
            match output.absolute(name, directory) {
                Ok(absolute) => *output = absolute,
                Err(problem) => self.told(key, problem, reading),
            }
        }
        if let Some(key) = reading.is_whole().then(|| clash(app)).flatten() {
            self.told(key.0, key.1, reading);
        }
    }

    /// A fault at the value that holds for the app.
    fn told(&self, key: &str, problem: Problem, reading: &mut Reading) {
        if let Some(value) = self.find(key) {
            value.fault::<()>(problem, reading);
        }
    }

    fn command(&self, reading: &mut Reading) {
        if self.own(keys::OWN).is_some() || reading.is_full() {
            return;
        }
        // One fault is enough where its key was only misspelt.
        let meant = |word: &str| hints::meant(word, "", keys::APP);
        let tried = self
            .table
            .keys()
            .any(|word| meant(word.get_ref()).as_deref() == Some(keys::OWN));
        if !tried {
            let problem = Problem::new("it has no command");
            let hint = "write for instance command = [\"node\", \"dist/index.js\"]";
            reading.fault(&self.header.key, &self.header.span, problem.hint(hint));
        }
    }

    /// An app that waits for itself never starts; but "all wait for the database" in the defaults
    /// does not mean the database.
    fn after(&self, app: &mut App, reading: &mut Reading) {
        let before = app.policy.after.len();
        app.policy.after.retain(|name| *name != app.name);
        if let Some(value) = self
            .own("after")
            .filter(|_| app.policy.after.len() < before)
        {
            value.fault::<()>(Problem::new("an app cannot wait for itself"), reading);
        }
    }

    fn delays(&self, app: &App, reading: &mut Reading) {
        let restart = &app.policy.restart;
        let value = self
            .find("restart.delay")
            .or_else(|| self.find("restart.max_delay"));
        let (Some(value), true) = (value, restart.delay > restart.max_delay) else {
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

    fn timezone(&self, reading: &mut Reading) {
        if let (Some(value), None) = (self.own("timezone"), self.find("schedule")) {
            let problem = Problem::new("it says where schedule counts, and there is no schedule");
            value.fault::<()>(problem.hint("add a schedule, or leave this out"), reading);
        }
    }

    /// A table that says how to ask must say it in one way.
    fn one_way(&self, group: &Group, reading: &mut Reading) {
        one_at_most(group, self.own, reading);
        let inside = format!("{}.", group.path);
        let mut own = self
            .own
            .iter()
            .filter(|(key, _)| key.path.starts_with(&inside));
        let none = ways(group, self.own)
            .chain(ways(group, self.defaults))
            .next()
            .is_none();
        if let Some((_, value)) = own.next().filter(|_| none) {
            let problem = Problem::new(format!("nothing says how {} is asked", group.path));
            let hint = format!("add one of {}", group.one_of.join(", "));
            value.fault::<()>(problem.hint(hint), reading);
        }
    }
}

/// What is wrong between the streams of one app.
fn clash(app: &App) -> Option<(&'static str, Problem)> {
    if app.logs.merge && app.logs.stderr != Output::Usual {
        let problem = Problem::new("with merge = true stderr goes where stdout goes");
        return Some((
            "logs.stderr",
            problem.hint("leave it out, or take merge out"),
        ));
    }
    if let Err(fault) = app.logs_fit(app.instances) {
        return Some(fault);
    }
    let mut files = Files::default();
    let mut both = app.log_files();
    both.find_map(|(key, path)| {
        files.take(&path, &app.name).err()?;
        let problem = Problem::new("it is a file of stdout already");
        Some((
            key,
            problem.hint("write merge = true for both in one file, and no stderr"),
        ))
    })
}

/// Notes the circles of apps that wait for one another.
fn circles(
    apps: &BTreeMap<Name, App>,
    places: &BTreeMap<Name, BTreeMap<String, Place>>,
    reading: &mut Reading,
) {
    let after = |(name, app): (&Name, &App)| (name.clone(), app.policy.after.clone());
    for circle in all_circles(apps.iter().map(after).collect()) {
        // Which of them is at fault nobody knows; the first has at least its own `after`.
        let own = circle
            .iter()
            .find_map(|name| places.get(name)?.get("after"));
        if let Some(Place { key, span }) = own {
            reading.fault(key, &span.clone(), round(&circle));
        }
    }
}

/// Each app in one circle at most, since the other circles may be gone with the first; and not more
/// of them than anybody is told.
pub(crate) fn all_circles(mut edges: BTreeMap<Name, Vec<Name>>) -> Vec<Vec<Name>> {
    let mut found = Vec::new();
    while let Some(circle) = find_cycle(&edges).filter(|_| found.len() < MOST) {
        for name in &circle {
            edges.remove(name);
        }
        found.push(circle);
    }
    found
}

/// What to say of a circle.
pub(crate) fn round(circle: &[Name]) -> Problem {
    /// So many names are told of a long one.
    const TOLD: usize = 12;
    let mut way: Vec<_> = circle.iter().take(TOLD).map(Name::as_str).collect();
    way.extend((circle.len() > TOLD).then_some("…"));
    way.extend(circle.first().map(Name::as_str));
    let way = way.join(" → ");
    let problem = Problem::new(format!("{way} wait for one another, so none could start"));
    problem.hint("take one of them out of an `after`")
}
