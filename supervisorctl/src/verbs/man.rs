//! `man`: the manual page, made from the help.

use clap::{Args, CommandFactory as _};
use clap_mangen::Man as Page;

use super::Context;
use crate::cli::Cli;
use crate::errors::{CliError, Exit};

/// Print the manual page, or that of a verb
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  supervisorctl man | man -l -\n  \
                  supervisorctl man > /usr/local/share/man/man1/supervisorctl.1")]
pub struct Man {
    /// The verb, such as `start` or `daemon stop`
    verb: Vec<String>,
}

impl Man {
    /// Prints it as roff.
    pub fn run(&self, context: &mut Context) -> Result<Exit, CliError> {
        let mut command = Cli::command();
        command.build();
        for word in &self.verb {
            let found = command
                .get_subcommands()
                .find(|verb| verb.get_name() == word || verb.get_all_aliases().any(|a| a == word));
            command = found.cloned().ok_or_else(|| {
                CliError::new(
                    Exit::Usage,
                    format!("there is no verb `{}`", self.verb.join(" ")),
                )
                .hint("`supervisorctl --help` lists the verbs")
            })?;
        }
        let mut page = Vec::new();
        Page::new(command)
            .render(&mut page)
            .map_err(|error| CliError::from_output(&error))?;
        context.out.bytes(&page)?;
        context.out.flush()?;
        Ok(Exit::Done)
    }
}
