//! All there is to know of one instance, for `show`.

use supervisor_config::{App, EnvFile, Limits, LogFormat, Logs, OnFull, size_text};
use supervisor_core::{RestartWhen, ServiceId, Span};
use supervisor_protocol::{Asked, Details, Process, Reply, Service};

use super::inbox::Replies;
use super::view::rfc3339;
use super::{Engine, explain};
use crate::os::proc;
use crate::os::tree::{Table, Tree, page_size};
use crate::persist::desired::Asked as Last;

/// So many processes of a tree are listed: what is told has to fit into one frame.
const PROCESSES: usize = 200;
/// So many characters of each command line.
const SHOWN: usize = 300;

impl Engine {
    pub(super) fn answer_show(&mut self, target: &str, show_env: bool, replies: &Replies) {
        let ids = match self.resolve(&[target.to_owned()]) {
            Ok(ids) => ids,
            Err(failure) => return replies.send(Reply::Error(failure)),
        };
        let table = self.look(&ids);
        for id in &ids {
            let Some(row) = self.row(id, Some(&table)) else {
                continue;
            };
            if let Some(details) = self.details(id, row, show_env, &table) {
                replies.send(Reply::Details(Box::new(details)));
            }
        }
        replies.end();
    }

    fn details(
        &self,
        id: &ServiceId,
        service: Service,
        show_env: bool,
        table: &Table,
    ) -> Option<Details> {
        let entry = self.desired.apps.get(&id.app)?;
        let app = &entry.app;
        let user = match (&app.user, &app.group) {
            (Some(user), Some(group)) => Some(format!("{user}:{group}")),
            (user, _) => user.clone(),
        };
        let hide = |value: &String| show_env.then(|| value.clone());
        let origin = entry.origin.as_ref();
        Some(Details {
            service,
            command: app.command.clone(),
            directory: app.directory.clone(),
            user,
            origin: origin.map_or("command line".to_owned(), |path| path.display().to_string()),
            boot: format!("{:?}", app.policy.boot).to_lowercase(),
            after: app.policy.after.iter().map(ToString::to_string).collect(),
            env: app
                .env
                .iter()
                .map(|(key, value)| (key.clone(), hide(value)))
                .collect(),
            env_file: app.env_file.iter().map(EnvFile::written).collect(),
            asked: self
                .desired
                .wish(id)
                .and_then(|wish| wish.last.as_ref())
                .map(asked),
            policies: policies(app)
                .into_iter()
                .chain(self.group_policies(id))
                .collect(),
            stderr_tail: self.stderr_tail(id, 10),
            processes: self.processes(id, table),
        })
    }

    fn processes(&self, id: &ServiceId, table: &Table) -> Vec<Process> {
        let Some(live) = self.live_of(id) else {
            return Vec::new();
        };
        let Some(main) = live.pid.filter(|_| live.ending.is_none()) else {
            return Vec::new();
        };
        let tree = Tree {
            keeper: self.keeper,
            main,
            main_alive: true,
            token: &live.token,
        };
        let one = |pid: i32| {
            let memory_bytes = proc::stat(pid)?.rss_pages * page_size();
            let command = proc::cmdline(pid)?.join(" ");
            Some(Process {
                pid,
                memory_bytes,
                command: command.chars().take(SHOWN).collect(),
            })
        };
        let members = tree.members_in(table).into_iter();
        members.filter_map(one).take(PROCESSES).collect()
    }
}

fn policies(app: &App) -> Vec<(String, String)> {
    let restart = &app.policy.restart;
    let span = explain::seconds;
    let when = match restart.policy {
        RestartWhen::Always => "always",
        RestartWhen::OnFailure => "on failure",
        RestartWhen::Never => "never",
    };
    let limit = match restart.max_restarts {
        0 => "never given up".to_owned(),
        most => format!("given up after {most} quick exits in a row"),
    };
    let waits: Vec<String> = app.wait_for.iter().map(ToString::to_string).collect();
    let waits = (!waits.is_empty()).then(|| ("waits for".to_owned(), waits.join(", ")));
    let limits = limits(&app.limits).map(|limits| ("limits".to_owned(), limits));
    let rest = [
        (
            "restart".to_owned(),
            format!(
                "{when}; delay {}, at most {}, forgotten after {}; {limit}",
                span(restart.delay),
                span(restart.max_delay),
                span(restart.stable_after)
            ),
        ),
        (
            "stop".to_owned(),
            format!(
                "{}, then SIGKILL to the whole tree after {}",
                app.stop_signal.name(),
                span(app.policy.stop.timeout)
            ),
        ),
        ("logs".to_owned(), logs(&app.logs)),
    ];
    waits.into_iter().chain(rest).chain(limits).collect()
}

fn asked(last: &Last) -> Asked {
    Asked {
        what: last.what.word().to_owned(),
        uid: last.uid,
        user: last.user.clone(),
        at: rfc3339(last.at_ms),
    }
}

/// What it may use, where its file says so.
fn limits(limits: &Limits) -> Option<String> {
    let Limits {
        nofile,
        nice,
        oom_score_adj,
        umask,
        no_new_privs,
    } = limits;
    let said = [
        nofile.map(|most| format!("{most} open files")),
        nice.map(|nice| format!("nice {nice}")),
        oom_score_adj.map(|score| format!("OOM score {score}")),
        umask.map(|mask| format!("umask {mask}")),
        no_new_privs.then(|| "no new privileges".to_owned()),
    ];
    let said: Vec<String> = said.into_iter().flatten().collect();
    (!said.is_empty()).then(|| said.join(", "))
}

/// What holds for its log files.
fn logs(logs: &Logs) -> String {
    let age = match logs.max_age {
        Span(0) => None,
        age => Some(format!("after {}", explain::seconds(age))),
    };
    let size = logs.max_size.map(|most| format!("at {}", size_text(most)));
    let when: Vec<String> = size.into_iter().chain(age).collect();
    let rotated = match when.is_empty() {
        true => "never rotated".to_owned(),
        false => format!("rotated {}, {} kept", when.join(" or "), logs.keep),
    };
    let total = logs
        .max_total
        .map(|most| format!("{} in all", size_text(most)));
    let compressed = logs.compress.then(|| "compressed".to_owned());
    let format = match logs.format {
        LogFormat::Raw => None,
        LogFormat::Timestamp => Some("with times".to_owned()),
    };
    let full = match logs.on_full {
        OnFull::Drop => "a full disk drops lines and counts them",
        OnFull::Block => "a full disk makes it wait",
    };
    let parts = [Some(rotated), total, compressed, format];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    format!("{}; {full}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_for_logs_in_one_sentence() {
        assert_eq!(
            logs(&Logs::default()),
            "rotated at 50MB, 10 kept, 1GB in all, compressed; a full disk drops lines and counts them"
        );
        let other = Logs {
            max_size: None,
            max_age: Span(3_600_000),
            max_total: None,
            compress: false,
            format: LogFormat::Timestamp,
            on_full: OnFull::Block,
            ..Logs::default()
        };
        assert_eq!(
            logs(&other),
            "rotated after 60 min, 10 kept, with times; a full disk makes it wait"
        );
        let never = Logs {
            max_age: Span(0),
            format: LogFormat::Raw,
            ..other
        };
        assert_eq!(logs(&never), "never rotated; a full disk makes it wait");
    }
}
