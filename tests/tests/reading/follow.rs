//! Following: over rotations, a restart of the app, deaths of the engine, and sleep.

use std::time::Duration;

use supervisor_tests::writers::{Way, Writer};
use supervisor_tests::{Follow, Home, lines, logfiles, wait_until};

/// The smallest size that a file may have.
const SIZE: u64 = 64 << 10;

const ROTATED: &str = "max_size = \"64KiB\"\nkeep = 1000\ncompress = true\n";

/// The number of an app's line behind whatever stands before it.
fn number(line: &str) -> Option<u64> {
    let at = line.len().checked_sub(lines::LENGTH - 1)?;
    lines::number_of(format!("{}\n", line.get(at..)?).as_bytes())
}

/// Waits until the follower has shown the line with this number as its last.
#[track_caller]
fn shows(follow: &Follow, last: u64) -> Vec<u64> {
    let shown = follow.wait(&format!("line {last} is shown"), |lines| {
        lines.iter().rev().find_map(|line| number(line)) == Some(last)
    });
    shown.iter().filter_map(|line| number(line)).collect()
}

/// Fails unless each is the number before and one, or 1 where a new run begins; gives the runs.
#[track_caller]
fn runs(numbers: &[u64]) -> Vec<(u64, u64)> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for &number in numbers {
        match runs.last_mut() {
            Some((_, last)) if number == *last + 1 => *last = number,
            Some(_) if number == 1 => runs.push((1, 1)),
            Some((_, last)) => panic!("{number} after {last}"),
            None => runs.push((number, number)),
        }
    }
    runs
}

#[track_caller]
fn rotations(home: &Home, writer: &Writer, more: usize) {
    let live = writer.live(home);
    let count = || logfiles::rotated(&live).len();
    let before = count();
    wait_until("rotations", Duration::from_secs(60), || {
        (count() >= before + more).then_some(())
    });
}

#[test]
fn over_rotations_a_restart_and_deaths_of_the_engine() {
    for way in [Way::Raw, Way::Stamped, Way::Merged] {
        let home = Home::new();
        let writer = Writer::new("app", way);
        home.up(&writer.lines(&home, 3000, ROTATED)).ok();
        let follow = Follow::start(&home, &["app", "-n", "5", "--stream", "out"]);
        follow.wait("something is shown", |lines| lines.len() > 5);
        rotations(&home, &writer, 2);
        home.kill_engine();
        rotations(&home, &writer, 2);
        home.ctl(&["restart", "app"]).ok();
        let first = writer.count(&home, Duration::from_secs(5));
        rotations(&home, &writer, 1);
        home.kill_engine();
        rotations(&home, &writer, 1);
        // The new run's count; the old one's is no longer needed.
        home.ctl(&["stop", "app"]).ok();
        let second = wait_until("its count", Duration::from_secs(5), || {
            writer.written(&home).filter(|&count| count != first)
        });
        let shown = runs(&shows(&follow, second));
        assert_eq!(shown.len(), 2, "{way:?}: {shown:?}");
        assert_eq!((shown[0].1, shown[1]), (first, (1, second)), "{way:?}");
    }
}

#[test]
fn a_follower_that_slept_through_fifty_rotations_shows_all_of_them() {
    let home = Home::new();
    let writer = Writer::new("app", Way::Raw);
    let count = 55 * SIZE / lines::LENGTH as u64;
    home.up(&writer.burst_after(&home, count, "go", ROTATED))
        .ok();
    let follow = Follow::start(&home, &["app", "-n", "5", "--stream", "out"]);
    follow.wait("it runs", |lines| {
        lines.iter().any(|line| line.contains("ready"))
    });
    follow.pause();
    home.write("go", "");
    wait_until("the app is done", Duration::from_secs(30), || {
        writer.written(&home)
    });
    wait_until("fifty rotations", Duration::from_secs(30), || {
        (logfiles::rotated(&writer.live(&home)).len() >= 50).then_some(())
    });
    follow.go_on();
    assert_eq!(runs(&shows(&follow, count)), [(1, count)]);
}

#[test]
fn a_follower_that_slept_too_long_says_how_much_it_missed() {
    let home = Home::new();
    let writer = Writer::new("app", Way::Raw);
    let count = 55 * SIZE / lines::LENGTH as u64;
    home.up(&writer.burst_after(&home, count, "go", &ROTATED.replace("1000", "5")))
        .ok();
    let follow = Follow::start(&home, &["app", "-n", "5", "--stream", "out"]);
    follow.wait("it runs", |lines| {
        lines.iter().any(|line| line.contains("ready"))
    });
    follow.pause();
    home.write("go", "");
    wait_until("the app is done", Duration::from_secs(30), || {
        writer.written(&home)
    });
    // Nothing of what it had open is there any more.
    wait_until("few are kept", Duration::from_secs(30), || {
        (logfiles::rotated(&writer.live(&home)).len() <= 5).then_some(())
    });
    follow.go_on();
    let numbers = shows(&follow, count);
    assert!(numbers.is_sorted(), "in order");
    let missing = count - numbers.len() as u64;
    assert!(missing > 0, "only 5 of 55 files were kept");
    let said = follow.lines().join("\n") + &follow.told();
    assert!(
        said.contains("bytes") || said.contains("MB"),
        "does not say so: {}",
        follow.told()
    );
}

#[test]
fn apps_that_come_later_and_files_that_are_not_there_yet() {
    let home = Home::new();
    let writer = Writer::new("app", Way::Raw);
    home.up(&writer.lines(&home, 500, "")).ok();
    home.ctl(&["stop", "app"]).ok();
    home.ctl(&["flush", "app"]).ok();
    let follow = Follow::start(&home, &["app", "--stream", "out"]);
    home.ctl(&["start", "app"]).ok();
    follow.wait("lines of the new run", |lines| lines.len() > 100);
    home.ctl(&["scale", "app", "2"]).ok();
    follow.wait("lines of the new instance", |lines| {
        lines.iter().any(|line| line.starts_with("app:1"))
    });
}

#[test]
fn a_flush_while_somebody_follows() {
    let home = Home::new();
    let writer = Writer::new("app", Way::Raw);
    home.up(&writer.lines(&home, 2000, ROTATED)).ok();
    let follow = Follow::start(&home, &["app", "-n", "5", "--stream", "out"]);
    rotations(&home, &writer, 2);
    home.ctl(&["flush", "app"]).ok();
    let live = writer.live(&home);
    assert!(
        logfiles::rotated(&live).is_empty(),
        "rotated files are gone"
    );
    let before = follow.lines().len();
    follow.wait("it goes on", |lines| lines.len() > before + 1000);
    home.ctl(&["stop", "app"]).ok();
    let last = writer.count(&home, Duration::from_secs(5));
    let numbers = shows(&follow, last);
    assert!(numbers.is_sorted_by(|a, b| a < b), "in order, none twice");
}
