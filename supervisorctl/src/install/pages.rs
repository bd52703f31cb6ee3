//! The manual pages: those of the command line from its help, the daemon's as it is written.

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;

use crate::cli::Cli;
use crate::errors::CliError;

/// Each with the name of its file, such as `supervisorctl-daemon-stop.1`.
pub fn all() -> Result<Vec<(String, Vec<u8>)>, CliError> {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    let mut pages = vec![("supervisor.8".to_owned(), DAEMON.to_vec())];
    let mut queue = vec![root];
    while let Some(command) = queue.pop() {
        let inner = command.get_subcommands().filter(|verb| !verb.is_hide_set());
        queue.extend(inner.cloned());
        pages.push(page(command)?);
    }
    pages.sort_unstable();
    Ok(pages)
}

const DAEMON: &[u8] = include_bytes!("supervisor.8");

fn page(command: Command) -> Result<(String, Vec<u8>), CliError> {
    let source = format!("supervisor {}", env!("CARGO_PKG_VERSION"));
    let page = Man::new(command).source(source).manual("Supervisor");
    let mut text = Vec::new();
    page.render(&mut text)
        .map_err(|error| CliError::from_output(&error))?;
    Ok((page.get_filename(), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_for_each_verb() {
        let pages = all().unwrap();
        let names: Vec<_> = pages.iter().map(|(name, _)| name.as_str()).collect();
        for name in [
            "supervisor.8",
            "supervisorctl.1",
            "supervisorctl-logs.1",
            "supervisorctl-daemon-stop.1",
        ] {
            assert!(names.contains(&name), "{name} in {names:?}");
        }
        // Where a page names another one, that is there.
        for (name, text) in &pages {
            let text = String::from_utf8_lossy(text)
                .replace("\\-", "-")
                .replace("\\fR", "");
            let named = text.split_whitespace().filter_map(|word| {
                let (page, _) = word.trim_start_matches("\\fB").split_once("(1)")?;
                page.starts_with("supervisorctl")
                    .then(|| format!("{page}.1"))
            });
            for other in named {
                assert!(names.contains(&other.as_str()), "{name} names {other}");
            }
        }
    }
}
