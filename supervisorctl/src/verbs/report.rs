//! Carrying out a request that changes something, and telling how it goes.
//!
//! Promises that each target is told once, also when the connection broke and everything came
//! anew.

use std::collections::BTreeSet;
use std::path::PathBuf;

use supervisor_protocol::client::{Incoming, Session};
use supervisor_protocol::{Outcome, Plan, Reply, Request};

use crate::errors::{CliError, Exit};
use crate::output::Out;
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
}

/// Sends `request`; `show` is given each plan and outcome as it comes.
pub fn carry_out(
    session: &mut Session,
    request: &Request,
    mut show: impl FnMut(News<'_>) -> Result<(), CliError>,
) -> Result<Report, CliError> {
    let mut report = Report::default();
    session.call::<CliError>(request, |incoming| match incoming {
        // The plan of a second try tells what the first one left over.
        Incoming::Reply(Reply::Plan(plan), _) if report.planned.insert(plan.file.clone()) => {
            show(News::Plan(&plan))?;
            report.plans.push(plan);
            Ok(())
        }
        Incoming::Reply(Reply::Outcome(outcome), _)
            if report.done.insert((outcome.name.clone(), outcome.instance)) =>
        {
            show(News::Outcome(&outcome))?;
            report.outcomes.push(outcome);
            Ok(())
        }
        Incoming::Reply(..) | Incoming::Again => Ok(()),
    })?;
    Ok(report)
}

/// What [`carry_out`] shows.
#[derive(Clone, Copy, Debug)]
pub enum News<'a> {
    /// What is going to be done.
    Plan(&'a Plan),
    /// What was done.
    Outcome(&'a Outcome),
}

impl News<'_> {
    /// Prints it.
    pub fn print(self, out: &mut Out, names: &Names) -> Result<(), CliError> {
        let text = match self {
            News::Plan(plan) => plan::render(plan),
            News::Outcome(outcome) => outcome::render(outcome, names, out.style),
        };
        out.text(&text)
    }
}
