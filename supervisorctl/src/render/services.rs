//! The table of `status`.

use std::collections::BTreeSet;

use supervisor_protocol::{Service, State};

use super::color::{Colour, of_state, paint};
use super::table::{self, Align, Cell, Column, Fit, Note};
use super::text::wrap;
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
        sanitize::cell(name) + &self.tail(name, instance)
    }

    /// What stands after the app's name.
    fn tail(&self, name: &str, instance: u32) -> String {
        if instance > 0 || self.several.contains(name) {
            format!(":{instance}")
        } else {
            String::new()
        }
    }
}

/// What stands in the place of a table without rows.
pub const EMPTY: &str =
    "no apps yet; `supervisorctl start SCRIPT` or `supervisorctl up FILE` adds some\n";

/// More rows than this are summed up below the table, where the eye is when they have scrolled by.
const MANY: usize = 20;

/// The whole table. Without a width it is for programs: see [`super::table`].
pub fn table(rows: &[Service], names: &Names, width: Option<usize>, style: Style) -> String {
    if rows.is_empty() {
        return EMPTY.to_owned();
    }
    let columns = columns(rows, names, width.is_some());
    let notes: Vec<_> = rows.iter().map(note).collect();
    let mut text = table::render(columns, &notes, width, style);
    if let Some(width) = width
        && rows.len() > MANY
    {
        for line in wrap(&summary(rows, names), width) {
            text.push_str(&paint(style, Colour::Bold, &line));
            text.push('\n');
        }
    }
    text
}

fn columns(rows: &[Service], names: &Names, is_for_people: bool) -> Vec<Column> {
    let column = |header, align, fit, cell: &dyn Fn(&Service) -> Cell| Column {
        header,
        align,
        fit,
        cells: rows.iter().map(cell).collect(),
    };
    let number = |text: Option<String>| text.map_or(Cell::NOTHING, compact);
    // A program that splits at spaces must find one word in each cell.
    let word_of = |text: &str| match sanitize::cell(text) {
        text if text.is_empty() => Cell::NOTHING,
        text if !is_for_people => Cell::plain(text.replace(' ', "_")),
        text => Cell::plain(text),
    };
    vec![
        column("id", Align::Right, Fit::Keep, &|s| {
            Cell::plain(s.id.to_string())
        }),
        column("name", Align::Left, Fit::Cut, &|s| Cell {
            tail: names.tail(&s.name, s.instance),
            ..word_of(&s.name)
        }),
        column("namespace", Align::Left, Fit::Drop(6), &|s| {
            word_of(&s.namespace)
        }),
        column("state", Align::Left, Fit::Keep, &|s| Cell {
            colour: Some(colour(s)),
            ..Cell::plain(word(s.state))
        }),
        column("pid", Align::Right, Fit::Drop(5), &|s| {
            number(s.pid.map(|pid| pid.to_string()))
        }),
        column("uptime", Align::Right, Fit::Drop(2), &|s| {
            number(s.uptime_ms.map(units::age))
        }),
        column("restarts", Align::Right, Fit::Drop(1), &|s| {
            number(Some(s.restarts.to_string()))
        }),
        column("cpu", Align::Right, Fit::Drop(4), &|s| {
            number(s.cpu_percent.map(percent))
        }),
        column("memory", Align::Right, Fit::Drop(3), &|s| {
            number(s.memory_bytes.map(units::bytes))
        }),
    ]
}

/// A number with its unit as one word, as in the config file: `48.2MB`, `1d2h`.
fn compact(mut text: String) -> Cell {
    text.retain(|c| c != ' ');
    Cell::plain(text)
}

/// In the order of the summary: what is well, what is on its way, what needs a look.
const STATES: [State; 8] = [
    State::Running,
    State::Completed,
    State::Stopped,
    State::Starting,
    State::Stopping,
    State::Waiting,
    State::Backoff,
    State::Errored,
];

/// `100 apps: 97 running, 2 backoff (api, mail), 1 errored (x)`.
fn summary(rows: &[Service], names: &Names) -> String {
    let apps: BTreeSet<_> = rows.iter().map(|row| &row.name).collect();
    let what = if apps.len() == rows.len() {
        "apps"
    } else {
        "instances"
    };
    let parts = STATES.iter().filter_map(|state| {
        let of_state: Vec<_> = rows.iter().filter(|row| row.state == *state).collect();
        if of_state.is_empty() {
            return None;
        }
        let mut text = format!("{} {}", of_state.len(), word(*state));
        if matches!(state, State::Backoff | State::Errored) {
            let shown = of_state.iter().take(5);
            let mut shown: Vec<_> = shown.map(|row| names.of(&row.name, row.instance)).collect();
            if of_state.len() > shown.len() {
                shown.push(format!("{} more", of_state.len() - shown.len()));
            }
            text.push_str(&format!(" ({})", shown.join(", ")));
        }
        Some(text)
    });
    let parts: Vec<_> = parts.collect();
    format!("{} {what}: {}", rows.len(), parts.join(", "))
}

/// One that runs only until it falls over again is not green.
fn colour(service: &Service) -> Colour {
    if service.state == State::Running && crashes(service) {
        Colour::Yellow
    } else {
        of_state(service.state)
    }
}

/// Whether it ended quickly, and more than once in a row.
fn crashes(service: &Service) -> bool {
    service.failures > 1
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

/// Why it is as it is, how often in a row, and what happens next.
pub fn note(service: &Service) -> Note {
    let mut why = why(service).map(sanitize::cell).unwrap_or_default();
    let mut next = String::new();
    if let Some(ms) = service.next_start_in_ms {
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
        // Said once, in the part that is not cut.
        if let Some(at) = why.rfind(&format!("{verb} in ")) {
            why.truncate(why[..at].trim_end_matches([' ', ',', ';']).len());
        }
        next = format!("; {verb} in {}", units::until(ms));
    }
    let is_counted = why.contains("in a row") || why.contains("given up");
    if crashes(service) && !why.is_empty() && !is_counted {
        next = format!(", {} in a row{next}", service.failures);
    }
    if service.logs.dropped_lines > 0 {
        // Likewise.
        let is_news = |part: &&str| !part.ends_with(" of its logs were dropped");
        why = why
            .split("; ")
            .filter(is_news)
            .collect::<Vec<_>>()
            .join("; ");
        next.push_str(&format!(
            "; {} log lines dropped",
            service.logs.dropped_lines
        ));
    }
    if why.is_empty() {
        next = next.trim_start_matches([';', ' ']).to_owned();
    }
    let colour = match service.state {
        State::Errored => Colour::Red,
        State::Backoff => Colour::Yellow,
        State::Running | State::Starting if crashes(service) => Colour::Yellow,
        State::Stopped
        | State::Waiting
        | State::Starting
        | State::Running
        | State::Stopping
        | State::Completed => Colour::Dim,
    };
    Note {
        why,
        next,
        colour: Some(colour),
    }
}

fn why(service: &Service) -> Option<&str> {
    let reason = || service.last_exit.as_ref().map(|exit| exit.reason.as_str());
    service.note.as_deref().or_else(|| match service.state {
        State::Backoff | State::Errored => reason(),
        State::Running | State::Starting if crashes(service) => reason(),
        State::Stopped
        | State::Waiting
        | State::Starting
        | State::Running
        | State::Stopping
        | State::Completed => None,
    })
}

#[cfg(test)]
#[path = "services_tests.rs"]
mod tests;
