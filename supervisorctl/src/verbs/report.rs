//! Carrying out a request that changes something, and telling how it goes.
//!
//! Promises that each target is told once, also when the connection broke and everything came
//! anew, and that a person who waits sees for what.

use std::collections::BTreeSet;
use std::path::PathBuf;

use supervisor_protocol::client::{Incoming, Session};
use supervisor_protocol::{Outcome, Plan, Reply, Request};

use super::spinner::Spinner;
use super::{Context, rows};
use crate::errors::{CliError, Exit};
use crate::render::services::Names;
use crate::render::{outcome, plan};

/// What came back, each once.
#[derive(Debug, Default)]
pub struct Report {
    /// Plans, each of another file.
    pub plans: Vec<Plan>,
    /// Outcomes, each of another instance.
    pub outcomes: Vec<Outcome>,
    planned: BTreeSet<PathBuf>,
    done: BTreeSet<(String, u32)>,
}

impl Report {
    /// Whether all went well.
    pub fn exit(&self) -> Exit {
        if self.outcomes.iter().all(|outcome| outcome.ok) {
            Exit::Done
        } else {
            Exit::Failed
        }
    }

    /// With what came of one more request.
    pub fn extend(&mut self, other: Report) {
        self.plans.extend(other.plans);
        self.outcomes.extend(other.outcomes);
    }

    /// Prints the outcomes where they are wanted as JSON, and says how the command ends.
    pub fn end(&self, context: &mut Context, json: bool) -> Result<Exit, CliError> {
        if json {
            context.out.text(&super::json(&self.outcomes)?)?;
        }
        Ok(self.exit())
    }
}

/// How instances are called.
#[derive(Clone, Debug)]
pub enum Named {
    /// As these say.
    As(Names),
    /// The daemon is asked when the first one is to be told.
    Ask,
}

/// How what happens is told.
#[derive(Clone, Debug)]
pub struct Telling {
    /// How instances are called.
    pub names: Named,
    /// For whom is waited, as they are called.
    pub awaited: Vec<String>,
    /// Nothing is printed on the way.
    pub json: bool,
}

/// Sends `request`, and prints each plan and outcome as it comes.
pub fn carry_out(
    context: &mut Context,
    session: &mut Session,
    request: &Request,
    mut telling: Telling,
) -> Result<Report, CliError> {
    let quiet = telling.json || context.silent;
    let mut spinner = Spinner::start(std::mem::take(&mut telling.awaited));
    let mut report = Report::default();
    session.call::<CliError>(request, |incoming| match incoming {
        // The plan of a second try tells what the first one left over.
        Incoming::Reply(Reply::Plan(plan), _) if report.planned.insert(plan.file.clone()) => {
            spinner.wait_for(names_in(&plan));
            if !telling.json {
                let text = plan::render(&plan, context.out.width(), context.out.style);
                spinner.while_away(|| context.out.text(&text))?;
            }
            report.plans.push(plan);
            Ok(())
        }
        Incoming::Reply(Reply::Outcome(outcome), _)
            if report.done.insert((outcome.name.clone(), outcome.instance)) =>
        {
            if !quiet {
                let names = telling.names.get(context);
                let text = outcome::render(&outcome, names, context.out.style, context.out.width());
                spinner.done(&[&outcome.name, &names.of(&outcome.name, outcome.instance)]);
                spinner.while_away(|| context.out.text(&text))?;
            }
            report.outcomes.push(outcome);
            Ok(())
        }
        Incoming::Reply(..) | Incoming::Again => Ok(()),
    })?;
    Ok(report)
}

impl Named {
    /// How many instances the apps have is known to the daemon alone. Asked on a connection of its
    /// own, because the other one is in the middle of its replies; without an answer the names are
    /// only less exact.
    fn get(&mut self, context: &Context) -> &Names {
        if let Named::Ask = self {
            let rows = Session::open(&context.paths)
                .ok()
                .and_then(|mut session| rows(&mut session, &[]).ok());
            *self = Named::As(Names::new(&rows.unwrap_or_default(), &[]));
        }
        match self {
            Named::As(names) => names,
            Named::Ask => unreachable!("it was asked above"),
        }
    }
}

/// The apps that a plan does something about.
fn names_in(plan: &Plan) -> Vec<String> {
    let changed = plan.change.iter().map(|change| &change.name);
    let names = plan.create.iter().chain(changed).chain(&plan.remove);
    names.cloned().collect()
}
