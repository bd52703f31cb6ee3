//! The runtime state: what an engine that is killed leaves to the next one. A file that is mapped
//! into memory, so that a store is kept as soon as it is made.
//!
//! One slot for each instance: its record in two copies, of which the older is overwritten, so that
//! one is whole at any moment; and two run cells (a reload has two runs at a time) that the kernel
//! and the child on its way to exec write to. The header has the boot id: after a reboot none of the
//! pids means anything. Names are in the slots, so that a slot whose app is forgotten still says
//! whose it was. What the log pump notes is in [`notes`].
//!
//! Left to others: what a record means ([`crate::engine::record`]).

mod notes;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Mutex;

use supervisor_core::{Name, RunId, ServiceId};

use crate::os::mapping::Mapping;
use crate::os::spawn::SpawnCell;

const MAGIC: &[u8; 8] = b"SVSTATE1";
/// A file of another layout is refused. It goes up with every change of what the fields below mean, or
/// of the bytes of a record.
pub const LAYOUT: u32 = 2;

/// Says that everything is being stopped: a word that no single damaged bit makes.
const STOPPING: u32 = u32::from_le_bytes(*b"STOP");

const HEADER: usize = 4096;
const SLOT: usize = 2048;
/// The most instances.
pub const MOST: u32 = 4096;
/// The file grows by so many slots at a time.
const STEP: u32 = 32;

// In the header.
const LAYOUT_AT: usize = 8;
const BOOT_AT: usize = 16;
const TOKEN_AT: usize = 64;
const ENGINES_AT: usize = 72;
const STOPPING_AT: usize = 80;
const STAGES_AT: usize = 1024;

// In a slot.
const USED_AT: usize = 0;
const INSTANCE_AT: usize = 4;
const NAME_LENGTH_AT: usize = 8;
const NAME_AT: usize = 16;
const RUNS_AT: usize = 128;
const RUN: usize = 64;
const LOSSES_AT: usize = RUNS_AT + 2 * RUN;
const LOSSES: usize = 96;
const COPIES_AT: usize = LOSSES_AT + 2 * LOSSES;
const COPY: usize = (SLOT - COPIES_AT) / 2;
const COPY_HEAD: usize = 16;
/// The longest record, in bytes.
pub const LONGEST: usize = COPY - COPY_HEAD;

// In a run cell, behind the `SpawnCell`.
const RUN_NUMBER_AT: usize = 16;
const RUN_SEEN_AT: usize = 24;
const RUN_BIRTH_AT: usize = 32;
const RUN_SPEC_AT: usize = 40;
const RUN_FLAGS_AT: usize = 44;
const RUN_BEGUN_AT: usize = 48;

/// One of the two run cells of a slot; also the number of its exit cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CellId(pub u32);

impl CellId {
    /// The cell `index` (0 or 1) of `slot`.
    pub fn new(slot: u32, index: u32) -> CellId {
        CellId(slot * 2 + index)
    }

    /// The slot it is in.
    pub fn slot(self) -> u32 {
        self.0 / 2
    }
}

/// What a run cell says besides its [`SpawnCell`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunNotes {
    /// Which run; 0: the cell is free.
    pub run: RunId,
    /// The newest exit record when it was spawned: its own exit is a later one.
    pub seen: u64,
    /// When the process started, in ticks since boot, as the kernel says; 0: not noted yet.
    pub birth: u64,
    /// A checksum of the definition it was started from.
    pub spec: u32,
    /// Where the first byte of its standard output, of its standard error, stands in the stream;
    /// `None`: the log pump has not begun to move any.
    pub begun: [Option<u64>; 2],
}

