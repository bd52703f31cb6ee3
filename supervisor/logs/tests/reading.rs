//! Reading streams that are spread over files, against a model that has all of it in hand.

use std::fs::File;
use std::io::Write;

use proptest::prelude::*;
use supervisor_logs::index::Writer;
use supervisor_logs::reading::{LONGEST, Line, Part, Pattern, Query, Report, StreamLog, read};

/// What arrived at once: so many milliseconds after what came before it.
type Arrival = (u64, Vec<u8>);

/// A file of a stream: what arrived while it was the live one, and whether it is compressed now.
type Content = (Vec<Arrival>, bool);

const START: i64 = 1_790_000_000_000;

fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn part(number: u32, contents: &[Arrival], compressed: bool, now: &mut i64) -> Part {
    let log = tempfile::tempfile().unwrap();
    let index = tempfile::tempfile().unwrap();
    let (mut writer, _) = Writer::open(index.try_clone().unwrap(), &log, *now, 0).unwrap();
    let mut bytes = Vec::new();
    for (later, arrived) in contents {
        *now += i64::try_from(*later).unwrap();
        bytes.extend_from_slice(arrived);
        writer.note(bytes.len() as u64, *now);
    }
    writer.flush().unwrap();
    (&log).write_all(&bytes).unwrap();
    let log = if compressed {
        file_of(&zstd::bulk::compress(&bytes, 1).unwrap())
    } else {
        log
    };
    Part {
        log,
        index: Some(index),
        number,
        compressed,
    }
}

/// A stream of files, the oldest first.
fn stream_of(contents: &[Content]) -> StreamLog {
    let mut now = START;
    let count = u32::try_from(contents.len()).unwrap();
    let parts = contents.iter().zip((0..count).rev());
    let parts = parts.map(|((arrivals, compressed), number)| {
        part(number, arrivals, *compressed && number > 0, &mut now)
    });
    StreamLog {
        parts: parts.collect(),
    }
}

/// A line as it was handed over, or should be.
type Owned = (usize, Option<i64>, Vec<u8>, bool);

fn own(line: Line<'_>) -> Owned {
    (line.stream, line.time, line.text.to_vec(), line.continued)
}

fn lines_of(streams: &[StreamLog], query: &Query<'_>) -> (Vec<Owned>, Report) {
    let mut lines = Vec::new();
    let report = read(streams, query, &mut |line| {
        lines.push(own(line));
        Ok(())
    });
    (lines, report.unwrap())
}

/// All lines of a stream, each with its time, and whether it is complete.
fn model_lines(stream: usize, contents: &[Content]) -> Vec<(Owned, bool)> {
    let mut bytes = Vec::new();
    let mut times = Vec::new();
    let mut now = START;
    for (later, arrived) in contents.iter().flat_map(|(arrivals, _)| arrivals) {
        now += i64::try_from(*later).unwrap();
        bytes.extend_from_slice(arrived);
        times.extend(std::iter::repeat_n(now, arrived.len()));
    }
    let mut lines = Vec::new();
    let mut at = 0;
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        let (text, complete) = match line.strip_suffix(b"\n") {
            Some(text) => (text, true),
            None => (line, false),
        };
        let mut pieces: Vec<&[u8]> = text.chunks(LONGEST).collect();
        if pieces.is_empty() {
            pieces.push(b"");
        }
        for (number, piece) in pieces.into_iter().enumerate() {
            let owned = (stream, Some(times[at]), piece.to_vec(), number > 0);
            lines.push((owned, complete));
        }
        at += line.len();
    }
    lines
}

fn model(contents: &[Vec<Content>], query: &Query<'_>) -> Vec<Owned> {
    let mut all = Vec::new();
    for (number, stream) in contents.iter().enumerate() {
        let mut lines = model_lines(number, stream);
        lines.retain(|((_, time, text, _), complete)| {
            query.since.is_none_or(|since| time.unwrap() >= since)
                && query.until.is_none_or(|until| time.unwrap() <= until)
                && query.pattern.as_ref().is_none_or(|p| p.is_match(text))
                && query.keep.is_none_or(|keep| keep(text))
                && (*complete || !query.complete_only)
        });
        let from = query
            .last
            .map_or(0, |last| lines.len().saturating_sub(last));
        all.extend(lines.drain(from..).map(|(line, _)| line));
    }
    all.sort_by_key(|(stream, time, _, _)| (*time, *stream));
    all
}

