//! The root of the command line: parsing, and what several verbs have in common.
//!
//! The words of a verb stand in its own file in `verbs`. Promises that whatever is typed ends in
//! a verb, or in one message and its exit code.

use std::ffi::OsString;
use std::str::FromStr as _;

use clap::error::ErrorKind;
use clap::{Args, Parser};
use clap_complete::ArgValueCompleter;
use nix::sys::signal::Signal;

use crate::errors::{CliError, Exit};
use crate::output::{self, Out};
use crate::verbs::foreign::{self, Instead};
use crate::verbs::{self, Verb, completions};

/// Runs programs and keeps them running.
#[derive(Debug, Parser)]
#[command(
    name = "supervisorctl",
    version,
    after_help = "TARGET is an app's name, NAME:INSTANCE, the number that `status` shows, a namespace \
                  written ns/, a glob in quotes, or all.\n\n\
                  Exit codes: 0 done, 1 it failed or part of it did, 2 wrong usage, 3 not all named are \
                  running (status TARGET), 4 no such app, 5 no daemon answers.\n\n\
                  Example: supervisorctl start dist/index.js --name api"
)]
pub struct Cli {
    /// Print no outcomes; the exit code tells (PM2's)
    #[arg(short, long, global = true, hide = true)]
    pub silent: bool,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What one needs first.
const FIRST_WORDS: &str = "\
Runs programs and keeps them running.

  supervisorctl start SCRIPT --name NAME   add a script or command and start it
  supervisorctl up [FILE]                  make the apps of a config file so
  supervisorctl status                     the table of all apps
  supervisorctl logs [NAME]                the last lines of the logs, then what comes
  supervisorctl restart|stop|delete NAME   change one app, several, or all
  supervisorctl show NAME                  all there is to know of an app

All verbs: supervisorctl --help. One of them: supervisorctl VERB --help.
";

/// Carries out a command line, whose first word is the program.
pub fn run(words: &[OsString]) -> Result<Exit, CliError> {
    if words.len() < 2 {
        output::tell(FIRST_WORDS);
        return Ok(Exit::Usage);
    }
    let error = match Cli::try_parse_from(words) {
        Ok(cli) => return verbs::run(cli),
        Err(error) => error,
    };
    match foreign::instead(&error, words) {
        // These begin with a verb of ours, so that this does not come round again.
        Some(Instead::Words(words)) => run(&words),
        Some(Instead::Nothing(why)) => {
            Out::new().text(&format!("{why}\n"))?;
            Ok(Exit::Done)
        }
        Some(Instead::Refused(refused)) => Err(refused),
        None => from_clap(&error, wants_json(words)),
    }
}

/// Whether a script reads what is printed, also where the words are otherwise wrong.
pub fn wants_json(words: &[OsString]) -> bool {
    let options = words.iter().take_while(|word| *word != "--");
    options.into_iter().any(|word| word == "--json")
}

/// Help, the version, or words that are wrong in a way that clap explains.
fn from_clap(error: &clap::Error, json: bool) -> Result<Exit, CliError> {
    if error.use_stderr() && json {
        let text = error.render().to_string();
        let message = text.trim().trim_start_matches("error: ");
        return Err(CliError::new(Exit::Usage, message));
    }
    error.print().map_err(|e| CliError::from_output(&e))?;
    Ok(match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Done,
        _ => Exit::Usage,
    })
}

// What follows is part of several verbs. clap takes a doc comment of such a part for the text of
// the whole verb, which is why they have none.

// Which apps.
#[derive(Debug, Args)]
pub struct Targets {
    /// NAME, NAME:INSTANCE, number, ns/, 'glob*' or all
    #[arg(required = true, value_name = "TARGET", add = ArgValueCompleter::new(completions::targets))]
    pub targets: Vec<String>,
}

// Which apps; none means all.
#[derive(Debug, Args)]
pub struct AnyTargets {
    /// NAME, NAME:INSTANCE, number, ns/, 'glob*' or all; none means all
    #[arg(value_name = "TARGET", add = ArgValueCompleter::new(completions::targets))]
    pub targets: Vec<String>,
}

// How a change is told.
#[derive(Debug, Args)]
pub struct Told {
    /// As a JSON list, one object for each target
    #[arg(long)]
    pub json: bool,
    /// PM2's: the environment is worked out anew at each start, so there is nothing to ask for.
    #[arg(short = 'a', long, hide = true)]
    update_env: bool,
}

// Whether a change is waited for.
#[derive(Debug, Args)]
pub struct Waits {
    /// Do not wait for the outcome
    #[arg(long)]
    pub no_wait: bool,
}

/// PM2 writes milliseconds without a unit.
pub fn duration(text: &str) -> Result<String, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = &text[digits.len()..];
    match (digits.parse::<u64>(), unit) {
        (Ok(ms), "") => Ok(format!("{ms}ms")),
        (Ok(_), "ms" | "s" | "m" | "h" | "d") => Ok(text.to_owned()),
        (Ok(_) | Err(_), _) => Err("milliseconds, or a duration such as 250ms, 10s, 5m".into()),
    }
}

/// By name or number.
pub fn signal(text: &str) -> Result<Signal, String> {
    let upper = text.to_ascii_uppercase();
    let name = if upper.starts_with("SIG") {
        upper
    } else {
        format!("SIG{upper}")
    };
    let by_number = || {
        text.parse()
            .ok()
            .and_then(|number: i32| Signal::try_from(number).ok())
    };
    Signal::from_str(&name)
        .ok()
        .or_else(by_number)
        .ok_or_else(|| "a signal's name or number, such as HUP, SIGUSR2, 15".into())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn help() {
        let mut root = Cli::command().term_width(100);
        root.build();
        root.clone().debug_assert();
        let mut text = String::new();
        let mut queue = vec![root];
        while let Some(mut command) = queue.pop() {
            let help = command.render_long_help().to_string();
            assert!(help.contains("Example"), "{help}");
            assert!(command.get_about().is_some(), "{help}");
            let lines: Vec<_> = help.lines().map(str::trim_end).collect();
            text.push_str(&format!("{}\n{}\n\n", "=".repeat(80), lines.join("\n")));
            let inner = command.get_subcommands().filter(|c| c.get_name() != "help");
            let mut inner: Vec<_> = inner.cloned().map(|c| c.term_width(100)).collect();
            inner.reverse();
            queue.extend(inner);
        }
        insta::assert_snapshot!(text);
    }

    #[test]
    fn values_of_options() {
        assert_eq!(duration("1500"), Ok("1500ms".into()));
        assert_eq!(duration("2s"), Ok("2s".into()));
        assert!(
            ["", "s", "2 s", "-1", "1w", "1.5s"]
                .iter()
                .all(|text| duration(text).is_err())
        );
        for text in ["hup", "SIGHUP", "1", "sighup"] {
            assert_eq!(signal(text), Ok(Signal::SIGHUP), "{text}");
        }
        assert!(
            ["", "NOPE", "0", "99"]
                .iter()
                .all(|text| signal(text).is_err())
        );
    }

    #[test]
    fn json_is_an_option_only_before_the_arguments_of_an_app() {
        let wants = |words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            wants_json(&words)
        };
        assert!(wants(&["supervisorctl", "status", "--json"]));
        assert!(!wants(&["supervisorctl", "start", "a", "--", "--json"]));
    }
}
