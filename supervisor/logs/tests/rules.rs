//! What the rules promise of a stream's files: rotation, times, and what is dropped when.

#[expect(dead_code, reason = "only a part of it is used here")]
mod common;

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use common::{Rig, out, pipe, wait_until};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use supervisor_logs::{Event, Format, Ledger, OnFull, Rules, StreamId, is_marker};

fn plain() -> Rules {
    Rules {
        compress: false,
        ..Rules::default()
    }
}

fn rig(rules: Rules) -> Rig {
    Rig::with(tempfile::tempdir().unwrap(), rules)
}

/// The rotated files, newest first, and before them the live one.
fn files(rig: &Rig, id: &StreamId) -> Vec<Vec<u8>> {
    let live = rig.path(id);
    let name = |n: u32| format!("{}.{n}", live.display());
    let rotated = (1..).map_while(|n| fs::read(name(n)).ok());
    std::iter::once(fs::read(&live).unwrap_or_default())
        .chain(rotated)
        .collect()
}

fn all(rig: &Rig, id: &StreamId) -> Vec<u8> {
    let mut files = files(rig, id);
    files.reverse();
    files.concat()
}

#[test]
fn a_file_is_rotated_at_the_line_end_after_its_size() {
    let rig = rig(Rules {
        max_size: Some(10_000),
        keep: 1000,
        ..plain()
    });
    let id = out("app");
    let mut app = rig.run(1, &id);
    let mut wanted = Vec::new();
    for number in 0..2000u32 {
        writeln!(
            app,
            "{number:0>width$}",
            width = 5 + (number * 13 % 200) as usize
        )
        .unwrap();
        writeln!(
            wanted,
            "{number:0>width$}",
            width = 5 + (number * 13 % 200) as usize
        )
        .unwrap();
    }
    drop(app);
    rig.finish(1);
    assert_eq!(all(&rig, &id), wanted);
    let files = files(&rig, &id);
    assert!(files.len() > 10);
    for file in &files[1..] {
        assert!((10_000..10_300).contains(&file.len()), "{}", file.len());
        assert!(file.ends_with(b"\n"));
    }
    for number in 1..files.len() {
        let index = format!("{}.{number}.idx", rig.path(&id).display());
        assert!(
            fs::metadata(&index).is_ok_and(|meta| meta.len() > 0),
            "{index}"
        );
    }
}

#[test]
fn a_line_without_end_is_cut_one_mebibyte_after_the_size_and_no_sooner() {
    let rig = rig(Rules {
        max_size: Some(100_000),
        ..plain()
    });
    let id = out("app");
    let mut app = rig.run(1, &id);
    app.write_all(&vec![b'x'; 3_000_000]).unwrap();
    app.write_all(b"\nnext\n").unwrap();
    drop(app);
    rig.finish(1);
    let lengths: Vec<usize> = files(&rig, &id).iter().map(Vec::len).collect();
    let full = 100_000 + (1 << 20);
    assert_eq!(lengths[1..], [3_000_001 - 2 * full, full, full]);
    assert_eq!(files(&rig, &id)[0], b"next\n");
}

#[test]
fn a_file_is_rotated_when_it_is_old_and_something_comes() {
    let rig = rig(Rules {
        max_age: Some(Duration::from_millis(300)),
        ..plain()
    });
    let id = out("app");
    let mut app = rig.run(1, &id);
    app.write_all(b"one\nhalf").unwrap();
    rig.expect_content(&id, b"one\nhalf");
    std::thread::sleep(Duration::from_millis(400));
    app.write_all(b" a line\ntwo\n").unwrap();
    wait_until(|| rig.content(&id) == b"two\n");
    assert_eq!(files(&rig, &id)[1], b"one\nhalf a line\n");
}

#[test]
fn keep_nothing_keeps_the_live_file_only() {
    let rig = rig(Rules {
        max_size: Some(1_000),
        keep: 0,
        ..plain()
    });
    let id = out("app");
    let mut app = rig.run(1, &id);
    for number in 0..500 {
        writeln!(app, "{number:0>99}").unwrap();
    }
    drop(app);
    rig.finish(1);
    let files = files(&rig, &id);
    assert_eq!(files.len(), 1);
    assert!(files[0].len() <= 1_000);
}

