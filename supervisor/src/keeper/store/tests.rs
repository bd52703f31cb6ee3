use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use nix::sys::memfd::{MFdFlags, memfd_create};

use super::*;
use crate::keeper::held::Debt;

fn memory() -> OwnedFd {
    memfd_create(c"test", MFdFlags::MFD_CLOEXEC).expect("memory")
}

fn tag(slot: u32, kind: Kind) -> Tag {
    Tag {
        slot,
        kind,
        generation: u64::MAX - 7,
    }
}

/// A keeper's side and systemd's: names, and which descriptor is under each.
struct World {
    held: Held,
    store: Store,
    systemd: BTreeMap<String, RawFd>,
}

impl World {
    fn new(most: usize) -> World {
        World {
            held: Held::new(4096),
            store: Store::open(memory(), most).expect("memory"),
            systemd: BTreeMap::new(),
        }
    }

    fn hold(&mut self, tag: Tag) -> RawFd {
        let fd = self
            .held
            .insert(tag, memory(), Debt::None)
            .expect("there is room");
        self.store.put(fd, tag);
        fd
    }

    fn drop(&mut self, tag: Tag) {
        self.store.forget(self.held.get(tag).expect("it is held"));
        self.held.remove(tag);
    }

    /// Says so many things.
    fn pay(&mut self, mut room: usize) {
        let systemd = &mut self.systemd;
        self.store.pay(|text, fd| {
            if room == 0 {
                return false;
            }
            room -= 1;
            let text = String::from_utf8(text.to_vec()).expect("words");
            let lines: Vec<&str> = text.lines().collect();
            let name = lines[1].strip_prefix("FDNAME=").expect("a name").to_owned();
            assert!(name.len() <= 8, "{name}");
            match lines[0] {
                "FDSTORE=1" => {
                    assert_eq!(lines[2], "FDPOLL=0");
                    let before = systemd.insert(name, fd.expect("a descriptor"));
                    assert_eq!(before, None, "{text}: a row means one thing");
                }
                "FDSTOREREMOVE=1" => drop(systemd.remove(&name)),
                other => panic!("{other}"),
            }
            true
        });
    }

    /// Where the next keeper finds what.
    fn placed(&self) -> BTreeMap<Tag, RawFd> {
        let passed: Vec<(String, RawFd)> = self.systemd.clone().into_iter().collect();
        let found = place(&passed, memory()).expect("memory");
        found.into_iter().map(|(fd, tag)| (tag, fd)).collect()
    }
}

#[test]
fn the_next_keeper_finds_each_descriptor_under_its_tag() {
    let mut world = World::new(100);
    let out = world.hold(tag(1, Kind::STDOUT));
    let exits = world.hold(Tag::single(Kind::EXITS));
    for kind in [Kind::LOCK, Kind::CHILD, Kind::PROGRAM, Kind::POKE] {
        world.hold(tag(1, kind));
    }
    world.pay(usize::MAX);
    assert!(!world.store.owes());
    assert_eq!(world.systemd.len(), 3, "and the ledger");
    let placed = world.placed();
    assert_eq!(placed[&tag(1, Kind::STDOUT)], out);
    assert_eq!(placed[&Tag::single(Kind::EXITS)], exits);
    assert!(placed.contains_key(&Tag::single(Kind::LEDGER)));
    assert_eq!(placed.len(), 3);
}

#[test]
fn what_was_dropped_is_not_found_even_if_its_removal_was_not_said() {
    let mut world = World::new(100);
    world.hold(tag(1, Kind::STDOUT));
    world.pay(usize::MAX);
    world.drop(tag(1, Kind::STDOUT));
    assert!(world.store.owes());
    assert_eq!(world.systemd.len(), 2);
    assert_eq!(world.placed().len(), 1, "the ledger");
}

