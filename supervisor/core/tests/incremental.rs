//! Only what was touched is looked at, and it comes to the same as looking at everything.
//!
//! A fleet that was just put back knows nothing of what is settled, so it looks at all its
//! services: after each breath, such a one is the measure for the fleet that has lived all along.

mod common;

use common::history::{Op, Pause, What, histories_of, lower};
use common::model::Model;
use common::{id, name};
use proptest::prelude::*;
use supervisor_core::*;

/// The histories of the other tests, but `d` is a second instance of `a`, and instead of ticks there are
/// new rules as to what comes after what, circles included.
fn histories() -> BoxedStrategy<Vec<Op>> {
    let masks = prop::collection::vec(0..8_usize, 32);
    let histories = (histories_of(60, false), masks);
    let histories = histories.prop_map(|(mut history, masks)| {
        let mut masks = masks.into_iter().cycle();
        let rules = history.iter().find_map(|op| match &op.what {
            What::Define(policy, _) => Some(policy.clone()),
            _ => None,
        });
        let rules = rules.expect("they begin with definitions");
        for op in &mut history {
            if op.app == "d" {
                op.app = "a:1";
            }
            if let What::Tick = op.what {
                let mask = masks.next().expect("without end");
                let apps = ["a", "b", "c"].into_iter().enumerate();
                let after = apps.filter(|(bit, _)| mask >> bit & 1 == 1);
                let after = after.map(|(_, app)| name(app)).collect();
                let rules = rules.clone();
                op.what = What::Define(Policy { after, ..rules }, Want::Up);
            }
        }
        history
    });
    histories.boxed()
}

/// Cuts a history into breaths.
fn breaths(history: &[Op], sizes: &[usize]) -> Vec<Vec<Op>> {
    let mut rest = history;
    let mut breaths = Vec::new();
    for size in sizes.iter().cycle() {
        let (breath, later) = rest.split_at((*size).min(rest.len()));
        breaths.push(breath.to_vec());
        rest = later;
        if rest.is_empty() {
            break;
        }
    }
    breaths
}

/// What a walk in breaths shows after each of them.
struct Breath<'a> {
    now: Time,
    events: &'a [Event],
    before: &'a Fleet,
    after: &'a Fleet,
    actions: &'a [Action],
    closing: bool,
}

fn walk(
    history: &[Op],
    sizes: &[usize],
    mut see: impl FnMut(&Breath<'_>) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let (mut fleet, mut now, mut closing) = (Fleet::new(), Time(1000), false);
    for breath in breaths(history, sizes) {
        let before = fleet.clone();
        now = match breath[0].pause {
            Pause::None => now,
            Pause::Short(pause) => now.after(Span(pause)),
            Pause::Deadline => fleet.next_deadline().unwrap_or(now).max(now),
        };
        let events: Vec<Event> = breath.iter().map(|op| lower(&fleet, op)).collect();
        let actions = fleet.handle_all(now, events.iter().cloned());
        see(&Breath {
            now,
            events: &events,
            before: &before,
            after: &fleet,
            actions: &actions,
            closing,
        })?;
        closing |= events.contains(&Event::ShutDown);
    }
    Ok(())
}

/// The same fleet without any knowledge of what is settled.
fn all_unsettled(fleet: &Fleet) -> Fleet {
    let mut copy = Fleet::new();
    for (id, service) in fleet.iter() {
        let policy = fleet.policy(id).expect("each has one").clone();
        copy.restore(id.clone(), policy, *service);
    }
    copy
}

proptest! {
    #[test]
    fn it_is_the_same_as_looking_at_everything(
        history in histories(), sizes in prop::collection::vec(1..4_usize, 8)
    ) {
        let mut departed = false;
        walk(&history, &sizes, |breath| {
            let events = breath.events.iter();
            let defined = |event: &Event| match event {
                Event::Define { id, .. } => breath.before.get(id).is_none(),
                _ => false,
            };
            // What the first number of a run is, where a name comes back, only the old fleet knows.
            if !(departed && events.clone().any(defined)) {
                let mut all = all_unsettled(breath.before);
                let closing = breath.closing.then_some(Event::ShutDown);
                let actions = all.handle_all(breath.now, closing.into_iter().chain(events.cloned()));
                prop_assert_eq!(&actions[..], breath.actions, "{:?}", breath.events);
                prop_assert!(all.iter().eq(breath.after.iter()));
                prop_assert_eq!(all.next_deadline(), breath.after.next_deadline());
            }
            let deadlines = breath.after.iter().filter_map(|(_, service)| service.deadline());
            prop_assert_eq!(breath.after.next_deadline(), deadlines.min());
            departed |= breath.actions.iter().any(|action| matches!(action, Action::Removed { .. }));
            Ok(())
        })?;
    }

    #[test]
    fn the_model_agrees_on_what_is_told_in_one_breath(
        history in histories_of(60, false), sizes in prop::collection::vec(1..4_usize, 8)
    ) {
        let mut model = Model::default();
        walk(&history, &sizes, |breath| {
            let agrees = model.agree(breath.now, breath.events, breath.after, breath.actions);
            prop_assert!(agrees.is_ok(), "at {:?} {:?}\n{}", breath.now, breath.events, agrees.unwrap_err());
            Ok(())
        })?;
    }
}

#[test]
fn what_was_not_touched_is_found_when_its_time_comes() {
    let define = |app: &str, after: &str| Event::Define {
        id: id(app),
        policy: Policy {
            after: vec![name(after)],
            ready: Some(Span::secs(5)),
            ..Policy::default()
        },
        want: Want::Up,
    };
    let mut fleet = Fleet::new();
    drop(fleet.handle(Time(0), define("web", "db")));
    assert_eq!(fleet.next_deadline(), None);
    drop(fleet.handle(
        Time(0),
        Event::Define {
            id: id("db"),
            policy: Policy::default(),
            want: Want::Up,
        },
    ));
    drop(fleet.handle(Time(0), common::spawned("db", 1)));
    drop(fleet.handle(Time(0), common::spawned("web", 1)));
    assert_eq!(fleet.next_deadline(), Some(common::secs(5)));
    drop(fleet.handle(common::secs(5), Event::Tick));
    let web = fleet.get(&id("web")).expect("it is there");
    assert_eq!(web.state(), State::Stopping);
}
