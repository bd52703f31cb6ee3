//! The pump's thread: sleeps, serves orders, moves bytes in rounds, tries again what failed.
//!
//! Owns all lanes. Its invariant: a kept pipe exists only while its lane is in trouble or the
//! staging pipe is blocked, so that in normal times the live pipes are all there is to look at.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;

use super::Event;
use super::lane::{Hop, Lane, Source, State, Stuck, Way};
use super::orders::{Order, Orders};
use super::pacing::{Backoff, Pace};
use super::stage::{capacity, is_readable};
use crate::StreamId;

/// How many ready pipes are asked for at once.
const READY: usize = 128;

/// The token of the orders' descriptor. A pipe may have the same key: both are served then.
const WAKE: u64 = u64::MAX;

pub(super) struct Worker {
    orders: Arc<Orders>,
    pub(super) events: Box<dyn Fn(Event) + Send>,
    epoll: Epoll,
    pub(super) way: Way,
    pub(super) lanes: BTreeMap<Arc<StreamId>, Lane>,
    pub(super) keys: BTreeMap<u64, Arc<StreamId>>,
    /// The lanes whose log cannot be opened.
    pub(super) troubled: BTreeSet<Arc<StreamId>>,
    /// Set while the staging pipe cannot be emptied: nothing at all moves then.
    pub(super) blocked: Option<Backoff>,
}

