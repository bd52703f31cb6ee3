use std::os::fd::IntoRawFd;
use std::process::Command;

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::super::held::Debt;
use super::*;

fn fd() -> OwnedFd {
    nix::unistd::pipe().expect("a pipe").0
}

/// With a program on trial, if so.
fn care(trial: bool) -> (Care, Held) {
    let mut held = Held::new(1024);
    let mut hold = |tag| held.insert(tag, fd(), Debt::None).expect("room");
    hold(Tag::single(Kind::PROGRAM));
    if trial {
        hold(Tag {
            slot: 7,
            ..Tag::single(Kind::TRIAL)
        });
    }
    let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
    let poke = EventFd::from_flags(flags).expect("an eventfd");
    // Left open: it is borrowed by number for as long as the test runs.
    let poke = OwnedFd::from(poke).into_raw_fd();
    (Care::new(&held, poke), held)
}

/// Puts an engine in, which is a process that sleeps, and gives that.
fn engine(care: &mut Care, trial: bool, ready: bool) -> std::process::Child {
    let child = Command::new("sleep").arg("60").spawn().expect("it runs");
    care.engine = Some(Engine {
        pid: Pid::from_raw(child.id().cast_signed()),
        channel: fd(),
        given: true,
        closed: false,
        ready,
        trial,
        age: 0,
        missed: 0,
        well: 0,
        verdict: None,
    });
    child
}

/// Ticks until the engine is condemned; so many were needed.
fn ticks_until_killed(care: &mut Care, most: u32) -> Option<u32> {
    (1..=most).find(|_| {
        care.tick(Duration::ZERO);
        care.engine.as_ref().is_some_and(|e| e.verdict.is_some())
    })
}

fn reap(care: &mut Care, held: &mut Held, mut child: std::process::Child) {
    child.kill().expect("it is our child");
    child.wait().expect("it is our child");
    care.ended(held, 9);
}

#[test]
fn one_that_reads_its_heartbeats_lives_and_one_that_does_not_is_killed() {
    let (mut care, mut held) = care(false);
    let child = engine(&mut care, false, true);
    for _ in 0..100 {
        assert_eq!(ticks_until_killed(&mut care, 1), None);
        let mut value = [0; 8];
        read(borrow(care.poke), &mut value).expect("there is a beat");
        assert_eq!(u64::from_ne_bytes(value), POKE_BEAT);
    }
    assert_eq!(ticks_until_killed(&mut care, 100), Some(MISSES.0 + 1));
    reap(&mut care, &mut held, child);
    assert_eq!(care.news.before, Fate::Hung);
}

#[test]
fn the_patience_doubles_and_comes_back_after_a_well_engine() {
    let (mut care, mut held) = care(false);
    for patience in [3, 6, 12, 24, 42, 42] {
        let child = engine(&mut care, false, true);
        assert_eq!(ticks_until_killed(&mut care, 100), Some(patience + 1));
        reap(&mut care, &mut held, child);
    }
    let child = engine(&mut care, false, true);
    for _ in 0..WELL {
        assert_eq!(ticks_until_killed(&mut care, 1), None);
        read(borrow(care.poke), &mut [0; 8]).expect("there is a beat");
    }
    assert_eq!(ticks_until_killed(&mut care, 100), Some(MISSES.0 + 1));
    reap(&mut care, &mut held, child);
}

#[test]
fn a_keeper_that_did_not_run_itself_counts_anew() {
    let (mut care, mut held) = care(false);
    let child = engine(&mut care, false, true);
    assert_eq!(ticks_until_killed(&mut care, MISSES.0), None);
    care.tick(LATE);
    assert_eq!(ticks_until_killed(&mut care, 100), Some(MISSES.0));
    reap(&mut care, &mut held, child);
}

#[test]
fn what_else_was_poked_is_not_lost_with_a_heartbeat() {
    let (care, _held) = care(false);
    care.poke(3);
    assert!(!beat(care.poke), "there was none before");
    assert!(beat(care.poke), "nobody has read it");
    let mut value = [0; 8];
    read(borrow(care.poke), &mut value).expect("there is something");
    assert_eq!(u64::from_ne_bytes(value), POKE_BEAT + 3);
}

#[test]
fn a_trial_ends_with_an_engine_that_is_not_ready_or_with_the_third_death() {
    let (mut care, mut held) = care(true);
    assert_eq!((care.news.trial, care.news.number), (Fate::Trial, 7));
    let child = engine(&mut care, true, false);
    reap(&mut care, &mut held, child);
    assert_eq!((care.news.trial, care.news.status), (Fate::EndedEarly, 9));
    assert_eq!(held.of_kind(Kind::TRIAL), None);
    assert!(held.of_kind(Kind::PROGRAM).is_some());

    let (mut care, mut held) = self::care(true);
    let child = engine(&mut care, true, false);
    // It reads, and says nothing.
    for tick in 1..=PATIENCE {
        let killed = ticks_until_killed(&mut care, 1).is_some();
        assert_eq!(killed, tick == PATIENCE);
        read(borrow(care.poke), &mut [0; 8]).expect("there is a beat");
    }
    reap(&mut care, &mut held, child);
    assert_eq!(care.news.trial, Fate::NotReady);

    let (mut care, mut held) = self::care(true);
    for fate in [Fate::Trial, Fate::Trial, Fate::DiedAgain] {
        let child = engine(&mut care, true, true);
        reap(&mut care, &mut held, child);
        assert_eq!(care.news.trial, fate);
    }
}

#[test]
fn an_engine_that_makes_room_for_another_program_does_not_count() {
    let (mut care, mut held) = care(true);
    for number in 0..5 {
        let child = engine(&mut care, true, true);
        care.try_out(number);
        reap(&mut care, &mut held, child);
        assert_eq!((care.news.trial, care.news.number), (Fate::Trial, number));
    }
    assert!(held.of_kind(Kind::TRIAL).is_some());
    // Once the engine has had the trial ended, a death is like any other.
    let child = engine(&mut care, true, true);
    held.remove_kind(Kind::TRIAL);
    reap(&mut care, &mut held, child);
    assert_eq!((care.news.trial, care.deaths), (Fate::Trial, 0));
}

#[test]
fn a_tracer_is_told_from_none() {
    assert!(traced(b"Name:\tx\nTracerPid:\t4711\nUid:\t0"));
    assert!(!traced(b"Name:\tx\nTracerPid:\t0\nUid:\t0"));
    assert!(!traced(b""));
    assert!(!is_traced(Pid::this()), "nobody traces this test");
}
