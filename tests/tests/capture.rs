//! What an app writes is in its files byte for byte, whatever it is and however it is written.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use supervisor_tests::{Home, Rng, is_long, lines, logfiles, proc, testapp, wait_until};

/// An app that writes what is in a file, once, this many bytes at a time.
fn emits(name: &str, file: &str, width: usize, logs: &str) -> String {
    let rest = format!("[app.{name}.restart]\npolicy = \"never\"\n[app.{name}.logs]\n{logs}");
    testapp(name, &["emit", file, &width.to_string()], &rest)
}

fn live(home: &Home, name: &str) -> PathBuf {
    home.path().join(format!("logs/{name}/0.out.log"))
}

#[track_caller]
fn has_ended(home: &Home, name: &str) {
    home.wait_row(name, "has ended", |row| {
        row["pid"].is_null() && !row["last_exit"].is_null()
    });
}

/// All of it is there, and not a byte more.
#[track_caller]
fn is_exactly(home: &Home, name: &str, expected: &[u8]) {
    has_ended(home, name);
    let live = live(home, name);
    let log = wait_until(
        &format!("{} bytes of {name}", expected.len()),
        Duration::from_secs(20),
        || Some(logfiles::whole(&live)).filter(|log| log.len() >= expected.len()),
    );
    if log == expected {
        return;
    }
    let same = log.iter().zip(expected).take_while(|(a, b)| a == b).count();
    let from = same.saturating_sub(20);
    let near = |bytes: &[u8]| {
        String::from_utf8_lossy(&bytes[from..bytes.len().min(same + 20)]).into_owned()
    };
    panic!(
        "{name}: {} bytes instead of {}; other from byte {same} on: {:?}, not {:?}",
        log.len(),
        expected.len(),
        near(&log),
        near(expected)
    );
}

/// Random bytes, with many newlines and zeros among them.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut rng = Rng::new(seed);
    let mut byte = || match rng.within(0..400) {
        0..8 => b'\n',
        8..16 => 0,
        other => (other % 256) as u8,
    };
    (0..bytes).map(|_| byte()).collect()
}

fn cases() -> Vec<(&'static str, Vec<u8>, usize)> {
    let lines = |count: usize| -> Vec<u8> {
        let all: String = (0..count).map(|n| format!("line {n}\n")).collect();
        all.into_bytes()
    };
    vec![
        ("zeros", vec![0; 1 << 20], 4096),
        ("noise", noise(1, 3 << 20), 10_007),
        (
            "invalid",
            [&b"\xff\xfe \xc3\n\xe2\x82\n"[..]; 5000].concat(),
            777,
        ),
        ("no-newline", b"the only line".to_vec(), 100),
        ("newlines", vec![b'\n'; 100_000], 999),
        ("nothing", Vec::new(), 1),
        ("one-byte", lines(3000), 1),
        ("odd-width", lines(100_000), 61),
        ("one-write", lines(50_000), 10 << 20),
        ("page-and-one", noise(2, 5 * 4097), 4097),
    ]
}

#[test]
fn byte_for_byte() {
    let home = Home::new();
    let mut config = String::new();
    for (name, bytes, width) in cases() {
        fs::write(home.file(name), bytes).expect("the work folder");
        config += &emits(name, &home.text_of(name), width, "");
    }
    home.write("apps.toml", &config);
    home.ctl(&["up", "apps.toml", "--no-wait"]).ok();
    for (name, bytes, _) in cases() {
        is_exactly(&home, name, &bytes);
    }
}

#[test]
fn byte_for_byte_over_rotations() {
    let home = Home::new();
    let mut config = String::new();
    let logs = "max_size = \"64KiB\"\nkeep = 1000\n";
    for (name, bytes, width) in cases() {
        fs::write(home.file(name), bytes).expect("the work folder");
        config += &emits(name, &home.text_of(name), width, logs);
    }
    home.write("apps.toml", &config);
    home.ctl(&["up", "apps.toml", "--no-wait"]).ok();
    for (name, bytes, _) in cases() {
        is_exactly(&home, name, &bytes);
    }
    assert!(!logfiles::rotated(&live(&home, "noise")).is_empty());
    // Without a newline anywhere a file ends a mebibyte later.
    assert!(logfiles::rotated(&live(&home, "zeros")).len() <= 1);
}

