//! Following a stream over whatever happens to its files, against a model that counts each byte.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;

use proptest::prelude::*;
use supervisor_logs::index::Writer;
use supervisor_logs::reading::{
    Follower, LONGEST, Lost, Part, Place, Progress, Query, StreamLog, read,
};

const START: i64 = 1_790_000_000_000;

/// A file of the stream.
struct Simulated {
    log: File,
    index: File,
    writer: Writer,
    length: u64,
    /// The stream's position of its first byte.
    base: u64,
    compressed: bool,
}

impl Simulated {
    fn new(base: u64, now: i64) -> Simulated {
        let (log, index) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let (mut writer, _) = Writer::open(index.try_clone().unwrap(), &log, now, base).unwrap();
        writer.flush().unwrap();
        Simulated {
            log,
            index,
            writer,
            length: 0,
            base,
            compressed: false,
        }
    }

    fn append(&mut self, bytes: &[u8], now: i64) {
        self.log.write_all_at(bytes, self.length).unwrap();
        self.length += bytes.len() as u64;
        self.writer.note(self.length, now);
        self.writer.flush().unwrap();
    }

    fn compress(&mut self) {
        let mut bytes = vec![0; usize::try_from(self.length).unwrap()];
        self.log.read_exact_at(&mut bytes, 0).unwrap();
        let mut log = tempfile::tempfile().unwrap();
        log.write_all(&zstd::bulk::compress(&bytes, 1).unwrap())
            .unwrap();
        self.log = log;
        self.compressed = true;
    }
}

/// A stream and its files, the newest first.
struct Simulation {
    files: Vec<Simulated>,
    all: Vec<u8>,
    now: i64,
}

impl Simulation {
    fn new() -> Simulation {
        Simulation {
            files: vec![Simulated::new(0, START)],
            all: Vec::new(),
            now: START,
        }
    }

    fn append(&mut self, bytes: &[u8]) {
        self.now += 20;
        self.all.extend_from_slice(bytes);
        self.files[0].append(bytes, self.now);
    }

    fn rotate(&mut self) {
        let live = Simulated::new(self.all.len() as u64, self.now);
        self.files.insert(0, live);
    }

    fn compress(&mut self) {
        for file in self
            .files
            .iter_mut()
            .skip(1)
            .filter(|file| !file.compressed)
        {
            file.compress();
        }
    }

    fn parts(&self) -> StreamLog {
        let parts = self.files.iter().zip(0..).map(|(file, number)| Part {
            log: file.log.try_clone().unwrap(),
            index: Some(file.index.try_clone().unwrap()),
            number,
            compressed: file.compressed,
        });
        StreamLog {
            parts: parts.collect(),
        }
    }

    /// A follower from here on.
    fn follower(&self) -> Follower {
        let query = Query {
            last: Some(0),
            complete_only: true,
            ..Query::default()
        };
        let parts = [self.parts()];
        let report = read(&parts, &query, &mut |_| Ok(())).unwrap();
        Follower::new(0, &parts[0], report.places[0]).unwrap()
    }
}

/// What a look brings: the texts, and the rest.
fn look(follower: &mut Follower) -> (Vec<Vec<u8>>, Progress) {
    let mut lines = Vec::new();
    let progress = follower.read_new(&mut |line| {
        assert!(line.time.is_some());
        lines.push(line.text.to_vec());
        Ok(())
    });
    let progress = progress.unwrap();
    assert_eq!(progress.lines, lines.len() as u64);
    (lines, progress)
}

#[derive(Debug, Clone)]
enum Happens {
    Append(Vec<u8>),
    Rotate,
    Compress,
    /// So many rotated files stay.
    Remove(usize),
    Empty,
    Look,
}

fn happens(lossy: bool) -> impl Strategy<Value = Happens> {
    let byte = prop_oneof![1 => Just(b'\n'), 4 => any::<u8>()];
    let rare = if lossy { 3 } else { 0 };
    prop_oneof![
        20 => prop::collection::vec(byte, 1..40).prop_map(Happens::Append),
        1 => (60_000usize..200_000).prop_map(|n| Happens::Append(vec![b'x'; n])),
        8 => Just(Happens::Rotate),
        4 => Just(Happens::Compress),
        rare => (0usize..3).prop_map(Happens::Remove),
        rare => Just(Happens::Empty),
        8 => Just(Happens::Look),
    ]
}

