//! Everything that changes what is wanted: first it is on disk, then it is carried out, then it is
//! answered. One change at a time; the others wait their turn, and each sees what the one before left.

use std::collections::VecDeque;

use supervisor_core::{Command, Event, Name, RunId, ServiceId, State, Want};
use supervisor_protocol::{Act, Done, Failure, FailureKind, Outcome, Reply, Request, Selected};

use super::changes::{Change, Read, plan};
use super::inbox::{Ask, Replies, What};
use super::waiters::{Goal, Waiter};
use super::{Engine, now};
use crate::os::pidfd;
use crate::persist::desired::Desired;

/// Changes that wait.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: VecDeque<Mutation>,
    /// The one whose desired state is on its way to the disk.
    saving: Option<(Desired, Step)>,
    /// Wishes that changed by themselves: a job is completed, an instance is gone.
    unsynced: bool,
    gone: Vec<ServiceId>,
}

#[derive(Debug)]
enum Mutation {
    Act {
        act: Act,
        on: Vec<(ServiceId, RunId)>,
        wait: bool,
        replies: Replies,
    },
    Define {
        read: Read,
        replies: Replies,
    },
}

/// What is done once the new state is on disk.
#[derive(Debug)]
enum Step {
    Act {
        act: Act,
        on: Vec<(ServiceId, RunId)>,
        wait: bool,
        replies: Replies,
    },
    Define {
        changes: Vec<Change>,
        wait: bool,
        replies: Replies,
    },
    Sync,
}

impl Queue {
    /// The durable wish of a service is not what is on disk any more.
    pub fn sync(&mut self) {
        self.unsynced = true;
    }

    /// An instance has left the fleet.
    pub fn gone(&mut self, id: ServiceId) {
        self.gone.push(id);
        self.unsynced = true;
    }

    /// Nothing is waiting or on its way to the disk.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.saving.is_none() && !self.unsynced
    }
}

impl Engine {
    /// A client asks.
    pub(super) fn asked(&mut self, ask: Ask) {
        let Ask { what, replies } = ask;
        let request = match what {
            What::Define(read) => {
                return self
                    .mutations
                    .waiting
                    .push_back(Mutation::Define { read, replies });
            }
            What::Request(request) => request,
        };
        match request {
            Request::Status { targets } => self.answer_status(&targets, &replies),
            Request::Show { target, show_env } => self.answer_show(&target, show_env, &replies),
            Request::Logs { targets, follow } => self.answer_logs(&targets, follow, &replies),
            Request::DaemonStatus => self.answer_daemon_status(&replies),
            Request::DaemonStop => self.shut_down(Some(replies)),
            Request::Act {
                act: Act::Signal(signal),
                on,
                ..
            } => {
                self.answer_signal(&signal, &on, &replies);
            }
            Request::Act { act, on, wait } => match self.known(&on, &act) {
                Ok(on) => {
                    let act = Mutation::Act {
                        act,
                        on,
                        wait,
                        replies,
                    };
                    self.mutations.waiting.push_back(act);
                }
                Err(failure) => replies.send(Reply::Error(failure)),
            },
            Request::Up { .. } | Request::Add { .. } => {
                replies.refuse(FailureKind::Failed, "files are read before this", None);
            }
        }
    }

    /// The instances that a client has seen. To delete what is gone is done already.
    fn known(&self, on: &[Selected], act: &Act) -> Result<Vec<(ServiceId, RunId)>, Failure> {
        let mut found = Vec::new();
        for selected in on {
            let id = Name::new(&selected.name)
                .ok()
                .map(|app| ServiceId {
                    app,
                    instance: selected.instance,
                })
                .filter(|id| self.desired.wish(id).is_some());
            match id {
                Some(id) => found.push((id, RunId(selected.run))),
                None if *act == Act::Delete => {}
                None => return Err(super::view::no_such_app(&selected.name)),
            }
        }
        Ok(found)
    }

