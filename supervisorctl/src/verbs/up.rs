//! `up`: makes the apps of a file so.

use std::path::{self, Path, PathBuf};

use serde::Serialize;
use supervisor_protocol::client::Session;
use supervisor_protocol::{Outcome, Plan, Request};

use super::report::{News, carry_out};
use super::{Context, launch, open, rows};
use crate::cli;
use crate::errors::{CliError, Exit};
use crate::render::services::Names;

const DEFAULT: &str = "supervisor.toml";

#[derive(Serialize)]
struct Json<'a> {
    plans: &'a [Plan],
    outcomes: &'a [Outcome],
}

/// Prints the plan, then each outcome.
pub fn run(context: &mut Context, args: &cli::Up) -> Result<Exit, CliError> {
    let file = file(args.file.as_deref())?;
    // A plan alone is no reason to start a daemon, which would start what ran before.
    let mut session = if args.dry_run {
        open(context)?
    } else {
        launch::ensure(context)?
    };
    let request = Request::Up {
        file,
        dry_run: args.dry_run,
        wait: !args.no_wait,
    };
    let mut names = None;
    let report = carry_out(&mut session, &request, |news| {
        if args.json {
            return Ok(());
        }
        let names = match news {
            News::Plan(_) => &Names::default(),
            News::Outcome(_) => names.get_or_insert_with(|| all_names(context)),
        };
        news.print(&mut context.out, names)
    })?;
    if args.json {
        let json = Json {
            plans: &report.plans,
            outcomes: &report.outcomes,
        };
        context.out.text(&super::json(&json)?)?;
    }
    Ok(report.exit())
}

/// The absolute path of the file that is meant; `None`: the configured files.
fn file(given: Option<&Path>) -> Result<Option<PathBuf>, CliError> {
    let Some(file) = given else {
        let here = Path::new(DEFAULT);
        return if here.is_file() {
            absolute(here).map(Some)
        } else {
            Ok(None)
        };
    };
    let file = absolute(file)?;
    match file.metadata() {
        Ok(meta) if meta.is_dir() => {
            let inside = file.join(DEFAULT);
            let error = CliError::new(
                Exit::Failed,
                format!("{} is a folder, not a file", file.display()),
            );
            Err(if inside.is_file() {
                error.hint(format!("supervisorctl up {}", inside.display()))
            } else {
                error
            })
        }
        Ok(_) => Ok(Some(file)),
        Err(error) => Err(CliError::new(
            Exit::Failed,
            format!("{} cannot be read: {error}", file.display()),
        )),
    }
}

fn absolute(path: &Path) -> Result<PathBuf, CliError> {
    path::absolute(path).map_err(|error| {
        CliError::new(
            Exit::Failed,
            format!("the current folder cannot be found: {error}"),
        )
    })
}

/// How many instances the apps have is known to the daemon alone. Asked on a connection of its
/// own, because the other one is in the middle of its replies; without an answer the names are
/// only less exact.
fn all_names(context: &Context) -> Names {
    let rows = Session::open(&context.paths)
        .ok()
        .and_then(|mut s| rows(&mut s, &[]).ok());
    Names::new(&rows.unwrap_or_default(), &[])
}
