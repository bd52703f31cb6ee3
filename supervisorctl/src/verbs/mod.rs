//! One file for each verb, with its words and what it does; here, the list of them and what they
//! share: the session, the rows of the table, JSON.

mod act;
mod check;
pub mod completions;
mod daemon;
mod delete;
mod env;
mod flush;
pub mod foreign;
#[cfg(test)]
mod fuzz;
mod id;
mod install;
pub mod launch;
mod logs;
mod man;
mod other;
mod pid;
mod reload;
mod report;
mod reset;
mod restart;
mod scale;
mod schema;
mod send;
mod show;
mod signal;
mod spinner;
mod start;
pub mod startup;
mod status;
mod stop;
mod uninstall;
mod unstartup;
mod up;

use std::ffi::OsString;

use clap::{Args, Subcommand};
use serde::Serialize;
use supervisor_protocol::client::{Incoming, Session};
use supervisor_protocol::{Paths, Reply, Request, Service};

use crate::cli::Cli;
use crate::errors::{CliError, Exit};
use crate::output::Out;
use crate::render::sanitize;

/// What every verb is given.
pub struct Context {
    /// Where the daemon is.
    pub paths: Paths,
    /// Standard output.
    pub out: Out,
    /// Outcomes are not printed.
    pub silent: bool,
}

// In the order of the help. A doc comment here would stand in the help instead of the verb's own.
#[derive(Debug, Subcommand)]
pub enum Verb {
    Up(up::Up),
    Start(Box<start::Start>),
    Stop(stop::Stop),
    Restart(restart::Restart),
    Reload(reload::Reload),
    Delete(delete::Delete),
    Scale(scale::Scale),
    Status(status::Status),
    Show(show::Show),
    Logs(logs::Logs),
    Flush(flush::Flush),
    Signal(signal::Signal),
    Send(send::Send),
    Reset(reset::Reset),
    Pid(pid::Pid),
    Id(id::Id),
    Env(env::Env),
    Check(check::Check),
    Schema(schema::Schema),
    Daemon(daemon::Daemon),
    Startup(startup::Startup),
    Unstartup(unstartup::Unstartup),
    Install(install::Install),
    Uninstall(uninstall::Uninstall),
    Completions(completions::Completions),
    Man(man::Man),
}

/// The verb that the first word names, read without building the words of all the others: that would
/// be a quarter of what `status` takes. `None`: not one of the commonest, or not so plain; then the
/// whole parser decides, which gives every help and every error.
pub fn read_quickly(words: &[OsString]) -> Option<Verb> {
    fn read<V: Args>(words: &[OsString]) -> Option<V> {
        let verb = V::augment_args(clap::Command::new("supervisorctl"));
        let found = verb.try_get_matches_from(&words[1..]).ok()?;
        V::from_arg_matches(&found).ok()
    }
    Some(match words.get(1)?.to_str()? {
        "up" => Verb::Up(read(words)?),
        "start" => Verb::Start(Box::new(read(words)?)),
        "stop" => Verb::Stop(read(words)?),
        "restart" => Verb::Restart(read(words)?),
        "reload" => Verb::Reload(read(words)?),
        "delete" => Verb::Delete(read(words)?),
        "status" | "list" | "ls" => Verb::Status(read(words)?),
        "show" => Verb::Show(read(words)?),
        "logs" => Verb::Logs(read(words)?),
        _ => return None,
    })
}

/// Carries out one verb.
pub fn run(cli: Cli) -> Result<Exit, CliError> {
    let mut context = Context {
        paths: other::paths(cli.system)?,
        out: Out::new(),
        silent: cli.silent,
    };
    let context = &mut context;
    match cli.verb {
        Verb::Up(verb) => verb.run(context),
        Verb::Start(verb) => verb.run(context),
        Verb::Stop(verb) => verb.run(context),
        Verb::Restart(verb) => verb.run(context),
        Verb::Reload(verb) => verb.run(context),
        Verb::Delete(verb) => verb.run(context),
        Verb::Scale(verb) => verb.run(context),
        Verb::Status(verb) => verb.run(context),
        Verb::Show(verb) => verb.run(context),
        Verb::Logs(verb) => verb.run(context),
        Verb::Flush(verb) => verb.run(context),
        Verb::Signal(verb) => verb.run(context),
        Verb::Send(verb) => verb.run(context),
        Verb::Reset(verb) => verb.run(context),
        Verb::Pid(verb) => verb.run(context),
        Verb::Id(verb) => verb.run(context),
        Verb::Env(verb) => verb.run(context),
        Verb::Check(verb) => verb.run(context),
        Verb::Schema(verb) => verb.run(context),
        Verb::Daemon(verb) => verb.run(context),
        Verb::Startup(verb) => verb.run(context),
        Verb::Unstartup(verb) => verb.run(context),
        Verb::Install(verb) => verb.run(context),
        Verb::Uninstall(verb) => verb.run(context),
        Verb::Completions(verb) => verb.run(context),
        Verb::Man(verb) => verb.run(context),
    }
}

/// A connection to a daemon that runs; to the system's where this user has none. Where none does, the
/// error also names the other one.
fn open(context: &mut Context) -> Result<Session, CliError> {
    let error = match Session::open(&context.paths) {
        Ok(session) => return Ok(session),
        Err(error) => CliError::from(error),
    };
    if error.exit != Exit::NoDaemon {
        return Err(error);
    }
    if let Some(session) = other::instead(context) {
        return Ok(session);
    }
    if let Some(error) = launch::not_own(context) {
        return Err(error);
    }
    Err(match other::sentence() {
        Some(other) => {
            let message = format!("{}; {other}", error.message);
            CliError { message, ..error }
        }
        None => error,
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

/// The rows of the table for some targets, without what they use.
fn rows(session: &mut Session, targets: &[String]) -> Result<Vec<Service>, CliError> {
    services(session, targets, false)
}

/// The same, with it if `usage`.
fn services(
    session: &mut Session,
    targets: &[String],
    usage: bool,
) -> Result<Vec<Service>, CliError> {
    let request = Request::Status {
        targets: targets.to_vec(),
        usage,
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
