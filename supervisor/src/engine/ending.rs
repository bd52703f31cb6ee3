//! A run from its process to its end.
//!
//! The end has an order: the exit is learned; what is left of the tree is ended; the pipes are drained
//! into the log; only then does the core hear of it and may start the next run, so that no line of
//! the old one comes after one of the new, and no old process stands beside a new one.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use supervisor_core::{Event, Exit, RunId, ServiceId, Time};
use supervisor_logs::{Stream, StreamId};

use super::adopt::is_unborn;
use super::record::LastExit;
use super::spawner::{Born, Problem, Report, child_tag, failed_stage, stdin_tag};
use super::{Engine, Live, explain, undertaker};
use crate::os::proc;
use crate::os::spawn::Stage;
use crate::os::tree::{Left, Tree, quick_empty};
use crate::persist::slots::CellId;

/// So many last lines of standard error are searched for a reason, and so many are kept to be shown.
const LINES: usize = 20;
const KEPT: usize = 10;

/// How a process ended, while that is being cleared away.
#[derive(Debug)]
pub struct Ending {
    how: How,
    at_ms: u64,
    /// The same moment on the core's clock.
    at: Time,
    /// The tree is still being ended.
    tree: bool,
    /// Its last lines are waited for until then.
    logs_by: Option<Time>,
}

impl Live {
    /// It has ended, and nothing is left of its tree.
    pub(super) fn is_cleared(&self) -> bool {
        self.ending.as_ref().is_some_and(|ending| !ending.tree)
    }

    /// When its last lines are waited for no longer.
    pub(super) fn logs_by(&self) -> Option<Time> {
        self.ending.as_ref()?.logs_by
    }
}

#[derive(Debug)]
enum How {
    Exited(Exit),
    NeverExeced(Problem),
}

/// The key under which the log pump knows a pipe: which run and stream.
pub fn pipe_key(cell: CellId, run: RunId, stream: u32) -> u64 {
    run.0 << 16 | u64::from(cell.0) << 1 | u64::from(stream)
}

/// The other way round.
pub fn of_pipe_key(key: u64) -> (CellId, RunId, u32) {
    let low = (key & 0xffff) as u32;
    (CellId(low >> 1), RunId(key >> 16), low & 1)
}

/// The stream that a key's last bit means.
pub fn stream_id(id: &ServiceId, stream: u32) -> StreamId {
    let which = if stream == 0 {
        Stream::Out
    } else {
        Stream::Err
    };
    StreamId {
        app: id.app.to_string(),
        instance: id.instance,
        stream: which,
    }
}

/// Since the epoch, milliseconds.
pub fn wall_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_millis() as u64)
}

impl Engine {
    /// The spawner is done with an order.
    pub(super) fn spawned(&mut self, report: Report) {
        let Report {
            id,
            run,
            cell,
            result,
        } = report;
        match result {
            Ok(born) => {
                let pid = born.pid;
                self.process_exists(cell, born);
                self.tell(Event::Spawned {
                    id: id.clone(),
                    run,
                });
                tracing::info!("{id}: run {} has pid {pid}", run.0);
                self.look_for_exit(cell);
            }
            Err(problem) => {
                tracing::warn!(
                    "{id}: run {} could not be started: {}",
                    run.0,
                    problem.reason
                );
                let exit = LastExit::new(run, None, &problem.reason, wall_ms());
                self.set_last_exit(&id, exit, Vec::new());
                let event = Event::SpawnFailed {
                    id,
                    run,
                    fault: problem.fault,
                };
                self.tell_and([event], |engine| engine.forget_run(cell));
            }
        }
    }

    fn process_exists(&mut self, cell: CellId, born: Born) {
        let Some(live) = self.cells.get_mut(&cell) else {
            return;
        };
        live.pid = Some(born.pid);
        live.pidfd = born.pidfd.map(Arc::new);
        live.stdin = born.stdin;
        live.place = born.place;
        self.by_pid.insert(born.pid, cell);
        if let Some(stat) = proc::stat(born.pid) {
            self.slots.set_birth(cell, stat.start);
        }
        for (pipe, stream) in born.output.into_iter().zip(0..) {
            if let Some(pipe) = pipe {
                self.attach(cell, stream, pipe, true);
            }
        }
    }

    pub(super) fn begin_ending(&mut self, cell: CellId, exit: Exit, at_ms: u64, at: Time) {
        let never = self.never_execed(cell);
        let keeper = self.keeper;
        let Some(live) = self.cells.get_mut(&cell) else {
            return;
        };
        let (None, Some(pid)) = (&live.ending, live.pid) else {
            return;
        };
        let how = match never {
            Some(problem) => How::NeverExeced(problem),
            None => How::Exited(exit),
        };
        live.ending = Some(Ending {
            how,
            at_ms,
            at,
            tree: true,
            logs_by: None,
        });
        let live = &self.cells[&cell];
        let tree = Tree {
            keeper,
            main: pid,
            main_alive: false,
            token: &live.token,
        };
        let engine = std::process::id().cast_signed();
        let known = |pid: i32| pid == engine || self.by_pid.contains_key(&pid);
        let room = self.groups.room().zip(live.place.group());
        let empty = room.is_none_or(|(room, group)| room.is_empty(group));
        if empty && !live.foreign && quick_empty(&tree, known) {
            self.tree_gone(cell);
        } else {
            let token = live.token.clone();
            let group = live.place.group().map(str::to_owned);
            self.undertaker.end(undertaker::Order {
                cell,
                main: pid,
                main_alive: false,
                token,
                group,
            });
        }
    }

