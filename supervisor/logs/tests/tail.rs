//! Reading the end of a log, and following it, against a model that has the whole file in hand.

use std::fs::File;
use std::io::{Seek, Write};
use std::os::unix::fs::FileExt;

use proptest::prelude::*;
use supervisor_logs::{Follower, last_lines};

fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

/// The last `n` lines, newlines included.
fn model(bytes: &[u8], n: usize) -> Vec<u8> {
    let lines: Vec<&[u8]> = bytes.split_inclusive(|b| *b == b'\n').collect();
    lines[lines.len().saturating_sub(n)..].concat()
}

/// Lines without newlines, and what comes after the last newline.
fn model_lines(bytes: &[u8]) -> (Vec<Vec<u8>>, Vec<u8>) {
    let mut lines: Vec<Vec<u8>> = bytes.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
    let half = lines.pop().unwrap_or_default();
    (lines, half)
}

/// Text with many newlines, and now and then a line around the size of a block.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        20 => prop::collection::vec(prop_oneof![Just(b'a'), Just(0), Just(0xff)], 0..30),
        1 => (65_530usize..65_545).prop_map(|n| vec![b'x'; n]),
    ];
    (prop::collection::vec(line, 0..40), any::<bool>()).prop_map(|(lines, ends)| {
        let mut bytes = lines.join(&b'\n');
        if ends {
            bytes.push(b'\n');
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn last_lines_are_the_last_lines(bytes in text(), n in 0usize..50) {
        let file = file_of(&bytes);
        let tail = last_lines(&file, n, u64::MAX).unwrap();
        prop_assert_eq!(&tail.bytes, &model(&bytes, n));
        prop_assert_eq!(tail.offset, bytes.len() as u64);
        prop_assert!(!tail.cut);
        let half = if n == 0 { 0 } else { model_lines(&bytes).1.len() };
        prop_assert_eq!(tail.unfinished, half as u64);
    }

    #[test]
    fn a_limit_leaves_out_whole_lines_from_the_front(
        bytes in text(), n in 1usize..50, max in 1u64..2_000,
    ) {
        let tail = last_lines(&file_of(&bytes), n, max).unwrap();
        prop_assert!(tail.bytes.len() as u64 <= max);
        let whole = model(&bytes, n);
        prop_assert!(whole.ends_with(&tail.bytes));
        let before = bytes.len() - tail.bytes.len();
        let at_line_start = before == 0 || bytes[before - 1] == b'\n';
        prop_assert_eq!(tail.cut, !at_line_start);
        if whole.len() as u64 <= max {
            prop_assert_eq!(tail.bytes, whole);
        }
    }

    #[test]
    fn a_follower_gives_each_line_once(
        bytes in text(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let mut cuts: Vec<usize> = cuts.iter().map(|c| c.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let mut file = tempfile::tempfile().unwrap();
        let mut follower = Follower::new(file.try_clone().unwrap(), 0);
        let mut pieces: Vec<Vec<u8>> = Vec::new();
        for pair in cuts.windows(2) {
            file.write_all(&bytes[pair[0]..pair[1]]).unwrap();
            let before = pieces.len();
            let progress = follower.read_new(&mut |line| pieces.push(line.to_vec())).unwrap();
            prop_assert_eq!(progress.lines as usize, pieces.len() - before);
            prop_assert!(!progress.restarted);
        }
        // A line of more than a block comes in pieces of a block.
        let (lines, half) = model_lines(&bytes);
        let wanted: Vec<Vec<u8>> = lines
            .iter()
            .flat_map(|line| match line.len() {
                0 => vec![Vec::new()],
                _ => line.chunks(65_536).map(<[u8]>::to_vec).collect(),
            })
            .collect();
        let full = pieces.len() - wanted.len();
        prop_assert_eq!(&pieces[..wanted.len()], &wanted[..]);
        let mut rest = pieces[wanted.len()..].concat();
        prop_assert!(full <= 1);
        rest.extend_from_slice(follower.unfinished());
        prop_assert_eq!(rest, half);
    }
}

#[test]
fn a_truncated_file_is_read_again_and_says_so() {
    let mut file = file_of(b"one\ntwo\nhal");
    let mut lines = Vec::new();
    let mut follower = Follower::new(file.try_clone().unwrap(), 0);
    let mut look = |follower: &mut Follower| {
        follower
            .read_new(&mut |l| lines.push(String::from_utf8(l.to_vec()).unwrap()))
            .unwrap()
    };
    assert!(!look(&mut follower).restarted);
    file.set_len(0).unwrap();
    file.rewind().unwrap();
    file.write_all(b"new\n").unwrap();
    let progress = look(&mut follower);
    assert!(progress.restarted);
    assert_eq!(progress.lines, 2);
    assert!(!look(&mut follower).restarted);
    assert_eq!(lines, ["one", "two", "hal", "new"]);
}

#[test]
fn a_deleted_file_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    std::fs::write(&path, "a\n").unwrap();
    let mut follower = Follower::new(File::open(&path).unwrap(), 0);
    assert!(!follower.read_new(&mut |_| {}).unwrap().gone);
    std::fs::remove_file(&path).unwrap();
    assert!(follower.read_new(&mut |_| {}).unwrap().gone);
}

#[test]
fn reading_leaves_the_shared_offset_alone() {
    let mut file = file_of(b"one\ntwo\n");
    file.seek(std::io::SeekFrom::Start(3)).unwrap();
    last_lines(&file, 1, 100).unwrap();
    Follower::new(file.try_clone().unwrap(), 0)
        .read_new(&mut |_| {})
        .unwrap();
    assert_eq!(file.stream_position().unwrap(), 3);
}

#[test]
fn a_very_big_file_costs_nothing() {
    // Sparse: ten gigabytes without a newline in them, then two lines.
    let file = tempfile::tempfile().unwrap();
    let size = 10 << 30;
    file.write_all_at(b"\nlast but one\nlast\n", size).unwrap();
    let start = std::time::Instant::now();
    let tail = last_lines(&file, 2, 1 << 20).unwrap();
    assert_eq!(tail.bytes, b"last but one\nlast\n");
    let tail = last_lines(&file, 3, 1 << 20).unwrap();
    assert_eq!(
        tail.bytes, b"last but one\nlast\n",
        "the endless line does not fit"
    );
    let tail = last_lines(&file, 9, 5).unwrap();
    assert_eq!((tail.bytes.as_slice(), tail.cut), (&b"last\n"[..], false));
    let tail = last_lines(&file, 9, 4).unwrap();
    assert_eq!((tail.bytes.as_slice(), tail.cut), (&b"ast\n"[..], true));
    assert!(start.elapsed().as_millis() < 1_000, "{:?}", start.elapsed());
}
