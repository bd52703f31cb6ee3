//! What the log pump must find again after a kill: its notes in the runtime state, its staging pipes
//! with the keeper.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use supervisor_core::{Name, ServiceId};
use supervisor_logs::{Ledger, Losses, STAGES, Step, Stream, StreamId};

use super::birth::Given;
use super::ending::{of_pipe_key, stream_id};
use super::estate::Estate;
use crate::keeper::link::{Kind, Tag};
use crate::persist::slots::Slots;

/// The notes of this supervisor's pump.
#[derive(Debug)]
pub struct Notes {
    slots: Arc<Slots>,
    estate: Estate,
    /// Where a stream's slot was the last time.
    found: Mutex<HashMap<StreamId, u32>>,
}

impl Notes {
    /// In these slots, with this keeper.
    pub fn new(slots: Arc<Slots>, estate: Estate) -> Notes {
        Notes {
            slots,
            estate,
            found: Mutex::default(),
        }
    }

    /// The slot of the instance; `None`: it has none any more.
    fn slot(&self, id: &StreamId) -> Option<u32> {
        let service = ServiceId {
            app: Name::new(&id.app).ok()?,
            instance: id.instance,
        };
        let is_its = |slot: u32| self.slots.owner(slot).as_ref() == Some(&service);
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = found.get(id).copied().filter(|slot| is_its(*slot)) {
            return Some(slot);
        }
        let slot = (0..self.slots.count()).find(|slot| is_its(*slot));
        match slot {
            Some(slot) => found.insert(id.clone(), slot),
            None => found.remove(id),
        };
        slot
    }
}

impl Ledger for Notes {
    fn hold_stage(&self, stage: u32, read: &OwnedFd, write: &OwnedFd) {
        let [to_read, to_write] = stage_tags(stage);
        self.estate.hold(to_read, read);
        self.estate.hold(to_write, write);
    }

    fn owner(&self, stage: u32) -> Option<StreamId> {
        let (id, stream) = self.slots.stage_owner(stage)?;
        Some(stream_id(&id, stream))
    }

    fn set_owner(&self, stage: u32, owner: &StreamId) {
        let (app, instance) = (&owner.app, owner.instance);
        self.slots
            .set_stage_owner(stage, app, instance, number(owner.stream));
    }

    fn step(&self, stage: u32) -> Step {
        self.slots.step(stage)
    }

    fn set_step(&self, stage: u32, step: &Step) {
        self.slots.set_step(stage, step);
    }

    fn begun(&self, key: u64, position: u64) {
        let (cell, run, stream) = of_pipe_key(key);
        self.slots.set_begun(cell, run, stream, position);
    }

    fn begun_at(&self, key: u64) -> Option<u64> {
        let (cell, run, stream) = of_pipe_key(key);
        let notes = self.slots.notes(cell);
        notes.begun[stream as usize].filter(|_| notes.run == run)
    }

    fn losses(&self, id: &StreamId) -> Losses {
        self.slot(id).map_or_else(Losses::default, |slot| {
            self.slots.losses(slot, number(id.stream))
        })
    }

    fn set_losses(&self, id: &StreamId, losses: &Losses) {
        if let Some(slot) = self.slot(id) {
            self.slots.set_losses(slot, number(id.stream), losses);
        }
    }
}

/// The number of a stream in slots and keys.
fn number(stream: Stream) -> u32 {
    match stream {
        Stream::Out => 0,
        Stream::Err => 1,
    }
}

/// The tags under which the keeper holds a staging pipe.
fn stage_tags(stage: u32) -> [Tag; 2] {
    [Kind::STAGING_READ, Kind::STAGING_WRITE].map(|kind| Tag {
        slot: stage,
        kind,
        generation: 0,
    })
}

/// Takes the staging pipes out of what the keeper gave. An end without the other is of an engine that
/// was killed before it used the pipe.
pub fn take_stages(given: &mut Given) -> Vec<(u32, OwnedFd, OwnedFd)> {
    let mut ends: BTreeMap<u32, [Option<OwnedFd>; 2]> = BTreeMap::new();
    for stage in 0..STAGES {
        ends.insert(stage, stage_tags(stage).map(|tag| given.remove(&tag)));
    }
    let both = |(stage, [read, write]): (u32, [Option<OwnedFd>; 2])| Some((stage, read?, write?));
    ends.into_iter().filter_map(both).collect()
}

#[cfg(test)]
mod tests {
    use supervisor_core::RunId;

    use super::*;
    use crate::engine::ending::pipe_key;
    use crate::persist::slots::{CellId, RunNotes};

    fn notes() -> Notes {
        let file = tempfile::tempfile().expect("a file");
        let slots = Slots::create(file.into(), "boot", 1).expect("sets it up");
        Notes::new(Arc::new(slots), Estate::nobodys())
    }

    fn api(instance: u32) -> ServiceId {
        ServiceId {
            app: Name::new("api").expect("a name"),
            instance,
        }
    }

    #[test]
    fn losses_are_those_of_the_instance_wherever_its_slot_is() {
        let notes = notes();
        let id = stream_id(&api(1), 1);
        let lost = Losses {
            lines: 3,
            bytes: 90,
            ..Losses::default()
        };
        notes.set_losses(&id, &lost);
        assert_eq!(notes.losses(&id), Losses::default(), "it has no slot");
        let first = notes.slots.claim(&api(0)).expect("room");
        let slot = notes.slots.claim(&api(1)).expect("room");
        notes.set_losses(&id, &lost);
        assert_eq!(notes.losses(&id), lost);
        assert_eq!(notes.losses(&stream_id(&api(1), 0)), Losses::default());
        // Another instance gets its slot, and it gets another one.
        notes.slots.free(slot);
        assert_eq!(notes.slots.claim(&api(2)).expect("room"), slot);
        assert_eq!(notes.losses(&id), Losses::default());
        notes.slots.free(first);
        assert_eq!(notes.slots.claim(&api(1)).expect("room"), first);
        notes.set_losses(&id, &lost);
        assert_eq!(notes.slots.losses(first, 1), lost);
    }

    #[test]
    fn where_a_run_begins_is_known_of_that_run_alone() {
        let notes = notes();
        let cell = CellId::new(notes.slots.claim(&api(0)).expect("room"), 1);
        let run = RunNotes {
            run: RunId(5),
            ..RunNotes::default()
        };
        notes.slots.note(cell, &run);
        let key = |run, stream| pipe_key(cell, RunId(run), stream);
        notes.begun(key(5, 1), 77);
        notes.begun(key(4, 0), 1);
        assert_eq!(notes.begun_at(key(5, 1)), Some(77));
        assert_eq!(notes.begun_at(key(5, 0)), None);
        assert_eq!(notes.begun_at(key(4, 1)), None);
    }

    #[test]
    fn a_staging_pipe_comes_back_with_both_ends_or_not_at_all() {
        let pipe = || nix::unistd::pipe().expect("a pipe");
        let mut given = Given::new();
        for stage in [0, 7] {
            let (read, write) = pipe();
            let [to_read, to_write] = stage_tags(stage);
            given.extend([(to_read, read), (to_write, write)]);
        }
        given.insert(stage_tags(3)[0], pipe().0);
        let stages = take_stages(&mut given);
        let numbers: Vec<u32> = stages.iter().map(|(stage, ..)| *stage).collect();
        assert_eq!(numbers, [0, 7]);
        assert!(given.is_empty());
    }
}
