//! The invariants of the crate's front page, each under its name there, over random histories.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::history::{Step, after, histories, histories_of, walk};
use common::model::Model;
use proptest::prelude::*;
use supervisor_core::*;

/// Which processes there are, as the world would know it: from what was asked for and what was heard of it.
#[derive(Default)]
struct World {
    exists: BTreeMap<(ServiceId, RunId), bool>,
}

impl World {
    fn follow(&mut self, event: &Event, actions: &[Action]) {
        if let Some((id, run)) = event.run() {
            let key = (id.clone(), run);
            let exists = self.exists.get(&key).copied();
            match event {
                Event::Spawned { .. } if exists.is_some() => {
                    self.exists.insert(key, true);
                }
                Event::SpawnFailed { .. } | Event::NeverRan { .. } if exists == Some(false) => {
                    self.exists.remove(&key);
                }
                Event::Exited { .. } => {
                    self.exists.remove(&key);
                }
                _ => {}
            }
        }
        for action in actions {
            if let Action::Spawn { id, run } = action {
                self.exists.insert((id.clone(), *run), false);
            }
        }
    }
}

proptest! {
    #[test]
    fn one_main_run(history in histories()) {
        let mut world = World::default();
        walk(&history, |step| {
            world.follow(step.event, step.actions);
            let known = step.after.iter().flat_map(|(id, service)| {
                service.runs().map(|(run, _)| (id.clone(), run)).collect::<Vec<_>>()
            });
            let real: BTreeSet<_> = world.exists.keys().cloned().collect();
            prop_assert_eq!(known.collect::<BTreeSet<_>>(), real);
            for (id, service) in step.after.iter() {
                let main = service.runs().filter(|(_, role)| *role == Role::Main).count();
                prop_assert!(main <= 1 && service.runs().count() <= 2, "{}", id);
            }
            Ok(())
        })?;
    }

    #[test]
    fn stale_news_is_a_tick(history in histories()) {
        walk(&history, |step| {
            let Some((id, run)) = step.event.run() else { return Ok(()) };
            if step.before.get(id).and_then(|service| service.role(run)).is_none() {
                let mut other = step.before.clone();
                let actions = other.handle(step.now, Event::Tick);
                prop_assert_eq!(&actions[..], step.actions);
                prop_assert!(other.iter().eq(step.after.iter()));
            }
            Ok(())
        })?;
    }

    #[test]
    fn nothing_is_stuck(history in histories()) {
        walk(&history, |step| {
            for (id, service) in step.after.iter().filter(|(_, service)| step.up(service)) {
                let policy = step.after.policy(id).expect("each has one");
                let fine = match service.phase {
                    Phase::Waiting(Wait::Dependencies) => !step.after.blockers(id).is_empty(),
                    Phase::Waiting(Wait::Conditions { met }) => {
                        !met && policy.conditional && step.after.blockers(id).is_empty()
                    }
                    Phase::Waiting(Wait::Schedule { .. }) => policy.scheduled,
                    Phase::Waiting(Wait::Shortage { .. }) | Phase::Backoff { .. } => {
                        service.next_start().is_some_and(|at| at > step.now)
                    }
                    Phase::Spawning { .. } | Phase::Starting { .. } | Phase::Running { .. } => true,
                    Phase::Stopping { ladder, .. } => {
                        ladder.step == supervisor_core::Step::Unborn || service.deadline().is_some()
                    }
                    Phase::Errored | Phase::Completed { .. } => true,
                    Phase::Stopped => false,
                };
                prop_assert!(fine, "{} is stuck: {:?}", id, service);
            }
            Ok(())
        })?;
    }

    #[test]
    fn what_is_unwanted_goes_down(history in histories()) {
        walk(&history, |step| {
            for (id, service) in step.after.iter().filter(|(_, service)| !step.stays(service)) {
                let standing = match service.phase {
                    Phase::Spawning { .. } | Phase::Starting { .. } | Phase::Running { .. } => true,
                    Phase::Waiting(_) | Phase::Backoff { .. } if !step.up(service) => {
                        return Err(TestCaseError::fail(format!("{id} waits: {service:?}")));
                    }
                    Phase::Waiting(_)
                    | Phase::Backoff { .. }
                    | Phase::Stopped
                    | Phase::Stopping { .. }
                    | Phase::Errored
                    | Phase::Completed { .. } => {
                        service.runs().any(|(_, role)| role == Role::Rising)
                    }
                };
                let reason = !step.going_dependents(id).is_empty();
                prop_assert!(!standing || reason, "nobody stops {}: {:?}", id, service);
            }
            Ok(())
        })?;
    }

    #[test]
    fn deadlines_lie_ahead(history in histories()) {
        walk(&history, |step| {
            let next = step.after.next_deadline();
            prop_assert!(next.is_none_or(|next| next > step.now), "{:?} at {:?}", next, step.now);
            Ok(())
        })?;
    }

    #[test]
    fn backoff_keeps_to_the_table(history in histories()) {
        walk(&history, |step| {
            for (id, service) in step.after.iter() {
                let Phase::Backoff { until } = service.phase else { continue };
                if step.before.get(id).is_some_and(|before| before.phase == service.phase) {
                    continue;
                }
                let wait = until.since(step.now).0;
                let rules = &step.after.policy(id).expect("each has one").restart;
                let cap = rules.max_delay.max(rules.delay).0;
                let (least, most) = match service.failures {
                    0 | 1 => (rules.delay.0, rules.delay.0),
                    n => {
                        let even = rules.delay.0.max(100) * 2_u64.pow((n - 2).min(20));
                        ((even * 9 / 10).min(cap), (even * 11 / 10).min(cap))
                    }
                };
                prop_assert!((least..=most).contains(&wait), "{} after {}", wait, service.failures);
                let max = rules.max_restarts;
                prop_assert!(max == 0 || service.failures < max, "{:?} of {}", service, max);
            }
            Ok(())
        })?;
    }

    #[test]
    fn dependencies_start_first(history in histories()) {
        walk(&history, |step| {
            for action in step.actions {
                let Action::Spawn { id, run } = action else { continue };
                let service = step.after.get(id).expect("it is there");
                if service.role(*run) != Some(Role::Main) {
                    continue; // The next run of a reload: the service is up already.
                }
                prop_assert!(step.up(service));
                let waited = !step.after.policy(id).expect("each has one").conditional
                    || matches!(step.event, Event::Met { id: met } if met == id);
                prop_assert!(waited, "{} did not wait for its conditions", id);
                for app in &step.after.policy(id).expect("each has one").after {
                    let dependency = ServiceId { app: app.clone(), instance: 0 };
                    let dependency = step.after.get(&dependency).expect("it must exist");
                    let up = dependency.state() == State::Running && step.stays(dependency);
                    prop_assert!(up || dependency.state() == State::Completed, "{:?}", dependency);
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn dependents_stop_first(history in histories()) {
        walk(&history, |step| {
            for (id, service) in step.after.iter().filter(|(_, service)| !step.stays(service)) {
                let told = |s: &Service| matches!(s.phase, Phase::Stopping { then: Then::Settle, .. });
                let before = step.before.get(id).is_some_and(told);
                let failed = step.before.get(id).is_some_and(|s| {
                    matches!(s.phase, Phase::Stopping { .. })
                });
                let watch = matches!(step.event, Event::Failing { id: who, .. } if who == id);
                if told(service) && !before && !failed && !watch {
                    let dependents = step.going_dependents(id);
                    prop_assert!(dependents.is_empty(), "{} before {:?}", id, dependents);
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn changes_are_told_once_and_first(history in histories()) {
        walk(&history, |step| {
            let differs = |(id, service): &(&ServiceId, &Service)| step.before.get(id) != Some(*service);
            let differing = step.after.iter().filter(differs).map(|(id, _)| id.clone());
            let told = step.actions.iter().map_while(|action| match action {
                Action::Changed { id } => Some(id.clone()),
                _ => None,
            });
            let told: Vec<ServiceId> = told.collect();
            prop_assert_eq!(&told, &differing.collect::<Vec<_>>());
            let late = &step.actions[told.len()..];
            let is_late = late.iter().any(|action| matches!(action, Action::Changed { .. }));
            prop_assert!(!is_late);
            let gone = step.before.iter().filter(|(id, _)| step.after.get(id).is_none()).count();
            let last = late.iter().rev().take_while(|a| matches!(a, Action::Removed { .. })).count();
            prop_assert_eq!(gone, last);
            Ok(())
        })?;
    }

    #[test]
    fn settled_is_settled(history in histories()) {
        walk(&history, |step| {
            let mut again = step.after.clone();
            prop_assert_eq!(again.handle(step.now, Event::Tick), []);
            prop_assert!(again.iter().eq(step.after.iter()));
            Ok(())
        })?;
    }

    #[test]
    fn replays_are_exact(history in histories()) {
        let tape = || -> Result<Vec<Vec<Action>>, TestCaseError> {
            let mut tape = Vec::new();
            walk(&history, |step| {
                tape.push(step.actions.to_vec());
                Ok(())
            })?;
            Ok(tape)
        };
        prop_assert_eq!(tape()?, tape()?);
    }

    #[test]
    fn records_survive_their_slot(history in histories()) {
        walk(&history, |step| {
            for (_, service) in step.after.iter() {
                let slot = postcard::to_allocvec(service).expect("a record can be written");
                prop_assert!(slot.len() <= 128, "{} bytes", slot.len());
                prop_assert_eq!(&postcard::from_bytes::<Service>(&slot).expect("and read"), service);
                let json = serde_json::to_string(service).expect("a record can be written");
                prop_assert_eq!(&serde_json::from_str::<Service>(&json).expect("and read"), service);
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_new_engine_goes_on(history in histories(), deaths in prop::collection::btree_set(0..120_usize, 1..6)) {
        let mut other = Fleet::new();
        let mut events = 0;
        walk(&history, |step| {
            // Only names that are new to both: what the first number of a run is, a new engine cannot know.
            if let Event::Define { id, .. } = step.event
                && events > 4
                && step.before.get(id).is_none()
            {
                return Err(TestCaseError::reject("a name came back"));
            }
            prop_assert_eq!(&other.handle(step.now, step.event.clone())[..], step.actions);
            events += 1;
            if deaths.contains(&events) {
                other = reborn(step);
                let repeated = other.handle(step.now, Event::Resume);
                prop_assert!(repeated.iter().all(|action| matches!(
                    action,
                    Action::Signal { .. } | Action::StartProbes { .. }
                )), "{:?}", repeated);
            }
            prop_assert!(other.iter().eq(step.after.iter()));
            Ok(())
        })?;
    }

    #[test]
    fn shutdown_empties_the_fleet(history in histories_of(60, false), circle: bool, closing: bool) {
        let mut fleet = walk(&history, |_| Ok(()))?;
        if circle {
            close_the_circle(&mut fleet);
        }
        let wanted: Vec<(ServiceId, Want)> = fleet.iter().map(|(id, s)| (id.clone(), s.durable_want())).collect();
        let mut now = fleet.next_deadline().unwrap_or(Time(1_000_000));
        let mut heard = vec![if closing { Event::ShutDown } else { Event::Tick }];
        if !closing {
            heard.extend(fleet.iter().map(|(id, _)| Event::Command { id: id.clone(), command: Command::Remove }));
        }
        for round in 0.. {
            prop_assert!(round < 200, "it does not come to an end: {:?}", fleet);
            let Some(event) = heard.pop() else { break };
            for action in fleet.handle(now, event) {
                if let Action::Signal { id, run, rung: Rung::Kill } = action {
                    heard.push(Event::Exited { id, run, exit: Exit::Signal(9) });
                }
            }
            if heard.is_empty() {
                let unborn = fleet.iter().flat_map(|(id, service)| {
                    service.runs().map(|(run, _)| Event::Spawned { id: id.clone(), run }).collect::<Vec<_>>()
                });
                heard.extend(unborn);
                now = fleet.next_deadline().unwrap_or(now);
            }
        }
        prop_assert!(fleet.iter().all(|(_, service)| !service.is_alive()));
        if closing {
            prop_assert!(fleet.is_down());
            for (id, want) in wanted {
                let now = fleet.get(&id).map(Service::durable_want);
                // What was on its way out has left.
                prop_assert!(now.is_none_or(|now| now == want), "{} was {:?}", id, want);
            }
        } else {
            prop_assert_eq!(fleet.iter().count(), 0);
        }
    }

    #[test]
    fn the_model_agrees(history in histories()) {
        let mut model = Model::default();
        walk(&history, |step| {
            let agrees = model.agree(step.now, std::slice::from_ref(step.event), step.after, step.actions);
            prop_assert!(agrees.is_ok(), "at {:?} {:?}\n{}", step.now, step.event, agrees.unwrap_err());
            Ok(())
        })?;
    }
}

/// What is in a circle never starts; a circle of live services comes from definitions that change under them.
fn close_the_circle(fleet: &mut Fleet) {
    let staying = fleet.iter().filter(|(_, service)| !service.remove);
    let staying: Vec<ServiceId> = staying.map(|(id, _)| id.clone()).collect();
    for id in staying {
        let mut policy = fleet.policy(&id).expect("each has one").clone();
        policy.after = after(id.app.as_str(), true);
        let want = Want::Up;
        drop(fleet.handle(Time(0), Event::Define { id, policy, want }));
    }
}

/// A new fleet from what the slots of the old one held.
fn reborn(step: &Step<'_>) -> Fleet {
    let mut fleet = Fleet::new();
    for (id, service) in step.after.iter() {
        let slot = postcard::to_allocvec(service).expect("a record can be written");
        let service = postcard::from_bytes(&slot).expect("and read");
        fleet.restore(
            id.clone(),
            step.after.policy(id).expect("each has one").clone(),
            service,
        );
    }
    if step.closing {
        assert_eq!(
            fleet.handle(step.now, Event::ShutDown),
            [],
            "nothing that was not told before"
        );
    }
    fleet
}