#[test]
fn each_line_has_its_time_however_it_arrives() {
    let rig = rig(Rules {
        format: Format::Timestamp,
        max_size: Some(5_000),
        keep: 1000,
        ..plain()
    });
    let id = out("app");
    let mut app = rig.run(1, &id);
    for byte in b"first\n\nthird, " {
        app.write_all(&[*byte]).unwrap();
    }
    wait_until(|| rig.content(&id).ends_with(b"third, "));
    app.write_all(b"and its end\n").unwrap();
    for number in 0..1000 {
        writeln!(app, "{number}").unwrap();
    }
    app.write_all(b"half").unwrap();
    drop(app);
    rig.finish(1);
    let all = all(&rig, &id);
    let lines: Vec<&[u8]> = all.split(|b| *b == b'\n').collect();
    let texts: Vec<&[u8]> = lines
        .iter()
        .map(|line| {
            assert_eq!(
                (line[4], line[10], line[23], line[24]),
                (b'-', b'T', b'Z', b' ')
            );
            &line[25..]
        })
        .collect();
    assert_eq!(texts[..3], [&b"first"[..], b"", b"third, and its end"]);
    for (text, number) in texts[3..1003].iter().zip(0..) {
        assert_eq!(*text, i32::to_string(&number).as_bytes());
    }
    assert_eq!(texts[1003..], [b"half"]);
}

#[test]
fn emptying_removes_the_rotated_files_and_lines_go_on() {
    let rig = rig(Rules {
        max_size: Some(1_000),
        ..plain()
    });
    let id = out("app");
    let mut app = rig.run(1, &id);
    for number in 0..50 {
        writeln!(app, "{number:0>99}").unwrap();
    }
    wait_until(|| all(&rig, &id).len() == 5_000);
    let (tell, told) = std::sync::mpsc::channel();
    let target = common::target(&id, &rig.rules);
    rig.pump().empty(vec![target], move |result| {
        tell.send(result.is_ok()).unwrap();
    });
    assert!(told.recv().unwrap());
    assert_eq!(files(&rig, &id), [b""]);
    app.write_all(b"after\n").unwrap();
    rig.expect_content(&id, b"after\n");
}

#[test]
fn reopening_ends_the_use_of_a_file_that_was_moved() {
    let rig = rig(plain());
    let id = out("app");
    let mut app = rig.run(1, &id);
    app.write_all(b"one\n").unwrap();
    rig.expect_content(&id, b"one\n");
    let moved = rig.dir.path().join("moved");
    fs::rename(rig.path(&id), &moved).unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    rig.pump()
        .reopen(move |result| tell.send(result.is_ok()).unwrap());
    assert!(told.recv().unwrap());
    app.write_all(b"two\n").unwrap();
    rig.expect_content(&id, b"two\n");
    assert_eq!(fs::read(moved).unwrap(), b"one\n");
}

#[test]
fn two_runs_beside_each_other_write_whole_lines() {
    let rig = rig(plain());
    let id = out("app");
    let apps: Vec<File> = (1..=2).map(|key| rig.run(key, &id)).collect();
    let write = |mut app: File, key: u32| {
        for number in 0..20_000 {
            // In two pieces, so that there are half lines in the pipe all the time.
            write!(app, "{key} ").unwrap();
            writeln!(app, "{number:0>60}").unwrap();
        }
    };
    std::thread::scope(|scope| {
        for (app, key) in apps.into_iter().zip(1..) {
            scope.spawn(move || write(app, key));
        }
    });
    rig.finish(1);
    rig.finish(2);
    let all = String::from_utf8(all(&rig, &id)).unwrap();
    let mut next = [0, 0];
    for line in all.lines() {
        let (key, number) = line.split_once(' ').unwrap();
        let next = &mut next[key.parse::<usize>().unwrap() - 1];
        assert_eq!(number.parse(), Ok(*next), "{line}");
        *next += 1;
    }
    assert_eq!(next, [20_000, 20_000]);
}

