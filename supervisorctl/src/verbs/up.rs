//! `up`: makes the apps of a file so.

use std::path::{self, Path, PathBuf};

use clap::Args;
use serde::Serialize;
use supervisor_protocol::{Outcome, Plan, Request};

use super::report::{Named, Telling, carry_out};
use super::start::config_files;
use super::{Context, launch, open};
use crate::cli::Waits;
use crate::errors::{CliError, Exit};

const DEFAULT: &str = "supervisor.toml";

/// Make the apps of a file so: start new ones, restart changed ones, remove those that are gone
#[derive(Debug, Args)]
#[command(
    visible_alias = "apply",
    after_help = "Without FILE: ./supervisor.toml, else the configured files. Starts the daemon if none runs.\n\n\
                  Example: supervisorctl up supervisor.toml --dry-run"
)]
pub struct Up {
    /// The config file
    file: Option<PathBuf>,
    #[command(flatten)]
    how: How,
}

// How files are made so; `daemon reload` has it too, which is why it has no doc comment.
#[derive(Debug, Args)]
pub struct How {
    /// Print the plan and change nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    waits: Waits,
    /// As one JSON object with `plans` and `outcomes`
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Json<'a> {
    plans: &'a [Plan],
    outcomes: &'a [Outcome],
}

impl Up {
    /// Prints the plan, then each outcome.
    pub fn run(&self, context: &mut Context) -> Result<Exit, CliError> {
        make_so(context, file(self.file.as_deref())?, &self.how, true)
    }
}

/// Makes the apps of a file so, or (`None`) those of the configured files.
pub fn make_so(
    context: &mut Context,
    file: Option<PathBuf>,
    how: &How,
    may_launch: bool,
) -> Result<Exit, CliError> {
    // A plan alone is no reason to start a daemon, which would start what ran before.
    let mut session = if how.dry_run || !may_launch {
        open(context)?
    } else {
        launch::ensure(context)?
    };
    let request = Request::Up {
        file,
        dry_run: how.dry_run,
        wait: !how.waits.no_wait,
    };
    let telling = Telling {
        names: Named::Ask,
        awaited: Vec::new(),
        json: how.json,
    };
    let report = carry_out(context, &mut session, &request, telling)?;
    if how.json {
        let json = Json {
            plans: &report.plans,
            outcomes: &report.outcomes,
        };
        context.out.text(&super::json(&json)?)?;
    }
    Ok(report.exit())
}

/// The absolute path of the file that is meant; `None`: the configured files.
pub fn file(given: Option<&Path>) -> Result<Option<PathBuf>, CliError> {
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
        Ok(_) => config_files::refuse_foreign(&file).map(|()| Some(file)),
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
