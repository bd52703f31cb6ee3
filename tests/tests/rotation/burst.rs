//! A thousand rotations as fast as apps can write, with engines that die meanwhile.

use std::time::{Duration, Instant};

use supervisor_tests::writers::{Way, Writer};
use supervisor_tests::{Home, is_long, lines, logfiles, wait_until};

use crate::killing;

/// The smallest size there is.
const SIZE: u64 = 64 << 10;

#[test]
fn a_thousand_rotations_at_full_speed() {
    // Of each of the four; every one gives all that are there another name.
    let rotations = if is_long() { 500 } else { 250 };
    let home = Home::new();
    let writers = Way::ALL.map(|way| Writer::new(&format!("{way:?}").to_lowercase(), way));
    // A file holds this many lines, and more of those without a time; twice the room for the
    // files that are larger because they were rotated late.
    let count = rotations * 2 * SIZE / lines::LENGTH as u64;
    let logs = "max_size = \"64KiB\"\ncompress = true\nkeep = 100000\nmax_total = \"unlimited\"\n";
    let config: String = writers
        .iter()
        .map(|writer| writer.burst(&home, count, logs))
        .collect();
    home.up(&config).ok();
    let started = Instant::now();
    let kills = killing::kill_until(&home, 10, 20..400, || {
        assert!(
            started.elapsed() < Duration::from_secs(600),
            "the apps are not done"
        );
        writers.iter().all(|writer| writer.written(&home).is_some())
    });
    // What is still in the pipes is drained before they have ended.
    home.ctl(&["stop", "all"]).ok();
    let lines: u64 = writers.iter().map(|writer| writer.check(&home)).sum();
    let rotated = |writer: &Writer| logfiles::rotated(&writer.live(&home)).len();
    let all: usize = writers.iter().map(rotated).sum();
    println!(
        "{lines} lines in {:.1?} over {all} rotations, {kills} engines killed",
        started.elapsed()
    );
    assert!(all as u64 >= 4 * rotations, "only {all} rotations");
}

#[test]
fn in_the_end_all_is_compressed_and_no_more_is_kept_than_asked_for() {
    let home = Home::new();
    let writer = Writer::new("app", Way::Raw);
    let count = 40 * SIZE / lines::LENGTH as u64;
    home.up(&writer.burst(&home, count, "max_size = \"64KiB\"\nkeep = 7\n"))
        .ok();
    let live = writer.live(&home);
    let rotated = wait_until("seven compressed files", Duration::from_secs(30), || {
        writer.written(&home)?;
        let rotated = logfiles::rotated(&live);
        let packed = |path: &std::path::PathBuf| path.extension().is_some_and(|ext| ext == "zst");
        (rotated.len() == 7 && rotated.values().all(packed)).then_some(rotated)
    });
    assert_eq!(
        rotated.keys().copied().collect::<Vec<_>>(),
        [1, 2, 3, 4, 5, 6, 7]
    );
    home.ctl(&["stop", "app"]).ok();
    // What is there is the end of what was written, without a gap.
    let log = logfiles::whole(&live);
    let first = lines::number_of(&log[..lines::LENGTH]).expect("a file begins with a line");
    let there = count + 1 - first;
    assert_eq!(
        log.len(),
        usize::try_from(there).expect("few") * lines::LENGTH
    );
    assert!(log.ends_with(
        format!("{count:010} the quick brown fox jumps over the lazy dog\n").as_bytes()
    ));
    assert_eq!(supervisor_tests::writers::dropped(&home.row("app")), (0, 0));
}

#[test]
fn all_of_an_app_together_stays_below_its_limit() {
    let home = Home::new();
    let writer = Writer::new("app", Way::Raw);
    let count = 80 * SIZE / lines::LENGTH as u64;
    let logs = "max_size = \"64KiB\"\ncompress = false\nkeep = 1000\nmax_total = \"1MB\"\n";
    home.up(&writer.burst(&home, count, logs)).ok();
    let live = writer.live(&home);
    let size = || -> u64 {
        let files = logfiles::files(&live);
        // One that is deleted meanwhile takes no room.
        let sizes = files
            .iter()
            .filter_map(|file| Some(file.metadata().ok()?.len()));
        sizes.sum()
    };
    // More than it may have was written; in the end it is below.
    wait_until("less than 1 MB", Duration::from_secs(30), || {
        writer.written(&home)?;
        (size() <= 1_000_000).then_some(())
    });
    home.ctl(&["stop", "app"]).ok();
    assert!(
        size() > 500_000,
        "far more was deleted than had to be: {}",
        size()
    );
    let log = logfiles::whole(&live);
    assert!(log.ends_with(
        format!("{count:010} the quick brown fox jumps over the lazy dog\n").as_bytes()
    ));
}
