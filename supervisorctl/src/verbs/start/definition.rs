//! The definition of an app, as it would stand in a config file, from the words of the command
//! line. Whether its values are right is for the daemon to say, as for a file.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::options::{AppOptions, Instances};
use super::program::{self, Program, Surroundings};
use super::{below, interpreter};
use crate::errors::{CliError, Exit};

/// A name has at most so many characters.
const NAME_MAX: usize = 64;

/// One app.
#[derive(Clone, Debug)]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// The caller's folder.
    pub here: PathBuf,
    table: Table,
}

impl Definition {
    /// From the word, the options and what stood after `--`.
    pub fn new(
        word: &str,
        options: &AppOptions,
        args: &[String],
        around: Surroundings,
    ) -> Result<Definition, CliError> {
        let folder = options.cwd.as_ref().map(|cwd| below(&around.here, cwd));
        let found = program::find(word, folder.as_deref().unwrap_or(&around.here), &around)?;
        let named_after = match &found {
            Program::File(file) => file.clone(),
            Program::Command(words) => main_word(words).into(),
        };
        let mut command = command(found, options, &around)?;
        command.extend_from_slice(args);
        let name = options
            .name
            .clone()
            .unwrap_or_else(|| name_of(&named_after));
        let table = table(command, folder.as_deref(), options, &around.here);
        Ok(Definition {
            name,
            here: around.here,
            table,
        })
    }

    /// The config text with its one `[app.NAME]` table.
    pub fn text(&self) -> String {
        let apps = Table::from_iter([(self.name.clone(), Value::Table(self.table.clone()))]);
        Table::from_iter([("app".to_owned(), Value::Table(apps))]).to_string()
    }
}

fn command(
    found: Program,
    options: &AppOptions,
    around: &Surroundings,
) -> Result<Vec<String>, CliError> {
    let given = options.interpreter.as_deref();
    let runner_args = match &options.node_args {
        Some(line) => shlex::split(line).ok_or_else(|| {
            CliError::new(
                Exit::Usage,
                format!("a quote is not closed in --node-args: {line}"),
            )
        })?,
        None => Vec::new(),
    };
    let (runner, rest) = match found {
        Program::File(file) => {
            let runner = interpreter::choose(&file, given, around)?;
            let file = file.to_str().ok_or_else(|| {
                CliError::new(Exit::Failed, format!("{} is not UTF-8", file.display()))
            })?;
            (runner, vec![file.to_owned()])
        }
        // An interpreter that was named runs whatever was named.
        Program::Command(words) => (given.filter(|g| *g != "none").map(str::to_owned), words),
    };
    match runner {
        Some(runner) => Ok([vec![runner], runner_args, rest].concat()),
        None if runner_args.is_empty() => Ok(rest),
        None => Err(CliError::new(
            Exit::Usage,
            "--node-args is for an interpreter, and this one runs without",
        )
        .hint("arguments of the command itself go after `--`")),
    }
}

/// The word that a command line is called by: its script (`node dist/index.js`), else its command.
fn main_word(words: &[String]) -> &str {
    let script = words
        .iter()
        .find(|word| interpreter::has_suffix(Path::new(word)));
    script.or_else(|| words.first()).map_or("", String::as_str)
}

/// The stem of a file's name, with the characters that a name may have.
pub fn name_of(file: &Path) -> String {
    let stem = file
        .file_stem()
        .map(|stem| stem.to_string_lossy())
        .unwrap_or_default();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let mut name: String = stem
        .chars()
        .map(|c| if allowed(c) { c } else { '-' })
        .collect();
    while name.contains("..") {
        name = name.replace("..", ".");
    }
    let name = name.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    let name = name[..name.len().min(NAME_MAX)].trim_end_matches(['-', '.']);
    match name {
        "" | "all" => "app".into(),
        name => name.into(),
    }
}

