//! What is left of a run: JSON with every sample, and the part of the README between two markers.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::machine::Machine;
use crate::managers::Kind;
use crate::results::{Cell, Results, Summary};
use crate::rows::Row;
use crate::{Error, Outcome, failed, table};

/// A run and what belongs to it.
#[derive(Debug)]
pub struct Report {
    /// The day and time, UTC, RFC 3339.
    pub date: String,
    /// Where it ran.
    pub machine: Machine,
    /// The load average before and after.
    pub load: [f64; 2],
    /// Rounds of a cheap measurement.
    pub rounds: usize,
    /// Whether it was a quick run.
    pub quick: bool,
    /// The managers with their versions, or how to install them.
    pub managers: Vec<(Kind, Result<String, &'static str>)>,
    /// What was measured.
    pub results: Results,
}

/// Where the README's table begins.
pub const BEGIN: &str = "<!-- benchmark: made by tests/benchmark.sh -->";
/// Where it ends.
pub const END: &str = "<!-- /benchmark -->";

impl Report {
    /// The managers that ran.
    fn kinds(&self) -> Vec<Kind> {
        let there = self.managers.iter().filter(|(_, found)| found.is_ok());
        there.map(|&(kind, _)| kind).collect()
    }

    fn lines(&self) -> table::Lines {
        table::lines(&self.results, &self.results.rows(), &self.kinds())
    }

    /// For a person at a terminal.
    pub fn text(&self) -> String {
        let missing: String = self
            .managers
            .iter()
            .filter_map(|(kind, found)| {
                let install = found.as_ref().err()?;
                Some(format!("{} is not installed: {install}\n", kind.name()))
            })
            .collect();
        let mut absent = String::new();
        for row in self.results.rows() {
            for kind in self.kinds() {
                if let Some(Cell::Absent(why)) = self.results.cell(row, kind) {
                    absent += &format!("{}, {}: {why}\n", row.id(), kind.name());
                }
            }
        }
        let table = table::text(&self.lines());
        let about = self.about();
        format!("{table}\n{about}\n{absent}{missing}")
    }

    /// One paragraph: what was measured where.
    fn about(&self) -> String {
        let versions: Vec<String> = self
            .managers
            .iter()
            .filter(|&&(kind, _)| kind != Kind::Bare)
            .filter_map(|(kind, found)| Some(format!("{} {}", kind.name(), found.as_ref().ok()?)))
            .collect();
        let day = self.date.split('T').next().unwrap_or_default();
        let kind_of_run = if self.quick { "quick run" } else { "run" };
        format!(
            "Measured {day} on {}; one {kind_of_run}, medians, load {:.1} before and {:.1} after. \
             {}. \"bare\" is the machine's own limit: a loop of posix_spawn and waitpid, `true`, an \
             app that writes to the file itself, a loop of splice, ripgrep. {} marks a goal that was missed.",
            self.machine,
            self.load[0],
            self.load[1],
            versions.join(", "),
            table::MISSED
        )
    }

    /// What stands in the README.
    pub fn markdown(&self) -> String {
        format!("{}\n{}\n", table::markdown(&self.lines()), self.about())
    }

    /// Everything.
    pub fn json(&self) -> Value {
        let managers: Vec<Value> = self
            .managers
            .iter()
            .map(|(kind, found)| match found {
                Ok(version) => json!({ "id": kind.id(), "name": kind.name(), "version": version }),
                Err(install) => json!({ "id": kind.id(), "name": kind.name(), "install": install }),
            })
            .collect();
        let rows = self.results.rows();
        let rows: Vec<Value> = rows.into_iter().map(|row| self.row_json(row)).collect();
        json!({
            "date": self.date,
            "machine": self.machine.json(),
            "load": self.load,
            "rounds": self.rounds,
            "quick": self.quick,
            "managers": managers,
            "rows": rows,
        })
    }

