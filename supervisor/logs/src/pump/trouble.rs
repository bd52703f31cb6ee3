//! What the pump does when bytes cannot be written: tell it once, hold on to them, try again.
//!
//! Two kinds. A log that cannot be opened holds up its own stream, whose bytes stay in the app's
//! pipe. A write that fails leaves bytes in the staging pipe, and nothing else may enter that
//! before they are out. In both cases a run that ends is not made to wait: its pipe is kept, and
//! its bytes come before those of the next.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Instant;

use super::Event;
use super::lane::{Lane, State, Stuck};
use super::pacing::Backoff;
use super::stage::discard_pipe;
use super::worker::Worker;
use crate::StreamId;

/// How many pipes of one stream are kept; each holds a pipe's worth of bytes.
const KEPT: usize = 64;

impl Worker {
    /// Takes note that bytes of `key` did not move.
    pub(super) fn stuck(&mut self, key: u64, stuck: Stuck, now: Instant) {
        let Some(id) = self.keys.get(&key).cloned() else {
            return;
        };
        let error = self.explain(&id, &stuck);
        self.tell(&id, error);
        // Whatever the reason: with bytes in the staging pipe nothing else may move.
        if !self.way.stage.is_empty() {
            self.blocked = Some(Backoff::new(now));
        }
        match stuck {
            Stuck::Stage(_) => {}
            Stuck::Pipe(_) => self.set_state(key, State::Ended),
            Stuck::Log(_) | Stuck::Watch(_) => self.hold_up(&id, now),
        }
    }

    fn explain(&self, id: &StreamId, stuck: &Stuck) -> String {
        match stuck {
            Stuck::Log(error) => error.to_string(),
            Stuck::Stage(error) => format!(
                "cannot write to {}: {error}; nothing is lost, but all output waits until it can",
                self.way.folder.path(id).display()
            ),
            Stuck::Pipe(errno) => format!("cannot read the output of {id}: {errno}"),
            Stuck::Watch(errno) => format!("cannot wait for the output of {id}: {errno}"),
        }
    }

    /// Stops looking at the pipes of a stream until its log can be opened: they would wake the
    /// thread all the time.
    fn hold_up(&mut self, id: &Arc<StreamId>, now: Instant) {
        let Some(lane) = self.lanes.get_mut(id) else {
            return;
        };
        match &mut lane.trouble {
            Some(backoff) => backoff.failed_again(now),
            none => *none = Some(Backoff::new(now)),
        }
        self.troubled.insert(Arc::clone(id));
        for key in self.keys_in(id, State::Watched) {
            self.set_state(key, State::Waiting);
        }
    }

    /// Tries whatever is due.
    pub(super) fn try_again(&mut self, now: Instant) {
        if self.blocked.is_some_and(|backoff| backoff.is_due(now)) {
            self.unblock(now);
        }
        if self.blocked.is_some() || self.troubled.is_empty() {
            return;
        }
        let lanes = self.troubled.iter().filter(|id| {
            let trouble = self.lanes.get(*id).and_then(|lane| lane.trouble);
            trouble.is_some_and(|backoff| backoff.is_due(now))
        });
        for id in lanes.cloned().collect::<Vec<_>>() {
            self.revive(&id, now);
        }
    }

    /// Tries to empty the staging pipe.
    pub(super) fn unblock(&mut self, now: Instant) {
        let owner = self.way.stage.owner().cloned();
        let emptied = match &owner {
            Some(id) => {
                let new = || Lane::new(Arc::clone(id));
                let lane = self.lanes.entry(Arc::clone(id)).or_insert_with(new);
                match lane.unblock(&mut self.way, now) {
                    // Waiting for a person to repair one log would hold up everybody's.
                    Err(Stuck::Log(error)) if error.is_about_this_log() => {
                        self.tell(id, error.to_string());
                        self.discard_stage(Some(id))
                    }
                    other => other,
                }
            }
            None => self.discard_stage(None),
        };
        if let Err(stuck) = emptied {
            if let Some(id) = &owner {
                self.tell(id, self.explain(id, &stuck));
            }
            if let Some(backoff) = &mut self.blocked {
                backoff.failed_again(now);
            }
            return;
        }
        self.blocked = None;
        if let Some(id) = &owner {
            self.recovered(id);
            self.settle(id);
        }
        let lanes = self
            .lanes
            .values()
            .filter(|lane| lane.first_kept().is_some());
        for id in lanes.map(|lane| Arc::clone(lane.id())).collect::<Vec<_>>() {
            self.drain_kept(&id, now);
        }
    }

