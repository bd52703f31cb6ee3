//! What is promised of single things and does not show in a table: times, run numbers, the words for a waiting service.

mod common;

use common::*;
use supervisor_core::*;

fn get<'a>(fleet: &'a Fleet, app: &str) -> &'a Service {
    fleet.get(&id(app)).expect("it is there")
}

#[test]
fn since_gives_the_uptime_from_exec_on() {
    let slow = Policy {
        ready: Some(Span::secs(30)),
        ..policy()
    };
    let mut fleet = fleet(vec![(0, define("app", slow)), (2, spawned("app", 1))]);
    drop(fleet.handle(secs(9), ready("app", 1)));
    drop(fleet.handle(secs(19), Event::Tick));
    assert_eq!(
        (get(&fleet, "app").state(), get(&fleet, "app").since()),
        (State::Running, secs(2))
    );
    drop(fleet.handle(secs(20), command("app", Command::Stop)));
    assert_eq!(get(&fleet, "app").since(), secs(20));
}

#[test]
fn a_run_that_rose_beside_another_keeps_its_own_uptime() {
    let slow = Policy {
        ready: Some(Span::secs(30)),
        ..policy()
    };
    for (promoted, news) in [
        (true, ready("app", 2)),
        (false, exited("app", 1, Exit::Code(1))),
    ] {
        let mut fleet = fleet(vec![
            (0, define("app", slow.clone())),
            (0, spawned("app", 1)),
            (1, ready("app", 1)),
            (2, command("app", Command::Reload)),
            (3, spawned("app", 2)),
        ]);
        assert_eq!(get(&fleet, "app").since(), secs(0));
        drop(fleet.handle(secs(7), news));
        assert_eq!(get(&fleet, "app").run(), Some(RunId(2)));
        assert_eq!(get(&fleet, "app").since(), secs(3));
        assert_eq!(get(&fleet, "app").ready(&slow), Some(promoted));
    }
}

#[test]
fn readiness_is_told_only_where_there_is_one() {
    let slow = Policy {
        ready: Some(Span::secs(30)),
        ..policy()
    };
    let fleet = fleet(vec![
        (0, define("app", slow.clone())),
        (0, spawned("app", 1)),
    ]);
    assert_eq!(get(&fleet, "app").ready(&policy()), None);
    assert_eq!(get(&fleet, "app").ready(&slow), Some(false));
}

#[test]
fn the_runs_of_a_name_that_comes_back_are_new_ones() {
    let mut fleet = fleet(vec![
        (0, define("app", policy())),
        (0, spawned("app", 1)),
        (1, command("app", Command::Remove)),
        (2, exited("app", 1, Exit::Code(0))),
    ]);
    assert!(fleet.get(&id("app")).is_none());
    let actions = fleet.handle(secs(3), define("app", policy()));
    assert_eq!(show_actions(&actions), "spawn 2");
    drop(fleet.handle(secs(3), spawned("app", 2)));
    assert_eq!(
        fleet.handle(secs(4), failing("app", 1, Cause::Unhealthy)),
        [],
        "of the old one"
    );
}

#[test]
fn a_definition_calls_back_what_was_on_its_way_out() {
    let mut fleet = fleet(vec![
        (0, define("app", policy())),
        (0, spawned("app", 1)),
        (1, command("app", Command::Stop)),
        (1, command("app", Command::Remove)),
        (2, define("app", policy())),
    ]);
    let actions = fleet.handle(secs(3), exited("app", 1, Exit::Code(0)));
    assert_eq!(show_actions(&actions), "spawn 2");
}

#[test]
fn a_waiting_service_names_what_it_waits_for() {
    let after = Policy {
        after: vec![name("db"), name("cache")],
        ..policy()
    };
    let second = ServiceId {
        app: name("db"),
        instance: 1,
    };
    let mut fleet = fleet(vec![
        (0, define("web", after)),
        (0, define("db", policy())),
        (
            0,
            Event::Define {
                id: second.clone(),
                policy: policy(),
                want: Want::Up,
            },
        ),
        (1, spawned("db", 1)),
    ]);
    assert_eq!(fleet.blockers(&id("web")), [second.clone(), id("cache")]);
    assert_eq!(fleet.blockers(&id("db")), []);
    drop(fleet.handle(secs(2), define("cache", policy())));
    drop(fleet.handle(secs(3), spawned("cache", 1)));
    let event = Event::Spawned {
        id: second,
        run: RunId(1),
    };
    assert_eq!(
        show_actions(&fleet.handle(secs(4), event)),
        "probe 1, spawn 1"
    );
    assert_eq!(fleet.blockers(&id("web")), []);
}

