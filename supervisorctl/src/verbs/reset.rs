//! `reset`.

use clap::Args;
use supervisor_protocol::Act;

use super::Context;
use super::act::{self, How};
use crate::cli::{Targets, Told};
use crate::errors::{CliError, Exit};

/// Count restarts and failures from zero again
#[derive(Debug, Args)]
#[command(after_help = "Example: supervisorctl reset all")]
pub struct Reset {
    #[command(flatten)]
    on: Targets,
    #[command(flatten)]
    told: Told,
}

impl Reset {
    /// Resets their counters.
    pub fn run(&self, context: &mut Context) -> Result<Exit, CliError> {
        let how = How::new(&self.told, None);
        act::run(context, Act::Reset, &self.on.targets, how)
    }
}