#[test]
fn with_the_time_before_each_line() {
    let home = Home::new();
    // As a zero is as good a byte as any, all of the cases are.
    let mut config = String::new();
    for (name, bytes, width) in cases() {
        fs::write(home.file(name), bytes).expect("the work folder");
        config += &emits(name, &home.text_of(name), width, "format = \"timestamp\"\n");
    }
    home.write("apps.toml", &config);
    home.ctl(&["up", "apps.toml", "--no-wait"]).ok();
    for (name, bytes, _) in cases() {
        has_ended(&home, name);
        let live = live(&home, name);
        wait_until(&format!("all of {name}"), Duration::from_secs(20), || {
            let log = lines::unstamped(&logfiles::whole(&live)).ok()?;
            (log == bytes).then_some(())
        });
    }
}

/// The first line of a run never goes on with the last one of the run before.
#[test]
fn a_half_line_ends_where_the_next_run_begins() {
    for (format, kill) in [
        ("raw", false),
        ("timestamp", false),
        ("raw", true),
        ("timestamp", true),
    ] {
        let home = Home::new();
        home.write("half", "first\nhalf");
        let logs = format!("format = {format:?}\n");
        home.write("app.toml", &emits("app", &home.text_of("half"), 3, &logs));
        home.ctl(&["up", "app.toml", "--no-wait"]).ok();
        for runs in 1..=4 {
            has_ended(&home, "app");
            let expected = vec!["first\nhalf"; runs].join("\n");
            let log = || match format {
                "raw" => Some(home.log("app", "out")),
                _ => {
                    let text = lines::unstamped(home.log("app", "out").as_bytes()).ok()?;
                    String::from_utf8(text).ok()
                }
            };
            wait_until(
                &format!("{format}, run {runs}"),
                Duration::from_secs(10),
                || (log()? == expected).then_some(()),
            );
            if kill {
                home.kill_engine();
            }
            if runs < 4 {
                // It is over sooner than `start` looks.
                home.ctl(&["start", "app", "--no-wait"]);
            }
        }
    }
}

/// Megabytes without a newline, and the engine's memory.
fn one_long_line(logs: &str) {
    const MORE_KIB: u64 = 4 << 10;
    let bytes: usize = if is_long() { 1 << 30 } else { 256 << 20 };
    let home = Home::new();
    home.up(&testapp(
        "before",
        &["write", "1000000", "4096"],
        &format!("[app.before.logs]\n{logs}"),
    ))
    .ok();
    let engine = home.daemon().engine;
    wait_until("some output", Duration::from_secs(10), || {
        (home.log("before", "out").len() > 500_000).then_some(())
    });
    proc::forget_peak(engine);
    let (before, _) = proc::resident_kib(engine);
    let config = testapp(
        "app",
        &["long", &bytes.to_string()],
        &format!("[app.app.logs]\n{logs}"),
    );
    home.write("app.toml", &config);
    home.ctl(&["up", "app.toml", "--no-wait"]).ok();
    let live = live(&home, "app");
    let size = |file: &Path| fs::metadata(file).map_or(0, |meta| meta.len());
    let all = || -> u64 { logfiles::files(&live).iter().map(|file| size(file)).sum() };
    wait_until("the whole line", Duration::from_secs(120), || {
        (all() > bytes as u64).then_some(())
    });
    let (_, most) = proc::resident_kib(engine);
    assert_eq!(home.daemon().engine, engine, "it is the same engine");
    println!("{bytes} bytes in one line: the engine had {before} KiB, at most {most} KiB");
    assert!(most <= before + MORE_KIB, "{} KiB more", most - before);
    let mut seen = 0;
    for (file, content) in logfiles::contents(&live) {
        let newline = content
            .iter()
            .position(|&byte| byte != b'x')
            .unwrap_or(content.len());
        seen += content.len();
        assert_eq!(
            newline + usize::from(seen > bytes),
            content.len(),
            "{}",
            file.display()
        );
    }
    assert_eq!(seen, bytes + 1);
}

#[test]
fn one_long_line_in_one_file() {
    one_long_line("max_size = \"unlimited\"\nmax_total = \"unlimited\"\ncompress = false\n");
}

#[test]
fn one_long_line_over_many_files() {
    one_long_line(
        "max_size = \"1MB\"\nkeep = 10000\nmax_total = \"unlimited\"\ncompress = false\n",
    );
}
