//! A world with its own clock: children that live, crash, hang and ignore signals as their names
//! say, an operator with a timetable, and an engine that may die at any moment.

use std::collections::BTreeMap;

use supervisor_core::*;

use super::{id, name};

/// How the children of an app behave. Times are in milliseconds.
#[derive(Clone)]
pub struct Nature {
    pub app: &'static str,
    pub policy: Policy,
    /// How long the n-th child lives if nobody stops it, and its exit; `None`: for ever.
    pub life: fn(u64) -> Option<(u64, Exit)>,
    /// From exec to ready.
    pub readiness: Option<u64>,
    /// From the stop signal to its exit; `None`: it ignores it.
    pub obeys: Option<u64>,
    /// It cannot be spawned at all.
    pub broken: bool,
    /// From when on its conditions are met, where it has any.
    pub there: Time,
}

impl Nature {
    /// A child that does all that it should.
    pub fn good(app: &'static str, policy: Policy) -> Nature {
        let readiness = policy.ready.map(|_| 0);
        Nature {
            app,
            policy,
            life: |_| None,
            readiness,
            obeys: Some(50),
            broken: false,
            there: Time(0),
        }
    }
}

struct Child {
    exists: Option<Time>,
    number: u64,
    asked: bool,
    ready: bool,
}

/// What an engine does when it dies: before it has saved anything, or after that many of its actions.
#[derive(Clone, Copy, Debug)]
pub enum Death {
    Early,
    After(usize),
}

pub struct World {
    pub now: Time,
    pub fleet: Fleet,
    natures: BTreeMap<ServiceId, Nature>,
    children: BTreeMap<(ServiceId, RunId), Child>,
    /// What will happen, by time and in the order in which it was brought about.
    future: BTreeMap<(Time, u64), Event>,
    count: u64,
    closing: bool,
    deaths: Box<dyn FnMut() -> Option<Death>>,
    pub died: u64,
    /// When each child of an app came into being and how it ended.
    pub born: BTreeMap<&'static str, Vec<Time>>,
    pub ended: BTreeMap<&'static str, Vec<(Time, Exit)>>,
    /// How long an app had no ready child, after its first one.
    pub outage: BTreeMap<&'static str, u64>,
}

impl World {
    pub fn new(natures: Vec<Nature>, deaths: impl FnMut() -> Option<Death> + 'static) -> World {
        let mut world = World {
            now: Time(0),
            fleet: Fleet::new(),
            natures: natures
                .iter()
                .map(|nature| (id(nature.app), nature.clone()))
                .collect(),
            children: BTreeMap::new(),
            future: BTreeMap::new(),
            count: 0,
            closing: false,
            deaths: Box::new(deaths),
            died: 0,
            born: natures
                .iter()
                .map(|nature| (nature.app, Vec::new()))
                .collect(),
            ended: natures
                .iter()
                .map(|nature| (nature.app, Vec::new()))
                .collect(),
            outage: BTreeMap::new(),
        };
        for Nature { app, policy, .. } in natures {
            let want = Want::Up;
            world.at(
                Time(0),
                Event::Define {
                    id: id(app),
                    policy,
                    want,
                },
            );
        }
        world
    }

    pub fn at(&mut self, time: Time, event: Event) {
        self.count += 1;
        self.future.insert((time, self.count), event);
    }

    /// Lets time pass until `end`, or until nothing is alive after a shutdown.
    pub fn run(&mut self, end: Time) {
        let mut steps = 0;
        while !self.fleet.is_down() {
            let happens = self.future.first_key_value().map(|(&(time, _), _)| time);
            let ticks = self.fleet.next_deadline();
            let Some(next) = happens
                .into_iter()
                .chain(ticks)
                .min()
                .filter(|&next| next <= end)
            else {
                break;
            };
            steps = if next > self.now { 0 } else { steps + 1 };
            assert!(
                steps < 10_000,
                "time stands still at {next:?}: {:#?}",
                self.fleet
            );
            self.pass(next);
            if happens == Some(next) {
                let (_, event) = self.future.pop_first().expect("it was there a moment ago");
                if self.happens(&event) {
                    self.tell(event);
                }
            } else {
                self.tell(Event::Tick);
            }
        }
        self.pass(end.max(self.now));
    }

    fn pass(&mut self, next: Time) {
        let gone = next.since(self.now).0;
        for (app, outage) in &mut self.outage {
            let ready = self
                .children
                .iter()
                .any(|((id, _), c)| id.app == name(app) && c.ready);
            *outage += if ready { 0 } else { gone };
        }
        self.now = next;
    }

    /// What an event does to the children; `false`: it concerns one that is no more.
    fn happens(&mut self, event: &Event) -> bool {
        let Some((id, run)) = event.run() else {
            return true;
        };
        let key = (id.clone(), run);
        let Some(child) = self.children.get_mut(&key) else {
            return false;
        };
        let app = self.natures[id].app;
        match event {
            Event::Spawned { .. } => {
                let count = self.born.get_mut(app).expect("each app has a list");
                child.exists = Some(self.now);
                child.number = count.len() as u64;
                count.push(self.now);
                if let Some((life, exit)) = (self.natures[id].life)(child.number) {
                    let (id, end) = (id.clone(), self.now.after(Span(life)));
                    self.at(end, Event::Exited { id, run, exit });
                }
            }
            Event::Ready { .. } => {
                child.ready = !child.asked;
                self.outage.entry(app).or_default();
            }
            Event::Exited { exit, .. } => {
                self.ended
                    .get_mut(app)
                    .expect("each app has a list")
                    .push((self.now, *exit));
                self.children.remove(&key);
            }
            Event::SpawnFailed { .. } => drop(self.children.remove(&key)),
            _ => {}
        }
        true
    }

