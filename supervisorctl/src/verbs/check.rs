//! `check`: reads config files as `up` would, without a daemon.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use supervisor_config::{Config, Configured, Known, Name, Reader, check_env_files, cross_check};
use supervisor_protocol::{Excerpt, Fault, Paths};

use super::Context;
use super::up;
use crate::errors::{CliError, Exit, render_faults};
use crate::render::sanitize;

/// Check a config file, and the env files that it names, without a daemon
#[derive(Debug, Args)]
#[command(
    after_help = "Without FILE: ./supervisor.toml, else the configured files. Every fault is told with its \
                  place; the exit code is 1 if there is one. Whether users, programs and directories are there \
                  is for `up` to see, on the machine where it runs.\n\n\
                  Example: supervisorctl check supervisor.toml"
)]
pub struct Check {
    /// The config file
    #[arg(value_hint = ValueHint::FilePath)]
    file: Option<PathBuf>,
    /// The faults as a JSON list
    #[arg(long)]
    json: bool,
}

impl Check {
    /// Tells every fault.
    pub fn run(&self, context: &mut Context) -> Result<Exit, CliError> {
        let file = up::file(self.file.as_deref())?;
        let configured = Configured::new(&context.paths.config_file, &context.paths.config_dir);
        let files = match &file {
            Some(file) => vec![file.clone()],
            None => configured.list(),
        };
        if files.is_empty() {
            return Err(no_files(&context.paths));
        }
        let (configs, mut faults) = configured.load(&files);
        if faults.is_empty() {
            // A file of its own may name apps of the configured ones.
            let others = file.map(|_| configured.load(&configured.list()).0);
            let known = known(&others.unwrap_or_default(), &configs);
            faults = cross_check(&configs, &known);
        }
        for config in &configs {
            faults.extend(check_env_files(config, Reader::this()));
        }
        let faults: Vec<Fault> = faults.iter().map(on_the_wire).collect();
        let text = if self.json {
            super::json(&faults)?
        } else if faults.is_empty() {
            configs.iter().map(summary).collect()
        } else {
            render_faults(&faults, context.out.style, context.out.width())
        };
        context.out.text(&text)?;
        Ok(if faults.is_empty() {
            Exit::Done
        } else {
            Exit::Failed
        })
    }
}

fn no_files(paths: &Paths) -> CliError {
    CliError::new(Exit::Failed, "there is no config file").hint(format!(
        "write {} or {}/NAME.toml, or name a file: supervisorctl check FILE",
        paths.config_file.display(),
        paths.config_dir.display()
    ))
}

/// What other files define.
fn known(others: &[Config], checked: &[Config]) -> BTreeMap<Name, Known> {
    let is_checked = |other: &&Config| checked.iter().any(|config| config.file() == other.file());
    let others = others.iter().filter(|other| !is_checked(other));
    let apps = others.flat_map(|other| other.apps.values().map(move |app| (other, app)));
    apps.map(|(other, app)| {
        let known = Known {
            origin: other.file().map(Path::to_owned),
            after: app.policy.after.clone(),
            logs: app.log_files().map(|(_, path)| path).collect(),
        };
        (app.name.clone(), known)
    })
    .collect()
}

fn summary(config: &Config) -> String {
    let apps = match config.apps.len() {
        1 => "1 app".to_owned(),
        more => format!("{more} apps"),
    };
    let file = config.file().unwrap_or(Path::new("")).display().to_string();
    format!("{}: no faults, {apps}\n", sanitize::cell(&file))
}

fn on_the_wire(fault: &supervisor_config::Fault) -> Fault {
    let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    Fault {
        file: fault.file.clone(),
        line: fault.line.map(number),
        column: fault.column.map(number),
        key: fault.key.clone(),
        message: fault.message.clone(),
        hint: fault.hint.clone(),
        excerpt: fault.excerpt.as_ref().map(|excerpt| Excerpt {
            text: excerpt.text.clone(),
            start: number(excerpt.column.saturating_sub(1)),
            width: number(excerpt.width),
        }),
    }
}
