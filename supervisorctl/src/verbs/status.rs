//! `status`: the table.

use supervisor_protocol::State;

use super::{Context, open, other, rows};
use crate::cli;
use crate::errors::{CliError, Exit};
use crate::render::sanitize;
use crate::render::services::{Names, table};

const EMPTY: &str =
    "no apps yet; `supervisorctl start SCRIPT` or `supervisorctl up FILE` adds some\n";

/// Prints the table, or the rows as JSON.
pub fn run(context: &mut Context, args: &cli::Status) -> Result<Exit, CliError> {
    let mut session = open(context)?;
    let rows = rows(&mut session, &args.targets)?;
    if args.json {
        context.out.text(&super::json(&rows)?)?;
    } else if rows.is_empty() {
        context.out.text(EMPTY)?;
        if let Some(other) = other::sentence() {
            context.out.text(&format!("{}\n", sanitize::cell(&other)))?;
        }
    } else {
        let names = Names::new(&rows, &args.targets);
        let text = table(&rows, &names, context.out.width(), context.out.style);
        context.out.text(&text)?;
    }
    let all_running = rows.iter().all(|row| row.state == State::Running);
    if args.targets.is_empty() || all_running {
        Ok(Exit::Done)
    } else {
        Ok(Exit::NotRunning)
    }
}
