//! Holds the table of keys, the schema and the example files together.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{env, fs};

use crate::keys::{APP, DAEMONS_OWN, FILE, Role};
use crate::{Origin, parse, schema};

/// Rows that are not carried out but whose example asks for nothing beyond what is done anyway.
const ASKS_NOTHING: [&str; 2] = ["http", "notify"];

/// Set to have the schema file written.
const UPDATE: &str = "UPDATE_SCHEMA";

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

fn reference() -> String {
    fs::read_to_string(examples().join("reference.toml")).expect("it is there")
}

/// Every commented key in force.
fn uncommented() -> String {
    let reference = reference();
    let lines = reference.lines().map(|line| match line.strip_prefix('#') {
        Some(key) if key.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => key,
        _ => line,
    });
    lines.map(|line| format!("{line}\n")).collect()
}

fn origin(daemons_own: bool) -> Origin {
    Origin::File {
        path: examples().join("reference.toml"),
        daemons_own,
    }
}

/// The rows that occur below `table`, and what is no row.
fn rows<R>(
    keys: &[crate::keys::Key<R>],
    table: &toml::Table,
    below: &str,
    found: &mut BTreeSet<String>,
) {
    for (word, value) in table {
        let path = format!("{below}{word}");
        match value {
            toml::Value::Table(inner) if keys.iter().all(|key| key.path != path) => {
                rows(keys, inner, &format!("{path}."), found);
            }
            _ => {
                found.insert(path);
            }
        }
    }
}

fn json(text: &str) -> serde_json::Value {
    let table: toml::Table = text.parse().expect("it is TOML");
    serde_json::to_value(table).expect("there are no dates in it")
}

#[test]
fn the_reference_can_be_carried_out_as_it_stands() {
    if let Err(faults) = parse(&reference(), &origin(false)) {
        panic!("{faults}");
    }
}

#[test]
fn the_reference_has_every_key_and_nothing_else() {
    let document: toml::Table = uncommented().parse().expect("it is TOML");
    let mut found = BTreeSet::new();
    rows(FILE, &document, "", &mut found);
    let wanted = FILE.iter().map(|key| key.path.to_owned());
    assert_eq!(found, wanted.collect());

    let mut found = BTreeSet::new();
    let apps = document["app"].as_table().expect("apps");
    for app in apps.values().chain(document.get("defaults")) {
        rows(APP, app.as_table().expect("an app"), "", &mut found);
    }
    let wanted = APP.iter().map(|key| key.path.to_owned());
    assert_eq!(found, wanted.collect());
}

#[test]
fn the_commented_keys_are_those_that_are_not_carried_out() {
    let faults = parse(&uncommented(), &origin(true)).expect_err("some are not carried out");
    let mut found = BTreeSet::new();
    for fault in &faults.list {
        assert!(fault.message.contains("not carried out yet"), "{fault}");
        let key = fault.key.as_deref().expect("a key");
        let of_app = key.strip_prefix("app.").and_then(|key| key.split_once('.'));
        found.insert(of_app.map_or(key, |(_, key)| key).to_owned());
    }
    let app = APP
        .iter()
        .filter(|key| key.role.is_not_yet())
        .map(|key| key.path);
    let file = FILE
        .iter()
        .filter(|key| key.role.is_not_yet())
        .map(|key| key.path);
    let wanted = app.chain(file).filter(|path| !ASKS_NOTHING.contains(path));
    assert_eq!(found, wanted.map(str::to_owned).collect());
    // In a file of apps the daemon's own tables are in the wrong place.
    let faults = parse(&uncommented(), &origin(false)).expect_err("faulty");
    let misplaced = faults
        .list
        .iter()
        .filter(|fault| fault.message.contains("config folder only"));
    assert_eq!(misplaced.count(), DAEMONS_OWN.len());
}

