//! The descriptors that the keeper holds, by number, with what it still owes the engine for each.
//!
//! Indexed by the descriptor itself and allocated once for the highest possible one (untouched
//! pages cost nothing), so that nothing in the keeper's loop can fail for want of memory, and
//! what must still be sent is a state to look up, not a queue that could fill.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

use super::link::{Kind, Tag};

/// What the engine has yet to be told of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Debt {
    /// Nothing.
    None,
    /// That it arrived.
    Held,
    /// The descriptor itself: the engine is new.
    Give,
}

const FREE: u64 = 0;
const OWES_NOTHING: u64 = 1;
const OWES_HELD: u64 = 2;
const OWES_GIVE: u64 = 3;
/// Where in a row that stands.
const STATE: usize = 0;

/// The table.
#[derive(Debug)]
pub struct Held {
    // State, slot and kind, generation. Plain numbers in one piece: `vec![[0; 3]; n]` is memory that
    // the kernel gives on first touch.
    rows: Vec<[u64; 3]>,
    /// One more than the highest descriptor in use.
    top: usize,
}

impl Held {
    /// For descriptors below `limit`.
    pub fn new(limit: usize) -> Held {
        Held {
            rows: vec![[0; 3]; limit],
            top: 0,
        }
    }

    /// Holds `fd`; what was held under the same tag is closed. `Err` gives it back: no room.
    pub fn insert(&mut self, tag: Tag, fd: OwnedFd, debt: Debt) -> Result<RawFd, OwnedFd> {
        let Ok(index) = usize::try_from(fd.as_raw_fd()) else {
            return Err(fd);
        };
        if index >= self.rows.len() {
            return Err(fd);
        }
        self.remove(tag);
        let slot_and_kind = u64::from(tag.slot) << 32 | u64::from(tag.kind.0);
        self.rows[index] = [number(debt), slot_and_kind, tag.generation];
        self.top = self.top.max(index + 1);
        Ok(fd.into_raw_fd())
    }

    /// Closes what is held under `tag`.
    pub fn remove(&mut self, tag: Tag) {
        if let Some(index) = self.find(|t| t == tag) {
            self.rows[index][STATE] = FREE;
            drop(owned(index));
            while self.top > 0 && self.rows[self.top - 1][STATE] == FREE {
                self.top -= 1;
            }
        }
    }

    /// The descriptor held under `tag`.
    pub fn get(&self, tag: Tag) -> Option<RawFd> {
        self.find(|t| t == tag).map(|index| index as RawFd)
    }

    /// Closes everything of this kind.
    pub fn remove_kind(&mut self, kind: Kind) {
        while let Some(tag) = self.of_kind(kind) {
            self.remove(tag);
        }
    }

    /// The tag of what is held of a kind that there is only one of.
    pub fn of_kind(&self, kind: Kind) -> Option<Tag> {
        self.find(|t| t.kind == kind).map(|index| self.tag(index))
    }

    /// Everything.
    pub fn iter(&self) -> impl Iterator<Item = (RawFd, Tag)> {
        let used = (0..self.top).filter(|&i| self.rows[i][STATE] != FREE);
        used.map(|i| (i as RawFd, self.tag(i)))
    }

    /// The exit cell of the child with this pid.
    pub fn cell_of(&self, pid: i32) -> Option<u32> {
        let wanted = u64::try_from(pid).ok()?;
        self.find(|t| t.kind == Kind::CHILD && t.generation == wanted)
            .map(|index| self.tag(index).slot)
    }

    /// From now on the engine is owed everything that `worth_giving`.
    pub fn owe_all(&mut self, worth_giving: impl Fn(Kind) -> bool) {
        for index in 0..self.top {
            if self.rows[index][STATE] != FREE {
                let give = worth_giving(self.tag(index).kind);
                self.rows[index][STATE] = if give { OWES_GIVE } else { OWES_NOTHING };
            }
        }
    }

    /// The next debt, at or after descriptor `from`.
    pub fn next_debt(&self, from: usize) -> Option<(usize, Tag, Debt)> {
        let index =
            (from..self.top).find(|&i| matches!(self.rows[i][STATE], OWES_HELD | OWES_GIVE))?;
        let debt = if self.rows[index][STATE] == OWES_GIVE {
            Debt::Give
        } else {
            Debt::Held
        };
        Some((index, self.tag(index), debt))
    }

    /// The debt of this descriptor is paid.
    pub fn paid(&mut self, index: usize) {
        self.rows[index][STATE] = OWES_NOTHING;
    }

