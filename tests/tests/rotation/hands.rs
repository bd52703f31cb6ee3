//! Somebody else's hands in the folder: the live file is moved, emptied or deleted, its index is
//! deleted or damaged. Lines go on; what becomes unsure is their time, and `logs` says so.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::thread;
use std::time::Duration;

use supervisor_tests::writers::{Way, Writer};
use supervisor_tests::{Home, lines, logfiles, proc, wait_until};

const RATE: u64 = 1000;

fn start(home: &Home, way: Way) -> Writer {
    let writer = Writer::new("app", way);
    home.up(&writer.lines(home, RATE, "max_size = \"200KB\"\nkeep = 1000\n"))
        .ok();
    let live = writer.live(home);
    grows_to(&live, 20_000);
    writer
}

#[track_caller]
fn grows_to(file: &Path, size: u64) {
    wait_until(
        &format!("{size} bytes in {}", file.display()),
        Duration::from_secs(20),
        || (fs::metadata(file).ok()?.len() >= size).then_some(()),
    );
}

/// Stops it; the lines that are in its files, which are the last ones it wrote, without a gap.
fn last_lines(home: &Home, writer: &Writer) -> std::ops::RangeInclusive<u64> {
    home.ctl(&["stop", "app"]).ok();
    let written = writer.count(home, Duration::from_secs(5));
    let whole = logfiles::whole(&writer.live(home));
    // Where a file was emptied in the middle of a line, the first line may be the rest of one.
    let later = whole
        .iter()
        .position(|&byte| byte == b'\n')
        .map_or(0, |end| end + 1);
    let texts = [whole.as_slice(), &whole[later..]].map(|log| match writer.way.is_stamped() {
        true => lines::unstamped(log),
        false => Ok(log.to_vec()),
    });
    let begins = |log: &Vec<u8>| lines::number_of(&log[..lines::LENGTH.min(log.len())]).is_some();
    let log = texts
        .into_iter()
        .flatten()
        .find(begins)
        .expect("lines from the second one on");
    let mut first = None;
    let mut last = 0;
    for line in log.split_inclusive(|&byte| byte == b'\n') {
        let text = || String::from_utf8_lossy(line).into_owned();
        let number = lines::number_of(line).unwrap_or_else(|| panic!("broken: {:?}", text()));
        let expected = first.map_or(number, |_| last + 1);
        assert_eq!(number, expected, "after {last}");
        first.get_or_insert(number);
        last = number;
    }
    assert_eq!(last, written);
    first.expect("there are lines")..=last
}

#[test]
fn the_live_file_is_moved_away() {
    for way in [Way::Raw, Way::Stamped] {
        let home = Home::new();
        let writer = start(&home, way);
        let (live, moved) = (writer.live(&home), home.file("moved.log"));
        fs::rename(&live, &moved).expect("the folder is ours");
        grows_to(&live, 20_000);
        home.ctl(&["stop", "app"]).ok();
        let written = writer.count(&home, Duration::from_secs(5));
        let mut log = fs::read(&moved).expect("it was moved");
        if way.is_stamped() {
            log = lines::unstamped(&log).expect("times before its lines");
        }
        log.extend(writer.logged(&home));
        if let Err(wrong) = lines::check(&log, written) {
            panic!("{way:?}: {wrong}");
        }
    }
}

#[test]
fn the_live_file_is_emptied() {
    for way in [Way::Raw, Way::Stamped] {
        let home = Home::new();
        let writer = start(&home, way);
        let live = writer.live(&home);
        File::create(&live).expect("the folder is ours");
        grows_to(&live, 20_000);
        let lines = last_lines(&home, &writer);
        assert!(*lines.start() > 1, "{lines:?}");
    }
}

#[test]
fn the_live_file_is_deleted() {
    let home = Home::new();
    let writer = start(&home, Way::Raw);
    let live = writer.live(&home);
    fs::remove_file(&live).expect("it is there");
    grows_to(&live, 20_000);
    let lines = last_lines(&home, &writer);
    assert!(*lines.start() > 1, "{lines:?}");
}

