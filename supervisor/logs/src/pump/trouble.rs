//! What the pump does when bytes cannot be written: tell it once, hold on to them, try again.
//!
//! Two kinds. A log that cannot be opened holds up its own stream, whose bytes stay in the app's
//! pipe. A write that fails leaves bytes in the staging pipe, and nothing else may enter that
//! before they are out. In both cases a run that ends is not made to wait: its pipe is kept, and
//! its bytes come before those of the next.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::Event;
use super::dropping::reason;
use super::lane::{Lane, Stuck};
use super::pacing::Backoff;
use super::source::State;
use super::worker::{PAY_EVERY, Worker};
use crate::{Losses, Step, StreamId};

/// How many pipes of one stream are kept; each holds a pipe's worth of bytes.
const KEPT: usize = 64;

impl Worker {
    /// Takes note that bytes of `key` did not move.
    pub(super) fn stuck(&mut self, key: u64, stuck: Stuck, now: Instant) {
        let Some(id) = self.keys.get(&key).cloned() else {
            return;
        };
        let error = self.explain(&id, &stuck);
        self.tell_trouble(&id, error);
        if let (Stuck::Log(error), Some(lane)) = (&stuck, self.lanes.get_mut(&id)) {
            lane.why = reason(error);
        }
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
        let live = || {
            self.lanes
                .get(id)
                .map_or(PathBuf::new(), |lane| lane.log.live().to_owned())
        };
        match stuck {
            Stuck::Log(error) => format!("{error}; its output waits until that can be done"),
            Stuck::Stage(error) => format!(
                "cannot write to {}: {error}; nothing is lost, but all output to this filesystem waits until it can",
                live().display()
            ),
            Stuck::Pipe(errno) => format!("cannot read the output of {id}: {errno}"),
            Stuck::Watch(errno) => format!("cannot wait for the output of {id}: {errno}"),
        }
    }

    /// Stops looking at the pipes of a stream until its log can be opened: they would wake the
    /// thread all the time. But where bytes may be dropped no app has to wait for that.
    fn hold_up(&mut self, id: &Arc<StreamId>, now: Instant) {
        let Some(lane) = self.lanes.get_mut(id) else {
            return;
        };
        match &mut lane.trouble {
            Some(backoff) => backoff.failed_again(now),
            none => *none = Some(Backoff::new(now)),
        }
        self.troubled.insert(Arc::clone(id));
        if lane.may_drop() {
            return;
        }
        for key in self.keys_in(id, State::Watched) {
            self.set_state(key, State::Waiting);
        }
    }

    /// The pipe of a stream whose log cannot be opened, and whose bytes may be dropped: looked at
    /// from time to time.
    pub(super) fn hold_back(&mut self, key: u64) {
        self.pacer.deferred();
        let Some((lane, at, way)) = self.find(key) else {
            return;
        };
        if lane.sources[at].is_over() {
            self.set_state(key, State::Ended);
            // What it wrote is dropped: there are no last lines.
            let tail = Vec::new();
            return self.tell(Event::Ended { key, tail });
        }
        if lane.drop_overflow(way).is_err() {
            self.blocked = Some(Backoff::new(Instant::now()));
        }
        self.note_debt(key, Instant::now());
    }

    /// Tries whatever is due.
    pub(super) fn try_again(&mut self, now: Instant) {
        if self.blocked.is_some_and(|backoff| backoff.is_due(now)) {
            self.unblock(now);
        }
        if self.blocked.is_some() {
            return;
        }
        if !self.owing.is_empty() && self.pay_at <= now {
            self.pay(now);
        }
        let lanes = self.troubled.iter().filter(|id| {
            let trouble = self.lanes.get(*id).and_then(|lane| lane.trouble);
            trouble.is_some_and(|backoff| backoff.is_due(now))
        });
        for id in lanes.cloned().collect::<Vec<_>>() {
            self.revive(&id, now);
        }
    }

    /// Takes note if the log of this pipe owes a marker.
    pub(super) fn note_debt(&mut self, key: u64, now: Instant) {
        let Some(id) = self.keys.get(&key) else {
            return;
        };
        if self.lanes.get(id).is_some_and(Lane::owes) && self.owing.insert(Arc::clone(id)) {
            self.pay_at = now + PAY_EVERY;
        }
    }

    /// Writes the markers that are owed, where there is room by now.
    fn pay(&mut self, now: Instant) {
        for id in self.owing.clone() {
            if let Some(lane) = self.lanes.get_mut(&id) {
                lane.settle_debt(&mut self.way, now);
                if lane.owes() {
                    continue;
                }
            }
            self.owing.remove(&id);
            self.settle(&id);
        }
        self.pay_at = now + PAY_EVERY;
    }

