//! What is waited for besides dependencies: it holds up a start, and counts as nothing else.

mod common;

use common::*;
use supervisor_core::*;

fn conditional() -> Policy {
    Policy {
        conditional: true,
        ..policy()
    }
}

fn get<'a>(fleet: &'a Fleet, app: &str) -> &'a Service {
    fleet.get(&id(app)).expect("it is there")
}

/// Tells one event after the other, a second apart, and compares what is done and what comes of it.
fn goes(fleet: &mut Fleet, app: &str, script: &[(Event, &str, &str)]) {
    for (at, (event, actions, record)) in (1..).zip(script) {
        let done = fleet.handle(secs(at), event.clone());
        assert_eq!(show_actions(&done), *actions, "after {event:?}");
        assert_eq!(show(get(fleet, app), secs(at)), *record, "after {event:?}");
    }
}

const WAITS: &str = "waiting for conditions";

#[test]
fn what_is_late_is_waited_for_and_nothing_is_counted() {
    let mut fleet = fleet(vec![(0, define("web", conditional()))]);
    assert!(get(&fleet, "web").awaits_conditions());
    assert_eq!(fleet.next_deadline(), None, "only the engine ends it");
    assert_eq!(fleet.blockers(&id("web")), []);
    assert_eq!(get(&fleet, "web").state(), State::Waiting);
    let script = [
        (Event::Tick, "", WAITS),
        (met("web"), "spawn 1", "spawning 1"),
        (met("web"), "", "spawning 1"),
        (spawned("web", 1), "probe 1", "running 1 (stable +10s)"),
        (met("web"), "", "running 1 (stable +9s)"),
    ];
    goes(&mut fleet, "web", &script);
}

#[test]
fn after_comes_first_and_conditions_are_looked_at_while_it_holds() {
    let after = Policy {
        after: vec![name("db")],
        ..conditional()
    };
    let mut fleet = fleet(vec![(0, define("web", after)), (0, define("db", policy()))]);
    let script = [
        // Nobody looks yet.
        (met("web"), "", "waiting for dependencies"),
        (spawned("db", 1), "probe 1", WAITS),
        (
            exited("db", 1, Exit::Code(1)),
            "unprobe 1",
            "waiting for dependencies",
        ),
        (met("web"), "spawn 2", "waiting for dependencies"),
        (spawned("db", 2), "probe 2", WAITS),
        (met("web"), "spawn 1", "spawning 1"),
    ];
    goes(&mut fleet, "web", &script);
}

#[test]
fn what_is_lost_and_found_in_one_breath_is_looked_at_again() {
    let after = Policy {
        after: vec![name("db")],
        ..conditional()
    };
    let start = [
        define("web", after),
        define("db", policy()),
        spawned("db", 1),
    ];
    let mut fleet = fleet(start.into_iter().map(|event| (0, event)).collect());
    assert!(get(&fleet, "web").awaits_conditions());
    let both = [met("web"), exited("db", 1, Exit::Code(1))];
    drop(fleet.handle_all(secs(1), both));
    assert_eq!(fleet.blockers(&id("web")), [id("db")]);
    assert!(!get(&fleet, "web").awaits_conditions());
}

#[test]
fn those_that_come_after_it_wait_too() {
    let after = Policy {
        after: vec![name("web")],
        ..policy()
    };
    let mut fleet = fleet(vec![
        (0, define("front", after)),
        (0, define("web", conditional())),
    ]);
    let script = [
        (Event::Tick, "", "waiting for dependencies"),
        (met("web"), "spawn 1", "waiting for dependencies"),
        (spawned("web", 1), "probe 1, spawn 1", "spawning 1"),
    ];
    goes(&mut fleet, "front", &script);
}

#[test]
fn a_stop_ends_the_waiting_and_a_start_begins_it_again() {
    let mut fleet = fleet(vec![(0, define("web", conditional()))]);
    let script = [
        (command("web", Command::Stop), "", "stopped"),
        (met("web"), "", "stopped"),
        (command("web", Command::Start), "", WAITS),
        (command("web", Command::Restart), "", WAITS),
        (command("web", Command::Reload), "", WAITS),
        (met("web"), "spawn 1", "spawning 1"),
    ];
    goes(&mut fleet, "web", &script);
    assert_eq!(
        show_actions(&fleet.handle(secs(9), command("web", Command::Remove))),
        "",
        "it is asked when it exists"
    );
}

#[test]
fn a_crash_waits_again_after_its_back_off_and_keeps_its_count() {
    let mut fleet = fleet(vec![
        (0, define("web", conditional())),
        (0, met("web")),
        (0, spawned("web", 1)),
    ]);
    let failed = "waiting for conditions; failures 1; restarts 1";
    let script = [
        (
            exited("web", 1, Exit::Code(1)),
            "unprobe 1",
            "backoff +1s; failures 1",
        ),
        (Event::Tick, "", failed),
        (Event::Tick, "", failed),
        (met("web"), "spawn 2", "spawning 2; failures 1; restarts 1"),
    ];
    goes(&mut fleet, "web", &script);
}

#[test]
fn a_restart_waits_for_them_only_when_the_old_run_is_gone() {
    let mut fleet = fleet(vec![
        (0, define("web", conditional())),
        (0, met("web")),
        (0, spawned("web", 1)),
    ]);
    let script = [
        (
            command("web", Command::Restart),
            "unprobe 1, ask 1",
            "stopping 1 (asked, kill +10s); restart owed",
        ),
        (
            exited("web", 1, Exit::Code(0)),
            "",
            "waiting for conditions; restart owed",
        ),
        (met("web"), "spawn 2", "spawning 2"),
    ];
    goes(&mut fleet, "web", &script);
}

#[test]
fn a_definition_without_conditions_starts_it() {
    let mut fleet = fleet(vec![(0, define("web", conditional()))]);
    let script = [
        (define("web", conditional()), "", WAITS),
        (define("web", policy()), "spawn 1", "spawning 1"),
    ];
    goes(&mut fleet, "web", &script);
}

#[test]
fn a_new_engine_finds_it_waiting_since_then() {
    let old = fleet(vec![(3, define("web", conditional()))]);
    let mut next = Fleet::new();
    next.restore(id("web"), conditional(), *get(&old, "web"));
    assert_eq!(next.handle(secs(5), Event::Resume), []);
    assert_eq!(get(&next, "web").since(), secs(3));
    let script = [(met("web"), "spawn 1", "spawning 1")];
    goes(&mut next, "web", &script);
}
