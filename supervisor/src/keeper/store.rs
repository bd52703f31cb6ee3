//! Which of the held descriptors are in systemd's store, and under which names.
//!
//! A name is the number of a row, in hexadecimal. What a row means is in the ledger, a memory file that
//! is in the store itself: so a keeper that systemd starts in the place of one that was killed knows
//! what it is given. A row is written before its descriptor is sent, and is used again only when the
//! removal of that was sent; systemd reads in order, and all that was sent by a process before it looks
//! at the death of that process. So a row never means two things. The layout is frozen.
//!
//! Promises: no allocation after the beginning. Left to others: the way to systemd ([`super::notify`]).

use std::fs::File;
use std::io::{self, Cursor, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;

use super::held::Held;
use super::link::{Kind, Tag};

/// The most rows: with more names, systemd could not start the next keeper.
pub const MOST: usize = 1000;
/// So many rows are not for the apps: what there is little of must find one.
const RESERVE: usize = 64;
/// The name of the ledger itself.
pub const LEDGER: &str = "ledger";

const MAGIC: &[u8; 8] = b"SVSTORE1";
const ROWS_AT: u64 = 64;
const ROW: usize = 32;

/// What is known of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Row {
    /// The store has nothing under this name.
    Free,
    /// This descriptor is still to be sent.
    Owed(RawFd),
    /// It was sent.
    Stored(RawFd),
    /// That there is nothing any more is still to be said.
    Leaving,
}

