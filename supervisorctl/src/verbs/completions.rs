//! `completions`, and what the shell asks afterwards: words of ours, and the names of live apps.
//!
//! Promises to stay silent and quick where no daemon answers: a shell is waiting for its prompt.

use std::ffi::OsStr;
use std::time::Duration;

use clap::{Args, CommandFactory as _, ValueEnum};
use clap_complete::CompletionCandidate;
use clap_complete::engine::{PathCompleter, ValueCompleter as _};
use clap_complete::env::{Bash, CompleteEnv, EnvCompleter, Fish, Zsh};
use supervisor_protocol::Service;
use supervisor_protocol::client::Session;

use super::{Context, rows};
use crate::cli::Cli;
use crate::errors::{CliError, Exit};
use crate::render::services::word;

const PROGRAM: &str = "supervisorctl";

/// Which the shell sets when it asks; a name that nothing else has.
const VARIABLE: &str = "SUPERVISORCTL_COMPLETE";

/// How long the daemon may think about it.
const PATIENCE: Duration = Duration::from_millis(300);

/// Print what makes a shell complete verbs, options and the names of apps
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bash   echo 'source <(supervisorctl completions bash)' >> ~/.bashrc
  zsh    echo 'source <(supervisorctl completions zsh)' >> ~/.zshrc    (below compinit)
  fish   supervisorctl completions fish > ~/.config/fish/completions/supervisorctl.fish

It counts in the next shell that is opened.")]
pub struct Completions {
    /// The shell
    shell: Shell,
}

/// A shell that can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Completions {
    /// Prints it.
    pub fn run(&self, context: &mut Context) -> Result<Exit, CliError> {
        let script = script(self.shell)?;
        context.out.bytes(&script)?;
        context.out.flush()?;
        Ok(Exit::Done)
    }
}

/// Where each shell looks for it by itself, below `share`.
pub const FILES: [(Shell, &str); 3] = [
    (Shell::Bash, "bash-completion/completions/supervisorctl"),
    (Shell::Zsh, "zsh/site-functions/_supervisorctl"),
    (Shell::Fish, "fish/vendor_completions.d/supervisorctl.fish"),
];

/// What the shell reads.
pub fn script(shell: Shell) -> Result<Vec<u8>, CliError> {
    let completer: &dyn EnvCompleter = match shell {
        Shell::Bash => &Bash,
        Shell::Zsh => &Zsh,
        Shell::Fish => &Fish,
    };
    let mut script = Vec::new();
    completer
        .write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut script)
        .map_err(|error| CliError::from_output(&error))?;
    match shell {
        Shell::Bash => Ok(with_colons(&String::from_utf8_lossy(&script)).into_bytes()),
        Shell::Zsh => Ok([script.as_slice(), ZSH_LOADED.as_bytes()].concat()),
        Shell::Fish => Ok(script),
    }
}

/// Where zsh loads it as the function of that name, at the first use, it has to answer at once.
const ZSH_LOADED: &str = "
[[ $funcstack[1] != _supervisorctl ]] || _clap_dynamic_completer_supervisorctl \"$@\"
";

/// Bash takes a word apart at its colons and wants only what follows the last one; `NAME:INSTANCE`
/// is one word. What was typed is put together again, and what is there already taken away.
fn with_colons(script: &str) -> String {
    const ASKS: &str = "_clap_complete_supervisorctl";
    let script = script.replace(&format!("-F {ASKS} "), "-F _supervisorctl_words ");
    format!(
        r#"_supervisorctl_words() {{
    local typed="${{COMP_LINE:0:COMP_POINT}}"
    typed="${{typed##*[[:blank:]]}}"
    if [[ $typed != *:* || $COMP_WORDBREAKS != *:* ]]; then
        {ASKS} "$@"
        return
    fi
    local COMP_WORDS COMP_CWORD
    IFS=$' \t' read -ra COMP_WORDS <<< "${{COMP_LINE:0:COMP_POINT}}"
    COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
    {ASKS} "$1" "$typed" "$3"
    COMPREPLY=("${{COMPREPLY[@]#"${{typed%"${{typed##*:}}"}}"}}")
}}
{script}"#
    )
}

/// Where it is the shell that asks: answers, and ends the program.
pub fn answer_shell() {
    CompleteEnv::with_factory(Cli::command)
        .var(VARIABLE)
        .complete();
}

/// Words that mean apps.
pub fn targets(typed: &OsStr) -> Vec<CompletionCandidate> {
    let Some(typed) = typed.to_str() else {
        return Vec::new();
    };
    let words = words(&known(), typed);
    words
        .into_iter()
        .map(|(word, help)| CompletionCandidate::new(word).help(help.map(Into::into)))
        .collect()
}

/// Words that mean apps, or files.
pub fn targets_and_files(typed: &OsStr) -> Vec<CompletionCandidate> {
    let mut found = targets(typed);
    found.extend(PathCompleter::any().complete(typed));
    found
}

fn known() -> Vec<Service> {
    let ask = || {
        let paths = super::other::paths(false).ok()?;
        let session = Session::open(&paths).ok()?;
        rows(&mut session.patience(PATIENCE), &[]).ok()
    };
    ask().unwrap_or_default()
}

/// Those that begin with what is typed; instances by themselves only once a colon is typed.
fn words(rows: &[Service], typed: &str) -> Vec<(String, Option<String>)> {
    let mut found: Vec<(String, Option<String>)> = Vec::new();
    let mut add = |word: String, help: Option<String>| {
        if word.starts_with(typed) && !found.iter().any(|(other, _)| *other == word) {
            found.push((word, help));
        }
    };
    for row in rows {
        add(row.name.clone(), Some(word(row.state).to_owned()));
    }
    if typed.contains(':') {
        for row in rows {
            let state = Some(word(row.state).to_owned());
            add(format!("{}:{}", row.name, row.instance), state);
        }
    }
    for row in rows.iter().filter(|row| !row.namespace.is_empty()) {
        add(format!("{}/", row.namespace), Some("namespace".to_owned()));
    }
    if !rows.is_empty() {
        add("all".to_owned(), None);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixtures::running;

    #[test]
    fn names_namespaces_and_all() {
        let mut rows = [
            running(0, "api", 0),
            running(1, "web", 0),
            running(2, "web", 1),
        ];
        rows[0].namespace = "shop".into();
        let list = |typed| {
            let words = words(&rows, typed);
            words.into_iter().map(|(word, _)| word).collect::<Vec<_>>()
        };
        assert_eq!(list(""), ["api", "web", "shop/", "all"]);
        assert_eq!(list("a"), ["api", "all"]);
        assert_eq!(list("web:"), ["web:0", "web:1"]);
        assert_eq!(list("x"), [""; 0]);
        assert!(words(&[], "").is_empty(), "no daemon, no words");
    }
}
