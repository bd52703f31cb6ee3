//! Apps that write 2,000 numbered lines a second each.

use std::time::{Duration, Instant};

use serde_json::Value;
use supervisor_tests::{Home, lines, testapp, wait_until};

const RATE: u64 = 2000;

/// The apps, writing.
pub struct Writers {
    apps: usize,
    started: Instant,
}

fn name(number: usize) -> String {
    format!("writer{number}")
}

/// Starts so many, and whatever else `rest` defines.
pub fn start(home: &Home, apps: usize, rest: &str) -> Writers {
    let folder = home.work();
    let words = [
        "lines",
        &RATE.to_string(),
        folder.to_str().expect("plain names"),
    ];
    let text: String = (0..apps)
        .map(|number| testapp(&name(number), &words, ""))
        .collect();
    home.up(&(text + rest)).ok();
    Writers {
        apps,
        started: Instant::now(),
    }
}

/// Their pids and how often they were restarted.
pub fn pids(home: &Home) -> Vec<[Value; 3]> {
    let rows = home.status();
    rows.iter()
        .filter(is_writer)
        .map(|row| ["name", "pid", "restarts"].map(|key| row[key].clone()))
        .collect()
}

fn is_writer(row: &&Value) -> bool {
    let name = row["name"].as_str();
    name.is_some_and(|name| name.starts_with("writer"))
}

impl Writers {
    /// Stops them, compares each log with what its app says it wrote, and gives the sum.
    pub fn stop_and_check(self, home: &Home) -> u64 {
        let wrote_for = self.started.elapsed();
        home.ctl(&["stop", "all"]).ok();
        let mut sum = 0;
        for number in 0..self.apps {
            let name = name(number);
            let file = home.file(&format!("{name}.0.count"));
            let written = wait_until("the app's own count", Duration::from_secs(5), || {
                lines::written(&file)
            });
            let log = home.path().join(format!("logs/{name}/0.out.log"));
            let log = std::fs::read(log).expect("the app has a log");
            if let Err(wrong) = lines::check(&log, written) {
                panic!("{name} wrote {written} lines; {wrong}");
            }
            let least = u64::try_from(wrote_for.as_millis()).expect("short") * RATE / 1000 * 7 / 10;
            assert!(
                written >= least,
                "{name} was held up: {written} lines in {wrote_for:?}"
            );
            sum += written;
        }
        for row in home.status().iter().filter(is_writer) {
            assert_eq!(row["logs"]["dropped_lines"], 0, "{row}");
            assert_eq!(row["logs"]["dropped_bytes"], 0, "{row}");
            assert_eq!(row["restarts"], 0, "{row}");
        }
        sum
    }
}
