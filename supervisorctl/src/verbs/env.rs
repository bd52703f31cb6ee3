//! `env`: the environment that an app's config names.

use clap::Args;
use clap_complete::ArgValueCompleter;

use super::{Context, completions, open, show};
use crate::errors::{CliError, Exit};
use crate::output;
use crate::render::sanitize;

/// The environment that an app's config names, as KEY=VALUE lines
#[derive(Debug, Args)]
#[command(
    after_help = "The values may be secrets. What an env_file adds at each start is not in it.\n\n\
                  Example: supervisorctl env api"
)]
pub struct Env {
    /// NAME or number
    #[arg(add = ArgValueCompleter::new(completions::targets))]
    target: String,
}

impl Env {
    /// Prints it.
    pub fn run(&self, context: &mut Context) -> Result<Exit, CliError> {
        let found = show::details(&mut open(context)?, &self.target, true)?;
        let Some(first) = found.first() else {
            return Ok(Exit::Done);
        };
        let name = &first.service.name;
        if let Some(other) = found.iter().find(|of| of.service.name != *name) {
            let message = format!(
                "`{}` means several apps ({name}, {}, …); name one",
                self.target, other.service.name
            );
            return Err(CliError::new(Exit::Usage, message));
        }
        let lines = first.env.iter().map(|(key, value)| {
            let value = value.as_deref().unwrap_or("***");
            format!("{}\n", sanitize::cell(&format!("{key}={value}")))
        });
        let text: String = lines.collect();
        if text.is_empty() {
            // Standard output has variables, and nothing else.
            let files = match first.env_file.as_slice() {
                [] => String::new(),
                files => format!("; at each start come those of {}", files.join(", ")),
            };
            output::tell(&sanitize::block(&format!(
                "the config of {name} names no variables{files}\n"
            )));
        }
        context.out.text(&text)?;
        Ok(Exit::Done)
    }
}
