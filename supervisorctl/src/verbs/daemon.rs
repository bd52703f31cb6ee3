//! `daemon status`, `daemon stop` and `daemon reload`.

use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use supervisor_protocol::client::{Client, ConnectError};
use supervisor_protocol::{DaemonStatus, Paths, Reply, Request};

use super::report::{Named, Telling, carry_out};
use super::{Context, collect, open, up};
use crate::errors::{CliError, Exit};
use crate::render::services::Names;
use crate::render::{sanitize, units};

/// How long the daemon may take to go after the last app has stopped.
const GOES_WITHIN: Duration = Duration::from_secs(10);

/// The daemon itself
#[derive(Debug, Args)]
#[command(after_help = "Example: supervisorctl daemon status")]
pub struct Daemon {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Its processes, its age, its version
    #[command(after_help = "Example: supervisorctl daemon status --json")]
    Status {
        /// As one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Stop all apps in order, then the daemon; the next start brings back what ran
    #[command(after_help = "Example: supervisorctl daemon stop")]
    Stop,
    /// Read the configured files again and make their apps so
    #[command(after_help = "Example: supervisorctl daemon reload --dry-run")]
    Reload {
        #[command(flatten)]
        how: up::How,
    },
}

impl Daemon {
    /// Does it.
    pub fn run(&self, context: &mut Context) -> Result<Exit, CliError> {
        match &self.verb {
            Verb::Status { json } => status(context, *json),
            Verb::Stop => stop(context),
            Verb::Reload { how } => up::make_so(context, None, how, false),
        }
    }
}

fn status(context: &mut Context, json: bool) -> Result<Exit, CliError> {
    let found = collect(
        &mut open(context)?,
        &Request::DaemonStatus,
        |reply| match reply {
            Reply::Daemon(status) => vec![status],
            Reply::Services(_)
            | Reply::Details(_)
            | Reply::Plan(_)
            | Reply::Outcome(_)
            | Reply::Logs(_)
            | Reply::End
            | Reply::Error(_) => Vec::new(),
        },
    )?;
    let Some(status) = found.first() else {
        return Err(CliError::new(
            Exit::Failed,
            "the daemon said nothing about itself",
        ));
    };
    let text = if json {
        super::json(status)?
    } else {
        page(status)
    };
    context.out.text(&text)?;
    Ok(Exit::Done)
}

fn page(status: &DaemonStatus) -> String {
    let engines = match status.engine_restarts {
        0 => String::new(),
        1 => ", the 2nd one".into(),
        more => format!(", after {more} others"),
    };
    let mut text = format!(
        "version   {}\nkeeper    pid {}, up {}\nengine    pid {}, up {}{engines}\nservices  {}\nlog       {}\n",
        sanitize::cell(&status.version),
        status.keeper_pid,
        units::age(status.uptime_ms),
        status.engine_pid,
        units::age(status.engine_uptime_ms),
        status.services,
        sanitize::cell(&status.log.display().to_string()),
    );
    for limit in &status.limits {
        text.push_str(&format!("limit     {}\n", sanitize::cell(limit)));
    }
    text
}

/// Stops the apps, then the daemon, and returns when it is gone: `supervisor` may be started anew
/// right after.
fn stop(context: &mut Context) -> Result<Exit, CliError> {
    let mut session = open(context)?;
    let telling = Telling {
        names: Named::As(Names::default()),
        awaited: Vec::new(),
        json: false,
    };
    let result = carry_out(context, &mut session, &Request::DaemonStop, telling);
    drop(session);
    let exit = match result {
        Ok(report) => report.exit(),
        // It went before its last words came through.
        Err(error) if error.exit == Exit::NoDaemon => {
            if !is_gone(&context.paths) {
                return Err(error);
            }
            Exit::Done
        }
        Err(error) => return Err(error),
    };
    if !is_gone(&context.paths) {
        return Err(CliError::new(
            Exit::Failed,
            "the apps are stopped, but the daemon still listens",
        )
        .hint("its own log may say why: `supervisorctl daemon status` names it"));
    }
    context
        .out
        .text("the daemon has stopped; what ran runs again at its next start\n")?;
    Ok(exit)
}

/// Waits until nobody listens. The pauses grow, because nobody may be taking connections from the
/// backlog any more, and a full one would block.
fn is_gone(paths: &Paths) -> bool {
    let deadline = Instant::now() + GOES_WITHIN;
    let mut pause = Duration::from_millis(5);
    loop {
        if matches!(Client::connect(paths), Err(ConnectError::NoDaemon { .. })) {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(500));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_for_people() {
        let status = DaemonStatus {
            keeper_pid: 100,
            engine_pid: 101,
            version: "0.1.0".into(),
            uptime_ms: 90_000,
            engine_uptime_ms: 500,
            engine_restarts: 3,
            services: 2,
            log: "/var/log/supervisor/supervisor.log".into(),
            limits: vec!["no cgroup v2 here: a tree is told by its process group".into()],
        };
        insta::assert_snapshot!(page(&status));
    }
}
