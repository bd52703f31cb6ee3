//! `stop`, `restart`, `delete`, `signal` and `start TARGET`: look first, then act on what was
//! seen, so that asking again after a broken connection does nothing twice.

use std::collections::BTreeSet;

use supervisor_protocol::client::Session;
use supervisor_protocol::{Act, Request, Selected, Service};

use super::report::carry_out;
use super::{Context, open, rows};
use crate::errors::{CliError, Exit};
use crate::render::services::Names;

/// Does `act` to all that `targets` mean, and waits for the outcomes.
pub fn run(context: &mut Context, act: Act, targets: &[String]) -> Result<Exit, CliError> {
    let mut session = open(context)?;
    let rows = rows(&mut session, targets)?;
    on_rows(context, &mut session, act, &rows, targets, true)
}

/// Does `act` to instances that were seen.
pub fn on_rows(
    context: &mut Context,
    session: &mut Session,
    act: Act,
    rows: &[Service],
    targets: &[String],
    wait: bool,
) -> Result<Exit, CliError> {
    let names = Names::new(rows, targets);
    // Two targets may mean the same instance.
    let mut seen = BTreeSet::new();
    let on: Vec<Selected> = rows
        .iter()
        .filter(|row| seen.insert((&row.name, row.instance)))
        .map(|row| Selected {
            name: row.name.clone(),
            instance: row.instance,
            run: row.run,
        })
        .collect();
    if on.is_empty() {
        context.out.text("there are no apps\n")?;
        return Ok(Exit::Done);
    }
    let request = Request::Act { act, on, wait };
    let report = carry_out(session, &request, |news| {
        news.print(&mut context.out, &names)
    })?;
    let told: BTreeSet<_> = report
        .outcomes
        .iter()
        .map(|outcome| &outcome.name)
        .collect();
    if let Some(row) = rows.iter().find(|row| wait && !told.contains(&row.name)) {
        let message = format!("the daemon did not say what became of {}", row.name);
        return Err(
            CliError::new(Exit::Failed, message).hint("`supervisorctl status` shows how it is now")
        );
    }
    Ok(report.exit())
}