    /// Tries to empty the staging pipe, and those that are left of the process before.
    pub(super) fn unblock(&mut self, now: Instant) {
        loop {
            if !self.empty_stage(now) {
                if let Some(backoff) = &mut self.blocked {
                    backoff.failed_again(now);
                }
                return;
            }
            match self.left.pop() {
                Some(next) => self.way.stage = next,
                None => break,
            }
        }
        self.blocked = None;
        let lanes = self
            .lanes
            .values()
            .filter(|lane| lane.first_kept().is_some());
        for id in lanes.map(|lane| Arc::clone(lane.id())).collect::<Vec<_>>() {
            self.drain_kept(&id, now);
        }
    }

    /// Finishes what was begun with the staging pipe's bytes; whether it is empty now.
    fn empty_stage(&mut self, now: Instant) -> bool {
        let (owner, step) = self.way.stage.recover_owner();
        if self.way.stage.is_empty() && step == Step::None {
            return true;
        }
        let target = owner.as_ref().and_then(|id| (self.target_of)(id));
        let (Some(id), Some(target)) = (owner, target) else {
            return self.discard_stage().is_ok();
        };
        self.lane(target, now);
        let Some(lane) = self.lanes.get_mut(&id) else {
            return false;
        };
        // Whoever makes room on a full disk deletes files: an unlinked one only frees its space
        // when it is closed.
        lane.log.look_again();
        if let Err(stuck) = lane.recover(step, &mut self.way, now) {
            let error = self.explain(&id, &stuck);
            self.tell_trouble(&id, error);
            return false;
        }
        if self.lanes.get(&id).is_some_and(Lane::owes) {
            self.owing.insert(Arc::clone(&id));
            self.pay_at = now + PAY_EVERY;
        }
        self.recovered(&id);
        self.settle(&id);
        true
    }

    fn discard_stage(&mut self) -> io::Result<()> {
        let bytes = self.way.stage.discard()?;
        if bytes > 0 {
            self.tell(Event::Dropped {
                id: None,
                losses: Losses {
                    bytes,
                    ..Losses::default()
                },
            });
        }
        Ok(())
    }

    /// Tries to open the log of one stream, and goes on with it.
    fn revive(&mut self, id: &Arc<StreamId>, now: Instant) {
        let Some(lane) = self.lanes.get_mut(id) else {
            return;
        };
        if let Err(error) = lane.can_go_on(&mut self.way, now) {
            if let Some(backoff) = &mut lane.trouble {
                backoff.failed_again(now);
            }
            lane.why = reason(&error);
            if lane.may_drop() {
                // Rules that have changed meanwhile, or a run that has come.
                for key in self.keys_in(id, State::Waiting) {
                    self.watch(key, now);
                }
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
        if self.lanes.get(id).is_some_and(Lane::owes) && self.owing.insert(Arc::clone(id)) {
            self.pay_at = now;
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
                    self.tell(Event::Released { key });
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
        if let Some((lane, at, way)) = self.find(key) {
            let (told, before) = (lane.owes(), lane.losses.bytes);
            if way.stage.is_empty() {
                // What cannot be read cannot be counted.
                let _ = lane.drop_pipe(at, way);
            } else {
                lane.lose_pipe(at, way);
            }
            let losses = lane.losses;
            let id = Some(StreamId::clone(lane.id()));
            if told && losses.bytes > before {
                self.tell(Event::Dropped { id, losses });
            }
        }
        self.tell(Event::Released { key });
        self.remove(key);
    }

    fn tell_trouble(&mut self, id: &Arc<StreamId>, error: String) {
        if let Some(lane) = self.lanes.get_mut(id)
            && !std::mem::replace(&mut lane.told, true)
        {
            self.tell(Event::Trouble {
                id: StreamId::clone(id),
                error,
            });
        }
    }

    pub(super) fn recovered(&mut self, id: &Arc<StreamId>) {
        let held_up = self.way.stage.owner() == Some(id);
        if let Some(lane) = self.lanes.get_mut(id)
            && !held_up
            && !lane.owes()
            && lane.trouble.is_none()
            && std::mem::replace(&mut lane.told, false)
        {
            self.tell(Event::Recovered {
                id: StreamId::clone(id),
            });
        }
    }

    /// Closes a log that nothing is written to any more.
    pub(super) fn settle(&mut self, id: &Arc<StreamId>) {
        let Some(lane) = self.lanes.get_mut(id) else {
            return;
        };
        if !lane.sources.is_empty() || self.way.stage.owner() == Some(id) {
            return;
        }
        lane.end_lost_line(&self.way);
        if !lane.owes() {
            self.close(id);
        }
    }

    pub(super) fn close(&mut self, id: &Arc<StreamId>) {
        let Some(lane) = self.lanes.get_mut(id) else {
            return;
        };
        lane.trouble = None;
        lane.log.close();
        self.way.registry.remove(&lane.log.target);
        self.troubled.remove(id);
        self.recovered(id);
        self.lanes.remove(id);
    }
}
