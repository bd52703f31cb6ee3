//! `status`: the table, once or again and again.

mod sort;
mod watch;

use std::collections::BTreeMap;
use std::str::FromStr as _;

use clap::Args;
use supervisor_protocol::client::Session;
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
    /// By this column, such as memory or name:desc; cpu, memory and restarts: the greatest first
    #[arg(long, value_name = "COLUMN", value_parser = sort::Sort::from_str)]
    sort: Option<sort::Sort>,
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
            return watch::run(context, &mut session, self);
        }
        // A script gets all or an error: there is no place for both in one JSON list.
        let (rows, missing) = match self.rows(&mut session) {
            Err(error) if error.exit == Exit::NoSuchApp && targets.len() > 1 && !self.json => {
                self.those_there_are(&mut session)?
            }
            rows => (rows?, Vec::new()),
        };
        let text = if self.json {
            super::json(&rows)?
        } else if rows.is_empty() && !missing.is_empty() {
            String::new()
        } else {
            self::text(context, &rows, targets)
        };
        context.out.text(&text)?;
        if let Some((first, others)) = missing.split_first() {
            let mut error = first.clone();
            for other in others {
                error.message.push_str(&format!("; {}", other.message));
            }
            return Err(error);
        }
        let all_running = rows.iter().all(|row| row.state == State::Running);
        Ok(if targets.is_empty() || all_running {
            Exit::Done
        } else {
            Exit::NotRunning
        })
    }

    /// The rows of all targets, in the order that is asked for.
    fn rows(&self, session: &mut Session) -> Result<Vec<Service>, CliError> {
        Ok(self.sorted(look(session, &self.of.targets)?))
    }

    /// Those of the targets that there are, and for each of the others what is said of it.
    fn those_there_are(
        &self,
        session: &mut Session,
    ) -> Result<(Vec<Service>, Vec<CliError>), CliError> {
        let (mut found, mut missing) = (BTreeMap::new(), Vec::new());
        for target in &self.of.targets {
            match look(session, std::slice::from_ref(target)) {
                Ok(rows) => found.extend(rows.into_iter().map(|row| (row.id, row))),
                Err(error) if error.exit == Exit::NoSuchApp => missing.push(error),
                Err(error) => return Err(error),
            }
        }
        Ok((self.sorted(found.into_values().collect()), missing))
    }

    fn sorted(&self, mut rows: Vec<Service>) -> Vec<Service> {
        if let Some(sort) = self.sort {
            sort.apply(&mut rows);
        }
        rows
    }
}

/// The one way in which this verb asks for rows.
fn look(session: &mut Session, targets: &[String]) -> Result<Vec<Service>, CliError> {
    services(session, targets, true)
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
