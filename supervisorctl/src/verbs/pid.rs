//! `pid`: main processes, for scripts.

use clap::Args;

use super::{Context, open, rows};
use crate::cli::AnyTargets;
use crate::errors::{CliError, Exit};

/// The pids of apps that run, one in each line
#[derive(Debug, Args)]
#[command(after_help = "Example: supervisorctl pid api")]
pub struct Pid {
    #[command(flatten)]
    of: AnyTargets,
}

impl Pid {
    /// Prints them; where not all that were named have one, the exit code says so.
    pub fn run(&self, context: &mut Context) -> Result<Exit, CliError> {
        let rows = rows(&mut open(context)?, &self.of.targets)?;
        let pids = rows.iter().filter_map(|row| row.pid);
        let lines: String = pids.map(|pid| format!("{pid}\n")).collect();
        context.out.text(&lines)?;
        let all = rows.iter().all(|row| row.pid.is_some());
        Ok(if all || self.of.targets.is_empty() {
            Exit::Done
        } else {
            Exit::NotRunning
        })
    }
}
