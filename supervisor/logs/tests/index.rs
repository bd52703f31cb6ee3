//! The time index: what was noted is read back, and no damage costs more than times.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::time::Instant;

use proptest::prelude::*;
use supervisor_logs::index::{Index, Opened, Writer};

const START: i64 = 1_790_000_000_000;
const BLOCK: usize = 4096;

fn log_of(length: u64) -> File {
    let log = tempfile::tempfile().unwrap();
    log.set_len(length).unwrap();
    log
}

fn open(index: &File, log: &File, now: i64) -> (Writer, Opened) {
    Writer::open(index.try_clone().unwrap(), log, now, 0).unwrap()
}

fn bytes_of(file: &File) -> Vec<u8> {
    let mut file = file.try_clone().unwrap();
    file.rewind().unwrap();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

/// An index of three blocks and what was noted: (end, time), more than 10 ms apart.
fn example() -> (File, File, Vec<(u64, i64)>) {
    let (index, log) = (file_of(b""), log_of(0));
    let (mut writer, _) = open(&index, &log, START);
    let mut notes = Vec::new();
    let (mut end, mut now) = (0, START);
    for number in 0..2_500_u64 {
        end += 100 + number * 7919 % 301;
        now += 20 + i64::try_from(number * 31 % 97).unwrap();
        notes.push((end, now));
        writer.note(end, now);
        if number % 7 == 0 {
            writer.flush().unwrap();
        }
    }
    writer.flush().unwrap();
    log.set_len(end).unwrap();
    (index, log, notes)
}

/// The time of a byte by the notes.
fn true_time(notes: &[(u64, i64)], offset: u64) -> i64 {
    notes[notes.partition_point(|(end, _)| *end <= offset)].1
}

/// Times that may be given for a byte when only some of the blocks are good: exact within those,
/// from the last good mark before to the next one otherwise.
fn check_damaged(index: &File, notes: &[(u64, i64)], harmed: usize, whole: &[u8]) {
    let read = Index::read(index).unwrap();
    let start = |block: usize| {
        let at = block * BLOCK + 24;
        whole
            .get(at..at + 8)
            .map(|b| u64::from_le_bytes(b.try_into().unwrap()))
    };
    // A block without its header takes what came before it along as unknown, not further.
    let (from, to) = (start(harmed).unwrap(), start(harmed + 1));
    let mut times = read.times();
    for (end, time) in notes.iter().step_by(19) {
        let offset = end - 1;
        let given = times.at(offset);
        let inside = offset >= from && to.is_none_or(|to| offset < to);
        if !inside {
            assert_eq!(given, Some(*time), "byte {offset}, block {harmed} harmed");
        } else if let Some(given) = given {
            let low = if from == 0 {
                START
            } else {
                true_time(notes, from - 1)
            };
            let high = to.map_or(notes.last().unwrap().1, |to| true_time(notes, to - 1));
            assert!(
                (low..=high).contains(&given),
                "byte {offset}: {given} not in {low}..={high}"
            );
        }
    }
}

#[test]
fn an_index_gives_back_what_was_noted() {
    let (index, log, notes) = example();
    assert!(index.metadata().unwrap().len() >= 3 * BLOCK as u64);
    let read = Index::read(&index).unwrap();
    assert_eq!(
        (read.base(), read.begun_ms(), read.inode()),
        (Some(0), Some(START), Some(log.metadata().unwrap().ino()))
    );
    let mut from = 0;
    for (end, time) in &notes {
        for offset in [from, *end - 1] {
            assert_eq!(read.time_at(offset), Some(*time));
        }
        assert_eq!(read.first_since(*time), Some(from));
        assert_eq!(read.first_since(*time - 19), Some(from));
        from = *end;
    }
    assert_eq!(read.time_at(from), None);
    assert_eq!(read.first_since(START - 1_000_000), Some(0));
    assert_eq!(read.first_since(notes.last().unwrap().1 + 1), None);
    assert!(!read.is_damaged());
}

#[test]
fn each_byte_damaged_costs_at_most_the_times_of_its_block() {
    let (index, log, notes) = example();
    let whole = bytes_of(&index);
    for at in (0..whole.len()).filter(|at| at % BLOCK < 60 || at % 3 == 0) {
        let mut bytes = whole.clone();
        bytes[at] ^= [0x01, 0x80, 0xff][at % 3];
        let damaged = file_of(&bytes);
        check_damaged(&damaged, &notes, at / BLOCK, &whole);
        let read = Index::read(&damaged).unwrap();
        let mut times = read.times();
        for (end, _) in notes.iter().step_by(50) {
            times.at(end - 1);
        }
        assert!(read.is_damaged(), "byte {at}");
        goes_on(
            &damaged,
            &log,
            &notes,
            at / BLOCK + 1 == whole.len() / BLOCK,
        );
    }
}

#[test]
fn cut_anywhere_the_rest_is_good() {
    let (index, log, notes) = example();
    let whole = bytes_of(&index);
    for length in (0..whole.len()).filter(|at| at % BLOCK < 60 || at % 5 == 0) {
        let cut = file_of(&whole[..length]);
        let read = Index::read(&cut).unwrap();
        let mut times = read.times();
        for (end, time) in &notes {
            assert!(
                [None, Some(*time)].contains(&times.at(end - 1)),
                "cut at {length}"
            );
        }
        goes_on(&cut, &log, &notes, false);
    }
}

/// A writer that finds this goes on with it: the times of what comes are right, and no time that is
/// given is off by more than what the index lost.
fn goes_on(index: &File, log: &File, notes: &[(u64, i64)], must_say: bool) {
    let (end, time) = *notes.last().unwrap();
    let (mut writer, opened) = open(index, log, time + 500);
    assert!(!must_say || matches!(opened, Opened::Rebuilt(_)));
    for number in 1..=2 {
        writer.note(
            end + 10 * number,
            time + 1000 * i64::try_from(number).unwrap(),
        );
    }
    writer.flush().unwrap();
    let read = Index::read(index).unwrap();
    assert_eq!(read.time_at(end + 19), Some(time + 2000));
    assert_eq!(read.time_at(end + 9), Some(time + 1000));
    assert_eq!(read.first_since(time + 501), Some(end));
    let mut times = read.times();
    for (end, exact) in notes.iter().step_by(23) {
        if let Some(given) = times.at(end - 1) {
            assert!((START..=time + 500).contains(&given), "{given} for {exact}");
        }
    }
    let (_, opened) = open(index, &log_of(0), time);
    assert_eq!(opened, Opened::Fresh);
}

#[test]
fn an_index_that_does_not_fit_its_log_begins_anew() {
    let (index, log, notes) = example();
    let (end, time) = *notes.last().unwrap();
    let says = |found: &(Writer, Opened)| match found.1 {
        Opened::Rebuilt(why) => why,
        Opened::Continued | Opened::Fresh => panic!("{:?}", found.1),
    };

    // Of another file: the position goes on all the same.
    let other = log_of(10);
    let found = Writer::open(index.try_clone().unwrap(), &other, time, 7).unwrap();
    assert_eq!(
        (says(&found), found.0.base()),
        ("it was of another file", end)
    );

    // Ahead of the log, which somebody made shorter.
    log.set_len(end - 1).unwrap();
    let mut found = open(&index, &log, time + 9);
    assert_eq!(
        (says(&found), found.0.base(), found.0.begun_ms()),
        ("the log was shorter than it should be", end, time + 9)
    );
    found.0.note(end, time + 20);
    found.0.flush().unwrap();
    let read = Index::read(&index).unwrap();
    assert_eq!(
        (read.time_at(end - 1), read.time_at(0), read.base()),
        (Some(time + 20), None, Some(end))
    );
    assert_eq!(read.begun_ms(), None);

    // Missing or garbage.
    let (empty, garbage) = (file_of(b""), file_of(&[7; 9000]));
    assert_eq!(says(&open(&empty, &log, time)), "it was missing");
    assert_eq!(
        says(&open(&garbage, &log, time)),
        "it was damaged from beginning to end"
    );
    let found = Writer::open(garbage, &log_of(0), time, 1 << 40).unwrap();
    assert_eq!((found.1, found.0.base()), (Opened::Fresh, 1 << 40));
}

#[test]
fn an_emptied_log_begins_anew_further_on_in_the_stream() {
    let (index, log) = (file_of(b""), log_of(0));
    let (mut writer, opened) = open(&index, &log, START);
    assert_eq!((opened, writer.begun_ms()), (Opened::Fresh, START));
    writer.note(5_000, START + 50);
    writer.flush().unwrap();
    writer.note(9_000, START + 100);
    writer.note(300, START + 500);
    assert_eq!((writer.base(), writer.pending()), (9_000, 1));
    writer.flush().unwrap();
    let read = Index::read(&index).unwrap();
    assert_eq!(
        (read.base(), read.begun_ms()),
        (Some(9_000), Some(START + 500))
    );
    assert_eq!(read.time_at(0), Some(START + 500));
    assert_eq!(read.time_at(300), None);
}

#[test]
fn notes_that_cannot_be_written_take_bounded_room() {
    let (index, log) = (file_of(b""), log_of(0));
    let (mut writer, _) = open(&index, &log, START);
    for number in 1..100_000_u32 {
        writer.note(u64::from(number), START + i64::from(number) * 20);
    }
    assert!(writer.pending() <= 512);
    writer.flush().unwrap();
    let read = Index::read(&index).unwrap();
    assert_eq!(read.time_at(0), Some(START + 20));
    assert!(read.time_at(99_998).is_some());
}

#[test]
fn the_index_costs_a_few_percent_and_a_note_some_nanoseconds() {
    // Lines of 100 bytes, 50 a second: 3.03 % of the log, the last block's reserve included.
    let (index, log) = (file_of(b""), log_of(0));
    let (mut writer, _) = open(&index, &log, START);
    let lines = 100_000;
    for number in 1..=lines {
        writer.note(number * 100, START + i64::try_from(number).unwrap() * 20);
        if number % 50 == 0 {
            writer.flush().unwrap();
        }
    }
    let size = index.metadata().unwrap().len();
    assert!(size * 100 < lines * 100 * 5, "{size} bytes");

    // Some 2 ns in a release build; the limit here is for a debug build on a busy machine.
    let begun = Instant::now();
    for number in 1..=lines {
        writer.note((lines + number) * 100, START);
    }
    let each = begun.elapsed().as_nanos() / u128::from(lines);
    assert!(each < 1_000, "{each} ns");
}

/// What happens to a log and its index.
#[derive(Debug, Clone)]
enum Happens {
    Note(u64, i64),
    Flush,
    /// Killed: what was not flushed is lost, and a few bytes of the log were not even noted.
    Killed(u64),
    Emptied,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        60 => (1u64..100_000, -5i64..40_000).prop_map(|(n, t)| Happens::Note(n, t)),
        60 => (1u64..300, 0i64..60).prop_map(|(n, t)| Happens::Note(n, t)),
        10 => Just(Happens::Flush),
        3 => (0u64..500).prop_map(Happens::Killed),
        1 => Just(Happens::Emptied),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn whatever_happens_times_come_back(all in prop::collection::vec(happens(), 0..2_500)) {
        let (index, log) = (file_of(b""), log_of(0));
        let (mut writer, _) = open(&index, &log, START);
        let (mut end, mut now) = (0, START);
        // (end, earliest, latest)
        let mut model: Vec<(u64, i64, i64)> = Vec::new();
        let mut flushed = 0;
        for one in all {
            match one {
                Happens::Note(bytes, later) => {
                    (end, now) = (end + bytes, now + later);
                    log.set_len(end).unwrap();
                    writer.note(end, now);
                    model.push((end, now, now));
                    // More would be merged.
                    if writer.pending() == 500 {
                        writer.flush().unwrap();
                        flushed = model.len();
                    }
                }
                Happens::Flush => {
                    writer.flush().unwrap();
                    prop_assert_eq!(writer.pending(), 0);
                    flushed = model.len();
                }
                Happens::Killed(more) => {
                    end += more;
                    log.set_len(end).unwrap();
                    now += 100;
                    for lost in &mut model[flushed..] {
                        lost.2 = now;
                    }
                    model.push((end, now - 100, now));
                    let opened;
                    (writer, opened) = open(&index, &log, now);
                    prop_assert!(opened != Opened::Fresh || end == 0);
                }
                Happens::Emptied => {
                    log.set_len(0).unwrap();
                    writer.note(0, now);
                    writer.flush().unwrap();
                    (end, flushed) = (0, 0);
                    model.clear();
                }
            }
        }
        writer.flush().unwrap();
        let read = Index::read(&index).unwrap();
        let mut times = read.times();
        for (end, low, high) in &model {
            // Nothing, where the index began anew with more in the log than was noted.
            if let Some(time) = times.at(end - 1) {
                prop_assert!((low - 10..=*high).contains(&time), "{} not in {}..={}", time, low, high);
                prop_assert_eq!(read.time_at(end - 1), Some(time));
            }
        }
        prop_assert!(!read.is_damaged());
    }
}
