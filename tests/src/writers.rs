//! Apps that write numbered lines, and what is to be said of their logs when they are stopped.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::{Home, lines, logfiles, testapp, wait_until};

/// How an app's lines get into its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Standard output, byte for byte.
    Raw,
    /// Standard output, with the time before each line.
    Stamped,
    /// Both streams in turn, through one pipe.
    Merged,
    /// The same, with the time before each line.
    MergedStamped,
}

impl Way {
    /// All of them.
    pub const ALL: [Way; 4] = [Way::Raw, Way::Stamped, Way::Merged, Way::MergedStamped];

    fn is_merged(self) -> bool {
        match self {
            Way::Raw | Way::Stamped => false,
            Way::Merged | Way::MergedStamped => true,
        }
    }

    /// Whether the time stands before each line.
    #[must_use]
    pub fn is_stamped(self) -> bool {
        match self {
            Way::Raw | Way::Merged => false,
            Way::Stamped | Way::MergedStamped => true,
        }
    }

    fn config(self) -> String {
        let format = if self.is_stamped() {
            "timestamp"
        } else {
            "raw"
        };
        format!("merge = {}\nformat = {format:?}\n", self.is_merged())
    }
}

/// One of them.
#[derive(Clone, Debug)]
pub struct Writer {
    /// The app's name.
    pub name: String,
    /// How its lines get into its files.
    pub way: Way,
}

impl Writer {
    /// One with this name.
    #[must_use]
    pub fn new(name: &str, way: Way) -> Writer {
        Writer {
            name: name.to_owned(),
            way,
        }
    }

    /// Its definition: so many lines a second until it is stopped; `logs` are keys of that table.
    #[must_use]
    pub fn lines(&self, home: &Home, rate: u64, logs: &str) -> String {
        let (rate, folder) = (rate.to_string(), home.text_of(""));
        let both: &[&str] = if self.way.is_merged() { &["both"] } else { &[] };
        self.app(&[&["lines", &rate, &folder], both].concat(), logs)
    }

    /// Its definition: so many lines as fast as it can.
    #[must_use]
    pub fn burst(&self, home: &Home, count: u64, logs: &str) -> String {
        self.app(&["burst", &count.to_string(), &home.text_of("")], logs)
    }

    /// The same; says that it is ready, and begins when a file of this name is in the work folder.
    #[must_use]
    pub fn burst_after(&self, home: &Home, count: u64, file: &str, logs: &str) -> String {
        let (count, file) = (count.to_string(), home.text_of(file));
        self.app(&["burst", &count, &home.text_of(""), &file], logs)
    }

    fn app(&self, words: &[&str], logs: &str) -> String {
        let (name, way) = (&self.name, self.way.config());
        testapp(name, words, &format!("[app.{name}.logs]\n{way}{logs}"))
    }

    /// Its live file, where it has the usual one.
    #[must_use]
    pub fn live(&self, home: &Home) -> PathBuf {
        home.path().join(format!("logs/{}/0.out.log", self.name))
    }

    /// How many lines it has written; it must have been stopped, or be done.
    #[must_use]
    pub fn written(&self, home: &Home) -> Option<u64> {
        lines::written(&home.file(&format!("{}.0.count", self.name)))
    }

    /// The same, as soon as it says so.
    #[track_caller]
    #[must_use]
    pub fn count(&self, home: &Home, deadline: Duration) -> u64 {
        let what = format!("{}'s own count", self.name);
        wait_until(&what, deadline, || self.written(home))
    }

    /// All that it wrote according to its files, without what `format = "timestamp"` adds.
    #[track_caller]
    #[must_use]
    pub fn logged(&self, home: &Home) -> Vec<u8> {
        let log = logfiles::whole(&self.live(home));
        if !self.way.is_stamped() {
            return log;
        }
        lines::unstamped(&log).unwrap_or_else(|wrong| panic!("{}: {wrong}", self.name))
    }

    /// It is stopped or done; every line is there once and in order, none in two pieces in two
    /// files, nothing was dropped. Gives the number of lines.
    #[track_caller]
    pub fn check(&self, home: &Home) -> u64 {
        let name = &self.name;
        let written = self.count(home, Duration::from_secs(5));
        if let Err(wrong) = lines::check(&self.logged(home), written) {
            panic!("{name} wrote {written} lines; {wrong}");
        }
        for (file, content) in logfiles::contents(&self.live(home)) {
            let whole = content.last().is_none_or(|&last| last == b'\n');
            assert!(whole, "{} does not end with a line's end", file.display());
        }
        let row = home.row(name);
        assert_eq!(dropped(&row), (0, 0), "{row}");
        assert_eq!(row["restarts"], 0, "{row}");
        written
    }
}

/// The lines and bytes that a row of `status --json` says were dropped.
#[track_caller]
#[must_use]
pub fn dropped(row: &Value) -> (u64, u64) {
    let of = |key: &str| {
        let count = row["logs"][key].as_u64();
        count.unwrap_or_else(|| panic!("no logs.{key} in {row}"))
    };
    (of("dropped_lines"), of("dropped_bytes"))
}
