//! The words of the command line. Each verb's help has an example; what a verb does is in `verbs`.

use std::path::PathBuf;
use std::str::FromStr as _;

use clap::{Args, Parser, Subcommand, ValueEnum};
use nix::sys::signal::Signal;

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
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make the apps of a file so: start new ones, restart changed ones, remove those that are gone
    #[command(
        visible_alias = "apply",
        after_help = "Without FILE: ./supervisor.toml, else the configured files. Starts the daemon if none runs.\n\n\
                      Example: supervisorctl up supervisor.toml --dry-run"
    )]
    Up(Up),
    /// Start what is known, or add a script or command as a new app and start it
    #[command(
        after_help = "Without a path, WORD is a known TARGET before it is a script or command. A script's \
                      interpreter follows from its suffix: .js .cjs .mjs .ts .py .sh .rb .php .pl; \
                      anything executable runs itself. Starts the daemon if none runs.\n\n\
                      Examples:\n  supervisorctl start dist/index.js --name api -i 2 --env PORT=3001\n  \
                      supervisorctl start npm --name shop -- run start\n  supervisorctl start api"
    )]
    Start(Box<Start>),
    /// Stop apps; they stay stopped until they are started again
    #[command(after_help = "Example: supervisorctl stop api 'worker-*'")]
    Stop(Targets),
    /// Stop and start apps; one that is stopped is started
    #[command(after_help = "Example: supervisorctl restart api")]
    Restart(Targets),
    /// Stop apps and forget them; their logs stay
    #[command(visible_alias = "rm", aliases = ["del", "remove"], after_help = "Example: supervisorctl delete api")]
    Delete(Targets),
    /// The table of all apps, or of those named
    #[command(
        visible_aliases = ["list", "ls", "ps", "l"],
        after_help = "With TARGETs the exit code is 3 when not all of them are running.\n\n\
                      Example: supervisorctl status api --json"
    )]
    Status(Status),
    /// All there is to know of an app
    #[command(visible_aliases = ["describe", "info"], after_help = "Example: supervisorctl show api")]
    Show(Show),
    /// The last lines of the logs, then what comes
    #[command(
        aliases = ["log", "tail"],
        after_help = "Where more than one file is shown, each line begins with the app's name: `api | ` for \
                      standard output, `api ! ` for standard error. Ctrl-C ends it.\n\n\
                      Example: supervisorctl logs api -n 100 --no-follow"
    )]
    Logs(Logs),
    /// Send a signal to apps
    #[command(after_help = "Example: supervisorctl signal HUP nginx")]
    Signal(SignalArgs),
    /// The daemon itself
    #[command(after_help = "Example: supervisorctl daemon status")]
    Daemon {
        /// What to do with it.
        #[command(subcommand)]
        verb: DaemonVerb,
    },
    /// Nothing to do: everything is always saved
    #[command(hide = true, after_help = "Example: supervisorctl save")]
    Save,
    /// What PM2 calls `daemon stop`
    #[command(hide = true, after_help = "Example: supervisorctl daemon stop")]
    Kill,
}

