//! The table of `status`.

use std::collections::BTreeSet;

use supervisor_protocol::{Service, State};

use super::color::{Colour, of_state};
use super::table::{self, Align, Cell, Column, Fit};
use super::{sanitize, units};
use crate::output::Style;

/// How instances are called: the app's name alone where it has one instance.
#[derive(Clone, Debug, Default)]
pub struct Names {
    several: BTreeSet<String>,
}

impl Names {
    /// From rows of the table, and the words they were asked for by: who types `api:0` knows that
    /// there is more than one.
    pub fn new(rows: &[Service], targets: &[String]) -> Names {
        let typed = |row: &Service| targets.contains(&format!("{}:{}", row.name, row.instance));
        let mut seen = BTreeSet::new();
        let mut several = BTreeSet::new();
        for row in rows {
            let several_of = row.instances > 1 || row.instance > 0;
            if !seen.insert(&row.name) || several_of || typed(row) {
                several.insert(row.name.clone());
            }
        }
        Names { several }
    }

    /// For one app that is known to have several instances.
    pub fn several(name: &str) -> Names {
        Names {
            several: BTreeSet::from([name.to_owned()]),
        }
    }

    /// The name to show.
    pub fn of(&self, name: &str, instance: u32) -> String {
        if instance > 0 || self.several.contains(name) {
            sanitize::cell(&format!("{name}:{instance}"))
        } else {
            sanitize::cell(name)
        }
    }
}

/// The whole table.
pub fn table(rows: &[Service], names: &Names, width: Option<usize>, style: Style) -> String {
    let column = |header, align, fit, cell: &dyn Fn(&Service) -> Cell| Column {
        header,
        align,
        fit,
        cells: rows.iter().map(cell).collect(),
    };
    let or_dash = |text: Option<String>| Cell::plain(text.unwrap_or_else(|| "-".into()));
    let columns = vec![
        column("id", Align::Right, Fit::Drop(1), &|s| {
            Cell::plain(s.id.to_string())
        }),
        column(
            "name",
            Align::Left,
            Fit::Cut {
                wanted: 32,
                least: 20,
            },
            &|s| Cell {
                text: names.of(&s.name, s.instance),
                colour: Some(Colour::Bold),
                ..Cell::default()
            },
        ),
        column("namespace", Align::Left, Fit::Drop(7), &|s| {
            Cell::plain(sanitize::cell(&s.namespace))
        }),
        column("state", Align::Left, Fit::Keep, &|s| Cell {
            text: word(s.state).into(),
            colour: Some(of_state(s.state)),
            ..Cell::default()
        }),
        column("pid", Align::Right, Fit::Drop(6), &|s| {
            or_dash(s.pid.map(|pid| pid.to_string()))
        }),
        column("uptime", Align::Right, Fit::Drop(3), &|s| {
            or_dash(s.uptime_ms.map(units::age))
        }),
        column("restarts", Align::Right, Fit::Drop(2), &|s| {
            Cell::plain(s.restarts.to_string())
        }),
        column("cpu", Align::Right, Fit::Drop(5), &|s| {
            or_dash(s.cpu_percent.map(percent))
        }),
        column("memory", Align::Right, Fit::Drop(4), &|s| {
            or_dash(s.memory_bytes.map(units::bytes))
        }),
        column(
            "note",
            Align::Left,
            Fit::Cut {
                wanted: 30,
                least: 27,
            },
            &note,
        ),
    ];
    table::render(columns, width, style)
}

/// The word for a state, as in JSON.
pub fn word(state: State) -> &'static str {
    match state {
        State::Stopped => "stopped",
        State::Waiting => "waiting",
        State::Starting => "starting",
        State::Running => "running",
        State::Stopping => "stopping",
        State::Backoff => "backoff",
        State::Errored => "errored",
        State::Completed => "completed",
    }
}

/// A share of one core.
pub fn percent(share: f64) -> String {
    format!("{share:.1}%")
}

