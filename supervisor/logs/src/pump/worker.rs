//! A thread of the pump: sleeps, serves orders, moves bytes in rounds, tries again what failed.
//!
//! Owns the lanes on one filesystem. Its invariant: a kept pipe exists only while its lane is in
//! trouble or the staging pipe is blocked, so that in normal times the live pipes are all there is
//! to look at.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;

use super::Event;
use super::lane::{Hop, Lane, Stuck, Way};
use super::orders::{Order, Orders};
use super::pacing::{Backoff, Pace, Pacer};
use super::source::{Source, State};
use super::stage::{Stage, readable};
use crate::{StreamId, Target};

/// How many ready pipes are asked for at once.
const READY: usize = 128;

/// The token of the orders' descriptor. A pipe may have the same key: both are served then.
const WAKE: u64 = u64::MAX;

/// How often a log that owes a marker is tried.
pub(super) const PAY_EVERY: Duration = Duration::from_secs(1);

/// Who knows the target of a stream.
type TargetOf = Box<dyn Fn(&StreamId) -> Option<Target> + Send>;

pub(super) struct Worker {
    orders: Arc<Orders>,
    epoll: Epoll,
    pub(super) way: Way,
    /// Staging pipes that the process before left something in, and that come after this one.
    pub(super) left: Vec<Stage>,
    pub(super) target_of: TargetOf,
    pub(super) lanes: BTreeMap<Arc<StreamId>, Lane>,
    pub(super) keys: BTreeMap<u64, Arc<StreamId>>,
    /// The lanes whose log cannot be opened.
    pub(super) troubled: BTreeSet<Arc<StreamId>>,
    /// The lanes that dropped something the log does not tell of yet, and when that is tried.
    pub(super) owing: BTreeSet<Arc<StreamId>>,
    pub(super) pay_at: Instant,
    pub(super) pacer: Pacer,
    /// Set while the staging pipe cannot be emptied: nothing at all moves then.
    pub(super) blocked: Option<Backoff>,
}