    /// Takes the next change in hand, if none is on its way to the disk.
    pub(super) fn next_mutation(&mut self) {
        while self.mutations.saving.is_none() {
            let mut desired = self.desired.clone();
            let step = match self.mutations.waiting.pop_front() {
                Some(mutation) if self.stopping.is_some() => {
                    let (Mutation::Act { replies, .. } | Mutation::Define { replies, .. }) =
                        mutation;
                    replies.refuse(FailureKind::ShuttingDown, "the daemon is stopping", None);
                    continue;
                }
                Some(Mutation::Act {
                    act,
                    on,
                    wait,
                    replies,
                }) => {
                    wish(&mut desired, &act, &on);
                    Step::Act {
                        act,
                        on,
                        wait,
                        replies,
                    }
                }
                Some(Mutation::Define { read, replies }) => {
                    match self.define(&mut desired, &read, &replies) {
                        Some(changes) => Step::Define {
                            changes,
                            wait: read.wait,
                            replies,
                        },
                        None => continue,
                    }
                }
                None if self.mutations.unsynced => {
                    self.sync(&mut desired);
                    Step::Sync
                }
                None => return,
            };
            if desired == self.desired {
                self.step(step);
            } else {
                self.saver.save(desired.clone());
                self.mutations.saving = Some((desired, step));
            }
        }
    }

    /// The disk has answered.
    pub(super) fn saved(&mut self, result: std::io::Result<()>) {
        let Some((desired, step)) = self.mutations.saving.take() else {
            return;
        };
        match (result, step) {
            (Ok(()), step) => {
                self.desired = desired;
                self.step(step);
            }
            (Err(error), Step::Sync) => {
                tracing::error!("cannot save the state: {error}; trying again at the next change");
            }
            (Err(error), Step::Act { replies, .. } | Step::Define { replies, .. }) => {
                tracing::error!("cannot save the state: {error}; a command was refused");
                let why = super::prepare::plain(&error);
                let message = format!(
                    "nothing was changed, because it could not be saved in {}: {why}",
                    self.paths.state.display()
                );
                self.give_back_slots();
                replies.refuse(
                    FailureKind::Failed,
                    message,
                    Some("make room and try again"),
                );
            }
        }
    }

    fn sync(&mut self, desired: &mut Desired) {
        self.mutations.unsynced = false;
        for id in std::mem::take(&mut self.mutations.gone) {
            // It may have been defined again meanwhile.
            if self.fleet.get(&id).is_none() {
                desired.forget(&id);
            }
        }
        for (id, service) in self.fleet.iter() {
            if let Some(wish) = desired.wish_mut(id).filter(|wish| !wish.remove) {
                wish.want = service.durable_want();
            }
        }
    }

    /// Works a definition into the desired state; `None`: it is answered already.
    fn define(
        &mut self,
        desired: &mut Desired,
        read: &Read,
        replies: &Replies,
    ) -> Option<Vec<Change>> {
        let changes = match plan(&read.sources, desired) {
            Ok(changes) => changes,
            Err(failure) => {
                replies.send(Reply::Error(failure));
                return None;
            }
        };
        for change in changes.iter().filter(|change| change.origin.is_some()) {
            replies.send(Reply::Plan(change.plan.clone()));
        }
        if read.dry_run {
            replies.end();
            return None;
        }
        for change in &changes {
            for app in &change.put {
                desired.put(app.clone(), change.origin.clone());
            }
            for name in &change.remove {
                desired.remove(name);
            }
        }
        let ids: Vec<ServiceId> = desired.instances().map(|(id, _, _)| id).collect();
        for id in ids {
            if let Err(error) = self.claim_slot(&id) {
                self.give_back_slots();
                let why = format!(
                    "there is no room for {id}: {}",
                    super::prepare::plain(&error)
                );
                replies.refuse(FailureKind::Failed, why, None);
                return None;
            }
        }
        Some(changes)
    }

