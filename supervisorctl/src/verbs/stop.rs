//! `stop`.

use clap::Args;
use supervisor_protocol::Act;

use super::Context;
use super::act::{self, How};
use crate::cli::{Targets, Told, Waits};
use crate::errors::{CliError, Exit};

/// Stop apps; they stay stopped until they are started again
#[derive(Debug, Args)]
#[command(after_help = "Example: supervisorctl stop api 'worker-*'")]
pub struct Stop {
    #[command(flatten)]
    on: Targets,
    #[command(flatten)]
    waits: Waits,
    #[command(flatten)]
    told: Told,
}

impl Stop {
    /// Stops them.
    pub fn run(&self, context: &mut Context) -> Result<Exit, CliError> {
        let how = How::new(&self.told, Some(&self.waits));
        act::run(context, Act::Stop, &self.on.targets, how)
    }
}