impl Worker {
    pub(super) fn new(
        way: Way,
        left: Vec<Stage>,
        orders: Arc<Orders>,
        target_of: impl Fn(&StreamId) -> Option<Target> + Send + 'static,
    ) -> nix::Result<Worker> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&*orders, EpollEvent::new(EpollFlags::EPOLLIN, WAKE))?;
        Ok(Worker {
            orders,
            epoll,
            way,
            left,
            target_of: Box::new(target_of),
            lanes: BTreeMap::new(),
            keys: BTreeMap::new(),
            troubled: BTreeSet::new(),
            owing: BTreeSet::new(),
            pay_at: Instant::now(),
            pacer: Pacer::new(),
            blocked: None,
        })
    }

    pub(super) fn run(mut self) {
        let now = Instant::now();
        self.blocked = Some(Backoff::new(now));
        self.unblock(now);
        let mut ready = vec![EpollEvent::empty(); READY];
        let mut pace = Pace::Quiet;
        loop {
            let now = Instant::now();
            match (&self.blocked, pace) {
                (Some(backoff), _) => self.rest(backoff.wait(now)),
                (None, Pace::Rest(pause)) if !pause.is_zero() => self.rest(pause),
                (None, Pace::Rest(_) | Pace::Quiet) => {}
            }
            if self.serve_orders().is_break() {
                return;
            }
            self.try_again(Instant::now());
            pace = match self.blocked {
                Some(_) => Pace::Quiet,
                None => self.round(pace, &mut ready),
            };
        }
    }

    pub(super) fn tell(&self, event: Event) {
        (self.way.tell)(event);
    }

    /// Sleeps, but not through an order.
    fn rest(&self, pause: Duration) {
        let mut fds = [PollFd::new(self.orders.as_fd(), PollFlags::POLLIN)];
        // Interrupted or not: the loop comes back here when there is nothing else to do.
        if ppoll(&mut fds, Some(TimeSpec::from(pause)), None).is_ok_and(|n| n > 0) {
            self.orders.hush();
        }
    }

    fn serve_orders(&mut self) -> ControlFlow<()> {
        while let Some(order) = self.orders.take() {
            let now = Instant::now();
            match order {
                Order::Attach {
                    key,
                    target,
                    pipe,
                    fresh,
                } => self.attach(key, target, pipe, fresh, now),
                Order::Finish { key } => self.finish(key, now),
                Order::Forget { app } => self.forget(&app, now),
                Order::SetRules { app, rules } => {
                    for lane in self.lanes.values_mut().filter(|lane| lane.id().app == app) {
                        lane.log.target.rules = Arc::clone(&rules);
                        self.way.registry.add(&lane.log.target);
                        lane.log.look_again();
                    }
                }
                Order::SetTotal { total } => self.way.janitor.set_total(total),
                Order::Empty { targets, done } => {
                    done(targets.into_iter().try_for_each(|t| self.empty(t, now)));
                }
                Order::Reopen { done } => {
                    for lane in self.lanes.values_mut() {
                        lane.log.look_again();
                    }
                    done(Ok(()));
                }
                Order::Sync { ids, done } => {
                    for id in &ids {
                        if let Some(lane) = self.lanes.get_mut(id) {
                            lane.log.look_again();
                            // What is wrong with it is found out when it is written.
                            let _ = lane.log.file(&self.way, now);
                            lane.log.sync();
                        }
                    }
                    done(Ok(()));
                }
                Order::Stop => {
                    self.sync_all();
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn sync_all(&mut self) {
        for lane in self.lanes.values_mut() {
            lane.log.sync();
        }
    }

    /// Waits for something to read if the pace allows it, and gives every ready pipe its turn.
    fn round(&mut self, pace: Pace, ready: &mut [EpollEvent]) -> Pace {
        let mut timeout = match pace {
            Pace::Quiet => self.until_next_try(),
            Pace::Rest(_) => EpollTimeout::ZERO,
        };
        self.pacer.begin(pace);
        let mut ordered = false;
        // As often as it takes for each to have a turn: those that were given out come last.
        for _ in 0..=self.keys.len() / ready.len() {
            // An error is an interruption; the loop asks again.
            let count = self.epoll.wait(ready, timeout).unwrap_or(0);
            let now = Instant::now();
            for event in &ready[..count] {
                if event.data() == WAKE {
                    self.orders.hush();
                    ordered = true;
                }
                self.turn(event.data(), now);
            }
            if count < ready.len() {
                break;
            }
            timeout = EpollTimeout::ZERO;
        }
        let next = self.pacer.pace();
        if next == Pace::Quiet && pace != Pace::Quiet {
            self.sync_all();
        }
        match next {
            // The order is not to wait for the end of a rest: it wakes nobody any more.
            Pace::Rest(_) if ordered => Pace::Rest(Duration::ZERO),
            Pace::Rest(_) | Pace::Quiet => next,
        }
    }

    fn until_next_try(&self) -> EpollTimeout {
        let now = Instant::now();
        let backoffs = self
            .troubled
            .iter()
            .filter_map(|id| self.lanes.get(id)?.trouble.as_ref());
        let paying = (!self.owing.is_empty()).then(|| self.pay_at.saturating_duration_since(now));
        match backoffs.map(|b| b.wait(now)).chain(paying).min() {
            // Rounded up, or the last millisecond would be spent spinning.
            Some(wait) => EpollTimeout::try_from(wait + Duration::from_millis(1))
                .unwrap_or(EpollTimeout::ZERO),
            None => EpollTimeout::NONE,
        }
    }

    fn turn(&mut self, key: u64, now: Instant) {
        // What went wrong earlier in this round holds for the rest of it.
        if self.blocked.is_some() || self.state(key) != Some(State::Watched) {
            return;
        }
        if self.is_held_up(key) {
            return self.hold_back(key);
        }
        let Some((lane, at, way)) = self.find(key) else {
            return;
        };
        match lane.turn(at, way, now) {
            Ok(Hop::Moved(bytes)) => {
                let source = &mut lane.sources[at];
                let ago = now.saturating_duration_since(source.moved_at);
                source.moved_at = now;
                let capacity = source.capacity;
                self.pacer.moved(bytes, capacity, ago);
            }
            Ok(Hop::Empty) => {}
            Ok(Hop::Deferred) => self.pacer.deferred(),
            Ok(Hop::Ended) => {
                let tail = lane.tail(at, way, now);
                self.set_state(key, State::Ended);
                self.tell(Event::Ended { key, tail });
            }
            Err(stuck) => self.stuck(key, stuck, now),
        }
        self.note_debt(key, now);
    }

    pub(super) fn find(&mut self, key: u64) -> Option<(&mut Lane, usize, &mut Way)> {
        let lane = self.lanes.get_mut(self.keys.get(&key)?)?;
        let at = lane.position(key)?;
        Some((lane, at, &mut self.way))
    }

    pub(super) fn source(&self, key: u64) -> Option<&Source> {
        let lane = self.lanes.get(self.keys.get(&key)?)?;
        lane.sources.get(lane.position(key)?)
    }

    pub(super) fn state(&self, key: u64) -> Option<State> {
        self.source(key).map(|source| source.state)
    }

    pub(super) fn has_bytes(&self, key: u64) -> bool {
        // A pipe that cannot be asked has nothing that could be saved.
        self.source(key)
            .is_some_and(|source| readable(&source.pipe).unwrap_or(0) > 0)
    }

    /// Lets a pipe wake the thread.
    pub(super) fn watch(&mut self, key: u64, now: Instant) {
        let Some(source) = self.source(key) else {
            return;
        };
        let event = EpollEvent::new(EpollFlags::EPOLLIN, key);
        match self.epoll.add(&source.pipe, event) {
            Ok(()) => self.set_state(key, State::Watched),
            Err(errno) => self.stuck(key, Stuck::Watch(errno), now),
        }
    }

    pub(super) fn set_state(&mut self, key: u64, state: State) {
        let Some(lane) = self.keys.get(&key).and_then(|id| self.lanes.get_mut(id)) else {
            return;
        };
        let Some(at) = lane.position(key) else { return };
        let source = &mut lane.sources[at];
        if source.state == State::Watched && state != State::Watched {
            unwatch(&self.epoll, source);
        }
        source.state = state;
    }

    pub(super) fn remove(&mut self, key: u64) {
        let Some(id) = self.keys.remove(&key) else {
            return;
        };
        let Some(lane) = self.lanes.get_mut(&id) else {
            return;
        };
        if let Some(source) = lane.position(key).and_then(|at| lane.sources.remove(at))
            && source.state == State::Watched
        {
            unwatch(&self.epoll, &source);
        }
        self.settle(&id);
    }
}

/// Always before a watched pipe is closed: others hold the same open file description, and with
/// it the watch would stay, without anybody to call it off.
fn unwatch(epoll: &Epoll, source: &Source) {
    // Fails only when it is not watched.
    let _ = epoll.delete(&source.pipe);
}
