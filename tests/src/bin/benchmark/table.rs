//! The table: for a terminal, and as Markdown.

use crate::managers::Kind;
use crate::results::Results;
use crate::rows::Row;

/// Cells as text; the first line is the heading.
pub type Lines = Vec<Vec<String>>;

/// What stands beside a figure of ours that misses its goal.
pub const MISSED: &str = "(!)";

/// One line for each row, one column for each manager, then ours against limit and best.
pub fn lines(results: &Results, rows: &[Row], kinds: &[Kind]) -> Lines {
    let heading = ["what", "unit", "goal"].into_iter();
    let heading = heading
        .chain(kinds.iter().map(|kind| kind.name()))
        .chain(["÷ bare", "÷ best other"])
        .map(str::to_owned)
        .collect();
    let line = |&row: &Row| {
        let mut line = vec![
            row.title().to_owned(),
            row.unit().to_owned(),
            row.goal().to_string(),
        ];
        line.extend(kinds.iter().map(|&kind| cell(results, row, kind)));
        let times =
            |ratio: Option<f64>| ratio.map_or(NONE.to_owned(), |ratio| figure(ratio) + " ×");
        line.push(times(results.times_bare(row)));
        line.push(times(results.times_best_peer(row)));
        line
    };
    [heading].into_iter().chain(rows.iter().map(line)).collect()
}

const NONE: &str = "–";

fn cell(results: &Results, row: Row, kind: Kind) -> String {
    let Some(median) = results.median(row, kind) else {
        return NONE.to_owned();
    };
    if kind == Kind::Ours && results.goal_met(row) == Some(false) {
        return format!("{} {MISSED}", figure(median));
    }
    figure(median)
}

/// As many digits as say something.
fn figure(value: f64) -> String {
    let digits = match value {
        0.0 => 0,
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    let text = format!("{value:.digits$}");
    let (whole, _) = text.split_once('.').unwrap_or((&text, ""));
    if whole.len() < 4 {
        return text;
    }
    let (thousands, rest) = text.split_at(whole.len() - 3);
    format!("{thousands},{rest}")
}

/// Columns under each other: the first to the left, figures to the right.
pub fn text(lines: &Lines) -> String {
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let widths: Vec<usize> = (0..lines[0].len())
        .map(|column| width(column).unwrap_or_default())
        .collect();
    let line = |line: &Vec<String>| {
        let cells: Vec<String> = line
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, &width))| match column {
                0..3 => format!("{cell:width$}"),
                _ => format!("{cell:>width$}"),
            })
            .collect();
        cells.join("  ").trim_end().to_owned() + "\n"
    };
    lines.iter().map(line).collect()
}

/// The same for a README.
pub fn markdown(lines: &Lines) -> String {
    let line = |line: &Vec<String>| format!("| {} |\n", line.join(" | "));
    let rule = "|---".repeat(3) + &"|---:".repeat(lines[0].len() - 3) + "|\n";
    let body: String = lines[1..].iter().map(line).collect();
    line(&lines[0]) + &rule + &body
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Lines {
        let mut results = Results::default();
        for (row, kind, value) in [
            (Row::Respawn, Kind::Ours, 1.9),
            (Row::Respawn, Kind::Bare, 1.0),
            (Row::Respawn, Kind::Supervisord, 1081.4),
            (Row::Log4k, Kind::Ours, 600.0),
            (Row::Log4k, Kind::Bare, 500.0),
            (Row::Log4k, Kind::Supervisord, 40.04),
        ] {
            results.add(row, kind, value);
        }
        let kinds = [Kind::Ours, Kind::Bare, Kind::Supervisord];
        lines(&results, &[Row::Respawn, Row::Log4k, Row::Idle], &kinds)
    }

    #[test]
    fn figures_have_the_digits_that_say_something() {
        let figures = [0.0, 0.123, 9.99, 12.34, 345.6, 1234.5].map(figure);
        assert_eq!(figures, ["0", "0.12", "9.99", "12.3", "346", "1,234"]);
    }

    #[test]
    fn in_a_terminal() {
        assert_eq!(
            text(&example()),
            "\
what                                   unit  goal          supervisor  bare  supervisord  ÷ bare  ÷ best other
crash → successor's first instruction  ms    ≤ 1.5 × bare    1.90 (!)  1.00        1,081  1.90 ×        0.00 ×
stdout → file, 4 KiB writes            MB/s  ≥ bare               600   500         40.0  1.20 ×        15.0 ×
its CPU while 100 apps idle            ms/s  ≤ 0.5                  –     –            –       –             –
"
        );
    }

    #[test]
    fn in_a_readme() {
        let markdown = markdown(&example());
        let lines: Vec<&str> = markdown.lines().collect();
        assert_eq!(
            lines[..3],
            [
                "| what | unit | goal | supervisor | bare | supervisord | ÷ bare | ÷ best other |",
                "|---|---|---|---:|---:|---:|---:|---:|",
                "| crash → successor's first instruction | ms | ≤ 1.5 × bare | 1.90 (!) | 1.00 | 1,081 | 1.90 × | 0.00 × |",
            ]
        );
        assert_eq!(lines.len(), 5);
    }
}
