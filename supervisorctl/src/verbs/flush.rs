//! `flush`.

use clap::Args;
use supervisor_protocol::Act;

use super::Context;
use super::act::{self, How};
use crate::cli::{AnyTargets, Told};
use crate::errors::{CliError, Exit};

/// Empty log files, and remove the rotated ones
#[derive(Debug, Args)]
#[command(after_help = "Example: supervisorctl flush api")]
pub struct Flush {
    #[command(flatten)]
    on: AnyTargets,
    #[command(flatten)]
    told: Told,
}

impl Flush {
    /// Empties them.
    pub fn run(&self, context: &mut Context) -> Result<Exit, CliError> {
        let how = How::new(&self.told, None);
        act::run(context, Act::Flush, &self.on.targets, how)
    }
}
