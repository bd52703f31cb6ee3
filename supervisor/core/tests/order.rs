//! The order between services when many go down or are restarted at the same time.

mod common;

use common::*;
use supervisor_core::*;

/// What is told to whom: `ask web`, `spawn db`.
fn told(actions: &[Action]) -> Vec<String> {
    let words = actions.iter().filter_map(|action| match action {
        Action::Spawn { id, .. } => Some(format!("spawn {}", id.app)),
        Action::Signal { id, rung, .. } => Some(match rung {
            Rung::Ask => format!("ask {}", id.app),
            Rung::Kill => format!("kill {}", id.app),
        }),
        Action::Changed { .. }
        | Action::StartProbes { .. }
        | Action::StopProbes { .. }
        | Action::Removed { .. } => None,
    });
    words.collect()
}

/// Running services; each comes after those that stand with it.
fn running(services: &[(&str, &[&str])]) -> Fleet {
    let mut fleet = Fleet::new();
    for (app, after) in services {
        let after = after.iter().map(|app| name(app)).collect();
        let policy = Policy { after, ..policy() };
        drop(fleet.handle(secs(0), define(app, policy)));
        drop(fleet.handle(secs(0), spawned(app, 1)));
        assert_eq!(state(&fleet, app), State::Running);
    }
    fleet
}

fn chain() -> Fleet {
    running(&[("db", &[]), ("api", &["db"]), ("web", &["api"])])
}

fn state(fleet: &Fleet, app: &str) -> State {
    fleet.get(&id(app)).expect("it is there").state()
}

/// Tells one event after the other and compares what is told then.
fn goes(fleet: &mut Fleet, script: &[(Event, &[&str])]) {
    for (at, (event, expected)) in (1..).zip(script) {
        let actions = fleet.handle(secs(at), event.clone());
        assert_eq!(told(&actions), *expected, "after {event:?}");
    }
}

fn restart_all(fleet: &mut Fleet, apps: &[&str]) -> Vec<String> {
    let all = apps.iter().map(|app| command(app, Command::Restart));
    told(&fleet.handle_all(secs(1), all))
}

fn gone(app: &str) -> Event {
    exited(app, 1, Exit::Code(0))
}

#[test]
fn dependents_go_first_and_alone_where_only_they_were_told() {
    let mut fleet = running(&[("db", &[]), ("web", &["db"])]);
    let mut alone = fleet.clone();
    goes(&mut alone, &[(command("db", Command::Stop), &["ask db"])]);
    assert_eq!(state(&alone, "web"), State::Running);

    goes(&mut fleet, &[(Event::ShutDown, &["ask web"])]);
    assert!(!fleet.is_down());
    goes(&mut fleet, &[(gone("web"), &["ask db"]), (gone("db"), &[])]);
    assert!(fleet.is_down());
    let db = fleet.get(&id("db")).expect("it is there");
    assert_eq!(db.durable_want(), Want::Up);
    let start = command("db", Command::Start);
    assert_eq!(fleet.handle(secs(4), start), [], "not while it goes down");
}

#[test]
fn what_is_stopped_in_one_breath_stops_in_order_whatever_its_name() {
    for names in [["a", "b", "c"], ["c", "b", "a"]] {
        let [first, second, third] = names;
        let mut fleet = running(&[(first, &[]), (second, &[first]), (third, &[second])]);
        let all = names.map(|name| command(name, Command::Stop));
        let asked = told(&fleet.handle_all(secs(1), all));
        assert_eq!(asked, [format!("ask {third}")]);
        goes(
            &mut fleet,
            &[
                (gone(third), &[&format!("ask {second}")]),
                (gone(second), &[&format!("ask {first}")]),
                (gone(first), &[]),
            ],
        );
    }
}

#[test]
fn a_chain_is_restarted_in_order_whatever_the_names() {
    for names in [["a", "b", "c"], ["c", "b", "a"]] {
        let [first, second, third] = names;
        let mut fleet = running(&[(first, &[]), (second, &[first]), (third, &[second])]);
        let asked = restart_all(&mut fleet, &names);
        assert_eq!(asked, [format!("ask {third}")]);
        goes(
            &mut fleet,
            &[
                (gone(third), &[&format!("ask {second}")]),
                (gone(second), &[&format!("ask {first}")]),
                (gone(first), &[&format!("spawn {first}")]),
                (spawned(first, 2), &[&format!("spawn {second}")]),
                (spawned(second, 2), &[&format!("spawn {third}")]),
                (spawned(third, 2), &[]),
            ],
        );
    }
}

#[test]
fn restarts_that_are_asked_for_one_by_one_keep_the_order_too() {
    goes(
        &mut chain(),
        &[
            (command("web", Command::Restart), &["ask web"]),
            (command("api", Command::Restart), &[]),
            (command("db", Command::Restart), &[]),
            (command("db", Command::Restart), &[]),
            (gone("web"), &["ask api"]),
            (gone("api"), &["ask db"]),
            (gone("db"), &["spawn db"]),
        ],
    );
}

