//! The measurements, in stages that share the managers they need. Within a stage all managers do
//! round 1, then all do round 2, each time beginning with another one, so that a noisy moment
//! hits all of them.

mod fleets;
mod logs;
mod one;
mod search;

use std::time::Duration;

use crate::managers::Kind;
use crate::results::Results;
use crate::rows::Row;
use crate::{Error, Outcome, wait};

/// What is to be measured and how thoroughly.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The rows.
    pub rows: Vec<Row>,
    /// The managers, all of them installed.
    pub kinds: Vec<Kind>,
    /// How often a cheap measurement is repeated.
    pub rounds: usize,
    /// Less of everything that takes long.
    pub quick: bool,
}

impl Plan {
    /// How often a measurement is repeated that starts a manager anew.
    fn heavy_rounds(&self) -> usize {
        self.rounds.div_ceil(6)
    }

    /// The managers, none of which runs.
    fn each_kind(&self) -> Vec<Of<()>> {
        self.kinds.iter().map(|&kind| Of { kind, it: () }).collect()
    }

    /// Waits long enough for a manager to give back what it does not need while nothing happens.
    fn settle(&self) -> Outcome<()> {
        wait::nap(Duration::from_millis(if self.quick { 1200 } else { 2000 }))
    }

    /// Those of these rows that are wanted.
    fn wanted(&self, rows: &[Row]) -> Vec<Row> {
        let wanted = |row: &Row| self.rows.contains(row);
        rows.iter().copied().filter(wanted).collect()
    }
}

/// Measures all of it. What a manager cannot do is noted in its cell; only Ctrl-C ends it early.
pub fn all(plan: &Plan, results: &mut Results) -> Outcome<()> {
    one::run(plan, results)?;
    fleets::hundred(plan, results)?;
    fleets::thousands(plan, results)?;
    logs::run(plan, results)?;
    search::run(plan, results)
}

/// Something that belongs to a manager: the manager itself, or one that runs.
struct Of<T> {
    kind: Kind,
    it: T,
}

/// Has each do `measure` once a round. What fails there as a whole fails in all of the rows, and
/// who has failed in all of them is out of it.
fn interleaved<T>(
    all: &mut [Of<T>],
    rounds: usize,
    rows: &[Row],
    results: &mut Results,
    mut measure: impl FnMut(&mut Of<T>, &mut Results) -> Outcome<()>,
) -> Outcome<()> {
    let names: Vec<String> = rows.iter().map(|row| row.id()).collect();
    progress(&format!("{}, rounds: {rounds}", names.join(", ")));
    for _ in 0..rounds {
        for one in all.iter_mut() {
            if rows.iter().all(|&row| results.is_absent(row, one.kind)) {
                continue;
            }
            match measure(one, results) {
                Ok(()) => {}
                Err(Error::Failed(why)) => rows
                    .iter()
                    .for_each(|&row| results.absent(row, one.kind, &why)),
                Err(Error::Interrupted) => return Err(Error::Interrupted),
            }
        }
        all.rotate_left(1.min(all.len()));
    }
    Ok(())
}

/// How long a manager may take to have its apps running.
const START_LIMIT: Duration = Duration::from_secs(120);

/// For whoever waits.
fn progress(what: &str) {
    eprintln!("benchmark: {what}");
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn ns_in_ms(ns: u64) -> f64 {
    ms(Duration::from_nanos(ns))
}

fn megabytes(bytes: u64) -> f64 {
    // Far fewer than 2^52 bytes.
    bytes as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_interleaved_and_who_fails_is_out() {
        let mut all: Vec<Of<()>> = [Kind::Ours, Kind::Pm2, Kind::S6]
            .into_iter()
            .map(|kind| Of { kind, it: () })
            .collect();
        let mut results = Results::default();
        let mut order = Vec::new();
        interleaved(
            &mut all,
            3,
            &[Row::Restart],
            &mut results,
            |one, results| {
                order.push(one.kind);
                if one.kind == Kind::Pm2 {
                    return Err(Error::Failed("gone".to_owned()));
                }
                results.record(Row::Restart, one.kind, Ok(1.0))
            },
        )
        .unwrap();
        assert_eq!(
            order,
            [
                Kind::Ours,
                Kind::Pm2,
                Kind::S6,
                Kind::S6,
                Kind::Ours,
                Kind::S6,
                Kind::Ours,
            ]
        );
        assert_eq!(results.median(Row::Restart, Kind::Ours), Some(1.0));
        assert_eq!(results.median(Row::Restart, Kind::Pm2), None);
    }
}
