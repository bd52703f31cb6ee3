//! Twenty apps write; raw and with times, one stream and both merged; files are rotated at 1 MB and
//! compressed; the engine dies again and again.

use std::time::{Duration, Instant};

use supervisor_tests::writers::{Way, Writer};
use supervisor_tests::{Home, is_long, logfiles};

use crate::killing;

const APPS: usize = 20;
const RATE: u64 = 3000;
const SIZE: u64 = 1_000_000;

/// Whoever waits for a line's end waits at most for so many bytes.
const LATEST: u64 = 1 << 20;

#[test]
fn every_line_once_while_files_are_rotated_and_engines_die() {
    let (kills, rotations) = if is_long() { (400, 15) } else { (60, 2) };
    let home = Home::new();
    let writers: Vec<Writer> = (0..APPS)
        .map(|n| Writer::new(&format!("writer{n}"), Way::ALL[n % Way::ALL.len()]))
        .collect();
    let logs = "max_size = \"1MB\"\ncompress = true\nkeep = 100000\nmax_total = \"unlimited\"\n";
    let config: String = writers
        .iter()
        .map(|writer| writer.lines(&home, RATE, logs))
        .collect();
    home.up(&config).ok();
    let started = Instant::now();
    let kills = killing::kill_until(&home, kills, 100..700, || {
        assert!(
            started.elapsed() < Duration::from_secs(1200),
            "files are not rotated"
        );
        let rotated = |writer: &Writer| logfiles::rotated(&writer.live(&home)).len() >= rotations;
        writers.iter().all(rotated)
    });
    home.ctl(&["stop", "all"]).ok();
    let lines: u64 = writers.iter().map(|writer| writer.check(&home)).sum();
    let files: usize = writers
        .iter()
        .map(|writer| check_files(&home, writer))
        .sum();
    println!(
        "{kills} engines killed in {:.1?}; {lines} lines, each once and in order, in {files} files",
        started.elapsed()
    );
    let least = started.elapsed().as_millis() as u64 * RATE * APPS as u64 / 1000 / 3;
    assert!(
        lines > least,
        "the apps were held up: {lines} lines, not {least}"
    );
}

/// No file is larger than it may be, none is there that is not part of the stream; gives their
/// number.
fn check_files(home: &Home, writer: &Writer) -> usize {
    let live = writer.live(home);
    let files = logfiles::contents(&live);
    for (file, content) in &files {
        let (size, shown) = (content.len() as u64, file.display());
        assert!(size <= SIZE + LATEST, "{shown} has {size} bytes");
        assert!(size > 0 || *file == live, "{shown} is empty");
    }
    let err = live.with_file_name("0.err.log");
    let strangers = logfiles::strangers(&live, &[err]);
    assert!(strangers.is_empty(), "{strangers:?}");
    files.len()
}
