//! `start`: what is known is started; a script or command becomes a new app.

mod definition;
mod interpreter;
mod program;
#[cfg(test)]
mod tests;

use std::env;
use std::path::PathBuf;

use supervisor_protocol::client::{ConnectError, Session};
use supervisor_protocol::{Act, Request};

use super::report::carry_out;
use super::{Context, act, launch, rows};
use crate::cli::{self, AppOptions, Instances};
use crate::errors::{CliError, Exit};
use crate::render::services::Names;
use definition::Definition;
use program::Surroundings;

/// Starts what the words mean.
pub fn run(context: &mut Context, args: &cli::Start) -> Result<Exit, CliError> {
    let mut session = match Session::open(&context.paths) {
        Ok(session) => Some(session),
        Err(ConnectError::NoDaemon { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let is_new = args.options != AppOptions::default() || !args.args.is_empty();
    let mut unknown = None;
    if let (Some(session), false) = (&mut session, is_new) {
        match rows(session, &args.words) {
            Ok(rows) => {
                let wait = !args.no_wait;
                return act::on_rows(context, session, Act::Start, &rows, &args.words, wait);
            }
            Err(error) if error.exit == Exit::NoSuchApp => unknown = Some(error),
            Err(error) => return Err(error),
        }
    }
    let [word] = args.words.as_slice() else {
        let error = too_many(&args.words, unknown);
        return Err(if session.is_none() {
            without_daemon(error)
        } else {
            error
        });
    };
    let definition = match define(word, args) {
        Ok(definition) => definition,
        Err(error) => return Err(or_an_app(error, word, session.as_mut(), is_new)),
    };
    let mut session = match session {
        Some(session) => session,
        None => launch::ensure(context)?,
    };
    add(context, &mut session, args, definition)
}

fn define(word: &str, args: &cli::Start) -> Result<Definition, CliError> {
    let here = env::current_dir().map_err(|error| {
        CliError::new(
            Exit::Failed,
            format!("the current folder cannot be found: {error}"),
        )
    })?;
    let around = Surroundings {
        here,
        path: env::var_os("PATH"),
    };
    Definition::new(word, &args.options, &args.args, around)
}

fn add(
    context: &mut Context,
    session: &mut Session,
    args: &cli::Start,
    definition: Definition,
) -> Result<Exit, CliError> {
    let names = match args.options.instances {
        Some(Instances::Count(1)) | None => Names::default(),
        Some(Instances::Count(_) | Instances::Max) => Names::several(&definition.name),
    };
    let request = Request::Add {
        text: definition.text(),
        directory: definition.here,
        path: env::var("PATH").ok(),
        wait: !args.no_wait,
    };
    let report = carry_out(session, &request, |news| {
        news.print(&mut context.out, &names)
    })?;
    Ok(report.exit())
}

/// Several words, not all of which are known.
fn too_many(words: &[String], unknown: Option<CliError>) -> CliError {
    let hint = "one new app at a time: its arguments go after `--`, or stand with it in quotes";
    let error = unknown.unwrap_or_else(|| {
        let list = words
            .iter()
            .map(|word| format!("`{word}`"))
            .collect::<Vec<_>>()
            .join(", ");
        CliError::new(
            Exit::NoSuchApp,
            format!("not all of these are apps: {list}"),
        )
    });
    error.hint(hint)
}

/// Without a daemon nobody knows which apps there are.
fn without_daemon(error: CliError) -> CliError {
    let message = format!("no daemon is running; {}", error.message);
    CliError::new(Exit::NoDaemon, message)
        .hint("`supervisorctl up` starts it, and what ran before; then `supervisorctl status`")
}

/// The word is no program; perhaps it is an app, or would be if there were a daemon.
fn or_an_app(error: CliError, word: &str, session: Option<&mut Session>, is_new: bool) -> CliError {
    match session {
        _ if error.exit != Exit::NoSuchApp => error,
        None => without_daemon(error),
        Some(session) if is_new => match rows(session, &[word.to_owned()]) {
            Ok(rows) if !rows.is_empty() => an_app_already(word),
            Ok(_) | Err(_) => error,
        },
        Some(_) => error,
    }
}

fn an_app_already(word: &str) -> CliError {
    let message = format!("`{word}` is an app already; these options are for new apps");
    CliError::new(Exit::Usage, message).hint(format!(
        "`supervisorctl start {word}` starts it as it is; to change it, change its file and \
         `supervisorctl up`, or delete it first"
    ))
}

/// Makes a path absolute without asking the file system.
fn below(folder: &std::path::Path, path: impl AsRef<std::path::Path>) -> PathBuf {
    let joined = folder.join(path);
    std::path::absolute(&joined).unwrap_or(joined)
}