#[test]
fn the_tail_of_a_run_is_its_own() {
    let rig = rig(plain());
    let id = out("app");
    rig.run(1, &id).write_all(b"of the first\n").unwrap();
    rig.finish(1);
    rig.run(2, &id).write_all(b"one\ntwo").unwrap();
    rig.pump().finish(2);
    let tail = loop {
        if let Event::Finished { key: 2, tail, .. } = rig.next_event() {
            break tail;
        }
    };
    assert_eq!(String::from_utf8(tail).unwrap(), "one\ntwo");
}

fn small_disk(path: &Path) {
    unshare(CloneFlags::CLONE_NEWNS).expect("mounting takes root");
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    let options = Some("size=1m,mode=700");
    mount(Some("none"), path, Some("tmpfs"), MsFlags::empty(), options).unwrap();
}

/// What a marker says: `[supervisor] N lines (M bytes) dropped here`.
fn told(line: &str) -> (u64, u64) {
    let mut numbers = line
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|n| n.parse().ok());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

#[test]
fn what_is_dropped_is_what_is_missing() {
    for format in [Format::Raw, Format::Timestamp] {
        let dir = tempfile::tempdir().unwrap();
        let logs = dir.path().join("logs");
        fs::create_dir(&logs).unwrap();
        small_disk(&logs);
        let mut rig = Rig::with(
            dir,
            Rules {
                on_full: OnFull::Drop,
                max_size: None,
                max_total: None,
                format,
                ..plain()
            },
        );
        let id = out("app");
        let (read, mut app) = pipe();
        rig.attach(1, &id, read.try_clone().unwrap(), true);
        let filler = logs.join("filler");
        let (mut lines, mut bytes) = (0u64, 0u64);
        for turn in 0..40 {
            let before = rig.record.losses(&id).bytes;
            match turn % 10 {
                2 => drop(File::create(&filler).unwrap().write_all(&[0; 1 << 20])),
                7 => fs::remove_file(&filler).unwrap(),
                // Another process goes on, full disk or not.
                4 | 8 => {
                    rig.stop();
                    rig.start();
                    rig.attach(1, &id, read.try_clone().unwrap(), false);
                }
                _ => {}
            }
            for _ in 0..60 {
                let line = format!(
                    "{lines:0>width$}\n",
                    width = 9 + (lines * 31 % 300) as usize
                );
                app.write_all(line.as_bytes()).unwrap();
                (lines, bytes) = (lines + 1, bytes + line.len() as u64);
            }
            if turn % 10 == 5 {
                // Otherwise the disk may have room again before anybody looks.
                wait_until(|| rig.record.losses(&id).bytes > before);
            }
        }
        drop(app);
        rig.finish(1);
        let losses = rig.record.losses(&id);
        assert!(
            losses.lines > 100,
            "hardly anything was dropped: {losses:?}"
        );
        assert_eq!((losses.untold_lines, losses.untold_bytes), (0, 0));
        let all = String::from_utf8(all(&rig, &id)).unwrap();
        let (mut found, mut found_bytes, mut marked) = (0, 0, (0, 0));
        let mut before = None;
        for line in all.lines() {
            let text = if format == Format::Timestamp {
                &line[25..]
            } else {
                line
            };
            if is_marker(text.as_bytes()) {
                let (lines, bytes) = told(text);
                marked = (marked.0 + lines, marked.1 + bytes);
                continue;
            }
            found_bytes += text.len() as u64;
            // Of a line that was cut its beginning is there: it counts as dropped.
            let number = text.parse::<u64>().unwrap();
            let width = 9 + (number * 31 % 300) as usize;
            if text.len() == width && before.is_none_or(|b| number > b) {
                (found, found_bytes, before) = (found + 1, found_bytes + 1, Some(number));
            }
        }
        assert_eq!(marked, (losses.lines, losses.bytes), "the markers");
        assert_eq!(found + losses.lines, lines, "lines, {format:?}");
        assert_eq!(found_bytes + losses.bytes, bytes, "bytes, {format:?}");
        drop(rig);
        umount2(&logs, MntFlags::MNT_DETACH).unwrap();
    }
}