#[test]
fn a_row_is_used_again_after_its_removal_was_said() {
    let mut world = World::new(2 + RESERVE);
    world.hold(tag(1, Kind::STDOUT));
    world.pay(usize::MAX);
    world.drop(tag(1, Kind::STDOUT));
    // The only row of the apps is not free yet.
    world.hold(tag(2, Kind::STDOUT));
    world.pay(usize::MAX);
    assert_eq!(world.systemd.len(), 1);
    world.hold(tag(3, Kind::STDOUT));
    world.pay(usize::MAX);
    assert!(world.placed().contains_key(&tag(3, Kind::STDOUT)));
}

#[test]
fn apps_leave_room_for_what_there_is_little_of() {
    let mut world = World::new(10 + RESERVE);
    for slot in 0..200 {
        world.hold(tag(slot, Kind::STDERR));
    }
    world.hold(tag(0, Kind::STAGING_READ));
    world.pay(usize::MAX);
    assert_eq!(world.systemd.len(), 9 + 1 + 1);
    assert!(world.placed().contains_key(&tag(0, Kind::STAGING_READ)));
}

#[test]
fn without_room_in_the_unit_nothing_is_said() {
    let mut world = World::new(0);
    world.hold(tag(1, Kind::STDOUT));
    assert!(!world.store.owes());
    world.pay(usize::MAX);
    assert!(world.systemd.is_empty());
}

/// A keeper dies after each number of datagrams: what the next one finds is right, and after it has
/// paid, the store has what is held and nothing else.
#[test]
fn a_keeper_that_dies_between_any_two_datagrams_leaves_no_doubt() {
    for room in 0..12 {
        let mut world = World::new(100);
        for slot in 0..3 {
            world.hold(tag(slot, Kind::STDOUT));
        }
        world.pay(3);
        world.drop(tag(0, Kind::STDOUT));
        world.drop(tag(2, Kind::STDOUT));
        world.hold(tag(7, Kind::STDIN));
        world.pay(room);

        let mut next = World::new(100);
        next.systemd = world.systemd.clone();
        let placed = world.placed();
        for (tag, fd) in placed {
            let fd = crate::keeper::held::borrow(fd)
                .try_clone_to_owned()
                .expect("a copy");
            match tag.kind {
                Kind::LEDGER => next.store = Store::open(fd, 100).expect("a ledger"),
                _ => {
                    assert_ne!(tag.slot, 0, "dropped");
                    assert_ne!(tag.slot, 2, "dropped");
                    next.held.insert(tag, fd, Debt::None).expect("room");
                }
            }
        }
        next.store.recall(&next.held);
        let mut said = BTreeMap::new();
        next.store.pay(|text, fd| {
            let text = String::from_utf8(text.to_vec()).expect("words");
            let name = text.lines().nth(1).expect("a name")[7..].to_owned();
            match fd {
                Some(fd) => drop(said.insert(name, fd)),
                None => drop(next.systemd.remove(&name)),
            }
            true
        });
        // One that is there already, systemd does not take a second time.
        next.systemd.extend(said);
        assert_eq!(next.systemd.len(), next.held.iter().count() + 1, "{room}");
        assert!(!next.store.owes());
    }
}

#[test]
fn passed_without_a_ledger_all_is_removed() {
    let passed = [("5".to_owned(), memory())];
    let fds: Vec<(String, RawFd)> = passed
        .iter()
        .map(|(name, fd)| (name.clone(), fd.as_raw_fd()))
        .collect();
    let placed = place(&fds, memory()).expect("memory");
    let [(ledger, kind)] = placed[..] else {
        panic!("{placed:?}")
    };
    assert_eq!(kind, Tag::single(Kind::LEDGER));
    let ledger = crate::keeper::held::borrow(ledger);
    let ledger = ledger.try_clone_to_owned().expect("a copy");
    let mut store = Store::open(ledger, MOST).expect("a ledger");
    store.recall(&Held::new(16));
    let mut names = Vec::new();
    store.pay(|text, _| {
        names.push(String::from_utf8(text.to_vec()).expect("words"));
        true
    });
    assert!(names.contains(&"FDSTOREREMOVE=1\nFDNAME=5".to_owned()));
    assert!(names.contains(&"FDSTORE=1\nFDNAME=ledger\nFDPOLL=0".to_owned()));
}
