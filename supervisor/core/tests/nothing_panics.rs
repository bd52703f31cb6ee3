//! Whatever stands in a slot, whatever the clock says and whoever speaks out of turn: the fleet
//! answers. And the histories that the other tests walk do reach what there is to reach.

mod common;

use std::collections::BTreeSet;

use common::history::{APPS, histories, histories_of, walk};
use common::{command, define, id};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use supervisor_core::*;

fn times() -> impl Strategy<Value = Time> {
    prop_oneof![
        Just(0),
        Just(1000),
        Just(u64::MAX - 1),
        Just(u64::MAX),
        any::<u64>()
    ]
    .prop_map(Time)
}

fn runs() -> impl Strategy<Value = RunId> {
    prop_oneof![Just(0), Just(1), Just(2), Just(u64::MAX)].prop_map(RunId)
}

fn ladders() -> impl Strategy<Value = Ladder> {
    let step = prop_oneof![
        Just(Step::Unborn),
        times().prop_map(|until| Step::Asked { until }),
        times().prop_map(|until| Step::Killed { until }),
    ];
    (runs(), step).prop_map(|(run, step)| Ladder { run, step })
}

fn phases() -> impl Strategy<Value = Phase> {
    let then = prop_oneof![
        Just(Then::Settle),
        any::<bool>().prop_map(|quick| Then::Failed {
            cause: Cause::Unhealthy,
            quick
        }),
    ];
    prop_oneof![
        Just(Phase::Stopped),
        Just(Phase::Errored),
        Just(Phase::Completed { success: true }),
        Just(Phase::Completed { success: false }),
        Just(Phase::Waiting(Wait::Dependencies)),
        any::<bool>().prop_map(|ran| Phase::Waiting(Wait::Schedule { ran })),
        any::<bool>().prop_map(|met| Phase::Waiting(Wait::Conditions { met })),
        times().prop_map(|until| Phase::Waiting(Wait::Shortage { until })),
        times().prop_map(|until| Phase::Backoff { until }),
        runs().prop_map(|run| Phase::Spawning { run }),
        (runs(), times()).prop_map(|(run, ready_by)| Phase::Starting { run, ready_by }),
        (runs(), prop::option::of(times()))
            .prop_map(|(run, stable_at)| Phase::Running { run, stable_at }),
        (ladders(), then).prop_map(|(ladder, then)| Phase::Stopping { ladder, then }),
    ]
}

prop_compose! {
    /// Any record at all, also such as no history leads to.
    fn records()(
        up: bool, remove: bool, reload: bool, restart: bool, phase in phases(), since in times(),
        beside in prop::option::of(prop_oneof![
            runs().prop_map(|run| Beside::Spawning { run }),
            (runs(), times(), times())
                .prop_map(|(run, since, ready_by)| Beside::Starting { run, since, ready_by }),
            ladders().prop_map(Beside::Falling),
        ]),
        failures in prop_oneof![Just(0), Just(1), Just(u32::MAX)],
        restarts in prop_oneof![Just(0), Just(u64::MAX)],
        last_run in runs(),
    ) -> Service {
        let want = if up { Want::Up } else { Want::Down };
        Service { want, remove, reload, restart, phase, since, beside, failures, restarts, last_run }
    }
}

fn every_event(id: &ServiceId, run: RunId) -> Vec<Event> {
    let id = || id.clone();
    let mut events = vec![
        Event::Tick,
        Event::Resume,
        Event::Due { id: id() },
        Event::Met { id: id() },
    ];
    let exits = [Exit::Code(0), Exit::Signal(9), Exit::Unknown];
    events.extend(exits.map(|exit| Event::Exited {
        id: id(),
        run,
        exit,
    }));
    let faults = [SpawnFault::Shortage, SpawnFault::Broken];
    events.extend(faults.map(|fault| Event::SpawnFailed {
        id: id(),
        run,
        fault,
    }));
    let causes = [
        Cause::NotReady,
        Cause::Unhealthy,
        Cause::OverMemory,
        Cause::Watch,
    ];
    events.extend(causes.map(|cause| Event::Failing {
        id: id(),
        run,
        cause,
    }));
    events.extend([
        Event::Spawned { id: id(), run },
        Event::NeverRan { id: id(), run },
        Event::Ready { id: id(), run },
    ]);
    let wishes = [
        Command::Start,
        Command::Stop,
        Command::Restart,
        Command::Reload,
        Command::Reset,
        Command::Remove,
    ];
    events.extend(wishes.map(|command| Event::Command { id: id(), command }));
    events.push(Event::ShutDown);
    events
}

