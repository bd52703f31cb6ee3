//! Carrying out what is on disk by now, and answering those who asked for it.

use std::collections::BTreeSet;

use supervisor_core::{Command, Event, Name, RunId, Service, ServiceId, State, Want};
use supervisor_protocol::{Done, Effect, Outcome};

use super::changes::Change;
use super::inbox::Replies;
use super::mutate::{Asked, Move};
use super::waiters::{Goal, Waiter};
use super::{Engine, now};
use crate::persist::desired::Wish;

impl Engine {
    pub(super) fn act(&mut self, asked: Asked) {
        let Asked {
            act,
            on,
            obstacles,
            wait,
            replies,
        } = asked;
        let asker = replies.asker().clone();
        let ticket = self.waiters.ticket(replies, on.len());
        let mut commands = Vec::new();
        for (id, seen) in &on {
            let Some(service) = self.fleet.get(id) else {
                self.answer_now(ticket, id, Done::Deleted);
                continue;
            };
            let state = service.state();
            let up = matches!(state, State::Running | State::Starting);
            // Begun after the client looked: what it asks for was asked before, by itself or another.
            let stays = service.want == Want::Up && !service.remove;
            let newer = service.last_run > *seen && up && stays;
            let run = service.last_run;
            let (command, goal) = match act {
                Move::Start if state == State::Running && stays && !newer => {
                    self.answer_now(ticket, id, Done::AlreadyRunning);
                    continue;
                }
                Move::Start if up && stays => (None, Goal::Started),
                Move::Stop if state == State::Stopped => {
                    self.answer_now(ticket, id, Done::AlreadyStopped);
                    continue;
                }
                Move::Start => (Some(Command::Start), Goal::Started),
                Move::Stop => (Some(Command::Stop), Goal::Stopped),
                Move::Delete => (Some(Command::Remove), Goal::Deleted),
                Move::Restart if newer => (None, Goal::Restarted),
                Move::Restart => match obstacles.get(&id.app).filter(|_| up) {
                    // What runs is not stopped for something that could not be started.
                    Some(why) => {
                        let why = format!("not restarted, the old one runs on: {why}");
                        let failed = outcome(id, Done::Failed, self.pid_of(id), Some(&why));
                        self.waiters.answer(ticket, failed);
                        continue;
                    }
                    None => (Some(Command::Restart), Goal::Restarted),
                },
            };
            // Without a command, the run that is waited for is there already.
            let run = if command.is_none() || act == Move::Start && up {
                RunId(run.0.saturating_sub(1))
            } else {
                run
            };
            self.wait_for(ticket, id, goal, run, wait);
            commands.extend(command.map(|command| (id.clone(), command)));
        }
        for (id, command) in &commands {
            tracing::info!("{id}: {command:?}, as {asker} asked");
        }
        self.obey(commands);
    }

    pub(super) fn carry(&mut self, changes: &[Change], wait: bool, replies: Replies) {
        let put: Vec<Name> = changes
            .iter()
            .flat_map(|c| &c.put)
            .map(|a| a.name.clone())
            .collect();
        let removed: Vec<Name> = changes.iter().flat_map(|c| c.remove.clone()).collect();
        // An instance that was on its way out may have given back its slot while this was saved.
        let staying = |wish: &Wish, id: &ServiceId| put.contains(&id.app) && !wish.remove;
        let ids: Vec<ServiceId> = self
            .desired
            .instances()
            .filter(|(id, _, wish)| staying(wish, id))
            .map(|(id, _, _)| id)
            .collect();
        for id in ids {
            if let Err(error) = self.claim_slot(&id) {
                tracing::error!("there is no room for {id}: {error}");
            }
        }
        let renewed: BTreeSet<&str> = changes
            .iter()
            .flat_map(|change| &change.plan.change)
            .filter(|change| change.effect == Effect::Restarts)
            .map(|change| change.name.as_str())
            .collect();
        // What has ended for good has done so with the definition that it had.
        let is_retried = |service: &Service, app: &Name| match service.state() {
            State::Backoff | State::Errored => true,
            State::Completed => renewed.contains(app.as_str()),
            State::Waiting => service.awaits_conditions(),
            State::Stopped | State::Starting | State::Running | State::Stopping => false,
        };
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
                } else if known.is_none_or(|s| s.remove) && wish.want == Want::Up {
                    // New, or on its way out when it was defined again.
                    goals.push((id, Goal::Started));
                } else if known.is_some_and(|s| is_retried(s, &id.app)) && wish.want == Want::Up {
                    // The new definition is tried at once.
                    goals.push((id.clone(), Goal::Started));
                    events.push(Event::Command {
                        id,
                        command: Command::Start,
                    });
                }
            }
        }
        let failing = self.failing(changes);
        let ticket = self.waiters.ticket(replies, goals.len() + failing.len());
        for id in failing {
            let note = self.note(&id);
            let failed = outcome(&id, Done::Failed, None, note.as_deref());
            self.waiters.answer(ticket, failed);
        }
        for (id, goal) in goals {
            let run = self.fleet.get(&id).map_or(RunId(0), |service| {
                let up = matches!(service.state(), State::Running | State::Starting);
                // One whose removal is taken back before it was told to stop goes on as it is.
                let before = u64::from(goal == Goal::Started && up);
                RunId(service.last_run.0.saturating_sub(before))
            });
            self.wait_for(ticket, &id, goal, run, wait);
        }
        self.tell_all(events);
        self.look_at_conditions_of(|app| put.contains(app));
    }

    /// Apps that are as the file wants them, and do not run all the same.
    fn failing(&self, changes: &[Change]) -> Vec<ServiceId> {
        let same = |app: &Name| {
            changes
                .iter()
                .any(|change| change.plan.untouched.contains(&app.to_string()))
        };
        let bad = |state: State| matches!(state, State::Backoff | State::Errored);
        let found = self.fleet.iter();
        found
            .filter(|(id, service)| bad(service.state()) && same(&id.app))
            .map(|(id, _)| id.clone())
            .collect()
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

    /// Stops everything in order, then the daemon.
    pub(super) fn shut_down(&mut self, replies: Option<Replies>) {
        // The next engine goes on with it.
        self.slots.set_stopping(true);
        if let Some(replies) = &replies {
            tracing::info!("everything is stopped, as {} asked", replies.asker());
        }
        // What was only noted so far.
        self.mutations.sync();
        let waiting = self.stopping.get_or_insert_default();
        waiting.extend(replies);
        self.tell(Event::ShutDown);
    }
}

/// What came of it for one instance.
pub(super) fn outcome(
    id: &ServiceId,
    done: Done,
    pid: Option<i32>,
    message: Option<&str>,
) -> Outcome {
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
