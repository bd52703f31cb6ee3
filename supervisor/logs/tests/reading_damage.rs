//! What is damaged costs times, or what cannot be decompressed; never a line beside it.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use supervisor_logs::index::Writer;
use supervisor_logs::reading::{Harm, Part, Pattern, Query, Report, StreamLog, read};

const START: i64 = 1_790_000_000_000;
const LINES: i64 = 600;

fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn bytes_of(mut file: &File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Lines with their numbers, one each second, from `from` on.
fn part(number: u32, from: i64) -> Part {
    let (log, index) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    let begun = START + from * 1000;
    let (mut writer, _) = Writer::open(index.try_clone().unwrap(), &log, begun, 0).unwrap();
    let mut bytes = Vec::new();
    for line in from..from + LINES {
        bytes.extend_from_slice(format!("line {line}\n").as_bytes());
        writer.note(bytes.len() as u64, START + line * 1000);
        if writer.pending() == 100 {
            writer.flush().unwrap();
        }
    }
    writer.flush().unwrap();
    log.write_all_at(&bytes, 0).unwrap();
    Part {
        log,
        index: Some(index),
        number,
        compressed: false,
    }
}

fn compress(part: &mut Part) -> Vec<u8> {
    let mut compressor = zstd::bulk::Compressor::new(1).unwrap();
    compressor.include_checksum(true).unwrap();
    let frame = compressor.compress(&bytes_of(&part.log)).unwrap();
    part.log = file_of(&frame);
    part.compressed = true;
    frame
}

/// Three files, the oldest first.
fn stream() -> StreamLog {
    let parts = (0..3_u32).rev();
    let parts = parts.map(|number| part(number, i64::from(2 - number) * LINES));
    StreamLog {
        parts: parts.collect(),
    }
}

fn read_all(stream: &StreamLog, query: &Query<'_>) -> (Vec<(Option<i64>, String)>, Report) {
    let mut lines = Vec::new();
    let report = read(std::slice::from_ref(stream), query, &mut |line| {
        let text = String::from_utf8(line.text.to_vec()).unwrap();
        lines.push((line.time, text));
        Ok(())
    });
    (lines, report.unwrap())
}

fn exact(line: i64) -> (Option<i64>, String) {
    (Some(START + line * 1000), format!("line {line}"))
}

#[test]
fn without_its_index_a_files_times_are_between_those_of_its_neighbours() {
    let mut stream = stream();
    stream.parts[1].index = None;
    for log in stream.parts.iter().zip(1..) {
        let modified = START + LINES * 1000 * log.1;
        let modified = std::time::UNIX_EPOCH + Duration::from_millis(modified.unsigned_abs());
        log.0.log.set_modified(modified).unwrap();
    }
    let (lines, report) = read_all(&stream, &Query::default());
    assert_eq!(lines.len(), 3 * usize::try_from(LINES).unwrap());
    for ((time, text), number) in lines.iter().zip(0..) {
        let (true_time, true_text) = exact(number);
        assert_eq!(*text, true_text);
        if (LINES..2 * LINES).contains(&number) {
            // They came evenly, and so does the estimate.
            let off = time.unwrap() - true_time.unwrap();
            assert!((-20_000..=20_000).contains(&off), "{text}: {off} ms");
        } else {
            assert_eq!(*time, true_time);
        }
    }
    let troubles: Vec<_> = report
        .troubles
        .iter()
        .map(|t| (t.number, t.what.clone()))
        .collect();
    assert_eq!(troubles, [(1, Harm::NoIndex)]);

    // Times are good enough to read from there.
    let query = Query {
        since: Some(START + (LINES + LINES / 2) * 1000),
        ..Query::default()
    };
    let count = i64::try_from(read_all(&stream, &query).0.len()).unwrap();
    assert!((count - (LINES + LINES / 2)).abs() < 20, "{count}");
}

#[test]
fn no_index_at_all_costs_no_line() {
    let mut stream = stream();
    for part in &mut stream.parts {
        part.index = None;
    }
    let (lines, report) = read_all(&stream, &Query::default());
    assert!(
        lines
            .iter()
            .zip(0..)
            .all(|((_, text), n)| *text == exact(n).1)
    );
    assert_eq!((lines.len(), report.troubles.len()), (1_800, 3));
}

#[test]
fn a_damaged_index_costs_no_line_and_is_reported() {
    for at in (0..6_000).step_by(61) {
        let stream = stream();
        let index = stream.parts[1].index.as_ref().unwrap();
        let length = index.metadata().unwrap().len();
        let at = at % length;
        let mut byte = [0];
        index.read_exact_at(&mut byte, at).unwrap();
        index.write_all_at(&[byte[0] ^ 0x5a], at).unwrap();
        let (lines, report) = read_all(&stream, &Query::default());
        for ((time, text), number) in lines.iter().zip(0..) {
            assert_eq!(*text, exact(number).1);
            if !(LINES..2 * LINES).contains(&number) {
                assert_eq!(*time, exact(number).0, "{text}");
            }
        }
        assert_eq!(lines.len(), 1_800);
        let troubles: Vec<_> = report
            .troubles
            .iter()
            .map(|t| (t.number, t.what.clone()))
            .collect();
        assert_eq!(troubles, [(1, Harm::BadIndex)], "byte {at}");
    }
}

#[test]
fn an_index_of_another_file_is_not_believed() {
    let mut stream = stream();
    let other = part(0, 0);
    stream.parts[2].index = other.index;
    let (lines, report) = read_all(&stream, &Query::default());
    assert_eq!(lines.len(), 1_800);
    let what = &report.troubles[0].what;
    assert_eq!((what, report.troubles.len()), (&Harm::BadIndex, 1));
}

#[test]
fn of_a_damaged_frame_what_can_be_decompressed_is_given() {
    let mut stream = stream();
    let frame = compress(&mut stream.parts[1]);
    let first: Vec<_> = (0..LINES).map(exact).collect();
    let last: Vec<_> = (2 * LINES..3 * LINES).map(exact).collect();
    let all: Vec<_> = (0..3 * LINES).map(exact).collect();
    assert_eq!(read_all(&stream, &Query::default()).0, all);
    let cut = (0..frame.len())
        .step_by(37)
        .map(|length| frame[..length].to_vec());
    let flipped = (0..frame.len()).step_by(37).map(|at| {
        let mut frame = frame.clone();
        frame[at] ^= 0x10;
        frame
    });
    for damaged in cut.chain(flipped) {
        stream.parts[1].log = file_of(&damaged);
        let (lines, report) = read_all(&stream, &Query::default());
        assert_eq!(lines[..600], first);
        assert_eq!(lines[lines.len() - 600..], last);
        let is_bad = |t: &Harm| matches!(t, Harm::BadFrame { .. });
        assert!(
            report
                .troubles
                .iter()
                .any(|t| t.number == 1 && is_bad(&t.what)),
            "{report:?}"
        );
        let query = Query {
            last: Some(700),
            pattern: Some(Pattern::new("line").unwrap()),
            ..Query::default()
        };
        assert!(read_all(&stream, &query).0.ends_with(&last));
    }
}

#[test]
fn the_last_lines_of_ten_gigabytes_come_at_once() {
    let log = tempfile::tempfile().unwrap();
    let end = 10 << 30;
    let lines: String = (0..1_000).map(|n| format!("\nline {n}")).collect();
    log.write_all_at(lines.as_bytes(), end).unwrap();
    let stream = StreamLog {
        parts: vec![Part {
            log,
            index: None,
            number: 0,
            compressed: false,
        }],
    };
    let begun = Instant::now();
    let query = Query {
        last: Some(100),
        ..Query::default()
    };
    let (lines, report) = read_all(&stream, &query);
    assert_eq!((lines.len(), lines[0].1.as_str()), (100, "line 900"));
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(report.places[0].offset, end + u64::try_from(8_890).unwrap());
}

fn empty(stream: &StreamLog) {
    for part in &stream.parts {
        part.log.set_len(0).unwrap();
    }
}

#[test]
fn a_file_that_is_emptied_meanwhile_ends_early() {
    let stream = stream();
    let seen = |_: &[u8]| {
        empty(&stream);
        true
    };
    let query = Query {
        // So little is sifted when it is needed, not by threads that are ahead.
        last: Some(10_000),
        keep: Some(&seen),
        ..Query::default()
    };
    let (lines, _) = read_all(&stream, &query);
    assert!((1..1_800).contains(&lines.len()), "{}", lines.len());
}

#[test]
fn the_last_lines_are_read_once() {
    let stream = stream();
    let mut count = 0;
    let query = Query {
        last: Some(10_000),
        ..Query::default()
    };
    read(std::slice::from_ref(&stream), &query, &mut |_| {
        empty(&stream);
        count += 1;
        Ok(())
    })
    .unwrap();
    assert_eq!(count, 1_800);
}

#[test]
fn what_the_sink_says_ends_the_reading() {
    let query = || Query {
        pattern: Some(Pattern::new("line").unwrap()),
        ..Query::default()
    };
    for query in [query(), Query::default()] {
        let mut count = 0;
        let outcome = read(&[stream(), stream()], &query, &mut |_| {
            count += 1;
            if count == 5 {
                return Err(std::io::ErrorKind::BrokenPipe.into());
            }
            Ok(())
        });
        assert_eq!(outcome.unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
        assert_eq!(count, 5);
    }
}
