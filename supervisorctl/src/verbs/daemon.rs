//! `daemon start`, `status`, `stop`, `reload` and `reload-logs`; `upgrade` has a file of its own.

mod upgrade;

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use supervisor_protocol::client::{Client, ConnectError, Session};
use supervisor_protocol::{DaemonStatus, Paths, Reply, Request};

use super::report::{Named, Telling, carry_out};
use super::{Context, collect, launch, open, up};
use crate::errors::{CliError, Exit};
use crate::render::services::Names;
use crate::render::text::hang;
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
    /// Start it if none runs; what ran runs again
    #[command(after_help = "Example: supervisorctl daemon start")]
    Start,
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
    /// Look every log file up by its name again, after they were moved away; SIGUSR2 does the same
    ///
    /// Log files are rotated without it. It is for those who keep another program that moves them:
    /// when it returns, nothing more goes into the old ones.
    #[command(after_help = "Example: supervisorctl daemon reload-logs")]
    ReloadLogs,
    Upgrade(upgrade::Upgrade),
}

impl Daemon {
    /// Does it.
    pub fn run(&self, context: &mut Context) -> Result<Exit, CliError> {
        match &self.verb {
            Verb::Start => start(context),
            Verb::Status { json } => status(context, *json),
            Verb::Stop => stop(context),
            Verb::Reload { how } => up::make_so(context, None, how, false),
            Verb::ReloadLogs => reload_logs(context),
            Verb::Upgrade(upgrade) => upgrade.run(context),
        }
    }
}

fn start(context: &mut Context) -> Result<Exit, CliError> {
    let text = match Session::open(&context.paths) {
        Ok(_) => "the daemon runs already\n",
        Err(ConnectError::NoDaemon { .. }) => {
            launch::ensure(context)?;
            "the daemon runs; what ran before runs again: `supervisorctl status` shows it\n"
        }
        Err(error) => return Err(error.into()),
    };
    context.out.text(text)?;
    Ok(Exit::Done)
}

fn status(context: &mut Context, json: bool) -> Result<Exit, CliError> {
    let status = ask(&mut open(context)?)?;
    let text = if json {
        super::json(&status)?
    } else {
        page(&status, context.out.width())
    };
    context.out.text(&text)?;
    Ok(Exit::Done)
}

fn reload_logs(context: &mut Context) -> Result<Exit, CliError> {
    let mut session = open(context)?;
    session.call::<CliError>(&Request::ReopenLogs, |_| Ok(()))?;
    context.out.text(
        "every log goes into the file of its name; those that were moved away are complete\n",
    )?;
    Ok(Exit::Done)
}

/// What the daemon says about itself.
pub fn ask(session: &mut Session) -> Result<DaemonStatus, CliError> {
    let found = collect(session, &Request::DaemonStatus, |reply| match reply {
        Reply::Daemon(status) => vec![status],
        Reply::Services(_)
        | Reply::Details(_)
        | Reply::Plan(_)
        | Reply::Outcome(_)
        | Reply::Logs(_)
        | Reply::End
        | Reply::Error(_) => Vec::new(),
    })?;
    let nothing = || CliError::new(Exit::Failed, "the daemon said nothing about itself");
    found.into_iter().next().ok_or_else(nothing)
}

fn page(status: &DaemonStatus, width: Option<usize>) -> String {
    let engines = match status.engine_restarts {
        0 => String::new(),
        1 => ", the 2nd one".into(),
        more => format!(", after {more} others"),
    };
    let process = |pid, ms| format!("pid {pid}, up {}", units::age(ms));
    let engine = process(status.engine_pid, status.engine_uptime_ms) + &engines;
    let lines = [
        ("version", status.version.clone()),
        ("keeper", process(status.keeper_pid, status.uptime_ms)),
        ("engine", engine),
        ("services", status.services.to_string()),
        ("log", status.log.display().to_string()),
    ];
    let upgrade = status.upgrade.as_ref().map(upgrade::describe);
    let upgrade = upgrade.map(|text| ("upgrade", text));
    let limits = status.limits.iter().map(|limit| ("limit", limit.clone()));
    let lines = lines.into_iter().chain(upgrade).chain(limits);
    lines
        .map(|(title, text)| format!("{title:8}  {}\n", hang(10, &sanitize::cell(&text), width)))
        .collect()
}

/// Stops the apps, then the daemon, and returns when it is gone: `supervisor` may be started anew
/// right after.
fn stop(context: &mut Context) -> Result<Exit, CliError> {
    let mut session = open(context)?;
    // Without them, that nobody listens has to do; what is wrong otherwise, the request itself tells.
    let processes = ask(&mut session).map(|about| vec![about.keeper_pid, about.engine_pid]);
    let processes = processes.unwrap_or_default();
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
            if !is_gone(&context.paths, &processes) {
                return Err(error);
            }
            Exit::Done
        }
        Err(error) => return Err(error),
    };
    if !is_gone(&context.paths, &processes) {
        return Err(CliError::new(
            Exit::Failed,
            "the apps are stopped, but the daemon still listens",
        )
        .hint("its own log may say why: `supervisorctl daemon status` names it"));
    }
    context
        .out
        .text("the daemon has stopped; what ran runs again after `supervisorctl daemon start`\n")?;
    Ok(exit)
}

/// Waits until nobody listens and the daemon's processes have ended, so that their folders can be
/// unmounted. The pauses grow, because nobody may be taking connections from the
/// backlog any more, and a full one would block.
fn is_gone(paths: &Paths, processes: &[i32]) -> bool {
    let deadline = Instant::now() + GOES_WITHIN;
    let mut pause = Duration::from_millis(5);
    loop {
        let nobody = matches!(Client::connect(paths), Err(ConnectError::NoDaemon { .. }));
        if nobody && !processes.iter().any(|&pid| is_alive(pid)) {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(500));
    }
}

/// One that has ended and was not reaped yet holds nothing any more.
fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit(')')
        .next()
        .and_then(|rest| rest.trim_start().chars().next());
    state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
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
            upgrade: Some(supervisor_protocol::Upgrade {
                number: 7,
                state: supervisor_protocol::UpgradeState::Failed,
                reason: Some("the new engine was not ready within 5 s".into()),
            }),
            limits: vec!["no cgroup v2 here: a tree is told by its process group".into()],
        };
        insta::assert_snapshot!(page(&status, None));
        let narrow = page(&status, Some(60));
        assert!(
            narrow.ends_with("by its process\n          group\n"),
            "{narrow}"
        );
    }
}
