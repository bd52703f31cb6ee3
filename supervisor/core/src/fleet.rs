//! All services: what is told of them, and what there is to know of them.
//!
//! Owns the records, and the two ways to change one, `act` and `put`, which keep the index and the
//! list of what is to be settled. What a single service makes of an event is left to `machine` and
//! `news`, the order between services to `settle`.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::index::{Index, Place};
use crate::machine::Turn;
use crate::news::News;
use crate::{Action, Event, Phase, Policy, RunId, Service, ServiceId, State, Time, Wait, Want};

/// All services with their policies. Ordered by name, so that a replay gives the same actions in the same order.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    pub(crate) entries: BTreeMap<ServiceId, Entry>,
    pub(crate) index: Index,
    /// Those that were touched and not settled since. The others are as they should be.
    pub(crate) unsettled: BTreeSet<ServiceId>,
    pub(crate) shutting_down: bool,
    /// The newest run of any service that has left. A new service counts on from there: late
    /// news of one that had its name cannot be taken for news of its own.
    departed: RunId,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub policy: Policy,
    pub service: Service,
    /// The record as the engine last heard of it.
    told: Option<Service>,
    /// Where the index has it.
    place: Option<Place>,
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
    /// had come at once. Told one by one, what is to stop or restart later could be asked before it
    /// is known that what comes after it is to go down, too.
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
        let (mut actions, mut removed) = self.tell();
        actions.append(&mut done);
        actions.append(&mut removed);
        actions
    }

    /// When to send the next [`Event::Tick`].
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.index.next_deadline()
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
        self.put(id, policy, service, Some(service));
    }

    /// Which dependencies a service that is to start still waits for. An app that does not exist
    /// is named by its first instance.
    #[must_use]
    pub fn blockers(&self, id: &ServiceId) -> Vec<ServiceId> {
        let due = self.entries.get(id).filter(|entry| entry.is_due());
        let after = due.map(|entry| &entry.policy.after).into_iter().flatten();
        after.flat_map(|app| self.missing(app)).collect()
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
            Event::ShutDown => {
                self.shutting_down = true;
                self.act_on_all(now, out, |_| {});
            }
            Event::Resume => self.act_on_all(now, out, |mut turn| turn.resume()),
            Event::Tick => {}
            Event::Command { id, command } => {
                self.act(now, &id, out, |mut turn| turn.command(command));
            }
            Event::Met { id } => self.act(now, &id, out, |mut turn| turn.met()),
            Event::Due { id } => self.act(now, &id, out, |mut turn| turn.due()),
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
        let (service, told) = match self.entries.get(&id) {
            None => (Service::new(now, want, self.departed), None),
            Some(Entry { service, told, .. }) if service.remove => {
                let (remove, service) = (false, *service);
                (
                    Service {
                        want,
                        remove,
                        ..service
                    },
                    *told,
                )
            }
            Some(entry) => (entry.service, entry.told),
        };
        self.put(id, policy, service, told);
    }

    fn news(&mut self, now: Time, id: &ServiceId, run: RunId, news: &News, out: &mut Vec<Action>) {
        self.act(now, id, out, |mut turn| turn.news(run, news));
    }
}

/// Changing records.
impl Fleet {
    /// A new service, or an old one with new rules.
    fn put(&mut self, id: ServiceId, policy: Policy, service: Service, told: Option<Service>) {
        if let Some(old) = self.entries.get_mut(&id) {
            self.index
                .seat(&id, &old.policy.after, &mut old.place, None);
        }
        let mut entry = Entry {
            policy,
            service,
            told,
            place: None,
        };
        entry.seat(&id, self.shutting_down, &mut self.index);
        self.unsettled.insert(id.clone());
        self.entries.insert(id, entry);
    }

    /// Gives a service its turn, if it is there.
    pub(crate) fn act(
        &mut self,
        now: Time,
        id: &ServiceId,
        out: &mut Vec<Action>,
        act: impl FnOnce(Turn<'_>),
    ) {
        let closing = self.shutting_down;
        if let Some(entry) = self.entries.get_mut(id) {
            act(entry.turn(now, closing, id, out));
            entry.seat(id, closing, &mut self.index);
            self.unsettled.insert(id.clone());
        }
    }

    fn act_on_all(&mut self, now: Time, out: &mut Vec<Action>, act: impl Fn(Turn<'_>)) {
        let all: Vec<ServiceId> = self.entries.keys().cloned().collect();
        for id in all {
            self.act(now, &id, out, &act);
        }
    }

    /// Who has changed and who has left, among those that were touched. Now they are settled.
    fn tell(&mut self) -> (Vec<Action>, Vec<Action>) {
        let (mut changed, mut removed) = (Vec::new(), Vec::new());
        for id in core::mem::take(&mut self.unsettled) {
            let Some(entry) = self.entries.get_mut(&id) else {
                continue;
            };
            let service = entry.service;
            if service.remove && !service.is_alive() {
                self.index
                    .seat(&id, &entry.policy.after, &mut entry.place, None);
                self.entries.remove(&id);
                self.departed = service.last_run.max(self.departed);
                removed.push(Action::Removed { id });
            } else if entry.told.replace(service) != Some(service) {
                changed.push(Action::Changed { id });
            }
        }
        (changed, removed)
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

    fn seat(&mut self, id: &ServiceId, closing: bool, index: &mut Index) {
        let place = Place {
            deadline: self.service.deadline(),
            going: self.service.is_alive() && !self.service.may_stay(closing),
            standing: self.service.is_standing(),
        };
        index.seat(id, &self.policy.after, &mut self.place, Some(place));
    }

    /// It is to start and only its dependencies, or its conditions after them, keep it from that.
    pub fn is_due(&self) -> bool {
        self.service.phase == Phase::Waiting(Wait::Dependencies) || self.service.awaits_conditions()
    }

    /// Those that come after it may start.
    pub fn is_met(&self, closing: bool) -> bool {
        match self.service.state() {
            State::Completed => self.service.phase != Phase::Completed { success: false },
            State::Running => self.service.may_stay(closing),
            State::Stopped
            | State::Waiting
            | State::Starting
            | State::Stopping
            | State::Backoff
            | State::Errored => false,
        }
    }
}