    /// A child of an engine that was killed may have failed before exec, with nobody to tell.
    fn never_execed(&self, cell: CellId) -> Option<Problem> {
        let words = self.slots.spawn_cell(cell);
        let stage = Stage::from_u32(words.stage.load(Ordering::Acquire)).unwrap_or(Stage::None);
        let errno = words.errno.load(Ordering::Acquire);
        if stage == Stage::Exec && errno == 0 {
            return None;
        }
        let app = self
            .cells
            .get(&cell)
            .and_then(|live| self.desired.apps.get(&live.id.app));
        let (program, directory, user) = app.map_or((String::new(), String::new(), None), |e| {
            let directory = e.app.directory.display().to_string();
            (e.app.command[0].clone(), directory, e.app.user.clone())
        });
        let text = |text: String| std::ffi::CString::new(text).unwrap_or_default();
        Some(failed_stage(
            stage,
            Errno::from_raw(errno),
            &text(program),
            &text(directory),
            user.as_deref(),
        ))
    }

    /// The undertaker is done with an order.
    pub(super) fn tree_ended(&mut self, order: &undertaker::Order, left: &Left) {
        let Some(live) = self.cells.get(&order.cell) else {
            return;
        };
        if live.token != order.token {
            return;
        }
        if !left.is_empty() {
            tracing::error!(
                "{}: processes that SIGKILL does not end: {:?}",
                live.id,
                left.pids
            );
        }
        if live.ending.as_ref().is_some_and(|ending| ending.tree) {
            self.tree_gone(order.cell);
        }
    }

    fn tree_gone(&mut self, cell: CellId) {
        let Some(live) = self.cells.get_mut(&cell) else {
            return;
        };
        if let Some(ending) = &mut live.ending {
            ending.tree = false;
        }
        let by = self.finish_pipes(cell);
        let live = self.cells.get_mut(&cell);
        match (by, live.and_then(|live| live.ending.as_mut())) {
            (None, _) => self.over(cell),
            (Some(_), Some(ending)) => ending.logs_by = by,
            (Some(_), None) => {}
        }
    }

    /// Nothing is left of the run: the core hears of it.
    pub(super) fn over(&mut self, cell: CellId) {
        let Some(live) = self.cells.get_mut(&cell) else {
            return;
        };
        let Some(ending) = live.ending.take() else {
            return;
        };
        let (id, run) = (live.id.clone(), live.run);
        let mut tail = explain::last_lines(&live.tail, LINES);
        let (event, exit) = match ending.how {
            How::Exited(exit) => {
                let reason = self.reason(cell, exit, ending.at, &tail);
                let last = LastExit::new(run, Some(exit), &reason, ending.at_ms);
                (
                    Event::Exited {
                        id: id.clone(),
                        run,
                        exit,
                    },
                    last,
                )
            }
            How::NeverExeced(problem) => {
                tail.clear();
                let last = LastExit::new(run, None, &problem.reason, ending.at_ms);
                let service = self.fleet.get(&id);
                let unborn = service.is_some_and(|service| is_unborn(service, run));
                let id = id.clone();
                // A new engine that found it on its way to exec has told the core that it runs.
                let event = if unborn {
                    let fault = problem.fault;
                    Event::SpawnFailed { id, run, fault }
                } else {
                    let exit = Exit::Unknown;
                    Event::Exited { id, run, exit }
                };
                (event, last)
            }
        };
        let reason = exit.reason.clone();
        self.set_last_exit(&id, exit, tail);
        // The log comes last: its thread must not be in the way of the next start.
        self.tell_and([event], |engine| engine.forget_run(cell));
        tracing::info!("{id}: run {} {reason}", run.0);
    }

    fn reason(&self, cell: CellId, exit: Exit, at: Time, tail: &[String]) -> String {
        let Some(live) = self.cells.get(&cell) else {
            return String::new();
        };
        let service = self.fleet.get(&live.id);
        let uptime = service.map(|service| at.since(service.since()));
        let oom = match exit {
            Exit::Code(0) => None,
            Exit::Code(_) | Exit::Signal(_) | Exit::Unknown => self.oom(cell),
        };
        explain::exit(exit, oom, uptime, service.map(|s| s.phase), tail)
    }

    pub(super) fn set_last_exit(&mut self, id: &ServiceId, exit: LastExit, mut tail: Vec<String>) {
        if let Some(instance) = self.instances.get_mut(id) {
            instance.last_exit = Some(exit);
            tail.drain(..tail.len().saturating_sub(KEPT));
            instance.tail = tail;
            self.save_record(id);
        }
    }

    /// The cell is free again.
    pub(super) fn forget_run(&mut self, cell: CellId) {
        self.slots.clear(cell);
        let Some(live) = self.cells.remove(&cell) else {
            return;
        };
        self.group_is_over(&live);
        if live.stdin.is_some() {
            self.estate.drop_held(stdin_tag(cell, live.run));
        }
        if let Some(pid) = live.pid {
            // Its number may be another's by now.
            if self.by_pid.get(&pid) == Some(&cell) {
                self.by_pid.remove(&pid);
            }
            self.estate.drop_held(child_tag(cell, pid));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_key_names_cell_run_and_stream() {
        for cell in [0, 1, 8191] {
            for stream in [0, 1] {
                let key = pipe_key(CellId(cell), RunId(77_777), stream);
                assert_eq!(of_pipe_key(key), (CellId(cell), RunId(77_777), stream));
            }
        }
    }
}