    fn tag(&self, index: usize) -> Tag {
        let [_, slot_and_kind, generation] = self.rows[index];
        let (slot, kind) = ((slot_and_kind >> 32) as u32, slot_and_kind as u32);
        Tag {
            slot,
            kind: Kind(kind),
            generation,
        }
    }

    fn find(&self, wanted: impl Fn(Tag) -> bool) -> Option<usize> {
        (0..self.top).find(|&i| self.rows[i][STATE] != FREE && wanted(self.tag(i)))
    }
}

fn number(debt: Debt) -> u64 {
    match debt {
        Debt::None => OWES_NOTHING,
        Debt::Held => OWES_HELD,
        Debt::Give => OWES_GIVE,
    }
}

#[expect(unsafe_code, reason = "the table owns its descriptors by number")]
fn owned(index: usize) -> OwnedFd {
    // SAFETY: insert() took ownership of this descriptor, and its entry was just freed.
    unsafe { OwnedFd::from_raw_fd(index as RawFd) }
}

/// Borrows a descriptor that the table holds.
#[expect(unsafe_code, reason = "the table owns its descriptors by number")]
pub fn borrow(fd: RawFd) -> BorrowedFd<'static> {
    // SAFETY: callers take the number from the table and use it before the table changes.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fd() -> OwnedFd {
        nix::unistd::pipe().expect("a pipe").0
    }

    fn tag(slot: u32, kind: Kind, generation: u64) -> Tag {
        Tag {
            slot,
            kind,
            generation,
        }
    }

    #[test]
    fn the_same_tag_replaces_and_closes() {
        let mut held = Held::new(1024);
        let one = held
            .insert(tag(1, Kind::STDOUT, 1), fd(), Debt::None)
            .expect("room");
        let two = held
            .insert(tag(1, Kind::STDOUT, 1), fd(), Debt::None)
            .expect("room");
        assert_ne!(one, two);
        assert!(nix::fcntl::fcntl(borrow(one), nix::fcntl::FcntlArg::F_GETFD).is_err());
        assert_eq!(held.get(tag(1, Kind::STDOUT, 1)), Some(two));
    }

    #[test]
    fn a_child_is_found_by_its_pid() {
        let mut held = Held::new(1024);
        held.insert(tag(6, Kind::CHILD, 4711), fd(), Debt::None)
            .expect("room");
        held.insert(tag(9, Kind::STDOUT, 4712), fd(), Debt::None)
            .expect("room");
        assert_eq!(held.cell_of(4711), Some(6));
        assert_eq!(held.cell_of(4712), None);
        held.remove(tag(6, Kind::CHILD, 4711));
        assert_eq!(held.cell_of(4711), None);
    }

    #[test]
    fn debts_are_paid_one_by_one_and_arise_anew_for_a_new_engine() {
        let mut held = Held::new(1024);
        let a = held
            .insert(tag(1, Kind::STDOUT, 1), fd(), Debt::Held)
            .expect("room") as usize;
        held.insert(tag(0, Kind::POKE, 0), fd(), Debt::None)
            .expect("room");
        assert_eq!(held.next_debt(0).map(|d| (d.0, d.2)), Some((a, Debt::Held)));
        held.paid(a);
        assert_eq!(held.next_debt(0), None);
        held.owe_all(|kind| kind != Kind::POKE);
        assert_eq!(held.next_debt(0).map(|d| (d.0, d.2)), Some((a, Debt::Give)));
        assert_eq!(held.next_debt(a + 1), None);
    }

    #[test]
    fn what_there_is_one_of_is_found_by_its_kind_and_closed_by_it() {
        let mut held = Held::new(1024);
        let kept = held
            .insert(tag(0, Kind::PROGRAM, 0), fd(), Debt::None)
            .expect("room");
        held.insert(tag(77, Kind::TRIAL, 0), fd(), Debt::None)
            .expect("room");
        assert_eq!(held.of_kind(Kind::TRIAL), Some(tag(77, Kind::TRIAL, 0)));
        held.remove_kind(Kind::TRIAL);
        assert_eq!(held.of_kind(Kind::TRIAL), None);
        let all: Vec<_> = held.iter().collect();
        assert_eq!(all, [(kept, tag(0, Kind::PROGRAM, 0))]);
    }

    #[test]
    fn a_descriptor_beyond_the_table_is_given_back() {
        let mut held = Held::new(2);
        assert!(
            held.insert(tag(0, Kind::LOCK, 0), fd(), Debt::None)
                .is_err()
        );
    }
}
