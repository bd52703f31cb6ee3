//! `show`: all there is to know of an app.

use clap::Args;
use clap_complete::ArgValueCompleter;
use supervisor_protocol::client::Session;
use supervisor_protocol::{Details, Reply, Request};

use super::{Context, collect, completions, open};
use crate::errors::{CliError, Exit};
use crate::render::details;

/// All there is to know of an app
#[derive(Debug, Args)]
#[command(visible_aliases = ["describe", "info"], after_help = "Example: supervisorctl show api")]
pub struct Show {
    /// NAME, NAME:INSTANCE, number, ns/, 'glob*' or all
    #[arg(add = ArgValueCompleter::new(completions::targets))]
    target: String,
    /// As a JSON list, one object for each instance
    #[arg(long)]
    json: bool,
    /// Show the values of the environment, which may be secrets
    #[arg(long)]
    show_env: bool,
}

impl Show {
    /// Prints each instance, or all of them as a JSON list.
    pub fn run(&self, context: &mut Context) -> Result<Exit, CliError> {
        let found = details(&mut open(context)?, &self.target, self.show_env)?;
        let text = if self.json {
            super::json(&found)?
        } else {
            let pages: Vec<_> = found
                .iter()
                .map(|d| details::render(d, context.out.width(), context.out.style))
                .collect();
            pages.join("\n")
        };
        context.out.text(&text)?;
        Ok(Exit::Done)
    }
}

/// All there is to know of each instance that `target` means.
pub fn details(
    session: &mut Session,
    target: &str,
    show_env: bool,
) -> Result<Vec<Details>, CliError> {
    let request = Request::Show {
        target: target.to_owned(),
        show_env,
    };
    collect(session, &request, |reply| match reply {
        Reply::Details(details) => vec![*details],
        Reply::Services(_)
        | Reply::Plan(_)
        | Reply::Outcome(_)
        | Reply::Logs(_)
        | Reply::Daemon(_)
        | Reply::End
        | Reply::Error(_) => Vec::new(),
    })
}
