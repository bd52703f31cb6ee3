//! What runs a script: told by its suffix, or the file itself.

use std::path::{Path, PathBuf};

use super::program::Surroundings;
use crate::errors::{CliError, Exit};
use crate::verbs::launch::is_executable;

/// What the suffix of a script says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Language {
    JavaScript,
    TypeScript,
    Python,
    Shell,
    Ruby,
    Php,
    Perl,
}

fn language(script: &Path) -> Option<Language> {
    match script.extension()?.to_str()? {
        "js" | "cjs" | "mjs" => Some(Language::JavaScript),
        "ts" => Some(Language::TypeScript),
        "py" => Some(Language::Python),
        "sh" => Some(Language::Shell),
        "rb" => Some(Language::Ruby),
        "php" => Some(Language::Php),
        "pl" => Some(Language::Perl),
        _ => None,
    }
}

/// Whether a name has the suffix of a script.
pub fn has_suffix(name: &Path) -> bool {
    language(name).is_some()
}

/// The words in front of the script's path; none: it runs itself.
pub fn choose(
    script: &Path,
    given: Option<&str>,
    around: &Surroundings,
) -> Result<Option<String>, CliError> {
    match (given, language(script)) {
        (Some("none"), _) | (None, None) => itself(script).map(|()| None),
        (Some(given), _) => installed(script, &[given], around).map(Some),
        (None, Some(Language::TypeScript)) => typescript(script, around).map(Some),
        (None, Some(language)) => installed(script, commands(language), around).map(Some),
    }
}

/// Commands that run a language, the best first.
fn commands(language: Language) -> &'static [&'static str] {
    match language {
        Language::JavaScript => &["node"],
        Language::TypeScript => &["tsx", "bun"],
        Language::Python => &["python3"],
        Language::Shell => &["bash", "sh"],
        Language::Ruby => &["ruby"],
        Language::Php => &["php"],
        Language::Perl => &["perl"],
    }
}

/// A file that is to run itself must be able to.
fn itself(script: &Path) -> Result<(), CliError> {
    if is_executable(script) {
        return Ok(());
    }
    let message = format!(
        "{} may not be executed, and its name does not say what runs it",
        script.display()
    );
    Err(CliError::new(Exit::Failed, message).hint(format!(
        "`chmod +x {}`, or --interpreter PROGRAM",
        script.display()
    )))
}

/// The first of `commands` that is there, as a word: it is looked up anew at each start.
fn installed(script: &Path, commands: &[&str], around: &Surroundings) -> Result<String, CliError> {
    let is_there = |command: &str| {
        if command.contains('/') {
            is_executable(&around.here.join(command))
        } else {
            around.command(command).is_some()
        }
    };
    if let Some(command) = commands.iter().find(|command| is_there(command)) {
        // A relative path would mean another file where the app runs elsewhere.
        return Ok(if command.contains('/') {
            super::below(&around.here, command).display().to_string()
        } else {
            (*command).to_owned()
        });
    }
    let names = commands.join(" or ");
    let message = format!("{} needs {names}, which is not in PATH", script.display());
    Err(CliError::new(Exit::Failed, message).hint(format!(
        "install {names}, or name another with --interpreter"
    )))
}

/// Node runs no TypeScript by itself: a runner of the project, else one in `PATH`.
fn typescript(script: &Path, around: &Surroundings) -> Result<String, CliError> {
    let of_project = |start: &Path| -> Option<PathBuf> {
        start
            .ancestors()
            .map(|folder| folder.join("node_modules/.bin/tsx"))
            .find(|runner| is_executable(runner))
    };
    let runner = of_project(script).or_else(|| of_project(&around.here));
    if let Some(runner) = runner.as_deref().and_then(Path::to_str) {
        return Ok(runner.to_owned());
    }
    installed(script, commands(Language::TypeScript), around).map_err(|error| {
        error.hint(
            "`npm install --save-dev tsx` in the project, install bun, compile it to JavaScript, or name a \
             runner with --interpreter",
        )
    })
}
