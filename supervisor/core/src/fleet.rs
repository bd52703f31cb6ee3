//! All services: who is told what, and who may start or stop when.
//!
//! Owns the order between services. An event is noted in the record it is about; then one pass over
//! the fleet settles it: what time asks for, what the gates let start, what they let stop. What a
//! single service makes of it is left to `machine`, news of runs to `news`.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::machine::Turn;
use crate::news::News;
use crate::{
    Action, Event, Name, Phase, Policy, RunId, Service, ServiceId, State, Time, Wait, Want,
};

/// All services with their policies. Ordered by name, so that a replay gives the same actions in the same order.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    entries: BTreeMap<ServiceId, Entry>,
    shutting_down: bool,
    /// The newest run of any service that has left. A new service counts on from there: late
    /// news of one that had its name cannot be taken for news of its own.
    departed: RunId,
}

#[derive(Clone, Debug)]
struct Entry {
    policy: Policy,
    service: Service,
    /// The record as the engine last heard of it.
    told: Option<Service>,
}

impl Fleet {
    /// An empty fleet.
    #[must_use]
    pub fn new() -> Fleet {
        Fleet::default()
    }

    /// Takes in what happened and says what to do about it, in this order: every `Changed`, the rest, every `Removed`.
    ///
    /// Any event is accepted in any state. What is about a run that is over, or about a service
    /// that is not there, is no more than a tick.
    #[must_use]
    pub fn handle(&mut self, now: Time, event: Event) -> Vec<Action> {
        self.handle_all(now, [event])
    }

    /// The same for what is told in one breath: the order between services is kept as if all of it
    /// had come at once. Told one by one, what is to stop later could be asked before it is known
    /// that what comes after it is to stop, too.
    #[must_use]
    pub fn handle_all(
        &mut self,
        now: Time,
        events: impl IntoIterator<Item = Event>,
    ) -> Vec<Action> {
        let mut done = Vec::new();
        for event in events {
            self.note(now, event, &mut done);
        }
        self.settle(now, &mut done);
        let removed = self.part();
        let changed = self
            .entries
            .iter_mut()
            .filter_map(|(id, entry)| entry.tell().then(|| Action::Changed { id: id.clone() }));
        let mut actions: Vec<Action> = changed.collect();
        actions.append(&mut done);
        actions.extend(removed);
        actions
    }

    /// When to send the next [`Event::Tick`].
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.entries
            .values()
            .filter_map(|entry| entry.service.deadline())
            .min()
    }

    /// One service.
    #[must_use]
    pub fn get(&self, id: &ServiceId) -> Option<&Service> {
        self.entries.get(id).map(|entry| &entry.service)
    }

    /// All services, ordered.
    pub fn iter(&self) -> impl Iterator<Item = (&ServiceId, &Service)> {
        self.entries.iter().map(|(id, entry)| (id, &entry.service))
    }

    /// The policy of one service.
    #[must_use]
    pub fn policy(&self, id: &ServiceId) -> Option<&Policy> {
        self.entries.get(id).map(|entry| &entry.policy)
    }

    /// Puts back a service as an earlier engine left it. All of them first; then [`Event::ShutDown`],
    /// if that was under way; then what happened meanwhile; then [`Event::Resume`].
    pub fn restore(&mut self, id: ServiceId, policy: Policy, service: Service) {
        self.entries.insert(
            id,
            Entry {
                policy,
                service,
                told: Some(service),
            },
        );
    }

    /// Which dependencies a service that is to start still waits for. An app that does not exist
    /// is named by its first instance.
    #[must_use]
    pub fn blockers(&self, id: &ServiceId) -> Vec<ServiceId> {
        let due = self.entries.get(id).filter(|entry| entry.is_due());
        due.map(|entry| {
            entry
                .policy
                .after
                .iter()
                .flat_map(|app| self.missing(app))
                .collect()
        })
        .unwrap_or_default()
    }

    /// Whether it was shut down and nothing is alive any more.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.shutting_down && !self.entries.values().any(|entry| entry.service.is_alive())
    }
}

/// Noting what happened.
impl Fleet {
    fn note(&mut self, now: Time, event: Event, out: &mut Vec<Action>) {
        match event {
            Event::Define { id, policy, want } => self.define(now, id, policy, want),
            Event::ShutDown => self.shutting_down = true,
            Event::Resume => {
                for (id, entry) in &mut self.entries {
                    entry.turn(now, self.shutting_down, id, out).resume();
                }
            }
            Event::Tick => {}
            Event::Command { id, command } => {
                if let Some(mut turn) = self.turn(now, &id, out) {
                    turn.command(command);
                }
            }
            Event::Due { id } => {
                if let Some(mut turn) = self.turn(now, &id, out) {
                    turn.due();
                }
            }
            Event::Spawned { id, run } => self.news(now, &id, run, &News::Spawned, out),
            Event::SpawnFailed { id, run, fault } => {
                self.news(now, &id, run, &News::SpawnFailed(fault), out);
            }
            Event::NeverRan { id, run } => self.news(now, &id, run, &News::NeverRan, out),
            Event::Exited { id, run, exit } => {
                self.news(now, &id, run, &News::Exited(exit), out);
            }
            Event::Ready { id, run } => self.news(now, &id, run, &News::Ready, out),
            Event::Failing { id, run, cause } => {
                self.news(now, &id, run, &News::Failing(cause), out);
            }
        }
    }