/// `daemon …`
#[derive(Debug, Subcommand)]
pub enum DaemonVerb {
    /// Its processes, its age, its version
    #[command(after_help = "Example: supervisorctl daemon status --json")]
    Status {
        /// As one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Stop all apps in order, then the daemon; the next start brings back what ran
    #[command(after_help = "Example: supervisorctl daemon stop")]
    Stop,
}

/// Arguments of `up`.
#[derive(Debug, Args)]
pub struct Up {
    /// The config file
    pub file: Option<PathBuf>,
    /// Print the plan and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not wait until all are up or one has failed
    #[arg(long)]
    pub no_wait: bool,
    /// As one JSON object with `plans` and `outcomes`
    #[arg(long)]
    pub json: bool,
}

/// Some targets.
#[derive(Debug, Args)]
pub struct Targets {
    /// NAME, NAME:INSTANCE, number, ns/, 'glob*' or all
    #[arg(required = true, value_name = "TARGET")]
    pub targets: Vec<String>,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct Status {
    /// NAME, NAME:INSTANCE, number, ns/, 'glob*' or all
    #[arg(value_name = "TARGET")]
    pub targets: Vec<String>,
    /// As a JSON list, one object for each instance
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `show`.
#[derive(Debug, Args)]
pub struct Show {
    /// NAME, NAME:INSTANCE, number, ns/, 'glob*' or all
    pub target: String,
    /// As a JSON list, one object for each instance
    #[arg(long)]
    pub json: bool,
    /// Show the values of the environment, which may be secrets
    #[arg(long)]
    pub show_env: bool,
}

/// One of an app's output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// Arguments of `logs`.
#[derive(Debug, Args)]
pub struct Logs {
    /// NAME, NAME:INSTANCE, number, ns/, 'glob*' or all; none means all
    #[arg(value_name = "TARGET")]
    pub targets: Vec<String>,
    /// How many of the last lines of each file
    #[arg(short = 'n', long, value_name = "N", default_value_t = 15)]
    pub lines: usize,
    /// End after the last lines
    #[arg(long, visible_alias = "nostream")]
    pub no_follow: bool,
    /// Only standard output or only standard error
    #[arg(long)]
    pub stream: Option<Stream>,
    /// The bytes as they are: no names, and nothing is made harmless for the terminal
    #[arg(long)]
    pub raw: bool,
}

/// Arguments of `signal`.
#[derive(Debug, Args)]
pub struct SignalArgs {
    /// Its name or number: HUP, SIGUSR2, 15
    #[arg(value_parser = signal)]
    pub signal: Signal,
    /// To whom.
    #[command(flatten)]
    pub targets: Targets,
}

/// Arguments of `start`.
#[derive(Debug, Args)]
pub struct Start {
    /// TARGETs, or one SCRIPT or COMMAND (in quotes with its arguments)
    #[arg(required = true, value_name = "TARGET|SCRIPT|COMMAND")]
    pub words: Vec<String>,
    /// How the new app is to be run.
    #[command(flatten)]
    pub options: AppOptions,
    /// Do not wait until it is up or has failed
    #[arg(long)]
    pub no_wait: bool,
    /// Arguments for the script or command
    #[arg(last = true, value_name = "ARGS")]
    pub args: Vec<String>,
}

/// What an app is given on the command line; the config file's keys, with PM2's spellings too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Options for a new app")]
pub struct AppOptions {
    /// The app's name; otherwise the file's name without its suffix
    #[arg(short, long)]
    pub name: Option<String>,
    /// How many of it, or "max": one for each processor
    #[arg(short, long, value_name = "N|max", value_parser = instances)]
    pub instances: Option<Instances>,
    /// One variable of its environment; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = variable)]
    pub env: Vec<(String, String)>,
    /// A dotenv file, read at each start; may be repeated
    #[arg(long, value_name = "FILE")]
    pub env_file: Vec<String>,
    /// Where it runs; otherwise here
    #[arg(long, visible_alias = "directory", value_name = "DIR")]
    pub cwd: Option<PathBuf>,
    /// The user it runs as (root daemon only)
    #[arg(long)]
    pub user: Option<String>,
    /// The group it runs as (root daemon only)
    #[arg(long)]
    pub group: Option<String>,
    /// Its namespace: `ns/` then means all of them
    #[arg(long, value_name = "NS")]
    pub namespace: Option<String>,
    /// What runs the script, instead of what its suffix says; "none": it runs itself
    #[arg(long, value_name = "PROGRAM")]
    pub interpreter: Option<String>,
    /// Arguments for the interpreter, in quotes
    #[arg(
        long,
        visible_alias = "interpreter-args",
        value_name = "ARGS",
        allow_hyphen_values = true
    )]
    pub node_args: Option<String>,
    /// Do not start it again when it ends
    #[arg(long)]
    pub no_autorestart: bool,
    /// Before the first restart: milliseconds, or as 2s
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub restart_delay: Option<String>,
    /// Quick exits in a row before it is given up; 0: never
    #[arg(long, value_name = "N")]
    pub max_restarts: Option<u32>,
    /// From the stop signal to SIGKILL: milliseconds, or as 10s
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub kill_timeout: Option<String>,
    /// What asks it to stop; otherwise SIGTERM
    #[arg(long, value_name = "SIGNAL", value_parser = signal)]
    pub stop_signal: Option<Signal>,
    /// At the daemon's start: always, never, or last (as it was)
    #[arg(long, value_parser = ["always", "never", "last"])]
    pub boot: Option<String>,
    /// Starts when this app is ready; may be repeated
    #[arg(long, value_name = "APP")]
    pub after: Vec<String>,
}

/// How many instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instances {
    /// As many as processors.
    Max,
    /// So many.
    Count(u32),
}

fn instances(text: &str) -> Result<Instances, String> {
    match (text, text.parse()) {
        ("max", _) => Ok(Instances::Max),
        (_, Ok(count @ 1..)) => Ok(Instances::Count(count)),
        (_, Ok(_) | Err(_)) => Err("a number from 1 up, or max".into()),
    }
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.into(), value.into())),
        Some(_) | None => Err("it must be KEY=VALUE".into()),
    }
}

/// PM2 writes milliseconds without a unit.
fn duration(text: &str) -> Result<String, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = &text[digits.len()..];
    match (digits.parse::<u64>(), unit) {
        (Ok(ms), "") => Ok(format!("{ms}ms")),
        (Ok(_), "ms" | "s" | "m" | "h" | "d") => Ok(text.to_owned()),
        (Ok(_) | Err(_), _) => Err("milliseconds, or a duration such as 250ms, 10s, 5m".into()),
    }
}

fn signal(text: &str) -> Result<Signal, String> {
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
        assert_eq!(instances("max"), Ok(Instances::Max));
        assert_eq!(instances("4"), Ok(Instances::Count(4)));
        assert!(
            ["0", "-1", "many"]
                .iter()
                .all(|text| instances(text).is_err())
        );
        assert_eq!(variable("A=b=c"), Ok(("A".into(), "b=c".into())));
        assert!(["A", "=b", ""].iter().all(|text| variable(text).is_err()));
        for text in ["hup", "SIGHUP", "1", "sighup"] {
            assert_eq!(signal(text), Ok(Signal::SIGHUP), "{text}");
        }
        assert!(
            ["", "NOPE", "0", "99"]
                .iter()
                .all(|text| signal(text).is_err())
        );
    }
}
