//! Reading the end of a log, against a model that has the whole file in hand.

use std::fs::File;
use std::io::{Seek, Write};
use std::os::unix::fs::FileExt;

use proptest::prelude::*;
use supervisor_logs::last_lines;

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
        let half = bytes.iter().rev().take_while(|b| **b != b'\n').count();
        let half = if n == 0 { 0 } else { half };
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
}

#[test]
fn reading_leaves_the_shared_offset_alone() {
    let mut file = file_of(b"one\ntwo\n");
    file.seek(std::io::SeekFrom::Start(3)).unwrap();
    last_lines(&file, 1, 100).unwrap();
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
