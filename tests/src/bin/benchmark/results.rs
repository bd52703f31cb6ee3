//! What was measured: for each row and manager its samples, or why there are none.

use std::collections::BTreeMap;

use crate::managers::Kind;
use crate::rows::Row;
use crate::{Error, Outcome};

/// What one manager did in one row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// What was measured, in the order in which it was.
    Samples(Vec<f64>),
    /// Why there is nothing.
    Absent(String),
}

/// All cells.
#[derive(Debug, Default)]
pub struct Results {
    cells: BTreeMap<(Row, Kind), Cell>,
}

/// A cell in three figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// Half of the samples are below it.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Summary {
    /// Of some samples; `None` of none.
    pub fn of(samples: &[f64]) -> Option<Summary> {
        let mut sorted = samples.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        };
        Some(Summary { median, min, max })
    }
}

impl Results {
    /// Adds a sample. What once could not be done stays so.
    pub fn add(&mut self, row: Row, kind: Kind, value: f64) {
        let cell = self
            .cells
            .entry((row, kind))
            .or_insert_with(|| Cell::Samples(Vec::new()));
        if let Cell::Samples(samples) = cell {
            samples.push(value);
        }
    }

    /// Adds what came of a measurement: a sample, or why there is none. Only Ctrl-C is an error.
    pub fn record(&mut self, row: Row, kind: Kind, measured: Outcome<f64>) -> Outcome<()> {
        match measured {
            Ok(value) => self.add(row, kind, value),
            Err(Error::Failed(why)) => self.absent(row, kind, &why),
            Err(Error::Interrupted) => return Err(Error::Interrupted),
        }
        Ok(())
    }

    /// Whether it was tried in vain.
    pub fn is_absent(&self, row: Row, kind: Kind) -> bool {
        matches!(self.cell(row, kind), Some(Cell::Absent(_)))
    }

    /// Says why there is nothing in a cell, or nothing that counts.
    pub fn absent(&mut self, row: Row, kind: Kind, why: &str) {
        self.cells.insert((row, kind), Cell::Absent(why.to_owned()));
    }

    /// A cell, if anything was tried there.
    pub fn cell(&self, row: Row, kind: Kind) -> Option<&Cell> {
        self.cells.get(&(row, kind))
    }

    /// A cell's figures.
    pub fn summary(&self, row: Row, kind: Kind) -> Option<Summary> {
        match self.cell(row, kind)? {
            Cell::Samples(samples) => Summary::of(samples),
            Cell::Absent(_) => None,
        }
    }

    /// A cell's median.
    pub fn median(&self, row: Row, kind: Kind) -> Option<f64> {
        self.summary(row, kind).map(|summary| summary.median)
    }

    /// The rows that have anything.
    pub fn rows(&self) -> Vec<Row> {
        let mut rows: Vec<Row> = self.cells.keys().map(|&(row, _)| row).collect();
        rows.dedup();
        rows
    }

    /// The best median of the other managers.
    pub fn best_peer(&self, row: Row) -> Option<f64> {
        let peers = self.cells.keys().filter(|&&(of, kind)| {
            of == row
                && match kind {
                    Kind::Ours | Kind::Bare => false,
                    Kind::Pm2 | Kind::Supervisord | Kind::S6 | Kind::Runit => true,
                }
        });
        let medians = peers.filter_map(|&(row, kind)| self.median(row, kind));
        if row.more_is_better() {
            medians.max_by(f64::total_cmp)
        } else {
            medians.min_by(f64::total_cmp)
        }
    }

    /// Ours as a multiple of the bare limit.
    pub fn times_bare(&self, row: Row) -> Option<f64> {
        ratio(self.median(row, Kind::Ours)?, self.median(row, Kind::Bare)?)
    }

    /// Ours as a multiple of the best of the others.
    pub fn times_best_peer(&self, row: Row) -> Option<f64> {
        ratio(self.median(row, Kind::Ours)?, self.best_peer(row)?)
    }

    /// Whether ours reaches its goal.
    pub fn goal_met(&self, row: Row) -> Option<bool> {
        let ours = self.median(row, Kind::Ours)?;
        row.goal().is_met(ours, self.median(row, Kind::Bare))
    }
}

fn ratio(ours: f64, other: f64) -> Option<f64> {
    (other > 0.0).then(|| ours / other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(Summary::of(&[]), None);
        let three = Summary::of(&[3.0, 1.0, 2.0]).unwrap();
        assert_eq!((three.median, three.min, three.max), (2.0, 1.0, 3.0));
        assert_eq!(Summary::of(&[4.0, 1.0, 3.0, 2.0]).unwrap().median, 2.5);
    }

    #[test]
    fn the_best_peer_is_neither_ours_nor_the_limit() {
        let mut results = Results::default();
        for (kind, ms, mb) in [
            (Kind::Ours, 2.0, 600.0),
            (Kind::Bare, 1.0, 500.0),
            (Kind::Pm2, 10.0, 90.0),
            (Kind::Runit, 8.0, 40.0),
        ] {
            results.add(Row::Respawn, kind, ms);
            results.add(Row::Log4k, kind, mb);
        }
        assert_eq!(results.best_peer(Row::Respawn), Some(8.0));
        assert_eq!(results.best_peer(Row::Log4k), Some(90.0));
        assert_eq!(results.times_bare(Row::Respawn), Some(2.0));
        assert_eq!(results.times_best_peer(Row::Respawn), Some(0.25));
        assert_eq!(results.goal_met(Row::Respawn), Some(false));
        assert_eq!(results.goal_met(Row::Log4k), Some(true));
        assert_eq!(results.goal_met(Row::Idle), None);
    }

    #[test]
    fn a_failure_takes_the_samples_with_it() {
        let mut results = Results::default();
        results.add(Row::Restart, Kind::Pm2, 1.0);
        results.absent(Row::Restart, Kind::Pm2, "it died");
        results.add(Row::Restart, Kind::Pm2, 1.0);
        assert_eq!(
            results.cell(Row::Restart, Kind::Pm2),
            Some(&Cell::Absent("it died".to_owned()))
        );
        assert_eq!(results.rows(), [Row::Restart]);
    }
}
