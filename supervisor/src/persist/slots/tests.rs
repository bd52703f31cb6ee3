use super::*;

const BOOT: &str = "0b4f7a52-1111-2222-3333-444455556666";

pub(super) fn id(name: &str, instance: u32) -> ServiceId {
    ServiceId {
        app: Name::new(name).expect("a name"),
        instance,
    }
}

pub(super) fn slots() -> Slots {
    let file = tempfile::tempfile().expect("a file");
    Slots::create(file.into(), BOOT, 77).expect("sets it up")
}

fn reopen(slots: &Slots, boot: &str) -> Result<Slots, SlotsError> {
    Slots::open(slots.file().try_clone().expect("a copy").into(), boot)
}

#[test]
fn another_engine_reads_what_was_saved() {
    let slots = slots();
    let slot = slots.claim(&id("api", 3)).expect("room");
    slots.save(slot, b"first");
    slots.save(slot, b"second");
    let cell = CellId::new(slot, 1);
    let notes = RunNotes {
        run: RunId(9),
        seen: 8,
        birth: 7,
        spec: 6,
        begun: [None, Some(5)],
    };
    slots.note(cell, &notes);
    let again = reopen(&slots, BOOT).expect("opens");
    assert_eq!(again.owner(slot), Some(id("api", 3)));
    assert_eq!(again.load(slot).as_deref(), Some(&b"second"[..]));
    assert_eq!(again.notes(cell), notes);
    assert_eq!(again.notes(CellId::new(slot, 0)), RunNotes::default());
    assert_eq!(again.token(), 77);
}

#[test]
fn another_boot_or_layout_is_refused() {
    let slots = slots();
    assert!(matches!(reopen(&slots, "another"), Err(SlotsError::Stale)));
    slots.map.write(LAYOUT_AT, &1u32.to_le_bytes());
    assert!(matches!(reopen(&slots, BOOT), Err(SlotsError::Layout(1))));
    // Nobody needs what an earlier boot has left, whoever wrote it.
    assert!(matches!(reopen(&slots, "another"), Err(SlotsError::Stale)));
}

#[test]
fn a_save_that_was_cut_short_leaves_the_one_before() {
    let slots = slots();
    let slot = slots.claim(&id("api", 0)).expect("room");
    slots.save(slot, b"old");
    slots.save(slot, b"new");
    for byte in 0..COPY {
        let at = copy_at(slot, 1) + byte;
        let mut was = [0];
        slots.map.read(at, &mut was);
        slots.map.write(at, &[was[0] ^ 0xff]);
        let found = slots.load(slot);
        let whole = [Some(&b"old"[..]), Some(&b"new"[..])];
        assert!(whole.contains(&found.as_deref()), "byte {byte}: {found:?}");
        slots.map.write(at, &was);
    }
}

#[test]
fn slots_are_found_again_after_they_were_freed_and_the_file_grows() {
    let slots = slots();
    let all: Vec<u32> = (0..100)
        .map(|n| slots.claim(&id("many", n)).expect("room"))
        .collect();
    assert_eq!(all, (0..100).collect::<Vec<_>>());
    slots.free(40);
    assert_eq!(slots.owner(40), None);
    assert_eq!(slots.claim(&id("late", 0)).expect("room"), 40);
    assert_eq!(slots.load(40), None);
}

#[test]
fn the_end_of_the_room_is_an_error() {
    let slots = slots();
    for n in 0..MOST {
        slots.claim(&id("many", n)).expect("room");
    }
    assert!(slots.claim(&id("late", 0)).is_err());
}