/// Why it is as it is, and (never cut) what happens next.
pub fn note(service: &Service) -> Cell {
    let reason = service.last_exit.as_ref().map(|exit| exit.reason.as_str());
    let why = match (service.note.as_deref(), service.state) {
        (Some(note), _) => Some(note),
        (None, State::Backoff | State::Errored) => reason,
        (
            None,
            State::Stopped
            | State::Waiting
            | State::Starting
            | State::Running
            | State::Stopping
            | State::Completed,
        ) => None,
    };
    let mut text = why.map(sanitize::cell).unwrap_or_default();
    let mut tail = Vec::new();
    if let Some(ms) = service.next_start_in_ms {
        // Where the sentence ends with the next try itself, it is said in the part that is not cut.
        if let Some(at) = text.rfind("next try in") {
            text.truncate(text[..at].trim_end_matches([' ', ',', ';']).len());
        }
        let verb = match service.state {
            State::Backoff => "next try",
            State::Stopped
            | State::Waiting
            | State::Starting
            | State::Running
            | State::Stopping
            | State::Errored
            | State::Completed => "starts",
        };
        tail.push(format!("{verb} in {}", units::until(ms)));
    }
    if service.logs.dropped_lines > 0 {
        tail.push(format!("{} log lines dropped", service.logs.dropped_lines));
    }
    let tail = tail.join(", ");
    let tail = if text.is_empty() || tail.is_empty() {
        tail
    } else {
        format!(", {tail}")
    };
    Cell {
        text,
        tail,
        colour: None,
    }
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr as _;

    use super::*;
    use crate::render::fixtures::{fleet, running};

    #[test]
    fn the_table_fits_every_width() {
        let mut rows = fleet();
        let names = Names::new(&rows, &[]);
        for width in [60, 80, 120, 200] {
            let text = table(&rows, &names, Some(width), Style::Plain);
            insta::assert_snapshot!(format!("width_{width}"), text);
        }
        insta::assert_snapshot!("pipe", table(&rows, &names, None, Style::Plain));
        let coloured = table(&rows, &names, Some(100), Style::Coloured).replace('\x1b', "ESC");
        insta::assert_snapshot!("coloured", coloured);
        rows.push(running(10, &"n".repeat(64), 0));
        for width in 60..=250 {
            for line in table(&rows, &names, Some(width), Style::Plain).lines() {
                assert!(line.width() <= width, "{width}: {line}");
            }
        }
    }

    #[test]
    fn a_quiet_fleet_has_no_notes() {
        let rows = [running(0, "api", 0), running(1, "web", 0)];
        let text = table(&rows, &Names::new(&rows, &[]), Some(80), Style::Plain);
        insta::assert_snapshot!(text, @r"
        id  name  state     pid  uptime  restarts   cpu   memory
         0  api   running  4710   1d 2h         0  1.5%  48.2 MB
         1  web   running  4711   1d 2h         0  1.5%  48.2 MB
        ");
    }

    #[test]
    fn the_next_try_is_said_once_and_not_cut() {
        let mut service = running(0, "api", 0);
        service.state = State::Backoff;
        service.next_start_in_ms = Some(12_000);
        for said in ["exit code 1", "exit code 1; next try in 11.9 s"] {
            service.note = Some(said.into());
            let note = note(&service);
            assert_eq!(
                (note.text.as_str(), note.tail.as_str()),
                ("exit code 1", ", next try in 12 s")
            );
        }
    }

    #[test]
    fn instances_are_told_apart_where_there_are_several() {
        let rows = [
            running(0, "api", 0),
            running(1, "web", 0),
            running(2, "web", 1),
        ];
        let shown = |names: Names| rows.each_ref().map(|row| names.of(&row.name, row.instance));
        assert_eq!(shown(Names::new(&rows, &[])), ["api", "web:0", "web:1"]);
        assert_eq!(shown(Names::default()), ["api", "web", "web:1"]);
        let typed = Names::new(&rows[..1], &["api:0".into()]);
        assert_eq!(typed.of("api", 0), "api:0");
    }
}
