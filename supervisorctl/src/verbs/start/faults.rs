//! Faults of a definition, told in the words that were typed: `--watch`, not `app.x.watch.paths`.

use supervisor_protocol::Fault;

use super::definition::Definition;
use crate::errors::CliError;

/// Which option gives which key of an app's table.
const OPTIONS: &[(&str, &str)] = &[
    ("directory", "--cwd"),
    ("user", "--user"),
    ("group", "--group"),
    ("namespace", "--namespace"),
    ("env", "--env"),
    ("env_file", "--env-file"),
    ("instances", "--instances"),
    ("stdin", "--stdin"),
    ("boot", "--boot"),
    ("after", "--after"),
    ("schedule", "--cron"),
    ("restart.policy", "--no-autorestart"),
    ("restart.success", "--stop-exit-codes"),
    ("restart.delay", "--restart-delay"),
    ("restart.stable_after", "--min-uptime"),
    ("restart.max_restarts", "--max-restarts"),
    ("stop.signal", "--stop-signal"),
    ("stop.timeout", "--kill-timeout"),
    ("ready.notify", "--wait-ready"),
    ("ready.timeout", "--listen-timeout"),
    ("logs.stdout", "--output, --log, --disable-logs"),
    ("logs.stderr", "--error, --disable-logs"),
    ("logs.merge", "--log"),
    ("logs.format", "--time"),
    ("limits.memory", "--max-memory-restart"),
    ("watch.paths", "--watch"),
    ("watch.ignore", "--ignore-watch"),
    ("watch.debounce", "--watch-delay"),
];

/// What the daemon refused, in the words of the command line.
pub fn in_options(error: CliError, definition: &Definition) -> CliError {
    let faults = error.faults.into_iter();
    CliError {
        faults: faults.map(|fault| of_option(fault, definition)).collect(),
        ..error
    }
}

fn of_option(fault: Fault, definition: &Definition) -> Fault {
    let option = fault.key.as_deref().and_then(|key| {
        // A name that needs quotes is one that is not allowed.
        let rest = key.strip_prefix("app.")?;
        match rest.strip_prefix(&format!("{}.", definition.name)) {
            Some(key) => option(key),
            None => (!rest.contains('.') || rest.starts_with('"')).then_some("--name"),
        }
    });
    let Some(option) = option else { return fault };
    // What else could be written is for a file.
    let hint = fault.hint.map(|hint| match hint.split_once(", or write ") {
        Some((before, _)) => before.to_owned(),
        None => hint,
    });
    Fault {
        key: Some(option.to_owned()),
        hint,
        ..fault
    }
}

/// The option that gives this key, or what is in it.
pub fn option(key: &str) -> Option<&'static str> {
    let within = |whole: &str| {
        let rest = key.strip_prefix(whole);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let found = OPTIONS.iter().find(|(whole, _)| within(whole));
    found.map(|(_, option)| *option)
}