#[test]
fn all_of_the_folder_is_deleted() {
    let home = Home::new();
    let writer = start(&home, Way::Raw);
    let live = writer.live(&home);
    fs::remove_dir_all(live.parent().expect("a folder")).expect("it is there");
    grows_to(&live, 20_000);
    let lines = last_lines(&home, &writer);
    assert!(*lines.start() > 1, "{lines:?}");
}

/// Everything is still read when an index is not what it was, and `logs` says whose times it
/// does not know for sure.
fn harm_an_index(harm: impl Fn(&Path)) {
    let home = Home::new();
    let writer = start(&home, Way::Raw);
    let live = writer.live(&home);
    let index = logfiles::index(&live);
    wait_until("an index", Duration::from_secs(10), || {
        index.exists().then_some(())
    });
    // Nothing may still be to be written to it that would hide the harm.
    home.ctl(&["stop", "app"]).ok();
    let written = writer.count(&home, Duration::from_secs(5));
    home.kill_engine();
    harm(&index);
    let shown = home
        .ctl(&[
            "logs",
            "app",
            "--no-follow",
            "--since",
            "1h",
            "--stream",
            "out",
        ])
        .ok();
    let log = shown.stdout.as_bytes();
    if let Err(wrong) = lines::check(log, written) {
        panic!("{wrong}: {shown}");
    }
    assert!(
        shown.stderr.contains("time"),
        "says nothing of the times: {}",
        shown.stderr
    );
    // A second run is told apart from the first; its lines have times again.
    home.ctl(&["start", "app"]).ok();
    let pid = home.pid("app");
    wait_until("more lines", Duration::from_secs(20), || {
        (proc::wrote(pid) > 50_000).then_some(())
    });
    wait_until("an index again", Duration::from_secs(10), || {
        index
            .metadata()
            .is_ok_and(|meta| meta.len() >= 40)
            .then_some(())
    });
    home.ctl(&["stop", "app"]).ok();
    let again = writer.count(&home, Duration::from_secs(5));
    if let Err(wrong) = lines::check_runs(&writer.logged(&home), &[written, again]) {
        panic!("{wrong}");
    }
    let row = home.row("app");
    assert_eq!(supervisor_tests::writers::dropped(&row), (0, 0), "{row}");
}

#[test]
fn the_index_is_deleted() {
    harm_an_index(|index| fs::remove_file(index).expect("it is there"));
}

#[test]
fn the_index_is_overwritten() {
    harm_an_index(|index| {
        let size = fs::metadata(index).expect("it is there").len();
        let noise = vec![0xA5; usize::try_from(size).expect("a small file")];
        fs::write(index, noise).expect("it is ours");
    });
}

#[test]
fn indexes_are_deleted_and_damaged_all_the_time() {
    let home = Home::new();
    let writer = start(&home, Way::Raw);
    let live = writer.live(&home);
    let index = logfiles::index(&live);
    for round in 0..20_u64 {
        let harmed = if round % 2 == 0 {
            fs::remove_file(&index)
        } else {
            OpenOptions::new()
                .write(true)
                .open(&index)
                .and_then(|mut file| {
                    file.seek(SeekFrom::Start(round * 3))?;
                    file.write_all(&[0x5A; 7])
                })
        };
        // Not there yet since the last round: the same, for the lines.
        if let Err(error) = harmed {
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}");
        }
        if round % 4 == 3 {
            home.kill_engine();
        }
        thread::sleep(Duration::from_millis(100));
    }
    home.ctl(&["stop", "app"]).ok();
    let lines = writer.check(&home);
    let shown = home
        .ctl(&[
            "logs",
            "app",
            "--no-follow",
            "--since",
            "1h",
            "--stream",
            "out",
        ])
        .ok();
    assert_eq!(
        shown.stdout.lines().count() as u64,
        lines,
        "{}",
        shown.stderr
    );
}