proptest! {
    #[test]
    fn nothing_panics(
        history in histories_of(30, true),
        records in prop::collection::vec(records(), APPS.len()),
        moments in prop::collection::vec(times(), 1..8),
    ) {
        let mut fleet = walk(&history, |_| Ok(()))?;
        for (app, record) in APPS.into_iter().zip(&records) {
            let policy = fleet.policy(&id(app)).cloned().unwrap_or_default();
            fleet.restore(id(app), policy, *record);
        }
        for (round, now) in moments.iter().cycle().take(40).enumerate() {
            let app = id(APPS[round % APPS.len()]);
            let run = fleet.get(&app).map_or(RunId(0), |service| service.last_run);
            for event in every_event(&app, run) {
                drop(fleet.clone().handle(*now, event.clone()));
                if round % 3 == 0 && event != Event::ShutDown {
                    drop(fleet.handle(*now, event));
                }
            }
            drop((fleet.next_deadline(), fleet.blockers(&app), fleet.is_down()));
        }
    }
}

#[test]
fn events_about_nobody_are_ticks() {
    let mut fleet = Fleet::new();
    for event in every_event(&id("nobody"), RunId(1)) {
        assert_eq!(fleet.handle(Time(5), event), []);
    }
    assert_eq!(fleet.iter().count(), 0);
}

#[test]
fn a_circle_waits_and_says_for_whom() {
    let after = |app| Policy {
        after: vec![common::name(app)],
        ..Policy::default()
    };
    let mut fleet = Fleet::new();
    drop(fleet.handle(Time(0), define("hen", after("egg"))));
    drop(fleet.handle(Time(0), define("egg", after("hen"))));
    assert_eq!(fleet.handle(Time(0), command("hen", Command::Start)), []);
    assert_eq!(fleet.blockers(&id("hen")), [id("egg")]);
    assert_eq!(fleet.blockers(&id("egg")), [id("hen")]);
}

/// A test over random histories proves nothing about what they never come to.
#[test]
fn histories_reach_everything() {
    let mut runner = TestRunner::deterministic();
    let mut reached = BTreeSet::new();
    for _ in 0..400 {
        let history = histories()
            .new_tree(&mut runner)
            .expect("a history")
            .current();
        let walked = walk(&history, |step| {
            for (id, after) in step.after.iter() {
                let word = |service: &Service| match service.phase {
                    Phase::Stopping { ladder, then } => {
                        let failed = matches!(then, Then::Failed { .. });
                        format!("stopping {:?} failed {failed}", ladder.step.rung())
                    }
                    phase => format!("{phase:?}")
                        .chars()
                        .take_while(|c| c.is_alphabetic())
                        .collect(),
                };
                let beside = |service: &Service| match service.beside {
                    None => "alone".to_owned(),
                    Some(beside) => format!("{:?}", beside.role()),
                };
                reached.insert(format!("{} {}", word(after), beside(after)));
                if after.awaits_conditions() {
                    reached.insert("conditions".to_owned());
                    let before = step.before.get(id).map(|before| before.phase);
                    if before == Some(Phase::Waiting(Wait::Dependencies)) {
                        reached.insert("conditions after dependencies".to_owned());
                    }
                }
                let shut = matches!(after.phase, Phase::Waiting(Wait::Dependencies));
                if shut && step.before.get(id).is_some_and(Service::awaits_conditions) {
                    reached.insert("from conditions back to dependencies".to_owned());
                }
                if after.restart {
                    reached.insert(format!("restart owed, {}", word(after)));
                }
                if let Some(before) = step.before.get(id) {
                    reached.insert(format!("from {} to {}", beside(before), beside(after)));
                }
            }
            reached.insert(format!("closing {}", step.closing));
            Ok(())
        });
        walked.expect("nothing is checked here");
    }
    let mut expected = vec!["closing true".to_owned()];
    for word in [
        "conditions",
        "conditions after dependencies",
        "from conditions back to dependencies",
    ] {
        expected.push(word.to_owned());
    }
    for phase in [
        "Stopped", "Waiting", "Spawning", "Backoff", "Errored", "Starting", "Running",
    ] {
        expected.push(format!("{phase} alone"));
        expected.push(format!("{phase} Falling"));
    }
    for phase in ["Waiting", "Spawning", "Starting", "Running"] {
        expected.push(format!("restart owed, {phase}"));
    }
    for failed in [false, true] {
        expected.push(format!("restart owed, stopping Some(Ask) failed {failed}"));
    }
    expected.push("Completed alone".to_owned());
    expected.push("Running Rising".to_owned());
    for rung in ["None", "Some(Ask)", "Some(Kill)"] {
        expected.push(format!("stopping {rung} failed false alone"));
        expected.push(format!("stopping {rung} failed true alone"));
    }
    expected.push("stopping Some(Ask) failed true Rising".to_owned());
    expected.push("stopping Some(Ask) failed false Falling".to_owned());
    for (from, to) in [
        ("alone", "Rising"),
        ("Rising", "alone"),
        ("Rising", "Falling"),
    ] {
        expected.push(format!("from {from} to {to}"));
    }
    let missed: Vec<_> = expected
        .iter()
        .filter(|word| !reached.contains(*word))
        .collect();
    assert!(missed.is_empty(), "never reached: {missed:#?}");
}
