//! `daemon upgrade`: the daemon is replaced under load, and the connection with it. Whoever answers the
//! request in the end says how it went.

use std::process;
use std::time::{Instant, SystemTime};

use clap::Args;
use supervisor_protocol::{DaemonStatus, FailureKind, Request, UpgradeState};

use super::ask;
use crate::errors::{CliError, Exit};
use crate::render::sanitize;
use crate::verbs::spinner::Spinner;
use crate::verbs::{Context, open};

/// Replace the daemon by the program on disk; no app notices
///
/// Install the new `supervisor` at the path of the old one first (by renaming it over the old one, as
/// `install` and packages do), then say this. If the new engine does not get ready within 5 s, or dies
/// three times within a minute, the program before goes on.
#[derive(Debug, Args)]
#[command(after_help = "Example: supervisorctl daemon upgrade")]
pub struct Upgrade {
    /// Replace the keeper, too, once the new program has shown that it can take over
    ///
    /// The keeper seldom changes, and stays as it is otherwise. Its pid and its children stay in any case.
    #[arg(long)]
    keeper: bool,
}

impl Upgrade {
    /// Does it.
    pub fn run(&self, context: &mut Context) -> Result<Exit, CliError> {
        let mut session = open(context)?;
        let before = match ask(&mut session) {
            Ok(status) => Some(status),
            // It speaks otherwise, and understands the upgrade all the same.
            Err(error) if error.kind == Some(FailureKind::Version) => {
                session = open(context)?;
                None
            }
            Err(error) => return Err(error),
        };
        let request = Request::Upgrade {
            keeper: self.keeper,
            number: number(),
        };
        let began = Instant::now();
        let spinner = Spinner::start(vec!["the new engine".to_owned()]);
        let result = session.call::<CliError>(&request, |_| Ok(()));
        drop(spinner);
        result?;
        let took = began.elapsed();
        let after = ask(&mut session)?;
        let text = sentence(before.as_ref(), &after, self.keeper, took.as_millis());
        context.out.text(&text)?;
        Ok(Exit::Done)
    }
}

/// Tells this upgrade from those before.
fn number() -> u32 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let millis = now.map_or(0, |since| since.as_millis()) as u32;
    (millis ^ process::id().rotate_left(16)).max(1)
}

fn sentence(before: Option<&DaemonStatus>, after: &DaemonStatus, keeper: bool, ms: u128) -> String {
    let keeper = match keeper {
        true => format!(", and keeper pid {} runs the new program", after.keeper_pid),
        false => String::new(),
    };
    let old = before.map_or(("another".to_owned(), "unknown".to_owned()), |before| {
        (before.version.clone(), before.engine_pid.to_string())
    });
    let text = format!(
        "upgraded: version {} → {}, engine pid {} → {}{keeper}; {ms} ms, no app was touched",
        old.0, after.version, old.1, after.engine_pid
    );
    sanitize::cell(&text) + "\n"
}

/// For `daemon status`.
pub fn describe(upgrade: &supervisor_protocol::Upgrade) -> String {
    let reason = upgrade.reason.as_deref().unwrap_or("nobody knows why");
    match upgrade.state {
        UpgradeState::OnTrial => {
            "the new program runs; until it has run for a minute, three deaths of its engine bring back the one before".to_owned()
        }
        UpgradeState::Done => "done; the new program runs".to_owned(),
        UpgradeState::Failed => format!("failed: {reason}; the program before goes on"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_numbers_are_two() {
        let first = number();
        std::thread::sleep(std::time::Duration::from_millis(2));
        assert_ne!(first, number());
    }
}