    /// Slots that were claimed for a change that came to nothing.
    fn give_back_slots(&mut self) {
        let unused: Vec<ServiceId> = self
            .instances
            .keys()
            .filter(|id| self.fleet.get(id).is_none())
            .cloned()
            .collect();
        for id in unused {
            if let Some(instance) = self.instances.remove(&id) {
                self.slots.free(instance.slot);
            }
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Act {
                act,
                on,
                wait,
                replies,
            } => self.act(&act, &on, wait, replies),
            Step::Define {
                changes,
                wait,
                replies,
            } => self.carry(&changes, wait, replies),
            Step::Sync => {}
        }
    }

    fn act(&mut self, act: &Act, on: &[(ServiceId, RunId)], wait: bool, replies: Replies) {
        let ticket = self.waiters.ticket(replies, on.len());
        let mut commands = Vec::new();
        for (id, seen) in on {
            let Some(service) = self.fleet.get(id) else {
                self.answer_now(ticket, id, Done::Deleted);
                continue;
            };
            let state = service.state();
            let up = matches!(state, State::Running | State::Starting);
            // Begun after the client looked: what it asks for was asked before, by itself or another.
            let newer = service.last_run > *seen && up;
            let run = service.last_run;
            let (command, goal) = match act {
                Act::Start if state == State::Running && !newer => {
                    self.answer_now(ticket, id, Done::AlreadyRunning);
                    continue;
                }
                Act::Start if up => (None, Goal::Started),
                Act::Stop if state == State::Stopped => {
                    self.answer_now(ticket, id, Done::AlreadyStopped);
                    continue;
                }
                Act::Start => (Some(Command::Start), Goal::Started),
                Act::Stop => (Some(Command::Stop), Goal::Stopped),
                Act::Delete => (Some(Command::Remove), Goal::Deleted),
                Act::Restart if newer => (None, Goal::Restarted),
                Act::Restart => (Some(Command::Restart), Goal::Restarted),
                Act::Signal(_) => continue,
            };
            // Without a command, the run that is waited for is there already.
            let run = if command.is_none() {
                RunId(run.0.saturating_sub(1))
            } else {
                run
            };
            self.wait_for(ticket, id, goal, run, wait);
            commands.extend(command.map(|command| (id.clone(), command)));
        }
        for (id, command) in commands {
            tracing::info!("{id}: {command:?}, as asked");
            self.obey(id, command);
        }
    }

    fn carry(&mut self, changes: &[Change], wait: bool, replies: Replies) {
        let put: Vec<Name> = changes
            .iter()
            .flat_map(|c| &c.put)
            .map(|a| a.name.clone())
            .collect();
        let removed: Vec<Name> = changes.iter().flat_map(|c| c.remove.clone()).collect();
        let mut goals = Vec::new();
        let mut events = Vec::new();
        for (id, entry, wish) in self.desired.instances() {
            if removed.contains(&id.app) || put.contains(&id.app) && wish.remove {
                goals.push((id.clone(), Goal::Deleted));
                events.push(Event::Command {
                    id,
                    command: Command::Remove,
                });
            } else if put.contains(&id.app) {
                let policy = entry.app.policy.clone();
                let known = self.fleet.get(&id);
                let replaced = self.outdated(&id);
                events.push(Event::Define {
                    id: id.clone(),
                    policy,
                    want: wish.want,
                });
                if replaced {
                    goals.push((id.clone(), Goal::Restarted));
                    events.push(Event::Command {
                        id,
                        command: Command::Restart,
                    });
                } else if known.is_none() && wish.want == Want::Up {
                    goals.push((id, Goal::Started));
                } else if known.is_some_and(|s| !s.is_alive()) && wish.want == Want::Up {
                    // It was failing: the new definition is tried at once.
                    goals.push((id.clone(), Goal::Started));
                    events.push(Event::Command {
                        id,
                        command: Command::Start,
                    });
                }
            }
        }
        let ticket = self.waiters.ticket(replies, goals.len());
        for (id, goal) in goals {
            let run = self
                .fleet
                .get(&id)
                .map_or(RunId(0), |service| service.last_run);
            self.wait_for(ticket, &id, goal, run, wait);
        }
        for event in events {
            self.tell(event);
        }
    }

