//! What a worker does when it is asked to.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use super::Event;
use super::lane::{Lane, Stuck};
use super::source::{Source, State};
use super::stage::capacity;
use super::worker::Worker;
use crate::{StreamId, Target};

impl Worker {
    pub(super) fn attach(
        &mut self,
        key: u64,
        target: Target,
        pipe: OwnedFd,
        fresh: bool,
        now: Instant,
    ) {
        if self.keys.contains_key(&key) {
            // The pipe that is there stays: a second one under its key could never be named.
            return;
        }
        let capacity = capacity(&pipe);
        let begun_at = match fresh {
            true => None,
            false => self.way.stage.ledger().begun_at(key),
        };
        let lane = self.lane(target, now);
        let id = Arc::clone(lane.id());
        lane.sources.push_back(Source {
            key,
            pipe,
            fresh,
            capacity: capacity.unwrap_or(0),
            state: State::Waiting,
            begun_at,
            moved_at: now,
        });
        self.keys.insert(key, Arc::clone(&id));
        if let Err(errno) = capacity {
            return self.stuck(key, Stuck::Pipe(errno), now);
        }
        self.note_debt(key, now);
        let Some(lane) = self.lanes.get_mut(&id).filter(|l| l.trouble.is_none()) else {
            return;
        };
        // At once, so that the file is there for those who want to follow it.
        if self.blocked.is_none()
            && let Err(error) = lane.open(&mut self.way, now)
        {
            return self.stuck(key, Stuck::Log(error), now);
        }
        self.watch(key, now);
    }

    /// The lane of a stream, which goes where `target` says from now on.
    pub(super) fn lane(&mut self, target: Target, now: Instant) -> &mut Lane {
        let id = Arc::new(target.id.clone());
        self.way.registry.add(&target);
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.log.set_target(target, &self.way);
        } else {
            let lane = Lane::new(target, &self.way, now);
            self.lanes.insert(Arc::clone(&id), lane);
        }
        match self.lanes.get_mut(&id) {
            Some(lane) => lane,
            None => unreachable!("just put there"),
        }
    }

    pub(super) fn finish(&mut self, key: u64, now: Instant) {
        let mut tail = Vec::new();
        if self.state(key) != Some(State::Kept)
            && !self.is_held_up(key)
            && let Some((lane, at, way)) = self.find(key)
        {
            match lane.drain(at, way, now) {
                Ok(()) => tail = lane.tail(at, way, now),
                Err(stuck) => self.stuck(key, stuck, now),
            }
        }
        let kept = self.is_held_up(key) && self.has_bytes(key);
        self.note_debt(key, now);
        if kept {
            self.set_state(key, State::Kept);
        } else {
            self.remove(key);
        }
        self.tell(Event::Finished { key, kept, tail });
        if kept {
            self.limit_kept(key);
        }
    }

    pub(super) fn forget(&mut self, app: &str, now: Instant) {
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
        // Nobody is left to be told what was dropped.
        self.owing.retain(|id| id.app != app);
        let of_app = |id: &&Arc<StreamId>| id.app == app;
        for id in self
            .lanes
            .keys()
            .filter(of_app)
            .cloned()
            .collect::<Vec<_>>()
        {
            self.close(&id);
        }
    }

    /// Empties the files of a stream, and begins to count its losses anew.
    pub(super) fn empty(&mut self, target: Target, now: Instant) -> Result<(), crate::LogError> {
        let lane = self.lane(target, now);
        let id = Arc::clone(lane.id());
        lane.losses = Default::default();
        let Worker { lanes, way, .. } = self;
        let Some(lane) = lanes.get_mut(&id) else {
            return Ok(());
        };
        way.stage.ledger().set_losses(&id, &lane.losses);
        let emptied = lane.log.empty(way, now);
        self.owing.remove(&id);
        self.recovered(&id);
        self.settle(&id);
        emptied
    }
}
