//! `reload`: the instances of an app one after the other, so that an app of several is never
//! wholly away.

use clap::Args;
use supervisor_protocol::{Act, Service};

use super::Context;
use super::act::{self, How};
use super::report::Report;
use crate::cli::{Targets, Told};
use crate::errors::{CliError, Exit};
use crate::output::tell;
use crate::render::sanitize;
use crate::render::services::Names;

/// Restart apps one instance after the other
#[derive(Debug, Args)]
#[command(
    alias = "gracefulReload",
    after_help = "The next instance is restarted when the one before is up again; at the first that fails it \
                  ends, and the rest is left alone.\n\n\
                  Example: supervisorctl reload api"
)]
pub struct Reload {
    #[command(flatten)]
    on: Targets,
    #[command(flatten)]
    told: Told,
}

impl Reload {
    /// Reloads them.
    pub fn run(&self, context: &mut Context) -> Result<Exit, CliError> {
        let how = How::new(&self.told, None);
        let (mut session, mut rows) = act::look(context, &self.on.targets)?;
        if rows.is_empty() {
            return act::nothing_to_do(context, how);
        }
        // Two targets may mean the same instance.
        rows.sort_by(|a, b| (&a.name, a.instance).cmp(&(&b.name, b.instance)));
        rows.dedup_by(|a, b| (&a.name, a.instance) == (&b.name, b.instance));
        let names = Names::new(&rows, &self.on.targets);
        let mut report = Report::default();
        for (at, row) in rows.iter().enumerate() {
            let one = std::slice::from_ref(row);
            let done = act::once(context, &mut session, Act::Restart, one, &names, how)?;
            report.extend(done);
            if report.exit() != Exit::Done {
                left_alone(&rows[at + 1..], &names);
                break;
            }
        }
        let restarted = &report.outcomes;
        let gaps = rows.iter().filter(|row| {
            let alone = row.instances <= 1 && row.instance == 0;
            alone
                && restarted
                    .iter()
                    .any(|o| o.ok && o.old_pid.is_some() && o.name == row.name)
        });
        let gaps: Vec<_> = gaps.map(|row| sanitize::cell(&row.name)).collect();
        if !gaps.is_empty() && !context.silent {
            tell(&format!(
                "{} restarted with a gap: to start the new one before the old one goes needs `ready` and \
                 `listen`, which this version does not carry out yet\n",
                was(&gaps)
            ));
        }
        report.end(context, how.json)
    }
}

fn was(names: &[String]) -> String {
    let verb = if names.len() == 1 { "was" } else { "were" };
    format!("{} {verb}", names.join(", "))
}

fn left_alone(rest: &[Service], names: &Names) {
    let rest: Vec<_> = rest
        .iter()
        .map(|row| names.of(&row.name, row.instance))
        .collect();
    if !rest.is_empty() {
        tell(&format!("{} left alone\n", was(&rest)));
    }
}
