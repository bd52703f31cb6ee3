//! Readers for the values that are particular to an app: commands, environments, names, exits.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::thread;

use supervisor_core::{Exit, Name, Span};

use crate::reading::Reading;
use crate::units::{Problem, shown};
use crate::value::{Value, duration, size_or_unlimited, some_text, table, text, texts};
use crate::{App, EnvFile, Logs, Output, StopSignal, logs};

/// Variables that tell an app, and the daemon that looks for its processes, who it is.
const RESERVED: [&str; 3] = ["SUPERVISOR_APP", "SUPERVISOR_INSTANCE", "SUPERVISOR_RUN"];

/// An array of words, or a string that is split as a shell would.
pub(crate) fn command(value: &Value, reading: &mut Reading) -> Option<Vec<String>> {
    let words = match value.as_text() {
        None => value.each("an array of texts, or one text", text, reading)?,
        Some(line) => match split(line) {
            Ok(words) => words,
            Err(problem) => return value.fault(problem, reading),
        },
    };
    match words.first() {
        None => value.fault(Problem::new("the command is empty"), reading),
        Some(program) if program.is_empty() => {
            value.fault(Problem::new("the name of the program is empty"), reading)
        }
        Some(_) => Some(words),
    }
}

fn split(line: &str) -> Result<Vec<String>, Problem> {
    const OPERATORS: [&str; 9] = ["&&", "||", "|", ";", "&", ">", ">>", "<", "2>&1"];
    if line.contains('\0') {
        return Err(Problem::new("it contains a NUL character"));
    }
    let words = shlex::split(line).ok_or_else(|| {
        Problem::new("a quote is not closed, or a backslash stands at the end")
            .hint("write an array, where no quotes are needed: [\"node\", \"it's.js\"]")
    })?;
    // A word on its own in both readings was not quoted: the writer expects a shell.
    let bare = |word: &&&str| {
        line.split_whitespace().any(|raw| raw == **word) && words.iter().any(|w| w == **word)
    };
    match OPERATORS.iter().find(bare) {
        None => Ok(words),
        Some(operator) => Err(Problem::new(format!(
            "{operator:?} is for a shell, and none is run"
        ))
        .hint("write [\"sh\", \"-c\", \"…\"], with \"exec\" before the last command")),
    }
}

/// Relative to the config file's folder.
pub(crate) fn directory(value: &Value, reading: &mut Reading) -> Option<PathBuf> {
    let path = path(value, reading)?;
    Some(reading.folder().join(path).components().collect())
}

/// A path as written.
pub(crate) fn path(value: &Value, reading: &mut Reading) -> Option<String> {
    let path = some_text(value, reading)?;
    if path == "~" || path.starts_with("~/") {
        let problem = Problem::new("\"~\" stands for nothing here, as no shell is run");
        return value.fault(problem.hint("write the whole path"), reading);
    }
    Some(path)
}

/// A log file as written, relative to the app's directory, or `"null"`.
pub(crate) fn output(value: &Value, reading: &mut Reading) -> Option<Output> {
    let path = path(value, reading)?;
    logs::output(&path).map_or_else(|problem| value.fault(problem, reading), Some)
}

/// Whether somebody means no limit at all, in whatever word they have for it.
fn means_no_limit(value: &Value) -> bool {
    const WORDS: [&str; 8] = [
        "0",
        "-1",
        "none",
        "no",
        "off",
        "never",
        "infinity",
        "unlimited",
    ];
    let is_word = |text: &str| WORDS.contains(&text.to_ascii_lowercase().as_str());
    matches!(value.as_integer(), Some(-1 | 0)) || value.as_text().is_some_and(is_word)
}

/// A size of log files.
pub(crate) fn log_size(value: &Value, reading: &mut Reading) -> Option<Option<u64>> {
    if means_no_limit(value) && value.as_text() != Some("unlimited") {
        let problem = Problem::new("it is not a size that files can have");
        return value.fault(problem.hint("write \"unlimited\" for no limit"), reading);
    }
    let size = size_or_unlimited(value, reading)?;
    if size.is_some_and(|size| size < Logs::SMALLEST) {
        let problem = Problem::new(
            "it is less than 64KiB, and with files as small as that the supervisor would rotate rather than write",
        );
        let hint = "write \"64KiB\" or more, or \"unlimited\"";
        return value.fault(problem.hint(hint), reading);
    }
    Some(size)
}

/// An age of log files; 0 is none.
pub(crate) fn log_age(value: &Value, reading: &mut Reading) -> Option<Span> {
    if means_no_limit(value) {
        let problem = Problem::new("it is not an age that files can have");
        return value.fault(problem.hint("write \"0s\" to rotate by size only"), reading);
    }
    let age = duration(value, reading)?;
    if (1..1000).contains(&age.0) {
        let problem = Problem::new("it is less than a second");
        let hint = "write \"1s\" or more, or \"0s\" to rotate by size only";
        return value.fault(problem.hint(hint), reading);
    }
    Some(age)
}

/// One file or an array of them, as written: they are relative to the app's directory, which is
/// known when all keys are read.
pub(crate) fn env_file(value: &Value, reading: &mut Reading) -> Option<Vec<EnvFile>> {
    if value.is_array() {
        return value.each("an array of paths", one_env_file, reading);
    }
    if value.as_text().is_some() {
        return Some(vec![one_env_file(value, reading)?]);
    }
    texts(value, reading).map(|_| Vec::new())
}

fn one_env_file(value: &Value, reading: &mut Reading) -> Option<EnvFile> {
    let written = path(value, reading)?;
    let (path, optional) = match written.strip_suffix('?') {
        Some(path) => (path, true),
        None => (written.as_str(), false),
    };
    if path.is_empty() {
        return value.fault(Problem::new("there is no path before the \"?\""), reading);
    }
    Some(EnvFile {
        path: path.into(),
        optional,
    })
}

