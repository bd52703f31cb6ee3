//! The table of `status` at every width.

use std::ops::Range;

use proptest::prelude::*;
use supervisor_protocol::LastExit;

use super::*;
use crate::render::fixtures::{down, fleet, hundred, running};
use crate::render::text;

const WIDTHS: [Option<usize>; 6] = [Some(60), Some(80), Some(120), Some(200), Some(250), None];

fn plain(rows: &[Service], width: Option<usize>) -> String {
    table(rows, &Names::new(rows, &[]), width, Style::Plain)
}

/// Plain at every width, coloured at one: colour changes no layout.
fn snapshots(name: &str, rows: &[Service]) {
    for width in WIDTHS {
        let place = width.map_or("pipe".into(), |width| width.to_string());
        insta::assert_snapshot!(format!("{name}_{place}"), plain(rows, width));
    }
    let coloured = table(rows, &Names::new(rows, &[]), Some(100), Style::Coloured);
    insta::assert_snapshot!(format!("{name}_coloured"), coloured.replace('\x1b', "ESC"));
}

#[test]
fn all_states_crash_loops_long_names_and_wide_characters() {
    snapshots("fleet", &fleet());
}

#[test]
fn a_hundred_rows_are_summed_up() {
    snapshots("hundred", &hundred());
}

#[test]
fn an_empty_table_says_what_to_type() {
    for width in WIDTHS {
        assert_eq!(plain(&[], width), EMPTY);
    }
}

#[test]
fn a_quiet_fleet_has_no_notes() {
    let rows = [running(0, "api", 0), running(1, "web", 0)];
    insta::assert_snapshot!(plain(&rows, Some(80)), @r"
    id  name  state     pid  uptime  restarts   cpu  memory
     0  api   running  4710    1d2h         0  1.5%  48.2MB
     1  web   running  4711    1d2h         0  1.5%  48.2MB
    ");
}

#[test]
fn a_program_finds_each_value_in_its_column() {
    let mut rows = fleet();
    rows[0].namespace = "two words".into();
    let text = plain(&rows, None);
    assert_eq!(text.lines().count(), rows.len() + 1);
    for (line, row) in text.lines().skip(1).zip(&rows) {
        let words: Vec<_> = line.split_whitespace().collect();
        assert_eq!(words[0], row.id.to_string());
        assert_eq!(words[3], word(row.state));
        assert_eq!(words[6], row.restarts.to_string(), "{line}");
    }
}

#[test]
fn how_often_and_the_next_try_are_said_once_and_not_cut() {
    let mut service = Service {
        failures: 5,
        next_start_in_ms: Some(12_000),
        ..down(0, "api", State::Backoff, "exit code 1")
    };
    for said in [
        None,
        Some("exit code 1"),
        Some("exit code 1; next try in 11.9 s"),
    ] {
        service.note = said.map(str::to_owned);
        assert_eq!(
            note(&service).text(),
            "exit code 1, 5 in a row; next try in 12 s"
        );
    }
    service.note = Some("because ".repeat(100));
    let text = plain(&[service.clone()], Some(60)).replace(['\n', ' '], "");
    assert!(text.contains("…,5inarow;nexttryin12s"), "{text}");
    // Up again, and about to fall over again.
    service.state = State::Running;
    service.note = None;
    service.next_start_in_ms = None;
    assert_eq!(note(&service).text(), "exit code 1, 5 in a row");
    assert_eq!(colour(&service), Colour::Yellow);
}

#[test]
fn lines_that_were_dropped_are_told_once() {
    let mut service = running(0, "api", 0);
    service.logs.dropped_lines = 12;
    for (said, shown) in [
        (
            "its log cannot be written: disk full; 12 lines (99 bytes) of its logs were dropped",
            "its log cannot be written: disk full; 12 log lines dropped",
        ),
        (
            "12 lines (99 bytes) of its logs were dropped",
            "12 log lines dropped",
        ),
        (
            "its log cannot be written: disk full",
            "its log cannot be written: disk full; 12 log lines dropped",
        ),
    ] {
        service.note = Some(said.to_owned());
        assert_eq!(note(&service).text(), shown);
    }
}

#[test]
fn instances_are_told_apart_where_there_are_several() {
    let rows = [
        running(0, "api", 0),
        running(1, "web", 0),
        running(2, "web", 1),
    ];
    let shown = |names: Names| rows.each_ref().map(|row| names.of(&row.name, row.instance));
    assert_eq!(shown(Names::new(&rows, &[])), ["api", "web:0", "web:1"]);
    assert_eq!(shown(Names::default()), ["api", "web", "web:1"]);
    let typed = Names::new(&rows[..1], &["api:0".into()]);
    assert_eq!(typed.of("api", 0), "api:0");
}

fn state() -> impl Strategy<Value = State> {
    proptest::sample::select(STATES.to_vec())
}

/// Text as an app may say it.
fn said(length: Range<usize>) -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-z ]{1,12}",
        any::<char>().prop_map(String::from),
        Just("👩‍👩‍👧".to_owned()),
        Just("日本 e\u{301}\u{200b}❤\u{fe0f}".to_owned()),
        Just("\x1b[2J\u{202e}\r\n\t".to_owned()),
    ];
    proptest::collection::vec(piece, length).prop_map(|pieces| pieces.concat())
}

prop_compose! {
    fn service()(
        id in 0..100_000u64,
        name in "[a-z0-9][a-z0-9._-]{0,63}",
        (instance, instances, failures) in (0..200u32, 0..200u32, 0..30u32),
        state in state(),
        namespace in said(0..3),
        note in proptest::option::of(said(0..20)),
        reason in said(0..10),
        next_start_in_ms in proptest::option::of(any::<u64>()),
        (restarts, memory_bytes, uptime_ms) in any::<(u64, Option<u64>, Option<u64>)>(),
    ) -> Service {
        let last_exit = LastExit { code: Some(1), signal: None, reason, at: String::new() };
        Service {
            id, instance, instances, failures, state, namespace, note, next_start_in_ms, restarts,
            memory_bytes, uptime_ms, last_exit: Some(last_exit), ..running(0, &name, 0)
        }
    }
}

proptest! {
    #[test]
    fn any_fleet_fits_any_width(
        rows in proptest::collection::vec(service(), 1..25), width in 60..=250usize,
    ) {
        let text = plain(&rows, Some(width));
        for line in text.lines() {
            prop_assert!(text::width(line) <= width, "{width}: {line:?}");
            prop_assert!(sanitize::cell(line) == line, "{line:?}");
        }
        for row in &rows {
            let start: String = row.name.chars().take(6).collect();
            let is_row = |line: &str| {
                let words: Vec<_> = line.split_whitespace().collect();
                words[0] == row.id.to_string()
                    && words[1].starts_with(&start)
                    && words.contains(&word(row.state))
            };
            prop_assert!(text.lines().any(is_row), "{}: {text}", row.name);
        }
        let coloured = table(&rows, &Names::new(&rows, &[]), Some(width), Style::Coloured);
        let mut bare = Vec::new();
        for line in coloured.lines() {
            sanitize::line(line.as_bytes(), sanitize::Sgr::Drop, &mut bare);
            bare.push(b'\n');
        }
        prop_assert_eq!(String::from_utf8(bare).unwrap(), text);
        prop_assert_eq!(plain(&rows, None).lines().count(), rows.len() + 1);
    }
}
