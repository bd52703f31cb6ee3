//! `delete`.

use clap::Args;
use supervisor_protocol::Act;

use super::Context;
use super::act::{self, How};
use crate::cli::{Targets, Told, Waits};
use crate::errors::{CliError, Exit};

/// Stop apps and forget them; their logs stay
#[derive(Debug, Args)]
#[command(
    visible_alias = "rm",
    aliases = ["del", "remove"],
    after_help = "Example: supervisorctl delete api"
)]
pub struct Delete {
    #[command(flatten)]
    on: Targets,
    #[command(flatten)]
    waits: Waits,
    #[command(flatten)]
    told: Told,
}

impl Delete {
    /// Stops and forgets them.
    pub fn run(&self, context: &mut Context) -> Result<Exit, CliError> {
        let how = How::new(&self.told, Some(&self.waits));
        act::run(context, Act::Delete, &self.on.targets, how)
    }
}
