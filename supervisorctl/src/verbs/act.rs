//! Verbs that do something to apps: look first, then act on what was seen, so that asking again
//! after a broken connection does nothing twice.
//!
//! Owns the question what a word means that is no app's name. What is done is left to the verbs.

use std::collections::BTreeSet;
use std::path::Path;

use supervisor_protocol::client::Session;
use supervisor_protocol::{Act, Request, Selected, Service};

use super::report::{Named, Report, Telling, carry_out};
use super::start::{config_files, name_of};
use super::{Context, open, rows};
use crate::cli::{Told, Waits};
use crate::errors::{CliError, Exit};
use crate::render::services::Names;

/// How something is done and told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct How {
    /// Answer when it is done; otherwise at once.
    pub wait: bool,
    /// As a JSON list at the end.
    pub json: bool,
}

impl How {
    /// From a verb's options; what has no option to not wait is waited for.
    pub fn new(told: &Told, waits: Option<&Waits>) -> How {
        How {
            wait: !waits.is_some_and(|waits| waits.no_wait),
            json: told.json,
        }
    }
}

/// Does `act` to all that `targets` mean, and tells how it went.
pub fn run(
    context: &mut Context,
    act: Act,
    targets: &[String],
    how: How,
) -> Result<Exit, CliError> {
    let (mut session, rows) = look(context, targets)?;
    on_rows(context, &mut session, act, &rows, targets, how)
}

/// Does `act` to instances that were seen.
pub fn on_rows(
    context: &mut Context,
    session: &mut Session,
    act: Act,
    rows: &[Service],
    targets: &[String],
    how: How,
) -> Result<Exit, CliError> {
    if rows.is_empty() {
        return nothing_to_do(context, how);
    }
    let names = Names::new(rows, targets);
    let report = once(context, session, act, rows, &names, how)?;
    report.end(context, how.json)
}

/// One request for these rows.
pub fn once(
    context: &mut Context,
    session: &mut Session,
    act: Act,
    rows: &[Service],
    names: &Names,
    how: How,
) -> Result<Report, CliError> {
    // Two targets may mean the same instance.
    let mut seen = BTreeSet::new();
    let (on, awaited) = rows
        .iter()
        .filter(|row| seen.insert((&row.name, row.instance)))
        .map(|row| {
            let selected = Selected {
                name: row.name.clone(),
                instance: row.instance,
                run: row.run,
            };
            (selected, names.of(&row.name, row.instance))
        })
        .unzip();
    let wait = how.wait;
    let telling = Telling {
        names: Named::As(names.clone()),
        awaited,
        json: how.json,
    };
    let report = carry_out(context, session, &Request::Act { act, on, wait }, telling)?;
    let told: BTreeSet<_> = report.outcomes.iter().map(|o| &o.name).collect();
    match rows.iter().find(|row| wait && !told.contains(&row.name)) {
        Some(row) => {
            let message = format!("the daemon did not say what became of {}", row.name);
            Err(CliError::new(Exit::Failed, message)
                .hint("`supervisorctl status` shows how it is now"))
        }
        None => Ok(report),
    }
}

/// `all` means nothing yet.
pub fn nothing_to_do(context: &mut Context, how: How) -> Result<Exit, CliError> {
    let text = if how.json {
        "[]\n"
    } else {
        "there are no apps\n"
    };
    context.out.text(text)?;
    Ok(Exit::Done)
}

/// The rows that the words mean. A word that is no app's name, but that PM2 would have understood,
/// is told what to type instead.
pub fn look(
    context: &mut Context,
    targets: &[String],
) -> Result<(Session, Vec<Service>), CliError> {
    let files = |error| config_file_among(targets).unwrap_or(error);
    let mut session = open(context).map_err(files)?;
    match rows(&mut session, targets) {
        Ok(rows) => Ok((session, rows)),
        Err(error) if error.exit == Exit::NoSuchApp => {
            Err(files(by_script(error, &mut session, targets)))
        }
        Err(error) => Err(error),
    }
}

/// PM2 takes a file of apps wherever it takes an app.
fn config_file_among(targets: &[String]) -> Option<CliError> {
    targets
        .iter()
        .find_map(|word| config_files::refuse(Path::new(word)).err())
}

/// PM2 takes the path of an app's script for the app.
fn by_script(error: CliError, session: &mut Session, targets: &[String]) -> CliError {
    let scripts: Vec<_> = targets
        .iter()
        .filter(|word| word.contains(['.', '/']))
        .map(|word| (word, name_of(Path::new(word))))
        .collect();
    if scripts.is_empty() {
        return error;
    }
    let all = rows(session, &[]).unwrap_or_default();
    let is_known = |name: &str| all.iter().any(|row| row.name == name);
    match scripts.iter().find(|(_, name)| is_known(name)) {
        Some((word, name)) => error.hint(format!(
            "apps go by their names: `{name}` rather than `{word}`"
        )),
        None => error,
    }
}
