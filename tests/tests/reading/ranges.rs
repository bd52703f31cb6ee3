//! What is asked for by time, text and number, through rotated and compressed files.

use std::fs::{self, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::time::Duration;

use serde_json::Value;
use supervisor_tests::writers::{Way, Writer};
use supervisor_tests::{Home, lines, logfiles, testapp, wait_until};

const RATE: u64 = 2000;

/// An app that wrote for some seconds into several files, of which some are compressed.
fn rotated(home: &Home, way: Way) -> (Writer, u64) {
    let writer = Writer::new("app", way);
    home.up(&writer.lines(
        home,
        RATE,
        "max_size = \"64KiB\"\nkeep = 1000\ncompress = true\n",
    ))
    .ok();
    let live = writer.live(home);
    wait_until("compressed files", Duration::from_secs(30), || {
        let rotated = logfiles::rotated(&live);
        let packed = rotated
            .values()
            .filter(|path| path.extension().is_some_and(|ext| ext == "zst"));
        (packed.count() >= 4).then_some(())
    });
    home.ctl(&["stop", "app"]).ok();
    let written = writer.count(home, Duration::from_secs(5));
    (writer, written)
}

/// A line of `--json`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    app: String,
    number: u64,
    time: String,
}

/// `logs --no-follow --json` with these words.
#[track_caller]
fn json(home: &Home, words: &[&str]) -> Vec<Line> {
    let asked = [&["logs", "--no-follow", "--json", "--stream", "out"], words].concat();
    let output = home.ctl(&asked).ok();
    let line = |text: &str| {
        let value: Value = serde_json::from_str(text).unwrap_or_else(|_| panic!("{text}"));
        let of = |key: &str| {
            value[key]
                .as_str()
                .unwrap_or_else(|| panic!("no {key}: {text}"))
                .to_owned()
        };
        assert_eq!(
            (&value["instance"], &value["stream"]),
            (&0.into(), &"out".into()),
            "{text}"
        );
        Line {
            app: of("app"),
            number: lines::number_of((of("line") + "\n").as_bytes()).expect("an app's line"),
            time: of("time"),
        }
    };
    output.stdout.lines().map(line).collect()
}

/// Milliseconds of its day of an RFC 3339 time.
fn ms(time: &str) -> i64 {
    let part = |range: std::ops::Range<usize>| -> i64 {
        time.get(range)
            .and_then(|text| text.parse().ok())
            .unwrap_or_else(|| panic!("{time}"))
    };
    ((part(11..13) * 60 + part(14..16)) * 60 + part(17..19)) * 1000 + part(20..23)
}

#[test]
fn every_line_has_its_time() {
    for way in [Way::Raw, Way::Stamped] {
        let home = Home::new();
        let (_, written) = rotated(&home, way);
        let all = json(&home, &["app", "-n", "1000000"]);
        assert_eq!(all.len() as u64, written, "{way:?}");
        assert!(
            all.iter().map(|line| line.number).eq(1..=written),
            "{way:?}: in order"
        );
        assert!(all.is_sorted_by(|a, b| a.time <= b.time), "{way:?}");
        // As far apart as they were written, up to the pace at which they are moved and a busy
        // machine; each tenth may be late, because both may have had to wait.
        let late = all.iter().filter(|line| {
            let since = (ms(&line.time) - ms(&all[0].time)).rem_euclid(86_400_000);
            let due = i64::try_from((line.number - 1) * 1000 / RATE).expect("a short test");
            (since - due).abs() > 250
        });
        let late = late.count();
        assert!(
            late * 10 <= all.len(),
            "{way:?}: {late} of {} lines have another's time",
            all.len()
        );
    }
}

#[test]
fn since_and_until() {
    for way in [Way::Raw, Way::Stamped] {
        let home = Home::new();
        let (_, written) = rotated(&home, way);
        let all = json(&home, &["app", "-n", "1000000"]);
        assert_eq!(all.len() as u64, written);
        let (since, until) = (
            all[all.len() / 3].time.clone(),
            all[all.len() / 3 * 2].time.clone(),
        );
        let some = json(&home, &["app", "--since", &since, "--until", &until]);
        let asked = |line: &&Line| line.time >= since && line.time < until;
        // Those at the very end may count or not.
        let end = some
            .iter()
            .position(|line| line.time >= until)
            .unwrap_or(some.len());
        assert!(
            all.iter().filter(asked).eq(&some[..end]),
            "{way:?}: {} lines",
            some.len()
        );
        assert!(some[end..].iter().all(|line| line.time == until), "{way:?}");
        // Together they are all there is.
        let before = json(&home, &["app", "--until", &since]);
        let after = json(&home, &["app", "--since", &since]);
        assert!(before.iter().all(|line| line.time <= since), "{way:?}");
        let rest: Vec<&Line> = after.iter().filter(|line| !before.contains(line)).collect();
        assert_eq!(before.len() + rest.len(), all.len(), "{way:?}");
        assert_eq!(
            json(&home, &["app", "--since", "1h"]).len(),
            all.len(),
            "{way:?}"
        );
        assert_eq!(json(&home, &["app", "--until", "1h"]).len(), 0, "{way:?}");
        assert_eq!(
            json(&home, &["app", "--since", "1h", "-n", "7"]),
            all[all.len() - 7..],
            "{way:?}"
        );
    }
}

