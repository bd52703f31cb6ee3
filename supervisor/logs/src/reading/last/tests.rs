//! Segments and room of all sizes, down to less than a line, against a model.

use std::fs::File;
use std::io::Write;
use std::thread;

use proptest::prelude::*;

use super::*;
use crate::reading::plan::Plan;
use crate::reading::sieve::Sieve;
use crate::reading::{Part, Pattern, Place, Query, StreamLog};

/// What a file holds, and whether it is compressed.
type Content = (Vec<u8>, bool);

fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn texts_of(contents: &[Content]) -> Vec<Arc<Text>> {
    let numbers = (0..u32::try_from(contents.len()).unwrap()).rev();
    let parts = contents.iter().zip(numbers).map(|((bytes, zstd), number)| {
        let packed = zstd.then(|| zstd::bulk::compress(bytes, 1).unwrap());
        Part {
            log: file_of(packed.as_ref().unwrap_or(bytes)),
            index: None,
            number,
            compressed: *zstd,
        }
    });
    let stream = StreamLog {
        parts: parts.collect(),
    };
    Text::of_stream(&stream).unwrap()
}

/// The last lines, and where a follower goes on.
fn last(texts: &[Arc<Text>], query: &Query<'_>, sizes: Sizes) -> (Vec<Vec<u8>>, Place) {
    let wanted = query.last.unwrap();
    thread::scope(|scope| {
        let mut pool = Pool::new(scope, Sieve::new(query));
        let search = Search {
            texts,
            bounds: Bounds::default(),
            wanted,
            sizes,
            flow: &|bounds| Flow::new(Plan::new(texts.to_vec(), bounds, query.complete_only), 1),
        };
        let mut last = search.find(&mut pool).unwrap();
        let mut lines = Vec::new();
        loop {
            let kept = last.kept.pop_front();
            let Some(found) = kept.or_else(|| last.flow.next(&mut pool).unwrap()) else {
                break;
            };
            lines.extend((0..found.len()).map(|n| found.get(n).unwrap().1.to_vec()));
        }
        (lines.split_off(last.surplus), last.flow.plan.place())
    })
}

fn model(contents: &[Content], query: &Query<'_>) -> Vec<Vec<u8>> {
    let all = contents.iter().map(|(bytes, _)| bytes.as_slice());
    let all: Vec<u8> = all.collect::<Vec<_>>().concat();
    let mut lines: Vec<Vec<u8>> = all
        .split_inclusive(|b| *b == b'\n')
        .filter(|line| !query.complete_only || line.ends_with(b"\n"))
        .map(|line| line.strip_suffix(b"\n").unwrap_or(line).to_vec())
        .filter(|line| query.pattern.as_ref().is_none_or(|p| p.is_match(line)))
        .collect();
    let wanted = query.last.unwrap();
    lines.split_off(lines.len().saturating_sub(wanted))
}

fn contents() -> impl Strategy<Value = Vec<Content>> {
    let byte = prop_oneof![2 => Just(b'\n'), 6 => Just(b'a'), 1 => Just(b'b')];
    let bytes = prop::collection::vec(byte, 0..80);
    prop::collection::vec((bytes, prop::bool::weighted(0.3)), 1..6)
}

/// A pattern, how many lines, and only complete ones.
type Asked = (Option<&'static str>, usize, bool);

fn asked() -> impl Strategy<Value = Asked> {
    let pattern = prop::option::of(prop::sample::select(vec!["b", "^a", "aaaa", "zz"]));
    (pattern, 0usize..40, any::<bool>())
}

fn query((pattern, last, complete_only): Asked) -> Query<'static> {
    Query {
        pattern: pattern.map(|pattern| Pattern::new(pattern).unwrap()),
        last: Some(last),
        complete_only,
        ..Query::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn segments_of_any_size_bring_the_last_lines(
        contents in contents(),
        asked in asked(),
        first in 1u64..100,
        room in prop::sample::select(vec![0, 1_000, usize::MAX]),
    ) {
        let query = query(asked);
        let texts = texts_of(&contents);
        // No line is longer.
        let sizes = Sizes { first, most: 1_000, room };
        let (lines, place) = last(&texts, &query, sizes);
        prop_assert_eq!(lines, model(&contents, &query));
        let all = Plan::new(texts.clone(), Bounds::default(), query.complete_only);
        let mut all = Flow::new(all, 1);
        thread::scope(|scope| {
            let mut pool = Pool::new(scope, Sieve::new(&query));
            while all.next(&mut pool).unwrap().is_some() {}
        });
        prop_assert_eq!(place, all.plan.place());
    }

    #[test]
    fn of_a_line_that_is_too_long_the_end_will_do(
        contents in contents(),
        asked in asked(),
        most in 1u64..20,
    ) {
        let query = Query { pattern: None, ..query(asked) };
        let sizes = Sizes { first: 1, most, room: usize::MAX };
        let (mut lines, _) = last(&texts_of(&contents), &query, sizes);
        let mut expected = model(&contents, &query);
        prop_assert_eq!(lines.len(), expected.len());
        if let (Some(line), Some(whole)) = (lines.first_mut(), expected.first_mut()) {
            prop_assert!(whole.ends_with(line), "{:?} of {:?}", line, whole);
            *line = whole.clone();
        }
        prop_assert_eq!(lines, expected);
    }
}
