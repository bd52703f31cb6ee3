//! The root of the command line: parsing, and what several verbs have in common.
//!
//! The words of a verb stand in its own file in `verbs`. Promises that whatever is typed ends in
//! a verb, or in one message and its exit code.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{Args, Parser};
use clap_complete::ArgValueCompleter;
use supervisor_config::StopSignal;

use crate::errors::{CliError, Exit};
use crate::output::{self, Out, Style};
use crate::render::color::{Colour, paint};
use crate::render::sanitize;
use crate::render::text::hang;
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
    /// Speak to the system's daemon rather than to one's own (SUPERVISOR_SYSTEM=1: always)
    #[arg(long, global = true)]
    pub system: bool,
    /// Print version (PM2's)
    #[arg(short = 'v', action = clap::ArgAction::Version, hide = true)]
    v: Option<bool>,
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
    if let Some(verb) = verbs::read_quickly(words) {
        return verbs::run(Cli {
            silent: false,
            system: false,
            v: None,
            verb,
        });
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
    if error.use_stderr() && error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let text = sanitize::block(&error.render().to_string());
        output::tell(&explained(
            &text,
            Style::of_stderr(),
            output::width_of_stderr(),
        ));
        return Ok(Exit::Usage);
    }
    error.print().map_err(|e| CliError::from_output(&e))?;
    Ok(match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Done,
        _ => Exit::Usage,
    })
}

/// clap's explanation, which it would not wrap.
fn explained(text: &str, style: Style, width: Option<usize>) -> String {
    const TITLE: &str = "error:";
    let lines = text.lines().map(|line| {
        let body = line.trim_start();
        let (indent, _) = line.split_at(line.len() - body.len());
        let line = format!("{indent}{}\n", hang(indent.len() + 4, body, width));
        match line.strip_prefix(TITLE) {
            Some(rest) => paint(style, Colour::Red, TITLE) + rest,
            None => line,
        }
    });
    lines.collect()
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

/// By name or number, real-time ones too.
pub fn signal(text: &str) -> Result<StopSignal, String> {
    StopSignal::parse(text).map_err(|_| {
        "a signal's name or number, such as HUP, SIGUSR2, 15, RTMIN+3; it comes before the app"
            .into()
    })
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
    fn what_is_read_quickly_is_what_the_whole_parser_reads() {
        let lines = [
            "status --json api 'x*'",
            "ls",
            "list all",
            "restart api --no-wait",
            "up f.toml --dry-run",
            "start a.js --name a -i 2 --env A=b -- --json -x",
            "start all",
            "stop 1 2 --json",
            "reload all",
            "delete ns/",
            "show api --show-env",
            "logs api -n 3 --nostream",
        ];
        for line in lines {
            let words = shlex::split(&format!("supervisorctl {line}")).unwrap();
            let words: Vec<OsString> = words.into_iter().map(OsString::from).collect();
            let quickly = verbs::read_quickly(&words).expect(line);
            let cli = Cli::try_parse_from(&words).expect(line);
            assert_eq!(format!("{quickly:?}"), format!("{:?}", cli.verb));
        }
        for line in [
            "status --help",
            "restart",
            "-s status",
            "stop -s a",
            "help up",
            "why a",
        ] {
            let words = format!("supervisorctl {line}");
            let words: Vec<OsString> = words.split(' ').map(OsString::from).collect();
            assert!(verbs::read_quickly(&words).is_none(), "{line}");
        }
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
        let name = |text| signal(text).map(|signal| signal.name().into_owned());
        for text in ["hup", "SIGHUP", "1", "sighup"] {
            assert_eq!(name(text), Ok("SIGHUP".into()), "{text}");
        }
        for text in ["SIGRTMIN+3", "rtmin+3", "37"] {
            assert_eq!(name(text), Ok("SIGRTMIN+3".into()), "{text}");
        }
        assert!(
            ["", "NOPE", "0", "99"]
                .iter()
                .all(|text| signal(text).is_err())
        );
    }

    #[test]
    fn what_clap_explains_is_wrapped_between_words() {
        let words = ["supervisorctl", "signal", "api", "HUP"];
        let text = Cli::try_parse_from(words).unwrap_err().render().to_string();
        let text = explained(&text, Style::Plain, Some(60));
        assert!(text.lines().all(|line| line.len() <= 60), "{text}");
        insta::assert_snapshot!("explained", text);
        let coloured = explained("error: x\n", Style::Coloured, None);
        assert_eq!(coloured, "\x1b[1;31merror:\x1b[0m x\n");
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
