//! What an app is given on the command line: the config file's keys, with PM2's spellings too.
//!
//! A key that the daemon does not carry out yet is passed on like any other: it is for the daemon
//! to say so, and to carry it out one day.

use std::env;
use std::path::PathBuf;

use clap::Args;
use supervisor_config::StopSignal;

use crate::cli::{duration, signal};

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
    /// One variable of its environment, by KEY alone as it is here; may be repeated
    #[arg(long, value_name = "KEY[=VALUE]", value_parser = variable)]
    pub env: Vec<(String, String)>,
    /// A dotenv file, read at each start; may be repeated
    #[arg(long, value_name = "FILE")]
    pub env_file: Vec<String>,
    /// Where it runs; otherwise here
    #[arg(long, visible_alias = "directory", value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub cwd: Option<PathBuf>,
    /// The user it runs as (root daemon only)
    #[arg(short, long, visible_alias = "uid")]
    pub user: Option<String>,
    /// The group it runs as (root daemon only)
    #[arg(long, visible_alias = "gid")]
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
    /// Exit codes after which it is not started again; after any other it is
    #[arg(long, value_name = "CODE", num_args = 1.., conflicts_with = "no_autorestart")]
    pub stop_exit_codes: Vec<u8>,
    /// Before the first restart: milliseconds, or as 2s; further ones wait longer each time
    #[arg(long, visible_alias = "exp-backoff-restart-delay", value_name = "TIME", value_parser = duration)]
    pub restart_delay: Option<String>,
    /// Quick exits in a row before it is given up; 0: never
    #[arg(long, value_name = "N")]
    pub max_restarts: Option<u32>,
    /// Up for so long, an exit is no quick one: milliseconds, or as 10s
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub min_uptime: Option<String>,
    /// From the stop signal to SIGKILL: milliseconds, or as 10s
    #[arg(short, long, value_name = "TIME", value_parser = duration)]
    pub kill_timeout: Option<String>,
    /// What asks it to stop; otherwise SIGTERM
    #[arg(long, visible_alias = "kill-signal", value_name = "SIGNAL", value_parser = signal)]
    pub stop_signal: Option<StopSignal>,
    /// At the daemon's start: always, never, or last (as it was)
    #[arg(long, value_parser = ["always", "never", "last"])]
    pub boot: Option<String>,
    /// Starts when this app is ready; may be repeated
    #[arg(long, value_name = "APP")]
    pub after: Vec<String>,
    /// Starts when this answers: tcp:HOST:PORT, unix:PATH, file:PATH or http://…; may be repeated
    #[arg(long, value_name = "WHAT")]
    pub wait_for: Vec<String>,
    /// What its standard input is: "pipe" (for `send`), or "null"
    #[arg(long, value_name = "KIND", num_args = 0..=1,
          default_missing_value = "pipe", value_parser = ["pipe", "null"])]
    pub stdin: Option<String>,
    /// It is ready when it says so, by sd_notify or process.send('ready')
    #[arg(long)]
    pub wait_ready: bool,
    /// How long it may take to be ready: milliseconds, or as 10s
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub listen_timeout: Option<String>,
    /// Restart it when it takes more memory: bytes, or as 300M
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub max_memory_restart: Option<String>,
    /// Run it at these times, five fields in quotes
    #[arg(short, long, visible_alias = "cron-restart", value_name = "FIELDS")]
    pub cron: Option<String>,
    /// Restart it when files change: here, or in DIR
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true,
          default_missing_value = ".")]
    pub watch: Vec<String>,
    /// Files that are not watched; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub ignore_watch: Vec<String>,
    /// From a change to the restart: milliseconds, or as 2s
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub watch_delay: Option<String>,
    /// The file for its standard output
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["log", "disable_logs"])]
    pub output: Option<String>,
    /// The file for its standard error
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["log", "disable_logs"])]
    pub error: Option<String>,
    /// One file for both
    #[arg(short, long, value_name = "FILE", conflicts_with = "disable_logs")]
    pub log: Option<String>,
    /// Keep nothing of what it writes
    #[arg(long)]
    pub disable_logs: bool,
    /// Prefix each line of its logs with the time
    #[arg(long)]
    pub time: bool,
}

// PM2's options that ask for what is done anyway. (A doc comment would be the help of `start`.)
#[derive(Clone, Debug, Args)]
pub struct Anyway {
    /// A word that is no script is run as a command.
    #[arg(short = 'x', long, hide = true)]
    execute_command: bool,
    /// Nothing of the caller's environment comes in.
    #[arg(long, hide = true, value_name = "WORD", num_args = 0..=1, require_equals = true)]
    filter_env: Vec<String>,
    /// Nothing is built into the app.
    #[arg(long, hide = true)]
    no_pmx: bool,
    /// The same.
    #[arg(long, hide = true)]
    no_automation: bool,
    /// Nobody looks for a repository.
    #[arg(long, hide = true)]
    no_vizion: bool,
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
        Some(_) => Err("it must be KEY=VALUE".into()),
        None => match env::var(text) {
            Ok(value) => Ok((text.into(), value)),
            Err(_) => Err(
                "it must be KEY=VALUE, or a KEY that is set in this shell (sets of variables to choose from \
                 by a name, as PM2 has them, are files here: --env-file FILE)"
                    .into(),
            ),
        },
    }
}

/// PM2's M is 2^20 bytes; without a letter they are bytes.
fn size(text: &str) -> Result<String, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" => "B",
        "K" | "k" => "KiB",
        "M" | "m" => "MiB",
        "G" | "g" => "GiB",
        unit @ ("B" | "KB" | "MB" | "GB" | "KiB" | "MiB" | "GiB") => unit,
        _ => "",
    };
    match digits.parse::<u64>() {
        Ok(count) if !unit.is_empty() => Ok(format!("{count}{unit}")),
        Ok(_) | Err(_) => Err("bytes, or a size such as 300M, 1G, 512MB".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        assert_eq!(instances("max"), Ok(Instances::Max));
        assert_eq!(instances("4"), Ok(Instances::Count(4)));
        assert!(
            ["0", "-1", "many"]
                .iter()
                .all(|text| instances(text).is_err())
        );
        assert_eq!(variable("A=b=c"), Ok(("A".into(), "b=c".into())));
        let here = env::var("PATH").unwrap();
        assert_eq!(variable("PATH"), Ok(("PATH".into(), here)));
        assert!(
            ["NOT_SET_HERE", "=b", ""]
                .iter()
                .all(|text| variable(text).is_err())
        );
        assert_eq!(size("300M"), Ok("300MiB".into()));
        assert_eq!(size("1G"), Ok("1GiB".into()));
        assert_eq!(size("1000"), Ok("1000B".into()));
        assert_eq!(size("512MB"), Ok("512MB".into()));
        for text in ["", "M", "1X", "-1M", "1.5G", "1é", "99999999999999999999K"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
