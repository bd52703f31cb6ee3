//! `status`: the table, once or again and again.

mod watch;

use clap::Args;
use supervisor_protocol::{Service, State};

use super::{Context, open, other, services};
use crate::cli::AnyTargets;
use crate::errors::{CliError, Exit};
use crate::render::sanitize;
use crate::render::services::{Names, table};

const EMPTY: &str =
    "no apps yet; `supervisorctl start SCRIPT` or `supervisorctl up FILE` adds some\n";

/// The table of all apps, or of those named
#[derive(Debug, Args)]
#[command(
    visible_aliases = ["list", "ls", "ps", "l"],
    after_help = "With TARGETs the exit code is 3 when not all of them are running.\n\n\
                  Example: supervisorctl status api --json"
)]
pub struct Status {
    #[command(flatten)]
    of: AnyTargets,
    /// As a JSON list, one object for each instance
    #[arg(long)]
    json: bool,
    /// Draw the table anew each second, until Ctrl-C
    #[arg(short, long, conflicts_with = "json")]
    watch: bool,
}

impl Status {
    /// Prints the table, or the rows as JSON.
    pub fn run(&self, context: &mut Context) -> Result<Exit, CliError> {
        let targets = &self.of.targets;
        let mut session = open(context)?;
        if self.watch {
            return watch::run(context, &mut session, targets);
        }
        let rows = services(&mut session, targets, true)?;
        let text = if self.json {
            super::json(&rows)?
        } else {
            self::text(context, &rows, targets)
        };
        context.out.text(&text)?;
        let all_running = rows.iter().all(|row| row.state == State::Running);
        Ok(if targets.is_empty() || all_running {
            Exit::Done
        } else {
            Exit::NotRunning
        })
    }
}

/// The table; where it is empty, what to do about it.
fn text(context: &Context, rows: &[Service], targets: &[String]) -> String {
    if rows.is_empty() {
        let other = other::sentence().map(|other| sanitize::cell(&other) + "\n");
        return EMPTY.to_owned() + &other.unwrap_or_default();
    }
    let names = Names::new(rows, targets);
    table(rows, &names, context.out.width(), context.out.style)
}