/// Which lines come of these bytes, if the last one is complete or given up.
fn lines_of(run: &[u8], ended: bool) -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    for line in run.split_inclusive(|b| *b == b'\n') {
        let Some(text) = line.strip_suffix(b"\n").or(ended.then_some(line)) else {
            // Of a long line the pieces that are certain.
            let whole = (line.len() - 1) / LONGEST * LONGEST;
            lines.extend(line[..whole].chunks(LONGEST).map(<[u8]>::to_vec));
            continue;
        };
        lines.extend(text.chunks(LONGEST).map(<[u8]>::to_vec));
        if text.is_empty() {
            lines.push(Vec::new());
        }
    }
    lines
}

/// Lets it all happen; gives the lines, the bytes lost, and the model's of both.
fn run(all: Vec<Happens>) -> (Vec<Vec<u8>>, u64, Vec<Vec<u8>>, u64) {
    let mut simulation = Simulation::new();
    let mut follower = simulation.follower();
    let (mut lines, mut lost) = (Vec::new(), 0);
    // Positions that nobody can read any more, and before which a half line ends.
    let (mut dead, mut ends) = (BTreeSet::new(), BTreeSet::new());
    // What the follower has read, and which files it holds, by their base.
    let mut reached = 0;
    let mut held = BTreeSet::from([0]);
    for one in all.into_iter().chain([Happens::Look]) {
        let total = simulation.all.len() as u64;
        match one {
            Happens::Append(bytes) => simulation.append(&bytes),
            Happens::Rotate if simulation.files[0].length == 0 => {}
            Happens::Rotate => simulation.rotate(),
            Happens::Compress => simulation.compress(),
            Happens::Remove(stay) => {
                let from = simulation.files.len().min(stay + 1);
                for file in simulation.files.drain(from..) {
                    if !held.contains(&file.base) {
                        dead.extend(file.base..file.base + file.length);
                    }
                }
            }
            Happens::Empty => {
                let now = simulation.now;
                let live = &mut simulation.files[0];
                if live.length > 0 {
                    dead.extend(reached.max(live.base)..total);
                    ends.insert(total);
                    held.remove(&live.base).then(|| held.insert(total));
                    (live.base, live.length) = (total, 0);
                    live.log.set_len(0).unwrap();
                    live.writer.note(0, now);
                    live.writer.flush().unwrap();
                }
            }
            Happens::Look => {
                follower.renew(&simulation.parts()).unwrap();
                let (more, progress) = look(&mut follower);
                lines.extend(more);
                lost += match progress.lost {
                    Some(Lost::Bytes(bytes)) => bytes,
                    None => 0,
                    Some(Lost::Unknown) => panic!("{progress:?}"),
                };
                reached = total;
                held = simulation.files.iter().map(|file| file.base).collect();
            }
        }
    }
    let mut expected = Vec::new();
    let mut run = Vec::new();
    for (position, byte) in (0..).zip(&simulation.all) {
        if dead.contains(&position) || ends.contains(&position) {
            expected.extend(lines_of(&run, true));
            run.clear();
        }
        if !dead.contains(&position) {
            run.push(*byte);
        }
    }
    expected.extend(lines_of(
        &run,
        ends.contains(&(simulation.all.len() as u64)),
    ));
    (lines, lost, expected, dead.len() as u64)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn rotation_and_compression_lose_nothing(
        all in prop::collection::vec(happens(false), 0..60),
    ) {
        let (lines, lost, expected, _) = run(all);
        prop_assert_eq!(lines, expected);
        prop_assert_eq!(lost, 0);
    }

    #[test]
    fn what_is_lost_is_counted(all in prop::collection::vec(happens(true), 0..60)) {
        let (lines, lost, expected, dead) = run(all);
        prop_assert_eq!(lost, dead);
        prop_assert_eq!(lines, expected);
    }
}