    fn wait_for(&mut self, ticket: u64, id: &ServiceId, goal: Goal, run: RunId, wait: bool) {
        let old_pid = self.pid_of(id);
        if wait {
            let id = id.clone();
            let since = now();
            self.waiters.add(Waiter {
                id,
                goal,
                since,
                run,
                old_pid,
                ticket,
            });
            return;
        }
        let done = match goal {
            Goal::Started => Done::Started,
            Goal::Restarted => Done::Restarted,
            Goal::Stopped => Done::Stopped,
            Goal::Deleted => Done::Deleted,
        };
        self.answer_now(ticket, id, done);
    }

    fn answer_now(&mut self, ticket: u64, id: &ServiceId, done: Done) {
        let pid = self.pid_of(id);
        self.waiters.answer(ticket, outcome(id, done, pid, None));
    }

    fn answer_signal(&mut self, signal: &str, on: &[Selected], replies: &Replies) {
        let parsed = supervisor_config::StopSignal::parse(signal)
            .map_err(|error| error.to_string())
            .and_then(|signal| {
                nix::sys::signal::Signal::try_from(i32::from(signal.number()))
                    .map_err(|_| format!("{} cannot be sent", signal.name()))
            });
        let signal = match parsed {
            Ok(signal) => signal,
            Err(why) => return replies.refuse(FailureKind::Usage, why, None),
        };
        let on = match self.known(on, &Act::Signal(String::new())) {
            Ok(on) => on,
            Err(failure) => return replies.send(Reply::Error(failure)),
        };
        let ticket = self.waiters.ticket(replies.clone(), on.len());
        for (id, _) in on {
            let live = self
                .live_of(&id)
                .and_then(|live| Some((live.pid?, live.pidfd.clone()?)));
            let answer = match live {
                Some((pid, pidfd)) => match pidfd::send_group(&pidfd, pid, signal) {
                    Ok(()) => outcome(&id, Done::Signalled, Some(pid), None),
                    Err(errno) => outcome(&id, Done::Failed, Some(pid), Some(errno.desc())),
                },
                None => outcome(&id, Done::Failed, None, Some("it is not running")),
            };
            tracing::info!("{id}: {signal}, as asked");
            self.waiters.answer(ticket, answer);
        }
    }

    /// Stops everything in order, then the daemon.
    pub(super) fn shut_down(&mut self, replies: Option<Replies>) {
        // The next engine goes on with it.
        self.slots.set_stopping(true);
        let waiting = self.stopping.get_or_insert_default();
        waiting.extend(replies);
        self.tell(Event::ShutDown);
    }
}

/// Works an operator's wish into the desired state.
fn wish(desired: &mut Desired, act: &Act, on: &[(ServiceId, RunId)]) {
    for (id, _) in on {
        match act {
            Act::Start | Act::Restart => desired.ask(id, Want::Up),
            Act::Stop => desired.ask(id, Want::Down),
            Act::Delete => {
                if let Some(wish) = desired.wish_mut(id) {
                    wish.remove = true;
                }
            }
            Act::Signal(_) => {}
        }
    }
}

fn outcome(id: &ServiceId, done: Done, pid: Option<i32>, message: Option<&str>) -> Outcome {
    Outcome {
        name: id.app.to_string(),
        instance: id.instance,
        ok: done != Done::Failed,
        done,
        old_pid: pid,
        new_pid: pid,
        ms: 0,
        message: message.map(str::to_owned),
        stderr_tail: Vec::new(),
    }
}
