//! Words and options that are not ours: PM2's, supervisord's, systemctl's, and those of later
//! versions.
//!
//! Promises that each is either done by our own words or answered with what to type here. Looked
//! at only where the words are otherwise wrong, so that it costs nothing before.

mod options;
mod tail;
#[cfg(test)]
mod tests;
mod words;

use std::ffi::OsString;

use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::start;
use crate::cli::Cli;
use crate::errors::{CliError, Exit};

/// What a word of somebody else's means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// These words of ours do it, with whatever follows.
    Is(&'static [&'static str]),
    /// `logs` does it, once what follows is put in our words.
    Tail,
    /// There is nothing to do, for this reason.
    Nothing(&'static str),
    /// It is not done, or not by one word: what to type, or why not.
    Say(&'static str),
    /// It comes with a later version; what to do until then.
    Later(&'static str),
}

/// What is done instead of a command line that is none of ours.
#[derive(Debug)]
pub enum Instead {
    /// Carry out these words.
    Words(Vec<OsString>),
    /// Print this sentence; it is done.
    Nothing(&'static str),
    /// Refuse.
    Refused(CliError),
}

/// What to do about words that clap does not know; `None`: clap explains it well.
pub fn instead(error: &clap::Error, words: &[OsString]) -> Option<Instead> {
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let word = context(error, ContextKind::InvalidSubcommand)?;
            Some(word_instead(error, words, &word))
        }
        ErrorKind::UnknownArgument => {
            if let Some(words) = tail::counted(words) {
                return Some(Instead::Words(words));
            }
            let option = context(error, ContextKind::InvalidArg)?;
            option_refused(words, &option).map(Instead::Refused)
        }
        ErrorKind::MissingRequiredArgument if words.last().is_some_and(|word| word == "start") => {
            Some(Instead::Refused(start::nothing_named()))
        }
        _ => None,
    }
}

fn context(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => texts.last().cloned(),
        _ => None,
    }
}

fn word_instead(error: &clap::Error, words: &[OsString], word: &str) -> Instead {
    let at = words.iter().position(|w| w == word).unwrap_or(words.len());
    let (before, after) = words.split_at(at);
    let after = after.get(1..).unwrap_or_default();
    match before.split_last() {
        Some((last, rest)) if last == "daemon" => word_of_daemon(error, rest, word, after),
        Some(_) | None => match known(word) {
            Some(answer) => carried_out(answer, before, word, after),
            None => Instead::Refused(unknown(error, "", word).hint(format!(
                "`supervisorctl --help` lists the verbs; `supervisorctl start {word}` starts a program"
            ))),
        },
    }
}

/// What follows `daemon`: its own verbs in other words, and what is asked of it by mistake.
fn word_of_daemon(
    error: &clap::Error,
    before: &[OsString],
    word: &str,
    after: &[OsString],
) -> Instead {
    let answer = known(match word {
        "log" | "logs" | "tail" => "maintail",
        other => other,
    });
    match answer {
        Some(
            answer @ (Answer::Is(["daemon", ..])
            | Answer::Say(_)
            | Answer::Later(_)
            | Answer::Nothing(_)),
        ) => carried_out(answer, before, word, after),
        Some(Answer::Is(_) | Answer::Tail) | None => Instead::Refused(
            unknown(error, "daemon ", word).hint("`supervisorctl daemon --help` lists its verbs"),
        ),
    }
}

fn known(word: &str) -> Option<Answer> {
    let mut found = words::WORDS.iter();
    found.find_map(|(names, answer)| names.contains(&word).then_some(*answer))
}

/// There is no such verb; perhaps another one was meant.
fn unknown(error: &clap::Error, of: &str, word: &str) -> CliError {
    // A file is no mistyped verb. The likeliest of clap's is the last one.
    let is_file = word.contains(['.', '/']);
    let similar = context(error, ContextKind::SuggestedSubcommand)
        .filter(|_| !is_file)
        .map(|verb| format!("; did you mean `{of}{verb}`?"))
        .unwrap_or_default();
    CliError::new(
        Exit::Usage,
        format!("there is no verb `{of}{word}`{similar}"),
    )
}

fn carried_out(answer: Answer, before: &[OsString], word: &str, after: &[OsString]) -> Instead {
    let refused = |message: String| Instead::Refused(CliError::new(Exit::Usage, message));
    let with = |ours: Vec<OsString>| Instead::Words([before, &ours].concat());
    match answer {
        Answer::Is(ours) => {
            let ours = ours.iter().map(OsString::from);
            with(ours.chain(after.iter().cloned()).collect())
        }
        Answer::Tail => with(tail::as_logs(after)),
        Answer::Nothing(why) => Instead::Nothing(why),
        Answer::Say(what) => refused(format!("`{word}` is not a verb here: {what}")),
        Answer::Later(until_then) => refused(format!(
            "`{word}` comes with a later version; until then: {until_then}"
        )),
    }
}

fn option_refused(words: &[OsString], option: &str) -> Option<CliError> {
    // `--pid=FILE` is told of with its value.
    let name = option.split('=').next().unwrap_or(option);
    let known = options::REFUSED
        .iter()
        .find_map(|(names, why)| names.contains(&name).then_some(*why));
    // `logs -e` has nothing to do with `start -e`.
    let has_own = |word: &OsString| matches!(word.to_str(), Some("start" | "logs" | "log"));
    let message = match known {
        Some(why) => format!("`{name}` is not an option here: {why}"),
        None if is_for_new_apps(name) && !words.iter().any(has_own) => {
            format!(
                "`{name}` says how a new app is to be run, and so belongs to `supervisorctl start SCRIPT`; to \
             change one that is known: its file and `supervisorctl up`, or delete it and start it anew"
            )
        }
        None => return None,
    };
    Some(CliError::new(Exit::Usage, message))
}

/// Whether it is one of `start`'s options.
fn is_for_new_apps(option: &str) -> bool {
    let command = Cli::command();
    let Some(start) = command.find_subcommand("start") else {
        return false;
    };
    // The others, such as `--json`, say nothing of an app.
    let of_an_app = |arg: &&clap::Arg| arg.get_help_heading().is_some();
    start.get_arguments().filter(of_an_app).any(|arg| {
        let longs = arg.get_long_and_visible_aliases().unwrap_or_default();
        let shorts = arg.get_short_and_visible_aliases().unwrap_or_default();
        longs.iter().any(|long| option == format!("--{long}"))
            || shorts.iter().any(|short| option == format!("-{short}"))
    })
}
