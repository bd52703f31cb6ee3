//! What the log pump notes in the runtime state, from its own threads: what is in each staging pipe,
//! what is lost of each stream, and where a run's bytes begin.
//!
//! Promises what [`supervisor_logs::Ledger`] asks for: who is killed in the middle of a note leaves
//! the one before or the new one. A note of several words is written beside the one that holds, and
//! one store of one word then makes it hold.

use std::sync::PoisonError;

use supervisor_core::{RunId, ServiceId};
use supervisor_logs::{Losses, STAGES, Step};

use super::{
    CellId, HEADER, LOSSES, LOSSES_AT, RUN_BEGUN_AT, RUN_FLAGS_AT, RUN_NUMBER_AT, STAGES_AT, Slots,
    run_at, slot_at,
};

/// One staging pipe.
const STAGE: usize = 256;
const OWNED_AT: usize = 0;
const INSTANCE_AT: usize = 4;
const STREAM_AT: usize = 8;
const NAME_LENGTH_AT: usize = 12;
const NAME_AT: usize = 16;
const STEP_AT: usize = 80;

/// Words of a step and of losses.
const STEP_WORDS: usize = 7;
const LOSS_WORDS: usize = 5;

/// A note of so many words: which of its two copies holds, and both.
const fn note_size(words: usize) -> usize {
    8 + 2 * 8 * words
}

const _: () = assert!(STAGES_AT + STAGES as usize * STAGE <= HEADER);
const _: () = assert!(STEP_AT + note_size(STEP_WORDS) <= STAGE);
const _: () = assert!(note_size(LOSS_WORDS) <= LOSSES);

impl Slots {
    /// Whose bytes are in a staging pipe: stream 0 is output, 1 is error.
    pub fn stage_owner(&self, stage: u32) -> Option<(ServiceId, u32)> {
        let at = stage_at(stage);
        if self.u32_at(at + OWNED_AT) != 1 {
            return None;
        }
        let id = ServiceId {
            app: self.name_at(at + NAME_LENGTH_AT, at + NAME_AT)?,
            instance: self.u32_at(at + INSTANCE_AT),
        };
        Some((id, self.u32_at(at + STREAM_AT)))
    }

    /// Notes whose bytes are going to be in a staging pipe, which is empty now.
    pub fn set_stage_owner(&self, stage: u32, app: &str, instance: u32, stream: u32) {
        let at = stage_at(stage);
        self.map.write(at + OWNED_AT, &0u32.to_le_bytes());
        self.map.write(at + NAME_AT, app.as_bytes());
        let length = app.len() as u32;
        self.map.write(at + NAME_LENGTH_AT, &length.to_le_bytes());
        self.map.write(at + INSTANCE_AT, &instance.to_le_bytes());
        self.map.write(at + STREAM_AT, &stream.to_le_bytes());
        self.map.write(at + OWNED_AT, &1u32.to_le_bytes());
    }

    /// What is being done with the bytes of a staging pipe.
    pub fn step(&self, stage: u32) -> Step {
        match self.note_at::<STEP_WORDS>(stage_at(stage) + STEP_AT) {
            Some([1, offset, device, inode, ..]) => Step::Writing {
                offset,
                file: (device, inode),
            },
            Some([2, left, losses @ ..]) => Step::Done {
                left,
                losses: losses_of(losses),
            },
            Some(_) | None => Step::None,
        }
    }

    /// Notes what is being done.
    pub fn set_step(&self, stage: u32, step: &Step) {
        let words = match *step {
            Step::None => [0; STEP_WORDS],
            Step::Writing { offset, file } => [1, offset, file.0, file.1, 0, 0, 0],
            Step::Done { left, losses } => {
                let [a, b, c, d, e] = words_of(&losses);
                [2, left, a, b, c, d, e]
            }
        };
        self.set_note(stage_at(stage) + STEP_AT, words);
    }

    /// What could not be kept of a stream of a slot's instance.
    pub fn losses(&self, slot: u32, stream: u32) -> Losses {
        self.note_at(losses_at(slot, stream))
            .map_or_else(Losses::default, losses_of)
    }

    /// Notes it.
    pub fn set_losses(&self, slot: u32, stream: u32, losses: &Losses) {
        self.set_note(losses_at(slot, stream), words_of(losses));
    }

    /// Notes that bytes of this stream (0: output, 1: error) of this run are being moved, the first
    /// of them to that position. Called by the log pump alone, which is the only one to change this
    /// while a run lives.
    pub fn set_begun(&self, cell: CellId, run: RunId, stream: u32, position: u64) {
        let at = run_at(cell);
        // The two streams of a run may be in two threads, and their flags are in one word.
        let _alone = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        if self.u64_at(at + RUN_NUMBER_AT) == run.0 {
            let position = position.to_le_bytes();
            self.map
                .write(at + RUN_BEGUN_AT + 8 * stream as usize, &position);
            let flags = self.u32_at(at + RUN_FLAGS_AT) | 1 << stream;
            self.map.write(at + RUN_FLAGS_AT, &flags.to_le_bytes());
        }
    }

    fn note_at<const WORDS: usize>(&self, at: usize) -> Option<[u64; WORDS]> {
        let copy = self.u32_at(at).checked_sub(1).filter(|copy| *copy < 2)?;
        let words = at + 8 + copy as usize * 8 * WORDS;
        Some(std::array::from_fn(|index| self.u64_at(words + 8 * index)))
    }