#[test]
fn an_instance_that_is_leaving_is_not_waited_for() {
    let second = ServiceId {
        app: name("db"),
        instance: 1,
    };
    let after = Policy {
        after: vec![name("db")],
        ..policy()
    };
    let mut fleet = fleet(vec![
        (0, define("db", policy())),
        (
            0,
            Event::Define {
                id: second.clone(),
                policy: policy(),
                want: Want::Up,
            },
        ),
        (0, define("web", after)),
        (1, spawned("db", 1)),
    ]);
    assert_eq!(fleet.blockers(&id("web")), std::slice::from_ref(&second));
    let event = Event::Command {
        id: second,
        command: Command::Remove,
    };
    assert_eq!(show_actions(&fleet.handle(secs(2), event)), "spawn 1");
}

#[test]
fn an_end_that_nobody_asked_for_is_the_end_of_what_is_to_stop_anyway() {
    let after = Policy {
        after: vec![name("db")],
        ..policy()
    };
    let mut fleet = fleet(vec![
        (0, define("db", policy())),
        (0, define("web", after)),
        (0, spawned("db", 1)),
        (0, spawned("web", 1)),
        (1, command("web", Command::Stop)),
        (1, command("db", Command::Stop)),
    ]);
    assert_eq!(
        get(&fleet, "db").state(),
        State::Running,
        "web is still there"
    );
    drop(fleet.handle(secs(2), exited("db", 1, Exit::Code(1))));
    let db = get(&fleet, "db");
    assert_eq!(
        (db.state(), db.failures, db.restarts),
        (State::Stopped, 0, 0)
    );
}

#[test]
fn a_stopped_service_with_a_run_left_over_is_stopping() {
    let mut fleet = fleet(vec![
        (0, define("app", policy())),
        (0, spawned("app", 1)),
        (1, command("app", Command::Reload)),
        (1, spawned("app", 2)),
        (2, command("app", Command::Stop)),
        (3, exited("app", 2, Exit::Code(0))),
    ]);
    let app = get(&fleet, "app");
    assert_eq!(
        (app.state(), app.run(), app.is_alive()),
        (State::Stopping, None, true)
    );
    drop(fleet.handle(secs(4), exited("app", 1, Exit::Code(0))));
    assert_eq!(get(&fleet, "app").state(), State::Stopped);
}

#[test]
fn what_has_completed_is_remembered_as_done() {
    let once = Restart {
        policy: RestartWhen::OnFailure,
        ..Restart::default()
    };
    let fleet = fleet(vec![
        (
            0,
            define(
                "app",
                Policy {
                    restart: once,
                    ..policy()
                },
            ),
        ),
        (0, spawned("app", 1)),
        (1, exited("app", 1, Exit::Code(0))),
        (2, Event::ShutDown),
    ]);
    assert_eq!(get(&fleet, "app").state(), State::Completed);
    assert_eq!(get(&fleet, "app").durable_want(), Want::Down);
}

#[test]
fn the_boot_policy_decides_what_is_wanted_after_a_reboot() {
    for last in [Want::Up, Want::Down] {
        assert_eq!(Boot::Always.want(last), Want::Up);
        assert_eq!(Boot::Never.want(last), Want::Down);
        assert_eq!(Boot::Last.want(last), last);
    }
}

#[test]
fn a_next_run_whose_readiness_nobody_asks_for_any_more_is_stable_in_its_time() {
    let stable_after = Span(0);
    let restart = Restart {
        stable_after,
        ..Restart::default()
    };
    let plain = Policy {
        restart,
        ..policy()
    };
    let slow = Policy {
        ready: Some(Span::secs(30)),
        ..plain.clone()
    };
    let mut fleet = fleet(vec![
        (0, define("app", slow)),
        (0, spawned("app", 1)),
        (1, ready("app", 1)),
        (2, command("app", Command::Reload)),
        (3, spawned("app", 2)),
    ]);
    drop(fleet.handle(secs(4), define("app", plain)));
    let run = RunId(2);
    let stable_at = None;
    assert_eq!(get(&fleet, "app").phase, Phase::Running { run, stable_at });
}