    fn tell(&mut self, event: Event) {
        self.closing |= event == Event::ShutDown;
        match (self.deaths)() {
            None => {
                let actions = self.fleet.handle(self.now, event);
                self.perform(actions);
            }
            Some(Death::Early) => self.next_engine(Some(event)),
            Some(Death::After(some)) => {
                let saved = |action: &Action| matches!(action, Action::Changed { .. });
                let actions = self.fleet.handle(self.now, event);
                let rest = actions.into_iter().filter(|action| !saved(action));
                self.perform(rest.take(some).collect());
                self.next_engine(None);
            }
        }
    }

    /// A new engine finds the slots as the old one left them, and what happened since and was told to nobody.
    fn next_engine(&mut self, untold: Option<Event>) {
        self.died += 1;
        let mut fleet = Fleet::new();
        for (id, service) in self.fleet.iter() {
            let slot = postcard::to_allocvec(service).expect("a record can be written");
            let service = postcard::from_bytes(&slot).expect("and read");
            fleet.restore(id.clone(), self.natures[id].policy.clone(), service);
        }
        self.fleet = fleet;
        // The answers of probes die with the engine that asked; the next one asks again.
        self.future
            .retain(|_, event| !matches!(event, Event::Ready { .. } | Event::Met { .. }));
        if self.closing {
            let actions = self.fleet.handle(self.now, Event::ShutDown);
            self.perform(actions);
        }
        if let Some(event) = untold {
            let actions = self.fleet.handle(self.now, event);
            self.perform(actions);
        }
        let runs: Vec<(ServiceId, RunId)> = self.fleet.iter().flat_map(known).collect();
        for (id, run) in runs {
            if !self.children.contains_key(&(id.clone(), run)) {
                let actions = self.fleet.handle(self.now, Event::NeverRan { id, run });
                self.perform(actions);
            }
        }
        let actions = self.fleet.handle(self.now, Event::Resume);
        self.perform(actions);
        let all: Vec<ServiceId> = self.natures.keys().cloned().collect();
        all.into_iter().for_each(|id| self.look(id));
    }

    /// What an engine does about a service that waits for its conditions.
    fn look(&mut self, id: ServiceId) {
        if self.fleet.get(&id).is_some_and(Service::awaits_conditions) {
            let there = self.natures[&id].there.max(self.now);
            self.at(there, Event::Met { id });
        }
    }

    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Changed { id } => self.look(id),
                Action::StopProbes { .. } => {}
                Action::Removed { id } => assert!(!self.children.keys().any(|(of, _)| *of == id)),
                Action::Spawn { id, run } => self.spawn(id, run),
                Action::Signal { id, run, rung } => self.signal(id, run, rung),
                Action::StartProbes { id, run } => {
                    let child = self.children.get(&(id.clone(), run));
                    let since = child
                        .and_then(|c| c.exists)
                        .expect("only what exists is probed");
                    if let Some(span) = self.natures[&id].readiness {
                        self.at(
                            since.after(Span(span)).max(self.now),
                            Event::Ready { id, run },
                        );
                    }
                }
            }
        }
    }

    fn spawn(&mut self, id: ServiceId, run: RunId) {
        let child = Child {
            exists: None,
            number: 0,
            asked: false,
            ready: false,
        };
        let twice = self.children.insert((id.clone(), run), child);
        assert!(twice.is_none(), "{id} run {} twice", run.0);
        let others = self.children.keys().filter(|(of, _)| *of == id).count() - 1;
        let pair = self
            .fleet
            .get(&id)
            .is_some_and(|service| service.runs().count() == 2);
        assert!(
            others == 0 || (others == 1 && pair),
            "{id}: {others} others live"
        );
        let soon = self.now.after(Span(2));
        if self.natures[&id].broken {
            self.at(
                soon,
                Event::SpawnFailed {
                    id,
                    run,
                    fault: SpawnFault::Broken,
                },
            );
        } else {
            self.at(soon, Event::Spawned { id, run });
        }
    }

    fn signal(&mut self, id: ServiceId, run: RunId, rung: Rung) {
        let Some(child) = self.children.get_mut(&(id.clone(), run)) else {
            return; // It has ended and the news of that is on its way.
        };
        assert!(
            child.exists.is_some(),
            "{id} run {} does not exist and was signalled",
            run.0
        );
        let again = std::mem::replace(&mut child.asked, true);
        child.ready = false;
        let (wait, exit) = match rung {
            Rung::Ask if again => return,
            Rung::Ask => match self.natures[&id].obeys {
                Some(wait) => (wait, Exit::Code(0)),
                None => return,
            },
            Rung::Kill => (5, Exit::Signal(9)),
        };
        self.at(self.now.after(Span(wait)), Event::Exited { id, run, exit });
    }

    pub fn alive(&self) -> usize {
        self.children.len()
    }
}

fn known((id, service): (&ServiceId, &Service)) -> Vec<(ServiceId, RunId)> {
    service.runs().map(|(run, _)| (id.clone(), run)).collect()
}
