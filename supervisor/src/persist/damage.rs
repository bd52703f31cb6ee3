//! Whatever stands in the files that outlive the engine: it is read in peace, and what is damaged is
//! not taken for whole.

use std::fs;
use std::io::{Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::LazyLock;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use proptest::prelude::*;
use supervisor_config::{Origin, parse};
use supervisor_core::{Exit, Name, RunId, Service, ServiceId, Time, Want};
use supervisor_logs::{Losses, STAGES, Step};

use super::desired::{Asked, Desired, Store};
use super::slots::{CellId, RunNotes, Slots, SlotsError};
use crate::engine::record::{LastExit, Record};
use crate::keeper::exits::{Exits, NO_SLOT, Record as ExitRecord};
use crate::keeper::inherit;
use crate::keeper::link::{self, Kind, Tag};

const BOOT: &str = "0b4f7a52-1111-2222-3333-444455556666";

fn id(instance: u32) -> ServiceId {
    let app = Name::new("api").expect("a name");
    ServiceId { app, instance }
}

fn record(run: u64) -> Record {
    Record {
        service: Service::new(Time(5), Want::Up, RunId(run)),
        asked: run,
        last_exit: Some(LastExit::new(
            RunId(run),
            Some(Exit::Code(1)),
            "exited with code 1",
            9,
        )),
    }
}

/// A runtime state as an engine leaves it.
fn runtime() -> Slots {
    let file = tempfile::tempfile().expect("a file");
    let slots = Slots::create(file.into(), BOOT, 77).expect("sets it up");
    for instance in 0..2 {
        let slot = slots.claim(&id(instance)).expect("room");
        slots.save(slot, &record(1).encode());
        slots.save(slot, &record(2).encode());
        let notes = RunNotes {
            run: RunId(2),
            seen: 1,
            birth: 7,
            spec: 6,
            begun: [Some(3), None],
        };
        slots.note(CellId::new(slot, 0), &notes);
        let losses = Losses {
            lines: 1,
            bytes: 2,
            ..Losses::default()
        };
        slots.set_losses(slot, 1, &losses);
    }
    slots.set_stage_owner(0, "api", 0, 1);
    slots.set_step(
        0,
        &Step::Writing {
            offset: 5,
            file: (6, 7),
        },
    );
    slots
}

/// Reads all that a new engine reads. A record is one that was written, or none.
fn read_all(slots: &Slots) -> Result<(), String> {
    let _read = (slots.token(), slots.engines(), slots.is_stopping());
    for stage in 0..STAGES {
        let _read = (slots.stage_owner(stage), slots.step(stage));
    }
    for slot in 0..slots.count() {
        let _owner = slots.owner(slot);
        if let Some(found) = slots.load(slot).and_then(|bytes| Record::decode(&bytes))
            && ![record(1), record(2)].contains(&found)
        {
            return Err(format!("a record that nobody wrote: {found:?}"));
        }
        for cell in Slots::cells(slot) {
            let words = slots.spawn_cell(cell);
            let _read = (slots.notes(cell), words.pid.as_ptr());
        }
        let _read = [0, 1].map(|stream| slots.losses(slot, stream));
    }
    Ok(())
}

fn open(file: &fs::File) -> Result<Slots, SlotsError> {
    let copy: OwnedFd = file.try_clone().expect("a copy").into();
    Slots::open(copy, BOOT)
}

#[test]
fn every_flipped_byte_of_the_runtime_state_is_read_in_peace() {
    let slots = runtime();
    let file = slots.file().try_clone().expect("a copy");
    let length = file.metadata().expect("it is there").len();
    // What is mapped here is the file, so that each change is seen at once. Only the header decides
    // whether it is opened at all. Of the slots, the two in use and a free one.
    let used = 4096 + 3 * 2048;
    assert!(length > used);
    for at in 0..used {
        let mut was = [0];
        file.read_exact_at(&mut was, at).expect("reads");
        for flip in [0x01, 0x80, 0xff] {
            file.write_all_at(&[was[0] ^ flip], at).expect("writes");
            read_all(&slots).unwrap_or_else(|why| panic!("byte {at} ^ {flip:#x}: {why}"));
            if at < 128 && flip == 0x01 {
                let opened = open(&file);
                let judged = matches!(at, 0..12 | 16..52);
                assert_eq!(opened.is_err(), judged, "byte {at}");
                assert!(!slots.is_stopping(), "byte {at} stops everything");
            }
        }
        file.write_all_at(&was, at).expect("writes");
    }
    assert!(open(&file).is_ok());
}

#[test]
fn every_cut_of_the_runtime_state_is_stale_or_shorter() {
    let slots = runtime();
    let mut bytes = vec![0; 4096 + 32 * 2048];
    slots.file().read_exact_at(&mut bytes, 0).expect("reads");
    let ends = (0..bytes.len()).filter(|at| at % 997 == 0 || at % 2048 < 2);
    for end in ends {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&bytes[..end]).expect("writes");
        match open(&file) {
            Ok(slots) => {
                assert!(end >= 4096 && (end - 4096) % 2048 == 0, "cut at {end}");
                read_all(&slots).unwrap_or_else(|why| panic!("cut at {end}: {why}"));
            }
            Err(SlotsError::Stale) => {}
            Err(error) => panic!("cut at {end}: {error}"),
        }
    }
}

