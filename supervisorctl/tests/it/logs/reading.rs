//! Which lines are shown, and how.

use supervisor_protocol::{Reply, Request, Stream};

use super::shelf::{Of, Shelf};
use crate::fake::{Fake, Step};

const API: Of = ("api", 0, Stream::Out);
const API_ERR: Of = ("api", 0, Stream::Err);
const WORKER: Of = ("worker", 1, Stream::Out);

/// What is printed, without anything being said on standard error.
fn shown(shelf: &Shelf, words: &[&str]) -> String {
    let words = [&["logs", "--no-follow"], words].concat();
    let (code, out, err) = shelf.fake.run(&words);
    assert_eq!((code, err.as_str()), (0, ""), "{words:?}");
    out
}

/// How many rotated files were asked for, each time.
fn archives(shelf: &Shelf) -> Vec<u32> {
    let asked = shelf.fake.asked();
    let archives = asked.iter().filter_map(|request| match request {
        Request::Logs { archives, .. } => Some(*archives),
        _ => None,
    });
    archives.collect()
}

#[test]
fn the_last_lines_of_each_file_made_harmless() {
    let shelf = Shelf::new(&[API, API_ERR, WORKER]);
    shelf.append(API, b"1\n2\n", 0);
    shelf.append(API, b"3\n\x1b[31mred\x1b[2J\n", 100);
    shelf.append(API_ERR, b"Error: \x9b\xe2\x80\xae\nhalf", 200);
    shelf.append(WORKER, b"\x1b]0;title\x07\n", 50);
    insta::assert_snapshot!(shown(&shelf, &["-n", "2"]));
    let out = shown(&shelf, &["--stream", "out"]);
    let err = shown(&shelf, &["--err"]);
    assert_eq!(shown(&shelf, &["--out"]), out);
    assert_eq!(shown(&shelf, &["--stream", "err"]), err);
    assert_eq!(err, "Error: \u{fffd}\\u{202e}\nhalf\n");
    let raw = shelf
        .fake
        .command(&["logs", "--no-follow", "--raw", "--lines", "1"])
        .output()
        .unwrap();
    assert_eq!(raw.stdout, b"\x1b]0;title\x07\n\x1b[31mred\x1b[2J\nhalf\n");
    for wrong in [
        &["--out", "--err"][..],
        &["--raw", "--json"],
        &["--since", "tomorrow"],
        &["--since", "10m", "--until", "20m"],
        &["--grep", "("],
        &["-i"],
        &["--until", "1m", "-f"],
    ] {
        assert_eq!(
            shelf.fake.run(&[&["logs"], wrong].concat()).0,
            2,
            "{wrong:?}"
        );
    }
}

#[test]
fn lines_of_several_files_stand_in_the_order_of_their_times() {
    let shelf = Shelf::new(&[API, API_ERR, WORKER]);
    for n in 0..6 {
        let of = [API, API_ERR, WORKER][n % 3];
        shelf.append(of, format!("line {n}\n").as_bytes(), 100 * n as i64);
    }
    insta::assert_snapshot!(shown(&shelf, &["-t"]));
    insta::assert_snapshot!(shown(&shelf, &["--json"]));
}

