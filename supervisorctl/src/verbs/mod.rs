//! One file for each verb, and what they share: the session, the rows of the table, outcomes.

mod act;
mod daemon;
mod launch;
mod logs;
mod other;
mod report;
mod show;
mod start;
mod status;
mod up;

use serde::Serialize;
use supervisor_protocol::client::{Incoming, Session};
use supervisor_protocol::{Act, Paths, Reply, Request, Service};

use crate::cli::{DaemonVerb, Verb};
use crate::errors::{CliError, Exit};
use crate::output::Out;
use crate::render::sanitize;

/// What every verb is given.
pub struct Context {
    /// Where the daemon is.
    pub paths: Paths,
    /// Standard output.
    pub out: Out,
}

/// Carries out one verb.
pub fn run(verb: Verb) -> Result<Exit, CliError> {
    let mut context = Context {
        paths: Paths::from_env()?,
        out: Out::new(),
    };
    let context = &mut context;
    match verb {
        Verb::Up(args) => up::run(context, &args),
        Verb::Start(args) => start::run(context, &args),
        Verb::Stop(args) => act::run(context, Act::Stop, &args.targets),
        Verb::Restart(args) => act::run(context, Act::Restart, &args.targets),
        Verb::Delete(args) => act::run(context, Act::Delete, &args.targets),
        Verb::Status(args) => status::run(context, &args),
        Verb::Show(args) => show::run(context, &args),
        Verb::Logs(args) => logs::run(context, &args),
        Verb::Signal(args) => {
            let act = Act::Signal(args.signal.as_str().to_owned());
            act::run(context, act, &args.targets.targets)
        }
        Verb::Daemon {
            verb: DaemonVerb::Status { json },
        } => daemon::status(context, json),
        Verb::Daemon {
            verb: DaemonVerb::Stop,
        } => daemon::stop(context),
        Verb::Save => {
            context
                .out
                .text("nothing to do: everything is always saved\n")?;
            Ok(Exit::Done)
        }
        Verb::Kill => Err(CliError::new(
            Exit::Usage,
            "`kill` is PM2's word; here it is `supervisorctl daemon stop`",
        )),
    }
}

/// A connection to a daemon that runs. Where none does, the error also names the other one.
fn open(context: &Context) -> Result<Session, CliError> {
    Session::open(&context.paths).map_err(|error| {
        let error = CliError::from(error);
        match (error.exit, other::sentence()) {
            (Exit::NoDaemon, Some(other)) => {
                let message = format!("{}; {other}", error.message);
                CliError { message, ..error }
            }
            (_, _) => error,
        }
    })
}

/// Sends a request and collects what `pick` takes out of its replies.
fn collect<T>(
    session: &mut Session,
    request: &Request,
    pick: impl Fn(Reply) -> Vec<T>,
) -> Result<Vec<T>, CliError> {
    let mut found = Vec::new();
    session.call::<CliError>(request, |incoming| {
        match incoming {
            Incoming::Reply(reply, _) => found.extend(pick(reply)),
            Incoming::Again => found.clear(),
        }
        Ok(())
    })?;
    Ok(found)
}

/// A value as JSON for people and scripts, harmless for a terminal.
fn json(value: &impl Serialize) -> Result<String, CliError> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|e| CliError::new(Exit::Failed, format!("it cannot be written as JSON: {e}")))?;
    Ok(sanitize::json(&text) + "\n")
}

/// The rows of the table for some targets.
fn rows(session: &mut Session, targets: &[String]) -> Result<Vec<Service>, CliError> {
    let request = Request::Status {
        targets: targets.to_vec(),
    };
    collect(session, &request, |reply| match reply {
        Reply::Services(rows) => rows,
        Reply::Details(_)
        | Reply::Plan(_)
        | Reply::Outcome(_)
        | Reply::Logs(_)
        | Reply::Daemon(_)
        | Reply::End
        | Reply::Error(_) => Vec::new(),
    })
}