    fn set_note<const WORDS: usize>(&self, at: usize, words: [u64; WORDS]) {
        let copy = u32::from(self.u32_at(at) == 1);
        let to = at + 8 + copy as usize * 8 * WORDS;
        for (index, word) in words.into_iter().enumerate() {
            self.map.write(to + 8 * index, &word.to_le_bytes());
        }
        self.map.write(at, &(copy + 1).to_le_bytes());
    }
}

fn stage_at(stage: u32) -> usize {
    assert!(stage < STAGES, "there is no staging pipe {stage}");
    STAGES_AT + stage as usize * STAGE
}

fn losses_at(slot: u32, stream: u32) -> usize {
    slot_at(slot) + LOSSES_AT + stream as usize * LOSSES
}

fn words_of(losses: &Losses) -> [u64; LOSS_WORDS] {
    [
        losses.lines,
        losses.bytes,
        losses.untold_lines,
        losses.untold_bytes,
        losses.inside_line.into(),
    ]
}

fn losses_of([lines, bytes, untold_lines, untold_bytes, inside]: [u64; LOSS_WORDS]) -> Losses {
    Losses {
        lines,
        bytes,
        untold_lines,
        untold_bytes,
        inside_line: inside != 0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{id, slots};
    use super::*;

    const LOST: Losses = Losses {
        lines: 1,
        bytes: 2,
        untold_lines: 3,
        untold_bytes: 4,
        inside_line: true,
    };

    #[test]
    fn a_staging_pipe_has_its_owner_and_its_step() {
        let slots = slots();
        for stage in 0..STAGES {
            assert_eq!(slots.stage_owner(stage), None);
            assert_eq!(slots.step(stage), Step::None);
        }
        slots.set_stage_owner(STAGES - 1, &"x".repeat(64), 7, 1);
        slots.set_stage_owner(3, "api", 0, 0);
        let owner = (id(&"x".repeat(64), 7), 1);
        assert_eq!(slots.stage_owner(STAGES - 1), Some(owner));
        let steps = [
            Step::Writing {
                offset: 5,
                file: (6, u64::MAX),
            },
            Step::Done {
                left: 9,
                losses: LOST,
            },
            Step::None,
            Step::Done {
                left: 0,
                losses: Losses::default(),
            },
        ];
        for step in steps {
            slots.set_step(STAGES - 1, &step);
            assert_eq!(slots.step(STAGES - 1), step);
        }
        assert_eq!(slots.step(STAGES - 2), Step::None);
        assert_eq!(slots.stage_owner(3), Some((id("api", 0), 0)));
        // The first slot begins right behind.
        let slot = slots.claim(&id("api", 0)).expect("room");
        slots.save(slot, b"record");
        assert_eq!(slots.step(STAGES - 1), steps[3]);
    }

    #[test]
    fn losses_stand_beside_the_record_and_go_with_the_slot() {
        let slots = slots();
        let slot = slots.claim(&id("api", 0)).expect("room");
        slots.set_losses(slot, 1, &LOST);
        slots.save(slot, &[0xff; super::super::LONGEST]);
        slots.save(slot, &[0xff; super::super::LONGEST]);
        assert_eq!(slots.losses(slot, 0), Losses::default());
        assert_eq!(slots.losses(slot, 1), LOST);
        slots.free(slot);
        assert_eq!(slots.claim(&id("api", 0)).expect("room"), slot);
        assert_eq!(slots.losses(slot, 1), Losses::default());
    }

    #[test]
    fn a_note_that_was_cut_short_leaves_the_one_before() {
        let slots = slots();
        let slot = slots.claim(&id("api", 0)).expect("room");
        slots.set_losses(slot, 0, &LOST);
        let at = losses_at(slot, 0);
        // What a killed writer has stored of the next one, as far as it got.
        let holds = slots.u32_at(at);
        slots.set_losses(slot, 0, &Losses::default());
        assert_ne!(slots.u32_at(at), holds);
        slots.map.write(at, &holds.to_le_bytes());
        assert_eq!(slots.losses(slot, 0), LOST);
    }

    #[test]
    fn two_threads_note_where_the_streams_of_a_run_begin() {
        let slots = slots();
        let cell = CellId::new(slots.claim(&id("api", 0)).expect("room"), 0);
        for number in 1..2000 {
            let notes = super::super::RunNotes {
                run: RunId(number),
                ..Default::default()
            };
            slots.note(cell, &notes);
            let together = std::sync::Barrier::new(2);
            std::thread::scope(|scope| {
                for stream in [0, 1] {
                    let (slots, together) = (&slots, &together);
                    scope.spawn(move || {
                        together.wait();
                        slots.set_begun(cell, RunId(number), stream, number);
                    });
                }
            });
            assert_eq!(slots.notes(cell).begun, [Some(number); 2]);
        }
    }

    #[test]
    fn a_run_has_begun_once_its_number_is_noted() {
        let slots = slots();
        let cell = CellId::new(slots.claim(&id("api", 0)).expect("room"), 0);
        let notes = super::super::RunNotes {
            run: RunId(4),
            ..Default::default()
        };
        slots.note(cell, &notes);
        slots.set_begun(cell, RunId(3), 0, 11);
        assert_eq!(slots.notes(cell), notes);
        slots.set_begun(cell, RunId(4), 1, 0);
        slots.set_begun(cell, RunId(4), 0, 11);
        assert_eq!(slots.notes(cell).begun, [Some(11), Some(0)]);
    }
}
