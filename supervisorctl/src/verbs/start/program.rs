//! What a word means that is not an app: a file, a command of `PATH`, or a whole command line.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{below, config_files, interpreter};
use crate::errors::{CliError, Exit};
use crate::verbs::launch::find_in_path;

/// Where words are looked for.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The caller's folder.
    pub here: PathBuf,
    /// The caller's `PATH`.
    pub path: Option<OsString>,
}

impl Surroundings {
    /// A command in `PATH`.
    pub fn command(&self, name: &str) -> Option<PathBuf> {
        find_in_path(name, self.path.as_deref())
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// A file, by its absolute path.
    File(PathBuf),
    /// A command of `PATH`, as typed, with what follows it in the same word.
    Command(Vec<String>),
}

/// Finds what `word` means. `folder`: where the app will run, looked into first, as PM2 does.
pub fn find(word: &str, folder: &Path, around: &Surroundings) -> Result<Program, CliError> {
    let candidates = [below(folder, word), below(&around.here, word)];
    if let Some(file) = candidates.iter().find(|path| path.is_file()) {
        config_files::refuse(file)?;
        return Ok(Program::File(file.clone()));
    }
    if word.contains(char::is_whitespace) {
        return command_line(word, folder, around);
    }
    let looks_like_a_file = word.contains('/') || interpreter::has_suffix(Path::new(word));
    let folder_there = candidates.iter().find(|path| path.is_dir());
    match (looks_like_a_file, folder_there) {
        (true, Some(there)) => Err(CliError::new(
            Exit::Failed,
            format!("{} is a folder; name the script in it", there.display()),
        )),
        (true, None) => Err(CliError::new(
            Exit::Failed,
            format!("no such file: {}", candidates[0].display()),
        )),
        (false, _) if around.command(word).is_some() => Ok(Program::Command(vec![word.into()])),
        (false, Some(there)) => Err(CliError::new(
            Exit::NoSuchApp,
            format!(
                "no app or command is named `{word}`, and {} is a folder",
                there.display()
            ),
        )
        .hint(
            "name the script in it; for a folder with a config file: supervisorctl up FOLDER/FILE",
        )),
        (false, None) => Err(CliError::new(
            Exit::NoSuchApp,
            format!(
                "no app is named `{word}`, and there is no file or command of that name either"
            ),
        )
        .hint("`supervisorctl status` shows the apps; a script is named by its path")),
    }
}

/// A word with spaces: split as a shell splits it; no shell is run.
fn command_line(line: &str, folder: &Path, around: &Surroundings) -> Result<Program, CliError> {
    let words = shlex::split(line)
        .ok_or_else(|| CliError::new(Exit::Usage, format!("a quote is not closed in: {line}")))?;
    let Some(first) = words.first() else {
        return Err(CliError::new(Exit::Usage, "the command is empty"));
    };
    // What was in quotes does not stand in the line as such.
    let is_bare = |word: &&String| line.split_whitespace().any(|bare| bare == *word);
    if let Some(symbol) = words
        .iter()
        .filter(is_bare)
        .find(|word| is_shell_syntax(word))
    {
        return Err(CliError::new(
            Exit::Usage,
            format!("no shell is run, so `{symbol}` would be an argument like any other"),
        )
        .hint(format!(
            "supervisorctl start sh --name NAME -- -c {}",
            joined(&[line.to_owned()])
        )));
    }
    let is_there = if first.contains('/') {
        below(folder, first).is_file()
    } else {
        around.command(first).is_some()
    };
    if is_there {
        return Ok(Program::Command(words));
    }
    let hint = match words.iter().position(|word| !is_assignment(word)) {
        Some(count @ 1..) => {
            let (given, rest) = words.split_at(count);
            format!(
                "supervisorctl start {}{}",
                joined(&[joined(rest)]),
                env_options(given)
            )
        }
        Some(_) | None => "name a command that is in PATH, or a path with a `/`".to_owned(),
    };
    Err(CliError::new(Exit::Failed, format!("`{first}` is not found, in: {line}")).hint(hint))
}

/// Words as a shell reads them.
pub fn joined(words: &[String]) -> String {
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "))
}

fn is_shell_syntax(word: &str) -> bool {
    let is_a_sign = matches!(word, "&&" | "||" | "|" | "&");
    is_a_sign || word.ends_with(';') || word.starts_with(['>', '<']) || word.starts_with("2>")
}

fn env_options(assignments: &[String]) -> String {
    let options = assignments
        .iter()
        .map(|one| format!(" --env {}", joined(std::slice::from_ref(one))));
    options.collect()
}

/// `PORT=3000 node x.js`, which a shell understands.
fn is_assignment(word: &str) -> bool {
    let is_in_names = |c: char| c.is_ascii_alphanumeric() || c == '_';
    word.split_once('=')
        .is_some_and(|(name, _)| !name.is_empty() && name.chars().all(is_in_names))
}