    fn define(&mut self, now: Time, id: ServiceId, policy: Policy, want: Want) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.policy = policy;
            if entry.service.remove {
                entry.service.remove = false;
                entry.service.want = want;
            }
        } else {
            let service = Service::new(now, want, self.departed);
            self.entries.insert(
                id,
                Entry {
                    policy,
                    service,
                    told: None,
                },
            );
        }
    }

    fn news(&mut self, now: Time, id: &ServiceId, run: RunId, news: &News, out: &mut Vec<Action>) {
        if let Some(mut turn) = self.turn(now, id, out) {
            turn.news(run, news);
        }
    }

    fn turn<'a>(
        &'a mut self,
        now: Time,
        id: &'a ServiceId,
        out: &'a mut Vec<Action>,
    ) -> Option<Turn<'a>> {
        let closing = self.shutting_down;
        Some(self.entries.get_mut(id)?.turn(now, closing, id, out))
    }
}

/// Settling. One pass is enough: nothing that it starts or stops opens a gate before there is news of it.
impl Fleet {
    fn settle(&mut self, now: Time, out: &mut Vec<Action>) {
        for (id, entry) in &mut self.entries {
            entry.turn(now, self.shutting_down, id, out).ripen();
        }
        for id in self.startable() {
            if let Some(mut turn) = self.turn(now, &id, out) {
                turn.spawn();
            }
        }
        for id in self.stoppable() {
            if let Some(mut turn) = self.turn(now, &id, out) {
                turn.bring_down();
                // Where the time between the rungs is zero.
                turn.ripen();
            }
        }
    }

    fn startable(&self) -> Vec<ServiceId> {
        let due = self.entries.iter().filter(|(_, entry)| entry.is_due());
        let open = due.filter(|(_, e)| {
            e.policy
                .after
                .iter()
                .all(|app| self.missing(app).is_empty())
        });
        open.map(|(id, _)| id.clone()).collect()
    }

    /// What keeps a service that names `app` in its `after` from starting.
    fn missing(&self, app: &Name) -> Vec<ServiceId> {
        let first = ServiceId {
            app: app.clone(),
            instance: 0,
        };
        let last = ServiceId {
            app: app.clone(),
            instance: u32::MAX,
        };
        let range = self.entries.range(&first..=&last);
        let mut instances = range.filter(|(_, entry)| !entry.service.remove).peekable();
        if instances.peek().is_none() {
            return [first].into();
        }
        let missing = instances.filter(|(_, entry)| !entry.is_met(self.shutting_down));
        missing.map(|(id, _)| id.clone()).collect()
    }

    /// Which of those that should be down can be told so: no live one that should be down, too, comes after them.
    fn stoppable(&self) -> Vec<ServiceId> {
        let down: Vec<(&ServiceId, &Entry)> = self
            .entries
            .iter()
            .filter(|(_, e)| e.is_going(self.shutting_down))
            .collect();
        let standing: Vec<&ServiceId> = down
            .iter()
            .filter(|(_, e)| e.service.is_standing())
            .map(|(id, _)| *id)
            .collect();
        if standing.is_empty() {
            return Vec::new();
        }
        let held: BTreeSet<&Name> = down.iter().flat_map(|(_, e)| &e.policy.after).collect();
        let free: Vec<ServiceId> = standing
            .iter()
            .filter(|id| !held.contains(&id.app))
            .map(|id| (*id).clone())
            .collect();
        if free.is_empty() && standing.len() == down.len() {
            // Each of them waits for another one: a circle. The first by name breaks it.
            return standing.into_iter().take(1).cloned().collect();
        }
        free
    }

    /// Lets go of those that are to leave and have nothing alive.
    fn part(&mut self) -> Vec<Action> {
        let mut removed = Vec::new();
        let departed = &mut self.departed;
        self.entries.retain(|id, Entry { service, .. }| {
            let stays = !service.remove || service.is_alive();
            if !stays {
                *departed = service.last_run.max(*departed);
                removed.push(Action::Removed { id: id.clone() });
            }
            stays
        });
        removed
    }
}

impl Entry {
    fn turn<'a>(
        &'a mut self,
        now: Time,
        closing: bool,
        id: &'a ServiceId,
        out: &'a mut Vec<Action>,
    ) -> Turn<'a> {
        Turn {
            now,
            closing,
            id,
            policy: &self.policy,
            service: &mut self.service,
            out,
        }
    }

    /// It is to start and only the gate can keep it from that.
    fn is_due(&self) -> bool {
        self.service.phase == Phase::Waiting(Wait::Dependencies)
    }

    /// It is alive and should not be.
    fn is_going(&self, closing: bool) -> bool {
        self.service.is_alive() && !self.service.should_run(closing)
    }

    /// Those that come after it may start.
    fn is_met(&self, closing: bool) -> bool {
        match self.service.state() {
            State::Completed => self.service.phase != Phase::Completed { success: false },
            State::Running => self.service.should_run(closing),
            State::Stopped
            | State::Waiting
            | State::Starting
            | State::Stopping
            | State::Backoff
            | State::Errored => false,
        }
    }

    /// Whether there is something about its record that the engine has not heard yet.
    fn tell(&mut self) -> bool {
        let news = self.told != Some(self.service);
        self.told = Some(self.service);
        news
    }
}
