//! The rows of the status table: where the core's types become those of the wire.

use supervisor_core::{Exit, Phase, RunId, Service as Core, ServiceId, Time, Wait};
use supervisor_protocol::{LastExit as WireExit, LogPaths, Reply, Service, State};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::ending::wall_ms;
use super::inbox::Replies;
use super::record::LastExit;
use super::{Engine, Live, explain, now};
use crate::os::tree::{Table, Tree};
use crate::persist::slots::{CellId, Slots};

/// Rows in one frame: far below its limit, whatever the rows say.
const ROWS: usize = 64;
/// So many of those that something waits for are named.
const NAMED: usize = 5;
/// CPU use is measured over at least so many milliseconds.
const CPU_SPAN: u64 = 250;
/// CPU time is counted in these.
pub(super) const TICKS_PER_SECOND: f64 = 100.0;

/// The last measurement of a tree's CPU time.
#[derive(Clone, Copy, Debug)]
pub struct CpuSample {
    ticks: u64,
    at: Time,
    percent: f64,
}

impl Engine {
    /// The run of an instance that counts, where it has a process.
    pub(super) fn live_of(&self, id: &ServiceId) -> Option<&Live> {
        let run = self.fleet.get(id)?.run()?;
        self.cells.get(&self.cell_of(id, run)?)
    }

    /// The cell of a run: one of the two that its instance's slot has.
    pub(super) fn cell_of(&self, id: &ServiceId, run: RunId) -> Option<CellId> {
        let slot = self.instances.get(id)?.slot;
        let is_of = |cell: &CellId| self.cells.get(cell).is_some_and(|live| live.run == run);
        Slots::cells(slot).into_iter().find(is_of)
    }

    /// The pid of an instance's main process.
    pub(super) fn pid_of(&self, id: &ServiceId) -> Option<i32> {
        self.live_of(id)?.pid
    }

    pub(super) fn answer_status(&mut self, targets: &[String], usage: bool, replies: &Replies) {
        let ids = match self.resolve(targets) {
            Ok(ids) => ids,
            Err(failure) => return replies.send(Reply::Error(failure)),
        };
        let table = usage.then(|| self.look(&ids));
        for part in ids.chunks(ROWS) {
            let rows = part
                .iter()
                .filter_map(|id| self.row(id, table.as_ref()))
                .collect();
            replies.send(Reply::Services(rows));
        }
        replies.end();
    }

    /// One look at the processes of these instances, and perhaps at others.
    pub(super) fn look(&self, ids: &[ServiceId]) -> Table {
        let asked = ids.iter().filter_map(|id| self.pid_of(id)).collect();
        let mains = self.by_pid.keys().copied().collect();
        Table::look(self.keeper, asked, mains)
    }

    pub(super) fn row(&mut self, id: &ServiceId, table: Option<&Table>) -> Option<Service> {
        let usage = table.and_then(|table| self.usage(id, table));
        let service = self.fleet.get(id)?;
        let entry = self.desired.apps.get(&id.app)?;
        let wish = entry.instances.get(&id.instance)?;
        let policy = self.fleet.policy(id)?;
        let instance = self.instances.get(id)?;
        let pid = self.pid_of(id);
        let next = service.next_start().map(|at| at.since(now()).0);
        let [stdout, stderr] = self.streams.paths(id, &self.folder);
        let lost = self.losses(id);
        Some(Service {
            id: wish.id,
            name: id.app.to_string(),
            instance: id.instance,
            instances: entry.app.instances,
            namespace: entry.app.namespace.clone(),
            state: state(service.state()),
            pid,
            ready: service.ready(policy),
            uptime_ms: pid.map(|_| now().since(service.since()).0),
            restarts: service.restarts,
            failures: service.failures,
            cpu_percent: usage.map(|(cpu, _)| cpu),
            memory_bytes: usage.map(|(_, memory)| memory),
            last_exit: instance.last_exit.as_ref().map(wire_exit),
            next_start_at: next.map(|ms| rfc3339(wall_ms() + ms)),
            next_start_in_ms: next,
            logs: LogPaths {
                stdout,
                stderr,
                dropped_lines: lost.lines,
                dropped_bytes: lost.bytes,
            },
            run: service.last_run.0,
            note: self.note(id),
        })
    }