fn table(command: Vec<String>, folder: Option<&Path>, options: &AppOptions, here: &Path) -> Table {
    let mut app = Section::default();
    app.list("command", command);
    app.text(
        "directory",
        folder.map(|folder| folder.display().to_string()),
    );
    app.text("user", options.user.clone());
    app.text("group", options.group.clone());
    app.text("namespace", options.namespace.clone());
    let env = options
        .env
        .iter()
        .map(|(name, value)| (name.clone(), value.clone().into()));
    app.section("env", Section(env.collect()));
    // The caller means a file of this folder, not of the one where the app runs.
    let env_files = options
        .env_file
        .iter()
        .map(|file| below(here, file).display().to_string());
    app.list("env_file", env_files.collect());
    app.value(
        "instances",
        options.instances.map(|instances| match instances {
            Instances::Max => "max".into(),
            Instances::Count(count) => Value::Integer(count.into()),
        }),
    );
    app.text("stdin", options.stdin.clone());
    app.text("boot", options.boot.clone());
    app.list("after", options.after.clone());
    app.list("wait_for", options.wait_for.clone());
    app.text("schedule", options.cron.clone());
    app.section("restart", restart(options));

    let mut stop = Section::default();
    let signal = options.stop_signal.map(|signal| signal.name().into_owned());
    stop.text("signal", signal);
    stop.text("timeout", options.kill_timeout.clone());
    app.section("stop", stop);

    let mut ready = Section::default();
    ready.flag("notify", options.wait_ready);
    ready.text("timeout", options.listen_timeout.clone());
    app.section("ready", ready);
    app.section("logs", logs(options, here));

    let mut limits = Section::default();
    limits.text("memory", options.max_memory_restart.clone());
    app.section("limits", limits);

    let mut watch = Section::default();
    watch.list("paths", options.watch.clone());
    watch.list("ignore", options.ignore_watch.clone());
    watch.text("debounce", options.watch_delay.clone());
    app.section("watch", watch);
    app.0
}

fn restart(options: &AppOptions) -> Section {
    let policy = match (options.no_autorestart, options.stop_exit_codes.is_empty()) {
        (true, _) => Some("never"),
        (false, false) => Some("on-failure"),
        (false, true) => None,
    };
    let codes: Vec<_> = options
        .stop_exit_codes
        .iter()
        .map(|&code| Value::Integer(code.into()))
        .collect();
    let mut restart = Section::default();
    restart.text("policy", policy.map(str::to_owned));
    restart.value(
        "success",
        (!codes.is_empty()).then_some(Value::Array(codes)),
    );
    restart.text("delay", options.restart_delay.clone());
    restart.text("stable_after", options.min_uptime.clone());
    restart.value(
        "max_restarts",
        options
            .max_restarts
            .map(|count| Value::Integer(count.into())),
    );
    restart
}

fn logs(options: &AppOptions, here: &Path) -> Section {
    // As with env files; "null" is no file.
    let file = |given: &String| match given.as_str() {
        "null" | "NULL" | "/dev/null" => "null".to_owned(),
        given => {
            let path = below(here, given);
            let path = if several(options) { each(&path) } else { path };
            path.display().to_string()
        }
    };
    let none = options.disable_logs.then(|| "null".to_owned());
    let both = options.log.as_ref().or(options.output.as_ref());
    let mut logs = Section::default();
    logs.text("stdout", none.clone().or(both.map(file)));
    logs.text("stderr", none.or(options.error.as_ref().map(file)));
    logs.flag("merge", options.log.is_some());
    logs.text("format", options.time.then(|| "timestamp".to_owned()));
    logs
}

fn several(options: &AppOptions) -> bool {
    match options.instances {
        Some(Instances::Max | Instances::Count(2..)) => true,
        Some(Instances::Count(_)) | None => false,
    }
}

/// A file for each instance, named as PM2 names them: `out.log` is `out-0.log`, `out-1.log` and so on.
fn each(path: &Path) -> PathBuf {
    const INSTANCE: &str = "{instance}";
    let lossy = |part: Option<&std::ffi::OsStr>| {
        part.map_or_else(String::new, |part| part.to_string_lossy().into_owned())
    };
    if path.to_string_lossy().contains(INSTANCE) {
        return path.to_owned();
    }
    let stem = lossy(path.file_stem());
    match lossy(path.extension()).as_str() {
        "" => path.with_file_name(format!("{stem}-{INSTANCE}")),
        end => path.with_file_name(format!("{stem}-{INSTANCE}.{end}")),
    }
}

/// A table that only has the keys that were given.
#[derive(Default)]
struct Section(Table);

impl Section {
    fn value(&mut self, key: &str, value: Option<Value>) {
        if let Some(value) = value {
            self.0.insert(key.to_owned(), value);
        }
    }

    fn text(&mut self, key: &str, text: Option<String>) {
        self.value(key, text.map(Value::String));
    }

    fn flag(&mut self, key: &str, set: bool) {
        self.value(key, set.then_some(Value::Boolean(true)));
    }

    fn list(&mut self, key: &str, list: Vec<String>) {
        let list: Vec<_> = list.into_iter().map(Value::String).collect();
        self.value(key, (!list.is_empty()).then_some(Value::Array(list)));
    }

    fn section(&mut self, key: &str, section: Section) {
        self.value(
            key,
            (!section.0.is_empty()).then_some(Value::Table(section.0)),
        );
    }
}