/// Where a reading of everything that is complete ends.
fn place_of(parts: &StreamLog) -> Place {
    let query = Query {
        complete_only: true,
        ..Query::default()
    };
    let report = read(std::slice::from_ref(parts), &query, &mut |_| Ok(()));
    report.unwrap().places[0]
}

#[test]
fn a_follower_finds_its_place_in_files_that_were_rotated_and_compressed() {
    let mut simulation = Simulation::new();
    simulation.append(b"one\ntwo\nhal");
    let place = place_of(&simulation.parts());
    assert_eq!((place.offset, place.position), (8, Some(8)));
    simulation.append(b"f\nthree\n");
    simulation.rotate();
    simulation.append(b"four\n");
    simulation.rotate();
    simulation.compress();
    simulation.append(b"five\nsi");
    let mut follower = Follower::new(0, &simulation.parts(), place).unwrap();
    let (lines, progress) = look(&mut follower);
    assert_eq!(lines.join(&b' '), b"half three four five");
    assert_eq!(progress.lost, None);
    assert_eq!(follower.unfinished(), b"si");

    // What was removed meanwhile is counted.
    simulation.files.truncate(1);
    let mut follower = Follower::new(0, &simulation.parts(), place).unwrap();
    let (lines, progress) = look(&mut follower);
    assert_eq!(lines, [b"five"]);
    assert_eq!(progress.lost, Some(Lost::Bytes(16)));
}

#[test]
fn without_positions_nothing_comes_twice() {
    let mut simulation = Simulation::new();
    simulation.append(b"one\n");
    let place = place_of(&simulation.parts());
    simulation.rotate();
    simulation.files.truncate(1);
    simulation.append(b"two\n");
    let without = |simulation: &Simulation| {
        let mut parts = simulation.parts();
        parts.parts.iter_mut().for_each(|part| part.index = None);
        parts
    };
    let mut follower = Follower::new(0, &without(&simulation), place).unwrap();
    let (lines, progress) = look(&mut follower);
    assert_eq!((lines.len(), progress.lost), (0, Some(Lost::Unknown)));
    simulation.append(b"three\n");
    assert_eq!(look(&mut follower).0, [b"three"]);
}

#[test]
fn a_file_that_is_deleted_is_gone_until_there_is_another() {
    let folder = tempfile::tempdir().unwrap();
    let open = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        File::open(path).unwrap()
    };
    let parts = |log: File| StreamLog {
        parts: vec![Part {
            log,
            index: None,
            number: 0,
            compressed: false,
        }],
    };
    let first = parts(open("a", "one\n"));
    let mut follower = Follower::new(0, &first, Place::default()).unwrap();
    let (lines, progress) = look(&mut follower);
    assert_eq!((lines.len(), progress.gone), (1, false));
    std::fs::remove_file(folder.path().join("a")).unwrap();
    assert!(look(&mut follower).1.gone);

    follower.renew(&parts(open("b", "two\n"))).unwrap();
    let (lines, progress) = look(&mut follower);
    assert_eq!((lines.concat(), progress.gone), (b"two".to_vec(), false));

    let mut follower = Follower::new(0, &StreamLog::default(), Place::default()).unwrap();
    assert!(look(&mut follower).1.gone);
}

#[test]
fn a_file_whose_index_learns_late_that_it_was_emptied_comes_once() {
    let mut simulation = Simulation::new();
    let mut follower = simulation.follower();
    simulation.append(b"one\n");
    look(&mut follower);
    simulation.append(b"unread\n");
    simulation.files[0].log.set_len(0).unwrap();
    assert!(look(&mut follower).1.emptied);
    simulation.files[0].log.write_all_at(b"two\n", 0).unwrap();
    let (lines, progress) = look(&mut follower);
    assert_eq!((lines.concat(), progress.emptied), (b"two".to_vec(), false));
    simulation.files[0].writer.note(4, START + 500);
    simulation.files[0].writer.flush().unwrap();
    let (lines, progress) = look(&mut follower);
    assert_eq!((lines.len(), progress.emptied), (0, false));
    assert_eq!(progress.lost, Some(Lost::Bytes(7)));
    simulation.files[0].log.write_all_at(b"three\n", 4).unwrap();
    assert_eq!(look(&mut follower).0, [b"three"]);
}