impl Row {
    fn number(self) -> u32 {
        match self {
            Row::Free => 0,
            Row::Owed(_) => 1,
            Row::Stored(_) => 2,
            Row::Leaving => 3,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Store {
    ledger: File,
    rows: Vec<Row>,
    /// So many of them may be used.
    most: usize,
    /// The ledger is in the store.
    told: bool,
    leaving: usize,
    owed: usize,
}

impl Store {
    /// With the ledger of a keeper before this one, or an empty file; at most so many descriptors in all.
    ///
    /// # Errors
    /// It is something else, or there is no memory.
    pub fn open(ledger: OwnedFd, most: usize) -> io::Result<Store> {
        let ledger = File::from(ledger);
        if ledger.metadata()?.len() == 0 {
            ledger.write_all_at(MAGIC, 0)?;
            for row in 0..MOST {
                ledger.write_all_at(&[0; ROW], row_at(row))?;
            }
        }
        check(&ledger)?;
        Ok(Store {
            ledger,
            rows: vec![Row::Free; MOST],
            most: most.saturating_sub(1).min(MOST),
            told: most == 0,
            leaving: 0,
            owed: 0,
        })
    }

    /// Goes on from what the ledger says and what is held; what has no row yet, gets one.
    pub fn recall(&mut self, held: &Held) {
        for row in 0..MOST {
            let now = match read_row(&self.ledger, row) {
                (0, _) => continue,
                (number @ (1 | 2), tag) => match held.get(tag) {
                    Some(fd) if number == 1 => Row::Owed(fd),
                    Some(fd) => Row::Stored(fd),
                    None => Row::Leaving,
                },
                _ => Row::Leaving,
            };
            self.set(row, now);
        }
        for (fd, tag) in held.iter() {
            if self.row_of(fd).is_none() {
                self.put(fd, tag);
            }
        }
    }

    /// The descriptor is held from now on.
    pub fn put(&mut self, fd: RawFd, tag: Tag) {
        let most = match rank(tag.kind) {
            Rank::No => return,
            Rank::Apps => self.most.saturating_sub(RESERVE),
            Rank::Own => self.most,
        };
        // Without a free row it is not in the store: an engine opens it again by the app's own end.
        let free = self.rows[..most].iter().position(|row| *row == Row::Free);
        if let Some(row) = free {
            // The bytes are there already: this cannot fail.
            let _ = self.ledger.write_all_at(&encode(1, tag), row_at(row));
            self.set(row, Row::Owed(fd));
        }
    }

    /// The descriptor is about to be closed.
    pub fn forget(&mut self, fd: RawFd) {
        if let Some(row) = self.row_of(fd) {
            self.write(row, Row::Leaving);
        }
    }

    /// Says what is owed, as far as `say` can.
    pub fn pay(&mut self, mut say: impl FnMut(&[u8], Option<RawFd>) -> bool) {
        if !self.told {
            let ledger = Some(self.ledger.as_raw_fd());
            self.told = say(entry(format_args!("{LEDGER}")).text(), ledger);
        }
        // Removals first: systemd takes a descriptor that it has under another name for a double.
        for row in 0..MOST {
            if !self.told || self.leaving == 0 {
                break;
            }
            if self.rows[row] == Row::Leaving {
                if !say(removal(row).text(), None) {
                    return;
                }
                self.write(row, Row::Free);
            }
        }
        for row in 0..MOST {
            if !self.told || self.owed == 0 {
                break;
            }
            if let Row::Owed(fd) = self.rows[row] {
                if !say(entry(format_args!("{row:x}")).text(), Some(fd)) {
                    return;
                }
                self.write(row, Row::Stored(fd));
            }
        }
    }

    /// Whether something is still to be said.
    pub fn owes(&self) -> bool {
        !self.told || self.leaving > 0 || self.owed > 0
    }

    fn row_of(&self, fd: RawFd) -> Option<usize> {
        let is_its = |row: &Row| matches!(row, Row::Owed(its) | Row::Stored(its) if *its == fd);
        self.rows.iter().position(is_its)
    }

    fn write(&mut self, row: usize, now: Row) {
        // The bytes are there already: this cannot fail.
        let _ = self
            .ledger
            .write_all_at(&now.number().to_le_bytes(), row_at(row));
        self.set(row, now);
    }

    fn set(&mut self, row: usize, now: Row) {
        let before = std::mem::replace(&mut self.rows[row], now);
        let count = |row: Row| {
            let owed = matches!(row, Row::Owed(_));
            (usize::from(owed), usize::from(row == Row::Leaving))
        };
        self.owed = self.owed + count(now).0 - count(before).0;
        self.leaving = self.leaving + count(now).1 - count(before).1;
    }
}

/// Whether a descriptor is worth a place in the store.
enum Rank {
    /// It is had again without, or means something only to this keeper.
    No,
    /// There are some for each app.
    Apps,
    /// There are few.
    Own,
}

fn rank(kind: Kind) -> Rank {
    match kind {
        Kind::EXITS | Kind::STATE | Kind::LISTENER => Rank::Own,
        Kind::STAGING_READ | Kind::STAGING_WRITE => Rank::Own,
        // The keeper's own: new for each, or opened again by name and number.
        Kind(0..=16) => Rank::No,
        _ => Rank::Apps,
    }
}

/// What systemd passed, by the ledger that is among it; what has no place in that is left out. Where
/// something was passed and no ledger, a new one says that all of it is to be removed.
///
/// # Errors
/// No memory.
pub fn place(passed: &[(String, RawFd)], new: OwnedFd) -> io::Result<Vec<(RawFd, Tag)>> {
    let ledger = |(name, fd): &&(String, RawFd)| {
        let file = File::from(super::held::borrow(*fd).try_clone_to_owned().ok()?);
        (name == LEDGER && check(&file).is_ok()).then_some((*fd, file))
    };
    let of_ledger = Tag::single(Kind::LEDGER);
    let Some((fd, file)) = passed.iter().find_map(|entry| ledger(&entry)) else {
        let new = Store::open(new, MOST)?.ledger;
        for row in 0..MOST {
            new.write_all_at(&Row::Leaving.number().to_le_bytes(), row_at(row))?;
        }
        let fd = std::os::fd::IntoRawFd::into_raw_fd(new);
        return Ok(vec![(fd, of_ledger)]);
    };
    let mut found = vec![(fd, of_ledger)];
    for (name, fd) in passed {
        let row = usize::from_str_radix(name, 16).ok();
        let Some(row) = row.filter(|row| *row < MOST) else {
            continue;
        };
        if let (1 | 2, tag) = read_row(&file, row) {
            found.push((*fd, tag));
        }
    }
    Ok(found)
}

fn check(ledger: &File) -> io::Result<()> {
    let mut magic = [0; 8];
    ledger.read_exact_at(&mut magic, 0)?;
    let whole = ledger.metadata()?.len() == row_at(MOST);
    match &magic == MAGIC && whole {
        true => Ok(()),
        false => Err(io::Error::other("not a ledger of systemd's store")),
    }
}

fn row_at(row: usize) -> u64 {
    ROWS_AT + (row * ROW) as u64
}

fn encode(number: u32, tag: Tag) -> [u8; ROW] {
    let mut out = [0; ROW];
    out[0..4].copy_from_slice(&number.to_le_bytes());
    out[4..8].copy_from_slice(&tag.slot.to_le_bytes());
    out[8..12].copy_from_slice(&tag.kind.0.to_le_bytes());
    out[16..24].copy_from_slice(&tag.generation.to_le_bytes());
    out
}

fn read_row(ledger: &File, row: usize) -> (u32, Tag) {
    let mut bytes = [0; ROW];
    if ledger.read_exact_at(&mut bytes, row_at(row)).is_err() {
        return (0, Tag::single(Kind(0)));
    }
    let word =
        |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let tag = Tag {
        slot: word(4),
        kind: Kind(word(8)),
        generation: u64::from(word(16)) | u64::from(word(20)) << 32,
    };
    (word(0), tag)
}

/// A few words, made without an allocation.
pub struct Words(Cursor<[u8; 128]>);

impl Words {
    /// What is longer is cut.
    pub fn new(text: std::fmt::Arguments<'_>) -> Words {
        let mut words = Cursor::new([0; 128]);
        // It fails when there is no more room, and then what fits is there.
        let _ = words.write_fmt(text);
        Words(words)
    }

    /// As bytes.
    pub fn text(&self) -> &[u8] {
        let length = self.0.position() as usize;
        &self.0.get_ref()[..length]
    }
}

fn entry(name: std::fmt::Arguments<'_>) -> Words {
    // Without the last word, systemd would let go of a pipe when its app has closed it, unread bytes
    // or not.
    Words::new(format_args!("FDSTORE=1\nFDNAME={name}\nFDPOLL=0"))
}

fn removal(row: usize) -> Words {
    Words::new(format_args!("FDSTOREREMOVE=1\nFDNAME={row:x}"))
}

#[cfg(test)]
mod tests;