    fn row_json(&self, row: Row) -> Value {
        let cells = self.kinds().into_iter().filter_map(|kind| {
            let cell = cell_json(self.results.cell(row, kind)?);
            Some((kind.id(), cell))
        });
        json!({
            "id": row.id(),
            "title": row.title(),
            "unit": row.unit(),
            "more_is_better": row.more_is_better(),
            "goal": row.goal().to_string(),
            "goal_met": self.results.goal_met(row),
            "times_bare": self.results.times_bare(row),
            "times_best_other": self.results.times_best_peer(row),
            "managers": cells.collect::<Map<String, Value>>(),
        })
    }
}

fn cell_json(cell: &Cell) -> Value {
    let samples = match cell {
        Cell::Absent(why) => return json!({ "absent": why }),
        Cell::Samples(samples) => samples,
    };
    match Summary::of(samples) {
        None => json!({ "absent": "no round" }),
        Some(Summary { median, min, max }) => {
            json!({ "median": median, "min": min, "max": max, "samples": samples })
        }
    }
}

/// Puts the table between a README's markers.
pub fn into_readme(file: &Path, part: &str) -> Outcome<()> {
    let text = fs::read_to_string(file).map_err(failed(file))?;
    let text = between_markers(&text, part).ok_or_else(|| {
        Error::Failed(format!(
            "{} does not have {BEGIN:?} and after it {END:?}: add both where the table belongs",
            file.display()
        ))
    })?;
    fs::write(file, text).map_err(failed(file))
}

fn between_markers(text: &str, part: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{part}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Report {
        let mut results = Results::default();
        for value in [2.0, 1.0, 3.0] {
            results.add(Row::Respawn, Kind::Ours, value);
        }
        results.add(Row::Respawn, Kind::Bare, 1.0);
        results.absent(Row::Restart, Kind::Bare, "no such command");
        Report {
            date: "2026-11-22T16:00:00Z".to_owned(),
            machine: Machine {
                cpu: "A CPU".to_owned(),
                cores: 2,
                kernel: "6.1".to_owned(),
                memory_mb: 8_123,
            },
            load: [0.1, 0.22],
            rounds: 3,
            quick: true,
            managers: vec![
                (Kind::Ours, Ok("0.1.0".to_owned())),
                (Kind::Bare, Ok("-".to_owned())),
                (Kind::S6, Err("apt-get install s6")),
            ],
            results,
        }
    }

    #[test]
    fn the_json_has_every_sample_and_every_reason() {
        let json = example().json();
        assert_eq!(
            json["rows"][0],
            json!({
                "id": "respawn",
                "title": "crash → successor's first instruction",
                "unit": "ms",
                "more_is_better": false,
                "goal": "≤ 1.5 × bare",
                "goal_met": false,
                "times_bare": 2.0,
                "times_best_other": null,
                "managers": {
                    "ours": { "median": 2.0, "min": 1.0, "max": 3.0, "samples": [2.0, 1.0, 3.0] },
                    "bare": { "median": 1.0, "min": 1.0, "max": 1.0, "samples": [1.0] },
                },
            })
        );
        assert_eq!(
            json["rows"][1]["managers"],
            json!({ "bare": { "absent": "no such command" } })
        );
        assert_eq!(json["managers"][2]["install"], "apt-get install s6");
        assert_eq!(json["machine"]["cores"], 2);
    }

    #[test]
    fn only_what_is_between_the_markers_changes() {
        let before = format!("# A\n{BEGIN}\nold\n{END}\nB\n");
        let after = between_markers(&before, "new\n").unwrap();
        assert_eq!(after, format!("# A\n{BEGIN}\n\nnew\n\n{END}\nB\n"));
        assert_eq!(between_markers(&after, "new\n").as_ref(), Some(&after));
        assert_eq!(between_markers("# A\n", "new"), None);
        assert_eq!(between_markers(&format!("{END}{BEGIN}"), "new"), None);
    }

    #[test]
    fn the_readme_says_when_and_where_and_with_what() {
        let markdown = example().markdown();
        for part in [
            "| 2.00 (!) | 1.00 |",
            "Measured 2026-11-22 on A CPU, 2 cores, 9 GB, Linux 6.1; one quick run",
            "load 0.1 before and 0.2 after. supervisor 0.1.0.",
        ] {
            assert!(markdown.contains(part), "{part:?} in {markdown}");
        }
    }

    #[test]
    fn the_terminal_is_told_what_is_missing_and_why() {
        let text = example().text();
        for part in [
            "restart, bare: no such command\n",
            "s6 is not installed: apt-get install s6\n",
        ] {
            assert!(text.contains(part), "{part:?} in {text}");
        }
    }
}
