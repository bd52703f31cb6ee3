//! The pure core: decides, and does nothing.
//!
//! # Theory of operation
//! A [`Fleet`] holds one [`Service`] record and one [`Policy`] per instance of each app. The engine calls
//! [`Fleet::handle`] with the time and an [`Event`], and does the [`Action`]s that come back, in
//! their order: first it saves every record that is `Changed`, so that a new engine finds in the
//! slots whatever this one had begun. There is no clock here, no pid, no path and no IO; the same
//! events at the same times give the same actions.
//!
//! An event only notes what happened (a run is gone) or what is wanted (up). Then the fleet
//! *settles*: one pass compares each record with what is wanted of it and with the time, starts
//! what its dependencies let start and stops what its dependents let stop. So there is one way up
//! and one way down, whoever asked, and no combination of commands has a path of its own.
//!
//! The pass looks at what was touched, at what is due, and at whom these let start or stop: all
//! others are settled. So an event costs the same in a fleet of two and of two thousand; that the
//! pass comes to the same as one over the whole fleet is the promise of `tests/incremental.rs`.
//!
//! - **Up:** whatever should start is put into `Waiting(Dependencies)`; it is spawned once every instance of
//!   every app in its `after` is ready (running, and ready where it has readiness) or has
//!   completed. Then `Spawning` → `Starting` (only with readiness) → `Running`.
//! - **Conditions:** where the policy is `conditional`, what its dependencies let start is first put into
//!   `Waiting(Conditions)`: the engine looks, for as long as that is the phase, and says [`Event::Met`]. A
//!   dependency that goes down meanwhile puts it back. No waiting is a failure, whatever it waits for.
//! - **Down:** a run steps on the [`Ladder`]: asked, killed after its timeout, killed again every 5 s. A run
//!   that is still being spawned has nobody to ask; it is asked as soon as it exists. [`Then`]
//!   says what its exit will mean. What is to go down, for good or for a restart, is asked only when every
//!   live service that comes after it, and is to go down too, is gone. Those that are to stay up are
//!   neither waited for nor disturbed. In a circle the first by name goes first.
//! - **A restart** is owed until the next run begins, whatever ends the one before it. While it is owed,
//!   nothing that comes after the service starts: a chain goes down from its end and up from its beginning.
//! - **An exit that nobody asked for** is judged by the restart policy: back-off, errored, completed,
//!   or the next date. *Quick* means: before the run had been running (and ready, where readiness is set) for
//!   `stable_after`. A run that was not ready in time is a quick failure.
//! - **A reload** has a second run [`Beside`] the main one: it rises, becomes the main one when it is
//!   ready, and the old one falls.
//! - **A job** (`scheduled`) starts at [`Event::Due`], or when an operator says `Start`; its exit ends in waiting for the
//!   next date. `OnFailure` tries again before that; a new date starts a new row of tries.
//! - **A new engine** restores every record, repeats [`Event::ShutDown`] if that was under way, tells what happened
//!   meanwhile, and sends [`Event::Resume`], which repeats the actions that may have been lost.
//!
//! # Invariants
//! Each is checked after every event of random histories, by the test of this name in
//! `tests/invariants.rs` (the fifteenth in `tests/nothing_panics.rs`).
//!
//! 1. `one_main_run`: a service never has two live runs, except the pair of a reload; and the record knows every live run.
//! 2. `stale_news_is_a_tick`: news of a run that is over does what the passing of time does, and nothing else.
//! 3. `nothing_is_stuck`: what is wanted up is alive, or waits for a moment, a date, its conditions or a named dependency, or has ended for good.
//! 4. `what_is_unwanted_goes_down`: a live run that is not wanted, or is to be restarted, was told to stop, or a live dependent is named that is to go down too.
//! 5. `deadlines_lie_ahead`: after an event, the next deadline is later than the event.
//! 6. `backoff_keeps_to_the_table`: a wait is what the table says for that many quick exits in a row.
//! 7. `dependencies_start_first`: nothing is spawned before what it comes after is ready, and its conditions are met.
//! 8. `dependents_stop_first`: nothing is asked to stop, for good or for a restart, while a live dependent is to go down too.
//! 9. `changes_are_told_once_and_first`: `Changed` names exactly the records that differ, once, before all other actions.
//! 10. `settled_is_settled`: the same moment again changes nothing.
//! 11. `replays_are_exact`: the same history gives the same actions.
//! 12. `records_survive_their_slot`: what was written to a slot is read back as it was, and is small.
//! 13. `a_new_engine_goes_on`: a fleet that was restored decides as the old one would have.
//! 14. `shutdown_empties_the_fleet`: it ends with nothing alive, circles of dependencies included, and what was wanted is still known.
//! 15. `nothing_panics`: not on any record, any time, any order of events.
//! 16. `the_model_agrees`: a second, simpler description of the same rules comes to the same states, counters and actions.
#![no_std]

extern crate alloc;

mod backoff;
mod event;
mod fleet;
mod index;
mod ladder;
mod machine;
mod name;
mod news;
mod policy;
mod reload;
mod ripen;
mod service;
mod settle;
mod state;
mod time;

pub use event::{Action, Cause, Command, Event, Rung, SpawnFault, Want};
pub use fleet::Fleet;
pub use ladder::{Ladder, Step};
pub use name::{BadName, Name, RunId, ServiceId};
pub use policy::{Boot, Exit, Policy, Restart, RestartWhen, Stop};
pub use service::{Beside, Phase, Role, Service, Then, Wait};
pub use state::State;
pub use time::{Span, Time};
