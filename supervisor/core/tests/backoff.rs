//! The table of the back-off, row by row.

mod common;

use common::*;
use supervisor_core::*;

/// The waits after each of `rounds` quick exits in a row.
fn waits(app: &str, restart: Restart, rounds: u64) -> Vec<u64> {
    let policy = Policy {
        restart,
        ..Policy::default()
    };
    let mut fleet = fleet(vec![(0, define(app, policy))]);
    let mut now = secs(0);
    let mut waits = Vec::new();
    for run in 1..=rounds {
        drop(fleet.handle(now, spawned(app, run)));
        drop(fleet.handle(now, exited(app, run, Exit::Code(1))));
        let service = *fleet.get(&id(app)).expect("it is there");
        let until = service.next_start().unwrap_or(now);
        waits.push(until.since(now).0);
        now = until;
        drop(fleet.handle(now, Event::Tick));
        let service = fleet.get(&id(app)).expect("it is there");
        assert_eq!(
            service.run(),
            Some(RunId(run + 1)),
            "spawned when the wait is over"
        );
        assert_eq!(service.restarts, run);
    }
    waits
}

fn assert_near(wait: u64, even: u64) {
    let (least, most) = (even * 9 / 10, even * 11 / 10);
    assert!(
        (least..=most).contains(&wait),
        "{wait} ms is not {even} ms, 10 % more or less"
    );
}

#[test]
fn without_a_delay_the_first_restart_is_at_once_and_the_next_ones_double_from_100_ms() {
    let waits = waits("app", Restart::default(), 14);
    assert_eq!(waits[0], 0);
    for (wait, even) in waits[1..]
        .iter()
        .zip([100, 200, 400, 800, 1600, 3200, 6400, 12_800])
    {
        assert_near(*wait, even);
    }
    assert_near(waits[9].max(25_600 * 9 / 10), 25_600);
    assert!(waits[10..].iter().all(|&wait| wait == 30_000), "{waits:?}");
}

#[test]
fn a_delay_is_the_first_wait_and_what_doubles() {
    let waits = waits(
        "app",
        Restart {
            delay: Span::secs(2),
            ..Restart::default()
        },
        5,
    );
    assert_eq!(waits[0], 2000);
    for (wait, even) in waits[1..].iter().zip([2000, 4000, 8000, 16_000]) {
        assert_near(*wait, even);
    }
}

#[test]
fn a_delay_over_the_cap_is_kept_to() {
    let restart = Restart {
        delay: Span::secs(60),
        ..Restart::default()
    };
    let waits = waits("app", restart, 40);
    assert_eq!(waits[0], 60_000);
    assert!(
        waits[1..]
            .iter()
            .all(|&wait| (54_000..=60_000).contains(&wait)),
        "{waits:?}"
    );
}

#[test]
fn hundreds_of_failures_and_the_longest_spans_do_not_wrap() {
    let none = waits("app", Restart::default(), 300);
    assert!(none[20..].iter().all(|&wait| wait == 30_000));
    let long = Restart {
        delay: Span(u64::MAX),
        max_delay: Span(u64::MAX),
        ..Restart::default()
    };
    drop(waits("app", long, 3));
}

#[test]
fn services_that_fall_together_do_not_rise_together() {
    let of = |app: &str| waits(app, Restart::default(), 9);
    assert_ne!(of("one"), of("two"));
    assert_eq!(of("one"), of("one"), "but a replay waits exactly as long");
    let spread: std::collections::BTreeSet<u64> =
        (0..50).map(|n| of(&format!("app-{n}"))[8]).collect();
    assert!(spread.len() > 30, "{spread:?}");
}