fn arrival() -> impl Strategy<Value = Arrival> {
    let byte = prop_oneof![
        4 => Just(b'\n'), 6 => Just(b'a'), 2 => Just(b'b'), 1 => Just(0), 1 => Just(0xff),
    ];
    let bytes = prop_oneof![
        30 => prop::collection::vec(byte, 1..40),
        1 => (10_000usize..30_000).prop_map(|n| b"ab\na".repeat(n)),
    ];
    (prop_oneof![Just(0), 10u64..5_000], bytes)
}

fn contents() -> impl Strategy<Value = Vec<Content>> {
    prop::collection::vec(
        (prop::collection::vec(arrival(), 0..12), any::<bool>()),
        1..5,
    )
}

fn pattern() -> impl Strategy<Value = Option<Pattern>> {
    let pattern = prop::sample::select(vec![
        "b",
        "^a",
        "^a.*aaa",
        "^ab?aaab$",
        "^a.*?aaa",
        "^ab*aaa",
        "b$",
        "a[^b]*b",
        "",
        r"\xff",
        "(?-u:\\xff)",
        r"\Aab?\z",
        r"\ba",
        r"a\s*b",
        "zz",
        "(?-m)^a",
        "(?s)a.b",
        r"a\n",
        "(?i)B",
        "(?m)a$",
        "(?:a|b)b",
        r"[^b]\z",
    ]);
    prop::option::of(pattern.prop_map(|p| Pattern::new(p).unwrap()))
}

fn odd(text: &[u8]) -> bool {
    text.len() % 2 == 1
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn lines_are_those_of_the_model(
        streams in prop::collection::vec(contents(), 1..4),
        pattern in pattern(),
        keep in any::<bool>(),
        last in prop::option::of(prop_oneof![4 => 0usize..60, 1 => 0usize..200_000]),
        complete_only in any::<bool>(),
    ) {
        let query = Query {
            pattern,
            last,
            complete_only,
            keep: keep.then_some(&odd),
            ..Query::default()
        };
        let logs: Vec<StreamLog> = streams.iter().map(|stream| stream_of(stream)).collect();
        let (lines, report) = lines_of(&logs, &query);
        prop_assert_eq!(lines, model(&streams, &query));
        prop_assert!(report.troubles.is_empty(), "{:?}", report.troubles);
    }

    #[test]
    fn times_bound_what_is_read(
        mut streams in prop::collection::vec(contents(), 1..3),
        since in prop::option::of(0i64..60_000),
        until in prop::option::of(0i64..60_000),
        last in prop::option::of(0usize..30),
        pattern in pattern(),
    ) {
        // That a compressed file ends with a line is taken for granted by `since`.
        for (arrivals, compressed) in streams.iter_mut().flatten() {
            if let Some((_, bytes)) = arrivals.last_mut().filter(|_| *compressed) {
                bytes.push(b'\n');
            }
        }
        let query = Query {
            since: since.map(|since| START + since),
            until: until.map(|until| START + until),
            last,
            pattern,
            ..Query::default()
        };
        let logs: Vec<StreamLog> = streams.iter().map(|stream| stream_of(stream)).collect();
        let (lines, report) = lines_of(&logs, &query);
        prop_assert_eq!(lines, model(&streams, &query));
        prop_assert!(report.troubles.is_empty(), "{:?}", report.troubles);
    }
}

#[test]
fn a_line_that_began_in_the_file_before_came_when_it_began() {
    let older = (vec![(0, b"one\nha".to_vec())], false);
    let newer = (vec![(1_000, b"lf\ntwo\n".to_vec())], false);
    let contents = [vec![older, newer]];
    let logs = [stream_of(&contents[0])];
    for since in [START, START + 500, START + 1_001] {
        let query = Query {
            since: Some(since),
            ..Query::default()
        };
        assert_eq!(lines_of(&logs, &query).0, model(&contents, &query));
    }
    let until = Query {
        until: Some(START + 500),
        ..Query::default()
    };
    assert_eq!(lines_of(&logs, &until).0, model(&contents, &until));
}
