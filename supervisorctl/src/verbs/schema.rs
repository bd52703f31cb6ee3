//! `schema`: what editors need to complete and check the config file.

use clap::Args;

use super::Context;
use crate::errors::{CliError, Exit};

/// Print the JSON Schema of the config file, for editors
#[derive(Debug, Args)]
#[command(
    after_help = "An editor with a TOML plug-in completes keys and marks faults when the first line of the \
                  file is: #:schema ./supervisor.schema.json\n\n\
                  Example: supervisorctl schema > supervisor.schema.json"
)]
pub struct Schema {}

impl Schema {
    /// Prints it.
    pub fn run(&self, context: &mut Context) -> Result<Exit, CliError> {
        context
            .out
            .text(&super::json(&supervisor_config::schema())?)?;
        Ok(Exit::Done)
    }
}
