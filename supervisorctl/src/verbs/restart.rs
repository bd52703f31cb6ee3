//! `restart`.

use clap::Args;
use supervisor_protocol::Act;

use super::Context;
use super::act::{self, How};
use crate::cli::{Targets, Told, Waits};
use crate::errors::{CliError, Exit};

/// Stop and start apps; one that is stopped is started
#[derive(Debug, Args)]
#[command(after_help = "Example: supervisorctl restart api")]
pub struct Restart {
    #[command(flatten)]
    on: Targets,
    #[command(flatten)]
    waits: Waits,
    #[command(flatten)]
    told: Told,
}

impl Restart {
    /// Restarts them.
    pub fn run(&self, context: &mut Context) -> Result<Exit, CliError> {
        let how = How::new(&self.told, Some(&self.waits));
        act::run(context, Act::Restart, &self.on.targets, how)
    }
}