#[test]
fn the_schema_file_is_current() {
    let path = examples().join("supervisor.schema.json");
    let text = serde_json::to_string_pretty(&schema()).expect("it is JSON") + "\n";
    if env::var_os(UPDATE).is_some() {
        fs::write(&path, &text).expect("it can be written");
    }
    let file = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        file == text,
        "{} is not what schema() gives; run the tests of this crate once with {UPDATE}=1 and commit it",
        path.display()
    );
}

#[test]
fn every_key_is_described() {
    for (path, doc) in APP
        .iter()
        .map(|key| (key.path, key.doc))
        .chain(FILE.iter().map(|key| (key.path, key.doc)))
    {
        assert!(doc.ends_with('.') && doc.len() < 200, "{path}: {doc}");
    }
}

#[test]
fn the_schema_takes_every_example() {
    let schema = jsonschema::draft7::new(&schema()).expect("it is a schema");
    let mut files = vec![examples()];
    let mut seen = 0;
    while let Some(path) = files.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("it can be read");
            files.extend(entries.map(|entry| entry.expect("an entry").path()));
        } else if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            let text = fs::read_to_string(&path).expect("it can be read");
            if let Err(error) = schema.validate(&json(&text)) {
                panic!("{}: {error} at {}", path.display(), error.instance_path());
            }
            seen += 1;
        }
    }
    assert!(seen >= 2);
    if let Err(error) = schema.validate(&json(&uncommented())) {
        panic!("{error} at {}", error.instance_path());
    }
}

#[test]
fn the_schema_and_the_parser_agree() {
    let schema = jsonschema::draft7::new(&schema()).expect("it is a schema");
    let app = |keys: &str| format!("[app.a]\ncommand = 'x'\n{keys}\n");
    let wrong = [
        "comand = 1".to_owned(),
        "[app.a]\nboot = 'last'".to_owned(),
        "[app.'a/b']\ncommand = 'x'".to_owned(),
        "[defaults]\ncommand = 'x'".to_owned(),
        "[defaults]\nrestart.dely = '1s'".to_owned(),
        "[[app]]\ncommand = 'x'".to_owned(),
        "[app.a]\ncommand = []".to_owned(),
        app("script = 'x'"),
        app("boot = 'sometimes'"),
        app("instances = 0"),
        app("instances = 'many'"),
        app("restart.delay = '10'"),
        app("restart.delay = 10"),
        app("restart.delay = '1s1m'"),
        app("restart.delay = ''"),
        app("restart = 'always'"),
        app("logs.max_size = '50M'"),
        app("logs.keep = -1"),
        app("logs.on_full = 'wait'"),
        app("logs.merge = 'yes'"),
        app("env.'A-B' = 'x'"),
        app("env.A = 1.5"),
        app("after = 'b'"),
        app("user = 'a:b'"),
        app("watch = true"),
        app("limits.nice = 20"),
        app("limits.umask = '999'"),
        app("limits.cpu = 'half'"),
        app("ready = { http = 'http://a/', tcp = 'a:1' }"),
        app("health.http = 'https://a/'"),
        app("schedule = '@daily'"),
        app("listen = ['3001']"),
        "[daemon]\nlog_level = 'loud'".to_owned(),
    ];
    for text in wrong {
        assert!(!schema.is_valid(&json(&text)), "{text}");
        let faults = parse(&text, &origin(true)).expect_err(&text);
        let other = |fault: &crate::Fault| !fault.message.contains("not carried out yet");
        assert!(faults.list.iter().any(other), "{text}: {faults}");
    }
    let right = [
        app("restart = { delay = '1m30s', success = [1, 'TERM'] }\nstop.signal = 15"),
        app("restart.delay = '250ms'\nenv = { A = 1, B = true }\nenv_file = 'x'"),
        "[defaults]\nready.timeout = '1s'".to_owned(),
        String::new(),
    ];
    for text in right {
        assert!(schema.is_valid(&json(&text)), "{text}");
    }
}