#[test]
fn a_time_in_the_file_is_not_printed_twice() {
    let shelf = Shelf::new(&[API]);
    shelf.stamp();
    shelf.append(API, b"2026-11-22T14:45:00.072Z hello\n", 5_000);
    assert_eq!(shown(&shelf, &[]), "hello\n");
    assert_eq!(shown(&shelf, &["-t"]), "2026-11-22 14:45:00.072 hello\n");
    assert_eq!(
        shown(&shelf, &["--raw"]),
        "2026-11-22T14:45:00.072Z hello\n"
    );
    assert!(shown(&shelf, &["--json"]).contains(r#""line":"hello""#));
}

#[test]
fn times_patterns_and_levels_choose_lines() {
    let shelf = Shelf::new(&[API]);
    for n in 0..60 {
        let level = if n % 20 == 0 { "error" } else { "debug" };
        let line = format!("{{\"level\":\"{level}\",\"message\":\"Line {n}\"}}\n    at {n}.js\n");
        shelf.append(API, line.as_bytes(), 1_000 * n);
        if n % 10 == 9 {
            shelf.rotate(API);
        }
    }
    let count = |words: &[&str]| shown(&shelf, words).lines().count();
    let at = |second: u32| format!("2026-11-22T14:45:{second:02}Z");
    assert_eq!(count(&["--since", &at(30)]), 60);
    assert_eq!(count(&["--since", &at(30), "--until", &at(34)]), 10);
    assert_eq!(count(&["--since", &at(30), "-n", "3"]), 3);
    assert_eq!(
        shown(&shelf, &["--grep", "LINE 5\"", "-i"]).lines().count(),
        1
    );
    assert_eq!(count(&["--since", &at(30), "-n", "all"]), 60);
    assert_eq!(count(&["-n", "all"]), 120);
    assert_eq!(count(&["-20"]), 20);
    let level = shown(&shelf, &["--level", "warn"]);
    assert_eq!(level.lines().count(), 6);
    assert!(level.contains("Line 0\"") && level.ends_with("    at 40.js\n"));
    let last = shown(&shelf, &["--level", "warn", "-n", "3"]);
    assert_eq!(
        last,
        level
            .lines()
            .skip(3)
            .map(|line| line.to_owned() + "\n")
            .collect::<String>()
    );
    assert_eq!(
        shown(&shelf, &["--level", "error", "--grep", "at 2"]),
        "    at 20.js\n"
    );
    assert_eq!(count(&["--level", "trace", "-n", "7"]), 7);
    for same in ["WARN", "warning", "40"] {
        assert_eq!(shown(&shelf, &["--level", same]), level);
    }
}

#[test]
fn an_empty_screen_says_why_it_is_empty() {
    let shelf = Shelf::new(&[API]);
    let said = |words: &[&str]| shelf.fake.run(&[&["logs", "--no-follow"], words].concat());
    let nothing = |why: &str| (0, String::new(), format!("{why}\n"));
    assert_eq!(said(&[]), nothing("nothing has been written yet"));
    shelf.append(API, b"line\n", 0);
    let filtered = nothing("no line is in that range or passes the filters");
    assert_eq!(said(&["--grep", "Line 5$"]), filtered);
    assert_eq!(said(&["--level", "error"]), filtered);
    assert_eq!(said(&["--until", "2020-01-01"]), filtered);
    let no_file = "there is no such log file; `supervisorctl show NAME` says where output goes";
    assert_eq!(said(&["--err"]), nothing(no_file));
    assert_eq!(said(&["--err", "--path"]), nothing(no_file));
    // Programs want nothing but lines, and none were asked for.
    for words in [
        &["--json", "--grep", "x"][..],
        &["--raw", "--grep", "x"],
        &["-n", "0"],
    ] {
        assert_eq!(said(words), (0, String::new(), String::new()), "{words:?}");
    }
}

#[test]
fn rotated_files_are_asked_for_only_where_they_are_needed() {
    let asked = |lines: usize, words: &[&str]| {
        let shelf = Shelf::new(&[API, API_ERR]);
        for n in 0..3 {
            for line in 0..lines {
                shelf.append(API, format!("{n} {line}\n").as_bytes(), n);
            }
            shelf.rotate(API);
        }
        shelf.append(API, b"now\n", 10);
        let shown = shown(&shelf, words);
        (archives(&shelf), shown.lines().count())
    };
    assert_eq!(asked(20, &[]), (vec![1], 15));
    assert_eq!(asked(5, &[]), (vec![1, u32::MAX], 15));
    assert_eq!(asked(2, &[]), (vec![1, u32::MAX], 7));
    assert_eq!(asked(5, &["-n", "0"]), (vec![0], 0));
    assert_eq!(asked(5, &["--grep", "0"]), (vec![u32::MAX], 7));
    assert_eq!(asked(5, &["--since", "2020-01-01"]), (vec![u32::MAX], 16));
}

#[test]
fn what_was_dropped_is_told_whatever_is_asked_for() {
    let shelf = Shelf::new(&[API]);
    let marker = "[supervisor] 3 lines (40 bytes) dropped here: No space left on device";
    shelf.append(API, format!("a\n{marker}\nb\n").as_bytes(), 0);
    assert_eq!(shown(&shelf, &["--level", "fatal"]), format!("{marker}\n"));
    let mut command = shelf.fake.command(&["logs", "--no-follow"]);
    let output = command.env("FORCE_COLOR", "1").output().unwrap();
    let coloured = String::from_utf8(output.stdout).unwrap();
    assert_eq!(coloured, format!("a\n\x1b[1;33m{marker}\x1b[0m\nb\n"));
}

#[test]
fn an_index_that_is_gone_or_damaged_costs_times_and_no_line() {
    let shelf = Shelf::new(&[API]);
    shelf.append(API, b"one\ntwo\n", 0);
    let index = format!("{}.idx", shelf.path(API).display());
    std::fs::write(&index, "nonsense").unwrap();
    for what in ["damaged", "missing"] {
        let (code, out, err) = shelf
            .fake
            .run(&["logs", "--no-follow", "--since", "2020-01-01"]);
        assert_eq!((code, out.as_str()), (0, "one\ntwo\n"));
        assert!(
            err.starts_with("HOME/api.0.out.log: its time index is "),
            "{err}"
        );
        assert!(err.contains(what), "{err}");
        std::fs::remove_file(&index).ok();
    }
}

#[test]
fn paths_and_nothing_else() {
    let shelf = Shelf::new(&[API, API_ERR, WORKER]);
    shelf.append(API, b"one\n", 0);
    let paths = |words: &[&str]| shelf.fake.run(&[&["logs", "--path"], words].concat()).1;
    assert_eq!(
        paths(&[]),
        "HOME/api.0.out.log\nHOME/api.0.err.log\nHOME/worker.1.out.log\n"
    );
    assert_eq!(paths(&["api", "--stream", "err"]), "HOME/api.0.err.log\n");
}

#[test]
fn tail_is_understood() {
    let shelf = Shelf::new(&[API, API_ERR]);
    shelf.append(API, b"1\n2\n", 0);
    shelf.append(API_ERR, b"bad\n", 0);
    assert_eq!(shelf.fake.run(&["tail", "api", "stderr"]).1, "bad\n");
    assert_eq!(shelf.fake.run(&["tail", "-1", "api", "stdout"]).1, "2\n");
}

#[test]
fn without_files_there_is_nothing_to_show() {
    let fake = Fake::new(|_, _| vec![Step::Reply(Reply::End)]);
    let told = "there are no logs yet\n";
    assert_eq!(
        fake.run(&["logs", "--no-follow"]),
        (0, String::new(), told.into())
    );
    assert_eq!(
        fake.run(&["logs", "--no-follow", "--json"]),
        (0, String::new(), String::new())
    );
}

/// A hundred apps: more files than a process may have open by default.
#[test]
fn many_apps_are_no_matter() {
    let names: Vec<&'static str> = (0..100)
        .map(|n| &*Box::leak(format!("app{n}").into_boxed_str()))
        .collect();
    let streams = names
        .iter()
        .flat_map(|name| [(*name, 0, Stream::Out), (*name, 0, Stream::Err)]);
    let streams: Vec<Of> = streams.collect();
    let shelf = Shelf::new(&streams);
    for (n, of) in streams.iter().enumerate() {
        shelf.append(*of, format!("{n}\n").as_bytes(), n as i64);
    }
    let lines = shown(&shelf, &[]);
    let numbers = lines
        .lines()
        .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap());
    assert_eq!(
        numbers.collect::<Vec<usize>>(),
        (0..200).collect::<Vec<_>>()
    );
}