#[test]
fn a_restart_leaves_those_alone_that_are_not_to_be_restarted() {
    let mut fleet = chain();
    assert_eq!(restart_all(&mut fleet, &["db"]), ["ask db"]);
    goes(
        &mut fleet,
        &[(gone("db"), &["spawn db"]), (spawned("db", 2), &[])],
    );
    let mut fleet = chain();
    assert_eq!(restart_all(&mut fleet, &["db", "api"]), ["ask api"]);
    goes(
        &mut fleet,
        &[
            (gone("api"), &["ask db"]),
            (gone("db"), &["spawn db"]),
            (spawned("db", 2), &["spawn api"]),
            (spawned("api", 2), &[]),
        ],
    );
    assert_eq!(state(&fleet, "web"), State::Running);
}

#[test]
fn a_slow_dependent_holds_nobody_but_its_dependency() {
    let mut fleet = running(&[("cache", &[]), ("db", &[]), ("web", &["db"])]);
    let asked = restart_all(&mut fleet, &["cache", "db", "web"]);
    assert_eq!(asked, ["ask cache", "ask web"]);
    goes(
        &mut fleet,
        &[
            (gone("cache"), &["spawn cache"]),
            (spawned("cache", 2), &[]),
        ],
    );
    assert_eq!(told(&fleet.handle(secs(11), Event::Tick)), ["kill web"]);
    assert_eq!(state(&fleet, "db"), State::Running);
    assert_eq!(told(&fleet.handle(secs(12), gone("web"))), ["ask db"]);
}

#[test]
fn one_that_only_stops_holds_a_restart_too() {
    let mut fleet = chain();
    let both = [
        command("api", Command::Restart),
        command("web", Command::Stop),
    ];
    assert_eq!(told(&fleet.handle_all(secs(1), both)), ["ask web"]);
    goes(
        &mut fleet,
        &[(gone("web"), &["ask api"]), (gone("api"), &["spawn api"])],
    );
    assert_eq!(state(&fleet, "web"), State::Stopped);
}

#[test]
fn a_circle_is_broken_by_the_first_name() {
    let mut fleet = running(&[("egg", &[]), ("hen", &["egg"])]);
    let after = Policy {
        after: vec![name("hen")],
        ..policy()
    };
    drop(fleet.handle(secs(1), define("egg", after)));
    assert_eq!(restart_all(&mut fleet, &["hen", "egg"]), ["ask egg"]);
    goes(
        &mut fleet,
        &[(gone("egg"), &["ask hen"]), (gone("hen"), &[])],
    );
    assert_eq!(fleet.blockers(&id("hen")), [id("egg")]);
    assert_eq!(fleet.blockers(&id("egg")), [id("hen")]);
}

#[test]
fn a_new_engine_goes_on_with_a_restart() {
    let mut fleet = chain();
    drop(restart_all(&mut fleet, &["db", "api", "web"]));
    drop(fleet.handle(secs(2), gone("web")));
    let mut next = Fleet::new();
    for (id, service) in fleet.iter() {
        let policy = fleet.policy(id).expect("each has one").clone();
        next.restore(id.clone(), policy, *service);
    }
    goes(
        &mut next,
        &[
            (Event::Resume, &["ask api"]),
            (gone("api"), &["ask db"]),
            (gone("db"), &["spawn db"]),
        ],
    );
}

#[test]
fn a_stop_ends_a_restart_that_has_not_begun() {
    let mut fleet = chain();
    drop(restart_all(&mut fleet, &["db", "api"]));
    goes(
        &mut fleet,
        &[
            (command("db", Command::Stop), &[]),
            (gone("api"), &["ask db"]),
            (gone("db"), &[]),
        ],
    );
    assert_eq!(state(&fleet, "db"), State::Stopped);
    assert_eq!(fleet.blockers(&id("api")), [id("db")]);
}

#[test]
fn an_end_that_nobody_asked_for_is_the_one_that_was_waited_for() {
    let mut fleet = chain();
    drop(restart_all(&mut fleet, &["db", "api"]));
    goes(
        &mut fleet,
        &[
            (exited("db", 1, Exit::Code(1)), &["spawn db"]),
            (spawned("db", 2), &[]),
            (gone("api"), &["spawn api"]),
        ],
    );
    let db = fleet.get(&id("db")).expect("it is there");
    assert_eq!((db.run(), db.failures), (Some(RunId(2)), 0));
}

#[test]
fn the_next_run_of_a_reload_is_restarted_too() {
    let mut fleet = chain();
    drop(fleet.handle(secs(0), command("db", Command::Reload)));
    drop(restart_all(&mut fleet, &["db", "api"]));
    goes(
        &mut fleet,
        &[
            (spawned("db", 2), &["ask db"]),
            (gone("db"), &[]),
            (command("db", Command::Reload), &[]),
            (gone("api"), &["ask db"]),
            (exited("db", 2, Exit::Code(0)), &["spawn db"]),
            (spawned("db", 3), &["spawn api"]),
        ],
    );
}