/// The file.
#[derive(Debug)]
pub struct Slots {
    map: Mapping,
    /// Held while a word is changed that two threads of the log pump share.
    begun: Mutex<()>,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SlotsError {
    /// It is of another boot, empty or damaged: nothing in it is of use.
    #[error("not of this boot")]
    Stale,
    /// It was written by a program with another layout.
    #[error(
        "the runtime state has layout {0}, and this program knows layout {LAYOUT}: run the version that wrote it, or stop its apps first"
    )]
    Layout(u32),
    /// Reading, writing or mapping failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Slots {
    fn over(map: Mapping) -> Slots {
        let begun = Mutex::default();
        Slots { map, begun }
    }

    /// Opens the state that another engine left.
    ///
    /// # Errors
    /// See [`SlotsError`].
    pub fn open(file: OwnedFd, boot_id: &str) -> Result<Slots, SlotsError> {
        let map = Mapping::new(File::from(file), HEADER + MOST as usize * SLOT)?;
        if map.len() < HEADER || !(map.len() - HEADER).is_multiple_of(SLOT) {
            return Err(SlotsError::Stale);
        }
        let slots = Slots::over(map);
        let mut magic = [0; 8];
        slots.map.read(0, &mut magic);
        if magic != *MAGIC {
            return Err(SlotsError::Stale);
        }
        // The boot first, which every layout has in this place: whatever another one says of an
        // earlier boot is of no use anyway.
        let mut boot = [0; 36];
        slots.map.read(BOOT_AT, &mut boot);
        if boot != boot_bytes(boot_id) {
            return Err(SlotsError::Stale);
        }
        let layout = slots.u32_at(LAYOUT_AT);
        if layout != LAYOUT {
            return Err(SlotsError::Layout(layout));
        }
        Ok(slots)
    }

    /// Sets up an empty file.
    ///
    /// # Errors
    /// No space.
    pub fn create(file: OwnedFd, boot_id: &str, token: u64) -> io::Result<Slots> {
        let file = File::from(file);
        file.set_len(0)?;
        let map = Mapping::new(file, HEADER + MOST as usize * SLOT)?;
        map.grow(HEADER)?;
        let slots = Slots::over(map);
        slots.map.write(LAYOUT_AT, &LAYOUT.to_le_bytes());
        slots.map.write(BOOT_AT, &boot_bytes(boot_id));
        slots.map.write(TOKEN_AT, &token.to_le_bytes());
        // Last, so that a file with a magic has everything.
        slots.map.write(0, MAGIC);
        Ok(slots)
    }

    /// A number that tells the apps of this supervisor from those of any other.
    pub fn token(&self) -> u64 {
        self.u64_at(TOKEN_AT)
    }

    /// How many engines have worked with this file.
    pub fn engines(&self) -> u64 {
        self.u64_at(ENGINES_AT)
    }

    /// One more engine begins.
    pub fn count_engine(&self) {
        self.map
            .write(ENGINES_AT, &(self.engines() + 1).to_le_bytes());
    }

    /// Everything is being stopped.
    pub fn is_stopping(&self) -> bool {
        self.u32_at(STOPPING_AT) == STOPPING
    }

    /// Notes whether everything is being stopped.
    pub fn set_stopping(&self, stopping: bool) {
        let word = if stopping { STOPPING } else { 0 };
        self.map.write(STOPPING_AT, &word.to_le_bytes());
    }

    /// The file itself.
    pub fn file(&self) -> &File {
        self.map.file()
    }

    /// How many slots the file has.
    pub fn count(&self) -> u32 {
        ((self.map.len() - HEADER) / SLOT) as u32
    }

    /// Whose slot it is; `None`: free.
    pub fn owner(&self, slot: u32) -> Option<ServiceId> {
        let at = slot_at(slot);
        if self.u32_at(at + USED_AT) != 1 {
            return None;
        }
        Some(ServiceId {
            app: self.name_at(at + NAME_LENGTH_AT, at + NAME_AT)?,
            instance: self.u32_at(at + INSTANCE_AT),
        })
    }

    /// Finds a free slot and makes it this instance's.
    ///
    /// # Errors
    /// No space, or [`MOST`] are in use.
    pub fn claim(&self, id: &ServiceId) -> io::Result<u32> {
        let count = self.count();
        let slot = (0..count).find(|&slot| self.u32_at(slot_at(slot) + USED_AT) != 1);
        let slot = match slot {
            Some(slot) => slot,
            None => {
                let more = (count + STEP).min(MOST);
                self.map.grow(slot_at(more))?;
                if count == more {
                    return Err(io::Error::other(format!(
                        "there are {MOST} instances, the most"
                    )));
                }
                count
            }
        };
        let at = slot_at(slot);
        self.map.write(at, &[0; SLOT]);
        let name = id.app.as_str().as_bytes();
        self.map.write(at + NAME_AT, name);
        self.map
            .write(at + NAME_LENGTH_AT, &(name.len() as u32).to_le_bytes());
        self.map.write(at + INSTANCE_AT, &id.instance.to_le_bytes());
        self.map.write(at + USED_AT, &1u32.to_le_bytes());
        Ok(slot)
    }

    /// Gives the slot back.
    pub fn free(&self, slot: u32) {
        self.map.write(slot_at(slot) + USED_AT, &0u32.to_le_bytes());
    }

    /// Saves the record of `slot`: from the moment this returns, a new engine reads it.
    ///
    /// A record that is too long is a fault of this program.
    pub fn save(&self, slot: u32, record: &[u8]) {
        assert!(
            record.len() <= LONGEST,
            "a record of {} bytes",
            record.len()
        );
        let [a, b] = [self.sequence(slot, 0), self.sequence(slot, 1)];
        let (copy, sequence) = if a <= b { (0, b + 1) } else { (1, a + 1) };
        let at = copy_at(slot, copy);
        // First the copy is made void, so that a half-written one is never taken for whole.
        self.map.write(at, &0u64.to_le_bytes());
        self.map.write(at + COPY_HEAD, record);
        self.map.write(at + 8, &(record.len() as u32).to_le_bytes());
        self.map
            .write(at + 12, &crc32fast::hash(record).to_le_bytes());
        self.map.write(at, &sequence.to_le_bytes());
    }

    /// The newest whole record of `slot`.
    pub fn load(&self, slot: u32) -> Option<Vec<u8>> {
        let mut copies = [0, 1].map(|copy| (self.sequence(slot, copy), copy));
        copies.sort_unstable_by(|a, b| b.cmp(a));
        copies
            .into_iter()
            .filter(|(sequence, _)| *sequence > 0)
            .find_map(|(_, copy)| {
                let at = copy_at(slot, copy);
                let length = self.u32_at(at + 8) as usize;
                let mut record = vec![0; Some(length).filter(|&n| n <= LONGEST)?];
                self.map.read(at + COPY_HEAD, &mut record);
                (crc32fast::hash(&record) == self.u32_at(at + 12)).then_some(record)
            })
    }

    fn sequence(&self, slot: u32, copy: usize) -> u64 {
        self.u64_at(copy_at(slot, copy))
    }

    /// What kernel and child write to.
    pub fn spawn_cell(&self, cell: CellId) -> &SpawnCell {
        self.map.spawn_cell(run_at(cell))
    }

    /// What an engine notes of the run.
    pub fn notes(&self, cell: CellId) -> RunNotes {
        let at = run_at(cell);
        RunNotes {
            run: RunId(self.u64_at(at + RUN_NUMBER_AT)),
            seen: self.u64_at(at + RUN_SEEN_AT),
            birth: self.u64_at(at + RUN_BIRTH_AT),
            spec: self.u32_at(at + RUN_SPEC_AT),
            begun: [0, 1].map(|stream| {
                let begun = self.u32_at(at + RUN_FLAGS_AT) & 1 << stream != 0;
                begun.then(|| self.u64_at(at + RUN_BEGUN_AT + 8 * stream))
            }),
        }
    }

    /// Notes it. For a cell that is taken into use, the [`SpawnCell`] is to be cleared before.
    pub fn note(&self, cell: CellId, notes: &RunNotes) {
        let at = run_at(cell);
        self.map.write(at + RUN_SEEN_AT, &notes.seen.to_le_bytes());
        self.map
            .write(at + RUN_BIRTH_AT, &notes.birth.to_le_bytes());
        self.map.write(at + RUN_SPEC_AT, &notes.spec.to_le_bytes());
        let mut flags = 0u32;
        for (stream, begun) in notes.begun.into_iter().enumerate() {
            let position = begun.unwrap_or(0).to_le_bytes();
            self.map.write(at + RUN_BEGUN_AT + 8 * stream, &position);
            flags |= u32::from(begun.is_some()) << stream;
        }
        self.map.write(at + RUN_FLAGS_AT, &flags.to_le_bytes());
        self.map
            .write(at + RUN_NUMBER_AT, &notes.run.0.to_le_bytes());
    }

    /// Notes when the process started, without touching the rest.
    pub fn set_birth(&self, cell: CellId, birth: u64) {
        self.map
            .write(run_at(cell) + RUN_BIRTH_AT, &birth.to_le_bytes());
    }

    /// The cell is free.
    pub fn clear(&self, cell: CellId) {
        self.map
            .write(run_at(cell) + RUN_NUMBER_AT, &0u64.to_le_bytes());
    }

    /// The two cells of a slot.
    pub fn cells(slot: u32) -> [CellId; 2] {
        [CellId::new(slot, 0), CellId::new(slot, 1)]
    }

    fn name_at(&self, length_at: usize, at: usize) -> Option<Name> {
        let length = self.u32_at(length_at) as usize;
        let mut name = vec![0; length.min(Name::MAX)];
        self.map.read(at, &mut name);
        Name::new(std::str::from_utf8(&name).ok()?).ok()
    }

    fn u32_at(&self, at: usize) -> u32 {
        let mut bytes = [0; 4];
        self.map.read(at, &mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn u64_at(&self, at: usize) -> u64 {
        let mut bytes = [0; 8];
        self.map.read(at, &mut bytes);
        u64::from_le_bytes(bytes)
    }
}

fn slot_at(slot: u32) -> usize {
    HEADER + slot as usize * SLOT
}

fn run_at(cell: CellId) -> usize {
    slot_at(cell.slot()) + RUNS_AT + (cell.0 % 2) as usize * RUN
}

fn copy_at(slot: u32, copy: usize) -> usize {
    slot_at(slot) + COPIES_AT + copy * COPY
}

fn boot_bytes(boot_id: &str) -> [u8; 36] {
    let mut bytes = [0; 36];
    let length = boot_id.len().min(36);
    bytes[..length].copy_from_slice(&boot_id.as_bytes()[..length]);
    bytes
}