    fn discard_stage(&mut self, id: Option<&Arc<StreamId>>) -> Result<(), Stuck> {
        let bytes = self.way.stage.discard().map_err(Stuck::Stage)?;
        if bytes > 0 {
            (self.events)(Event::Dropped {
                id: id.map(|id| StreamId::clone(id)),
                bytes,
            });
        }
        Ok(())
    }

    /// Tries to open the log of one stream, and goes on with it.
    fn revive(&mut self, id: &Arc<StreamId>, now: Instant) {
        let Some(lane) = self.lanes.get_mut(id) else {
            return;
        };
        if lane.admit(0, &mut self.way, now).is_err() {
            if let Some(backoff) = &mut lane.trouble {
                backoff.failed_again(now);
            }
            return;
        }
        let before = lane.trouble.take();
        self.troubled.remove(id);
        self.drain_kept(id, now);
        for key in self.keys_in(id, State::Waiting) {
            if self
                .lanes
                .get(id)
                .is_some_and(|lane| lane.trouble.is_none())
            {
                self.watch(key, now);
            }
        }
        if let Some(lane) = self.lanes.get_mut(id)
            && let (Some(again), Some(before)) = (&mut lane.trouble, before)
        {
            // It failed in the same breath: not a new beginning.
            *again = before;
            again.failed_again(now);
        }
        self.recovered(id);
    }

    /// Writes what ended runs left, in order.
    fn drain_kept(&mut self, id: &Arc<StreamId>, now: Instant) {
        while !self.is_stuck(id)
            && let Some(lane) = self.lanes.get_mut(id)
            && let Some(at) = lane.first_kept()
        {
            let key = lane.sources[at].key;
            match lane.drain(at, &mut self.way, now) {
                Ok(()) => {
                    (self.events)(Event::Released { key });
                    self.remove(key);
                }
                Err(Stuck::Pipe(_)) => self.give_up(key),
                Err(stuck) => self.stuck(key, stuck, now),
            }
        }
    }

    /// Whether bytes of this stream cannot move now.
    fn is_stuck(&self, id: &StreamId) -> bool {
        self.blocked.is_some()
            || self
                .lanes
                .get(id)
                .is_some_and(|lane| lane.trouble.is_some())
    }

    /// Whether bytes of this pipe cannot move now.
    pub(super) fn is_held_up(&self, key: u64) -> bool {
        self.keys.get(&key).is_some_and(|id| self.is_stuck(id))
    }

    fn keys_in(&self, id: &StreamId, state: State) -> Vec<u64> {
        let Some(lane) = self.lanes.get(id) else {
            return Vec::new();
        };
        lane.sources
            .iter()
            .filter(|s| s.state == state)
            .map(|s| s.key)
            .collect()
    }

    pub(super) fn limit_kept(&mut self, key: u64) {
        let Some(id) = self.keys.get(&key) else {
            return;
        };
        let kept = self.keys_in(id, State::Kept);
        if kept.len() > KEPT {
            self.give_up(kept[0]);
        }
    }

    /// Throws away what is in a pipe, counts it, and lets go of the pipe.
    pub(super) fn give_up(&mut self, key: u64) {
        let Some(source) = self.source(key) else {
            return;
        };
        // What cannot be read cannot be counted.
        let bytes = discard_pipe(source.pipe.as_fd(), source.capacity).unwrap_or(0);
        if bytes > 0 {
            let id = self.keys.get(&key).map(|id| StreamId::clone(id));
            (self.events)(Event::Dropped { id, bytes });
        }
        (self.events)(Event::Released { key });
        self.remove(key);
    }

    fn tell(&mut self, id: &Arc<StreamId>, error: String) {
        if let Some(lane) = self.lanes.get_mut(id)
            && !std::mem::replace(&mut lane.told, true)
        {
            (self.events)(Event::Trouble {
                id: StreamId::clone(id),
                error,
            });
        }
    }

    fn recovered(&mut self, id: &Arc<StreamId>) {
        let held_up = self.way.stage.owner() == Some(id);
        if let Some(lane) = self.lanes.get_mut(id)
            && !held_up
            && lane.trouble.is_none()
            && std::mem::replace(&mut lane.told, false)
        {
            (self.events)(Event::Recovered {
                id: StreamId::clone(id),
            });
        }
    }

    /// Closes a log that nothing is written to any more.
    pub(super) fn settle(&mut self, id: &Arc<StreamId>) {
        let idle = self
            .lanes
            .get(id)
            .is_some_and(|lane| lane.sources.is_empty());
        if !idle || self.way.stage.owner() == Some(id) {
            return;
        }
        if let Some(lane) = self.lanes.get_mut(id) {
            lane.trouble = None;
        }
        self.troubled.remove(id);
        self.recovered(id);
        self.lanes.remove(id);
    }
}