impl Worker {
    pub(super) fn new(
        way: Way,
        orders: Arc<Orders>,
        events: Box<dyn Fn(Event) + Send>,
    ) -> nix::Result<Worker> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&*orders, EpollEvent::new(EpollFlags::EPOLLIN, WAKE))?;
        Ok(Worker {
            orders,
            events,
            epoll,
            way,
            lanes: BTreeMap::new(),
            keys: BTreeMap::new(),
            troubled: BTreeSet::new(),
            blocked: None,
        })
    }

    pub(super) fn run(mut self) {
        self.way.stage.look();
        if !self.way.stage.is_empty() {
            let now = Instant::now();
            self.blocked = Some(Backoff::new(now));
            self.unblock(now);
        }
        let mut ready = vec![EpollEvent::empty(); READY];
        let mut pace = Pace::Quiet;
        loop {
            let now = Instant::now();
            match (&self.blocked, pace.rest()) {
                (Some(backoff), _) => self.rest(backoff.wait(now)),
                (None, Some(pause)) => self.rest(pause),
                (None, None) => {}
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
                    id,
                    pipe,
                    fresh,
                } => self.attach(key, id, pipe, fresh, now),
                Order::Finish { key } => self.finish(key, now),
                Order::Forget { app } => self.forget(&app, now),
                Order::Empty { ids, done } => {
                    done(ids.iter().try_for_each(|id| self.way.folder.empty(id)));
                }
                Order::Stop => return ControlFlow::Break(()),
            }
        }
        ControlFlow::Continue(())
    }

    /// Waits for something to read if the pace allows it, and gives every ready pipe its turn.
    fn round(&mut self, pace: Pace, ready: &mut [EpollEvent]) -> Pace {
        let mut timeout = match pace {
            Pace::Quiet => self.until_next_try(),
            Pace::Gather | Pace::Busy => EpollTimeout::ZERO,
        };
        let (mut sum, mut most) = (0, 0);
        // As often as it takes for each to have a turn: those that were given out come last.
        for _ in 0..=self.keys.len() / ready.len() {
            // An error is an interruption; the loop asks again.
            let count = self.epoll.wait(ready, timeout).unwrap_or(0);
            let now = Instant::now();
            for event in &ready[..count] {
                if event.data() == WAKE {
                    self.orders.hush();
                }
                let moved = self.turn(event.data(), now);
                sum += moved;
                most = most.max(moved);
            }
            if count < ready.len() {
                break;
            }
            timeout = EpollTimeout::ZERO;
        }
        Pace::after(sum, most)
    }

    fn until_next_try(&self) -> EpollTimeout {
        let now = Instant::now();
        let backoffs = self
            .troubled
            .iter()
            .filter_map(|id| self.lanes.get(id)?.trouble.as_ref());
        match backoffs.map(|b| b.wait(now)).min() {
            // Rounded up, or the last millisecond would be spent spinning.
            Some(wait) => EpollTimeout::try_from(wait + Duration::from_millis(1))
                .unwrap_or(EpollTimeout::ZERO),
            None => EpollTimeout::NONE,
        }
    }

    fn turn(&mut self, key: u64, now: Instant) -> usize {
        // What went wrong earlier in this round holds for the rest of it.
        if self.blocked.is_some() || self.state(key) != Some(State::Watched) {
            return 0;
        }
        let Some((lane, at, way)) = self.find(key) else {
            return 0;
        };
        match lane.turn(at, way, now) {
            Ok(Hop::Moved(bytes)) => return bytes,
            Ok(Hop::Empty) => {}
            Ok(Hop::Ended) => {
                self.set_state(key, State::Ended);
                (self.events)(Event::Ended { key });
            }
            Err(stuck) => self.stuck(key, stuck, now),
        }
        0
    }

    fn attach(&mut self, key: u64, id: StreamId, pipe: OwnedFd, fresh: bool, now: Instant) {
        if self.keys.contains_key(&key) {
            // The pipe that is there stays: a second one under its key could never be named.
            return;
        }
        let id = Arc::new(id);
        let capacity = capacity(&pipe);
        let lane = self
            .lanes
            .entry(Arc::clone(&id))
            .or_insert_with(|| Lane::new(Arc::clone(&id)));
        let id = Arc::clone(lane.id());
        lane.sources.push_back(Source {
            key,
            pipe,
            fresh,
            capacity: capacity.unwrap_or(0),
            state: State::Waiting,
        });
        self.keys.insert(key, id);
        if let Err(errno) = capacity {
            return self.stuck(key, Stuck::Pipe(errno), now);
        }
        if lane.trouble.is_some() {
            return;
        }
        // At once, so that the file is there for those who want to follow it, and a half line
        // of the run before is ended however long this one says nothing. But never into the
        // line that another pipe is writing.
        if lane.sources.len() == 1
            && self.blocked.is_none()
            && let Err(error) = lane.admit(0, &mut self.way, now)
        {
            return self.stuck(key, Stuck::Log(error), now);
        }
        self.watch(key, now);
    }

    fn finish(&mut self, key: u64, now: Instant) {
        if self.state(key) != Some(State::Kept)
            && !self.is_held_up(key)
            && let Some((lane, at, way)) = self.find(key)
            && let Err(stuck) = lane.drain(at, way, now)
        {
            self.stuck(key, stuck, now);
        }
        let kept = self.is_held_up(key) && self.has_bytes(key);
        if kept {
            self.set_state(key, State::Kept);
        } else {
            self.remove(key);
        }
        (self.events)(Event::Finished { key, kept });
        if kept {
            self.limit_kept(key);
        }
    }

    fn forget(&mut self, app: &str, now: Instant) {
        let keys = self.keys.iter().filter(|(_, id)| id.app == app);
        for key in keys.map(|(key, _)| *key).collect::<Vec<_>>() {
            match self.state(key) {
                Some(State::Watched | State::Waiting | State::Ended) => self.finish(key, now),
                // Given up meanwhile, to make room.
                Some(State::Kept) | None => {}
            }
            if self.state(key).is_some() {
                self.give_up(key);
            }
        }
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

    fn state(&self, key: u64) -> Option<State> {
        self.source(key).map(|source| source.state)
    }

    fn has_bytes(&self, key: u64) -> bool {
        // A pipe that cannot be asked has nothing that could be saved.
        self.source(key)
            .is_some_and(|source| is_readable(&source.pipe).unwrap_or(false))
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
