//! `id`: the numbers of instances, for scripts written for PM2.

use clap::Args;

use super::{Context, open, rows};
use crate::cli::Targets;
use crate::errors::{CliError, Exit};

/// The numbers that `status` shows, one in each line
#[derive(Debug, Args)]
#[command(hide = true, after_help = "Example: supervisorctl id api")]
pub struct Id {
    #[command(flatten)]
    of: Targets,
}

impl Id {
    /// Prints them.
    pub fn run(&self, context: &mut Context) -> Result<Exit, CliError> {
        let rows = rows(&mut open(context)?, &self.of.targets)?;
        let lines: String = rows.iter().map(|row| format!("{}\n", row.id)).collect();
        context.out.text(&lines)?;
        Ok(Exit::Done)
    }
}