#[test]
fn grep_and_the_last_lines() {
    let home = Home::new();
    let (_, written) = rotated(&home, Way::Raw);
    let numbers = |words: &[&str]| -> Vec<u64> {
        json(&home, words).iter().map(|line| line.number).collect()
    };
    let sevens: Vec<u64> = (1..=written).filter(|number| number % 10 == 7).collect();
    assert_eq!(
        numbers(&["app", "--grep", "^[0-9]*7 the", "-n", "1000000"]),
        sevens
    );
    assert_eq!(
        numbers(&["app", "--grep", "7 the", "-n", "3"]),
        sevens[sevens.len() - 3..]
    );
    assert!(numbers(&["app", "--grep", "no such text", "-n", "3"]).is_empty());
    assert!(numbers(&["app", "-n", "0"]).is_empty());
    // More than the live file has.
    let many = written * 3 / 4;
    let last = numbers(&["app", "-n", &many.to_string()]);
    assert!(last.iter().copied().eq(written - many + 1..=written));
    home.ctl(&["logs", "app", "--no-follow", "--grep", "(", "-n", "3"])
        .exits(2)
        .says("--grep");
}

#[test]
fn timestamps_stand_before_lines() {
    for way in [Way::Raw, Way::Stamped] {
        let home = Home::new();
        let (_, written) = rotated(&home, way);
        let words = [
            "logs",
            "app",
            "--no-follow",
            "--stream",
            "out",
            "--timestamps",
            "-n",
            "1000000",
        ];
        let output = home.ctl(&words).ok();
        for (line, number) in output.stdout.lines().zip(1..) {
            let at = line.len() - (lines::LENGTH - 1);
            let (time, text) = line.split_at(at);
            assert_eq!(
                lines::number_of(format!("{text}\n").as_bytes()),
                Some(number),
                "{line}"
            );
            // One time, not two.
            let colons = time.matches(':').count();
            assert!((2..=3).contains(&colons) && time.contains('.'), "{line}");
        }
        assert_eq!(output.stdout.lines().count() as u64, written);
    }
}

#[test]
fn two_apps_are_merged_by_time() {
    let home = Home::new();
    let both = ["left", "right"].map(|name| Writer::new(name, Way::Raw));
    let logs = "max_size = \"64KiB\"\nkeep = 1000\n";
    home.up(&both
        .each_ref()
        .map(|writer| writer.lines(&home, RATE, logs))
        .concat())
        .ok();
    wait_until("rotations", Duration::from_secs(30), || {
        let rotated = |writer: &Writer| logfiles::rotated(&writer.live(&home)).len() >= 2;
        both.iter().all(rotated).then_some(())
    });
    home.ctl(&["stop", "all"]).ok();
    let all = json(&home, &["left", "right", "-n", "1000000"]);
    assert!(all.is_sorted_by(|a, b| a.time <= b.time), "by time");
    for writer in &both {
        let written = writer.count(&home, Duration::from_secs(5));
        let own = all.iter().filter(|line| line.app == writer.name);
        assert!(
            own.map(|line| line.number).eq(1..=written),
            "{} is whole",
            writer.name
        );
    }
    // They wrote at the same time, and so they take turns.
    let turns = all
        .windows(2)
        .filter(|pair| pair[0].app != pair[1].app)
        .count();
    assert!(turns > 50, "only {turns} turns");
}

#[test]
fn the_last_hundred_lines_of_ten_gigabytes_at_once() {
    const SOON: Duration = Duration::from_millis(100);
    let home = Home::new();
    home.up(&testapp(
        "app",
        &["sleep"],
        "[app.app.logs]\nmax_size = \"unlimited\"\n",
    ))
    .ok();
    home.ctl(&["stop", "app"]).ok();
    let live = home.path().join("logs/app/0.out.log");
    let mut file = OpenOptions::new()
        .write(true)
        .open(&live)
        .expect("the app has a log");
    file.set_len(10 << 30).expect("a file with a hole");
    file.seek(SeekFrom::End(0)).expect("a file");
    let all: String = (1..=1000).map(|n| format!("\nline {n}")).collect();
    file.write_all((all + "\n").as_bytes())
        .expect("room for some lines");
    let times = (0..5).map(|_| {
        let words = ["logs", "app", "-n", "100", "--no-follow", "--stream", "out"];
        let output = home.ctl(&words).ok();
        let shown: Vec<&str> = output.stdout.lines().collect();
        assert_eq!(
            (shown.len(), shown[0], shown[99]),
            (100, "line 901", "line 1000"),
            "{output}"
        );
        output.took
    });
    let fastest = times.min().expect("five");
    println!("the last 100 lines of 10 GB after {fastest:?}");
    assert!(fastest < SOON, "{fastest:?}");
    fs::remove_file(&live).expect("it is there");
}
