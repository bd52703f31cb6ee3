//! The ledger of the storm, in a file that outlives every engine.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use supervisor_logs::{Ledger, Losses, Step, StreamId};

use super::{STREAMS, id};

/// What survives an engine: one byte each, so that no write of it can be half done.
pub struct Shared(File);

impl Shared {
    const OWNER: u64 = 0;

    pub fn open(dir: &Path) -> Shared {
        let mut options = File::options();
        Shared(
            options
                .read(true)
                .write(true)
                .create(true)
                .open(dir.join("shared"))
                .unwrap(),
        )
    }

    /// How many runs of a stream have ended; the keeper writes it.
    pub fn ended(stream: u8) -> u64 {
        10 + u64::from(stream)
    }

    /// Which run of a stream is the one to pump.
    pub fn current(stream: u8) -> u64 {
        20 + u64::from(stream)
    }

    pub fn begun(key: u64) -> u64 {
        1_000 + key
    }

    pub fn get(&self, at: u64) -> u8 {
        let mut byte = [0];
        match self.0.read_at(&mut byte, at).unwrap() {
            0 => 0,
            _ => byte[0],
        }
    }

    pub fn set(&self, at: u64, value: u8) {
        assert_eq!(self.0.write_at(&[value], at).unwrap(), 1);
    }
}

/// Records that are longer than a byte are written in one call inside one page, which a kill does
/// not tear.
impl Shared {
    const STEP: u64 = 4096;
    const LOSSES: u64 = 8192;
    const BEGUN: u64 = 16384;

    fn numbers<const N: usize>(&self, at: u64) -> [u64; N] {
        let mut bytes = vec![0; N * 8];
        // Nothing there yet: zeros.
        let _ = self.0.read_at(&mut bytes, at).unwrap();
        let mut numbers = bytes
            .chunks(8)
            .map(|c| u64::from_le_bytes(c.try_into().unwrap()));
        std::array::from_fn(|_| numbers.next().unwrap())
    }

    fn set_numbers(&self, at: u64, numbers: &[u64]) {
        let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        assert_eq!(self.0.write_at(&bytes, at).unwrap(), bytes.len());
    }

    fn stream_of(id: &StreamId) -> u64 {
        (0..STREAMS).find(|s| self::id(*s) == *id).unwrap().into()
    }
}

fn losses_of(numbers: [u64; 5]) -> Losses {
    let [lines, bytes, untold_lines, untold_bytes, inside] = numbers;
    Losses {
        lines,
        bytes,
        untold_lines,
        untold_bytes,
        inside_line: inside == 1,
    }
}

fn numbers_of(losses: &Losses) -> [u64; 5] {
    let l = losses;
    [
        l.lines,
        l.bytes,
        l.untold_lines,
        l.untold_bytes,
        l.inside_line.into(),
    ]
}

impl Ledger for Shared {
    fn hold_stage(&self, _: u32, _: &OwnedFd, _: &OwnedFd) {
        panic!("one filesystem, one stage");
    }

    fn owner(&self, _: u32) -> Option<StreamId> {
        self.get(Shared::OWNER).checked_sub(1).map(id)
    }

    fn set_owner(&self, _: u32, owner: &StreamId) {
        self.set(Shared::OWNER, Shared::stream_of(owner) as u8 + 1);
    }

    fn step(&self, _: u32) -> Step {
        let [kind, offset, device, inode, left, rest @ ..] = self.numbers::<10>(Shared::STEP);
        match kind {
            0 => Step::None,
            1 => Step::Writing {
                offset,
                file: (device, inode),
            },
            _ => Step::Done {
                left,
                losses: losses_of(rest),
            },
        }
    }

    fn set_step(&self, _: u32, step: &Step) {
        let numbers = match step {
            Step::None => vec![0],
            Step::Writing { offset, file } => vec![1, *offset, file.0, file.1],
            Step::Done { left, losses } => {
                let mut numbers = vec![2, 0, 0, 0, *left];
                numbers.extend(numbers_of(losses));
                numbers
            }
        };
        self.set_numbers(Shared::STEP, &numbers);
    }

    fn begun(&self, key: u64, position: u64) {
        self.set_numbers(Shared::BEGUN + key * 8, &[position]);
        self.set(Shared::begun(key), 1);
    }

    fn begun_at(&self, key: u64) -> Option<u64> {
        let [position] = self.numbers(Shared::BEGUN + key * 8);
        (self.get(Shared::begun(key)) == 1).then_some(position)
    }

    fn losses(&self, id: &StreamId) -> Losses {
        losses_of(self.numbers(Shared::LOSSES + Shared::stream_of(id) * 40))
    }

    fn set_losses(&self, id: &StreamId, losses: &Losses) {
        let at = Shared::LOSSES + Shared::stream_of(id) * 40;
        self.set_numbers(at, &numbers_of(losses));
    }
}