#[test]
fn a_damaged_head_of_the_exits_is_told_by_the_ring() {
    let file = tempfile::tempfile().expect("a file");
    let exits = Exits::open(file.into()).expect("sets it up");
    for sequence in 1..=5 {
        let record = ExitRecord {
            sequence,
            pid: 40,
            slot: NO_SLOT,
            ..ExitRecord::default()
        };
        exits.write(&record).expect("writes");
    }
    for at in 8..16 {
        for flip in 1..=255 {
            let mut was = [0];
            exits.file().read_exact_at(&mut was, at).expect("reads");
            exits
                .file()
                .write_all_at(&[was[0] ^ flip], at)
                .expect("writes");
            let head = exits.head().expect("reads");
            // A head that names an older record, or none yet, cannot be told from a true one.
            assert!(
                head == 5 || head == u64::from(was[0] ^ flip) && head < 5,
                "{at} {flip}: {head}"
            );
            exits.file().write_all_at(&was, at).expect("writes");
        }
    }
}

/// A desired state with every key that is carried out.
static DESIRED: LazyLock<Desired> = LazyLock::new(desired);

fn desired() -> Desired {
    let origin = Origin::File {
        path: "/etc/supervisor/supervisor.toml".into(),
        daemons_own: true,
    };
    let text = include_str!("../../../examples/reference.toml");
    let config = parse(text, &origin).expect("the reference can be carried out");
    let mut desired = Desired::default();
    for app in config.apps.into_values() {
        desired.put(app, None, &Asked::by_a_test());
    }
    desired
}

#[test]
fn a_damaged_older_state_troubles_nobody_and_two_damaged_ones_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::new(folder.path());
    let small = Desired::default();
    store.save(&small).expect("saves");
    store.save(&DESIRED).expect("saves");
    let [newest, older] = ["desired.json", "desired.json.1"].map(|name| folder.path().join(name));
    let bytes = fs::read(&older).expect("reads");
    // The newline at the very end says nothing.
    for at in 0..bytes.len() - 1 {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x01;
        for damaged in [&bytes[..at], &flipped] {
            fs::write(&older, damaged).expect("writes");
            let loaded = store.load().expect("the newest is whole");
            assert!(loaded.warning.is_none() && loaded.desired == *DESIRED);
        }
        let whole = fs::read(&newest).expect("reads");
        fs::write(&newest, b"x").expect("writes");
        let refused = store.load().expect_err("both are damaged");
        assert!(refused.contains("desired.json.1"), "byte {at}: {refused}");
        assert_eq!(
            fs::read(&newest).expect("reads"),
            b"x",
            "nothing is overwritten"
        );
        fs::write(&newest, whole).expect("writes");
    }
}

/// Writes a document with a right checksum, so that what it says is read.
fn load(document: &[u8]) -> Result<Desired, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut bytes = document.to_vec();
    let sum = crc32fast::hash(document);
    writeln!(bytes, "\ncrc32 {sum:08x}").expect("writes");
    fs::write(folder.path().join("desired.json"), bytes).expect("writes");
    Store::new(folder.path())
        .load()
        .map(|loaded| loaded.desired)
}

fn spliced(whole: &[u8], at: usize, length: usize, piece: &[u8]) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    let at = at % (bytes.len() + 1);
    let end = (at + length).min(bytes.len());
    bytes.splice(at..end, piece.iter().copied());
    bytes
}

proptest! {
    #[test]
    fn any_bytes_are_no_desired_state_and_no_panic(bytes in any::<Vec<u8>>()) {
        let read = load(&bytes);
        prop_assert!(read.is_err(), "{:?}", read);
    }

    #[test]
    fn any_change_of_a_desired_state_is_read_or_refused(
        at in any::<usize>(),
        length in 0..8usize,
        piece in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..6),
            prop::sample::select(vec!["null", "-1", "1e400", "[]", "{}", "\"\"", "18446744073709551616"])
                .prop_map(|text| text.as_bytes().to_vec()),
        ],
    ) {
        let whole = serde_json::to_vec(&*DESIRED).expect("it has a JSON form");
        if let Ok(read) = load(&spliced(&whole, at, length, &piece)) {
            prop_assert!(read.instances().count() <= DESIRED.instances().count() + 1);
        }
    }

    #[test]
    fn any_bytes_of_a_record_are_read_in_peace(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        at in any::<usize>(),
    ) {
        let _read = Record::decode(&bytes);
        let _read = Record::decode(&spliced(&record(3).encode(), at, 1, &bytes[..bytes.len().min(3)]));
    }

    #[test]
    fn any_list_of_inherited_descriptors_is_read_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        at in any::<usize>(),
    ) {
        let of = |bytes: &[u8]| {
            let mut file = tempfile::tempfile().expect("a file");
            file.write_all(bytes).expect("writes");
            inherit::read(file.into())
        };
        prop_assert!(of(&bytes).is_err());
        let list = inherit::write([(3, Tag::single(Kind::LOCK)), (4, Tag::single(Kind::STATE))].into_iter());
        let mut file = fs::File::from(list.expect("memory"));
        file.rewind().expect("rewinds");
        let mut whole = vec![0; file.metadata().expect("it is there").len() as usize];
        file.read_exact_at(&mut whole, 0).expect("reads");
        if let Ok(entries) = of(&spliced(&whole, at, 1, &bytes[..bytes.len().min(2)])) {
            prop_assert_eq!(entries.len(), 2);
        }
    }

    #[test]
    fn any_message_on_the_keepers_channel_is_read_in_peace(
        bytes in prop::collection::vec(any::<u8>(), 1..64),
    ) {
        let flags = SockFlag::SOCK_CLOEXEC;
        let (a, b) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).expect("a pair");
        nix::unistd::write(&a, &bytes).expect("writes");
        prop_assert!(link::receive(b.as_fd(), false).is_ok());
    }
}