    /// CPU (percent of one core) and memory of a whole tree.
    fn usage(&mut self, id: &ServiceId, table: &Table) -> Option<(f64, u64)> {
        let keeper = self.keeper;
        let run = self.fleet.get(id)?.run()?;
        let now = now();
        let since = self.fleet.get(id)?.since();
        let cell = self.cell_of(id, run)?;
        let live = self.cells.get_mut(&cell)?;
        let main = live.pid.filter(|_| live.ending.is_none())?;
        let tree = Tree {
            keeper,
            main,
            main_alive: true,
            token: &live.token,
        };
        let usage = tree.usage_in(table);
        let before = live.cpu.unwrap_or(CpuSample {
            ticks: 0,
            at: since,
            percent: 0.0,
        });
        let span = now.since(before.at).0;
        let percent = if span >= CPU_SPAN {
            let ticks = usage.cpu_ticks.saturating_sub(before.ticks) as f64;
            let percent = ticks / TICKS_PER_SECOND / (span as f64 / 1000.0) * 100.0;
            let percent = (percent * 10.0).round() / 10.0;
            live.cpu = Some(CpuSample {
                ticks: usage.cpu_ticks,
                at: now,
                percent,
            });
            percent
        } else {
            before.percent
        };
        Some((percent, usage.memory_bytes))
    }

    /// One sentence, where there is something to know: why it does not run, or what is wrong.
    pub(super) fn note(&self, id: &ServiceId) -> Option<String> {
        let service = self.fleet.get(id)?;
        let exit = self.instances.get(id)?.last_exit.as_ref();
        let reason = exit.map_or("it could not be started", |exit| exit.reason.as_str());
        let note = match service.phase {
            // When the next try is stands in fields of its own.
            Phase::Backoff { .. } => Some(reason.to_owned()),
            Phase::Errored => Some(format!(
                "{reason}; given up after {} tries",
                service.failures
            )),
            Phase::Completed { .. } => Some(reason.to_owned()),
            Phase::Waiting(Wait::Shortage { .. }) => {
                Some(format!("{reason}; tried again every second"))
            }
            Phase::Waiting(Wait::Dependencies) => {
                let blockers = self.fleet.blockers(id);
                let named = blockers.iter().take(NAMED);
                let mut names: Vec<String> = named.map(|id| self.blocker(id)).collect();
                if let more @ 1.. = blockers.len().saturating_sub(NAMED) {
                    names.push(format!("{more} more"));
                }
                Some(format!("waits for {}", names.join(", ")))
            }
            Phase::Waiting(Wait::Conditions { .. }) => self.conditions_note(id, service),
            Phase::Waiting(Wait::Schedule { .. }) => None,
            Phase::Stopping { .. } => Some(self.stopping_note(service)),
            Phase::Stopped | Phase::Spawning { .. } | Phase::Starting { .. } => None,
            Phase::Running { .. } => None,
        };
        // Whoever reads why it does not run reads that alone.
        let group = match &note {
            Some(_) => None,
            None => self.group_note(id),
        };
        let all = note.into_iter().chain(self.log_note(id)).chain(group);
        let all: Vec<String> = all.collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    fn stopping_note(&self, service: &Core) -> String {
        let what = if service.remove {
            "being deleted"
        } else {
            "stopping"
        };
        match service.deadline() {
            Some(at) if at > now() => {
                format!("{what}; killed in {}", explain::seconds(at.since(now())))
            }
            _ => what.to_owned(),
        }
    }

    /// A dependency, with what is the matter with it.
    fn blocker(&self, id: &ServiceId) -> String {
        let name = self.name_of(id);
        match self.fleet.get(id).map(Core::state) {
            Some(state) => format!("{name} ({})", state.as_str()),
            None => name,
        }
    }

    /// The name alone where there is one instance.
    fn name_of(&self, id: &ServiceId) -> String {
        match self.desired.apps.get(&id.app) {
            Some(entry) if entry.app.instances > 1 => id.to_string(),
            Some(_) => id.app.to_string(),
            None => format!("{} (which does not exist)", id.app),
        }
    }
}

fn state(state: supervisor_core::State) -> State {
    match state {
        supervisor_core::State::Stopped => State::Stopped,
        supervisor_core::State::Waiting => State::Waiting,
        supervisor_core::State::Starting => State::Starting,
        supervisor_core::State::Running => State::Running,
        supervisor_core::State::Stopping => State::Stopping,
        supervisor_core::State::Backoff => State::Backoff,
        supervisor_core::State::Errored => State::Errored,
        supervisor_core::State::Completed => State::Completed,
    }
}

fn wire_exit(exit: &LastExit) -> WireExit {
    let (code, signal) = match exit.exit {
        Some(Exit::Code(code)) => (Some(i32::from(code)), None),
        Some(Exit::Signal(signal)) => (None, Some(explain::signal_name(signal).into_owned())),
        Some(Exit::Unknown) | None => (None, None),
    };
    WireExit {
        code,
        signal,
        reason: exit.reason.clone(),
        at: rfc3339(exit.at_ms),
    }
}

/// Milliseconds since the epoch as RFC 3339 in UTC.
pub(super) fn rfc3339(ms: u64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000)
        .ok()
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_the_standard_says() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_782_400_123), "2000-02-29T00:00:00.123Z");
        assert_eq!(rfc3339(u64::MAX), "");
    }
}
