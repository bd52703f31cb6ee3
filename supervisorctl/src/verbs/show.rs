//! `show`: all there is to know of an app.

use supervisor_protocol::{Details, Reply, Request};

use super::{Context, collect, open};
use crate::cli;
use crate::errors::{CliError, Exit};
use crate::render::details;

/// Prints each instance, or all of them as a JSON list.
pub fn run(context: &mut Context, args: &cli::Show) -> Result<Exit, CliError> {
    let request = Request::Show {
        target: args.target.clone(),
        show_env: args.show_env,
    };
    let found: Vec<Details> = collect(&mut open(context)?, &request, |reply| match reply {
        Reply::Details(details) => vec![*details],
        Reply::Services(_)
        | Reply::Plan(_)
        | Reply::Outcome(_)
        | Reply::Logs(_)
        | Reply::Daemon(_)
        | Reply::End
        | Reply::Error(_) => Vec::new(),
    })?;
    let text = if args.json {
        super::json(&found)?
    } else {
        let pages: Vec<_> = found
            .iter()
            .map(|d| details::render(d, context.out.style))
            .collect();
        pages.join("\n")
    };
    context.out.text(&text)?;
    Ok(Exit::Done)
}