/// Names to text; integers and booleans become text as PM2 makes them.
pub(crate) fn env(value: &Value, reading: &mut Reading) -> Option<BTreeMap<String, String>> {
    let table = table(value, reading)?;
    let mut env = BTreeMap::new();
    for (name, raw) in table {
        let item = Value::new(
            format!("{}.{}", value.key, crate::keys::quoted(name.get_ref())),
            raw,
        );
        if let Err(problem) = variable_name(name.get_ref()) {
            reading.fault(&item.key, &name.span(), problem);
            continue;
        }
        let plain = item.as_boolean().map(|yes| yes.to_string());
        let plain = plain.or_else(|| item.as_integer().map(|number| number.to_string()));
        if let Some(content) = plain.or_else(|| text(&item, reading)) {
            env.insert(name.get_ref().to_string(), content);
        }
    }
    Some(env)
}

/// Checks a name of an environment variable, wherever it is written.
pub(crate) fn variable_name(name: &str) -> Result<(), Problem> {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    let fits = name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit());
    if !fits {
        return Err(Problem::new(
            "the name of a variable has letters, digits and '_', and does not start with a digit",
        ));
    }
    if RESERVED.contains(&name) {
        return Err(
            Problem::new("the supervisor sets this variable itself").hint("choose another name")
        );
    }
    Ok(())
}

/// A number of instances, or `"max"`: one for each CPU that the daemon may use.
pub(crate) fn instances(value: &Value, reading: &mut Reading) -> Option<u32> {
    if value.as_text() == Some("max") {
        let cpus = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        return Some(
            u32::try_from(cpus)
                .unwrap_or(u32::MAX)
                .min(App::MAX_INSTANCES),
        );
    }
    let problem = match value.as_integer() {
        Some(number) => match u32::try_from(number) {
            Ok(fits @ 1..=App::MAX_INSTANCES) => return Some(fits),
            Ok(0) => Problem::new("it cannot be 0")
                .hint("write \"max\" for one per CPU, or stop the app to have none run"),
            _ => Problem::new(format!(
                "{number} is not between 1 and {}",
                App::MAX_INSTANCES
            )),
        },
        None => Problem::new(format!(
            "expected an integer from 1 to {}, or \"max\"",
            App::MAX_INSTANCES
        )),
    };
    value.fault(problem, reading)
}

/// Names of apps, each once. That an app does not name itself is checked when its name is known.
pub(crate) fn after(value: &Value, reading: &mut Reading) -> Option<Vec<Name>> {
    let names = value.each("an array of names of apps", name, reading)?;
    let mut seen = BTreeSet::new();
    Some(
        names
            .into_iter()
            .filter(|name| seen.insert(name.clone()))
            .collect(),
    )
}

fn name(value: &Value, reading: &mut Reading) -> Option<Name> {
    let text = text(value, reading)?;
    Name::new(&text).map_or_else(
        |bad| value.fault(Problem::new(bad.to_string()), reading),
        Some,
    )
}

/// Empty, or of the characters of a name.
pub(crate) fn namespace(value: &Value, reading: &mut Reading) -> Option<String> {
    let text = text(value, reading)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !text.chars().all(allowed) || text.len() > Name::MAX {
        let problem = format!(
            "a namespace has letters, digits, '.', '_' and '-', at most {}",
            Name::MAX
        );
        return value.fault(Problem::new(problem), reading);
    }
    Some(text)
}

/// A user or a group, by name or number. Whether it exists is known where it runs.
pub(crate) fn account(value: &Value, reading: &mut Reading) -> Option<String> {
    let text = some_text(value, reading)?;
    if text.contains(|c: char| c == ':' || c == '/' || c.is_whitespace() || c.is_control()) {
        let problem = Problem::new(format!(
            "{} is not the name of a user or a group",
            shown(&text)
        ));
        let hint = text
            .contains(':')
            .then_some("write user = \"…\" and group = \"…\" apart");
        return value.fault(
            Problem {
                hint: hint.map(str::to_owned),
                ..problem
            },
            reading,
        );
    }
    Some(text)
}

/// A signal by name or number.
pub(crate) fn signal(value: &Value, reading: &mut Reading) -> Option<StopSignal> {
    let written = match value.as_integer() {
        Some(number) => number.to_string(),
        None => text(value, reading)?,
    };
    StopSignal::parse(&written).map_or_else(
        |bad| value.fault(Problem::new(bad.to_string()), reading),
        Some,
    )
}

/// Exit codes and names of signals.
pub(crate) fn exits(value: &Value, reading: &mut Reading) -> Option<BTreeSet<Exit>> {
    let exits = value.each("an array of exit codes and signals", exit, reading)?;
    Some(exits.into_iter().collect())
}

fn exit(value: &Value, reading: &mut Reading) -> Option<Exit> {
    let Some(number) = value.as_integer() else {
        // A number in quotes could be either; only names are signals here.
        return match value.as_text() {
            Some(digits) if digits.parse::<i128>().is_ok() => {
                let problem =
                    Problem::new("a number in quotes is neither an exit code nor a signal's name");
                value.fault(
                    problem.hint(format!("write {digits} for the code")),
                    reading,
                )
            }
            _ => signal(value, reading).map(|signal| Exit::Signal(signal.number())),
        };
    };
    match u8::try_from(number) {
        Ok(code) => Some(Exit::Code(code)),
        Err(_) => value.fault(
            Problem::new(format!(
                "{number} is not an exit code: they go from 0 to 255"
            )),
            reading,
        ),
    }
}
