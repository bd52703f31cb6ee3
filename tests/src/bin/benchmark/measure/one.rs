//! One app: a crash, a restart, `status`, memory.

use super::{Of, Plan, START_LIMIT, interleaved, megabytes, ms, ns_in_ms};
use crate::fleet::Fleet;
use crate::results::Results;
use crate::rows::Row;
use crate::{Error, Outcome};

const ROWS: [Row; 5] = [
    Row::Respawn,
    Row::Restart,
    Row::RestartCommand,
    Row::Status1,
    Row::Memory1,
];

/// Measures them on one manager of each kind; all of them run.
pub fn run(plan: &Plan, results: &mut Results) -> Outcome<()> {
    let rows = plan.wanted(&ROWS);
    if rows.is_empty() {
        return Ok(());
    }
    let mut all = fleets(plan, &rows, results)?;
    plan.settle()?;
    if rows.contains(&Row::Status1) {
        let row = Row::Status1;
        interleaved(&mut all, 1, &[row], results, |one, _| one.it.check_status())?;
        interleaved(&mut all, plan.rounds, &[row], results, |one, results| {
            results.record(row, one.kind, one.it.status().map(ms))
        })?;
    }
    if rows.contains(&Row::Respawn) {
        let row = Row::Respawn;
        interleaved(&mut all, plan.rounds, &[row], results, |one, results| {
            results.record(row, one.kind, one.it.crash().map(ns_in_ms))
        })?;
    }
    let restart = [Row::Restart, Row::RestartCommand];
    if !plan.wanted(&restart).is_empty() {
        interleaved(&mut all, plan.rounds, &restart, results, |one, results| {
            let (new, command) = one.it.restart()?;
            results.record(Row::Restart, one.kind, Ok(ns_in_ms(new)))?;
            results.record(Row::RestartCommand, one.kind, Ok(ms(command)))
        })?;
    }
    // After all that: as it is in daily use.
    if rows.contains(&Row::Memory1) {
        plan.settle()?;
        let (row, rounds) = (Row::Memory1, plan.heavy_rounds());
        interleaved(&mut all, rounds, &[row], results, |one, results| {
            results.record(row, one.kind, one.it.memory().map(megabytes))
        })?;
    }
    Ok(())
}

/// A manager of each kind with one app. One that does not get it up has no figure in any row.
fn fleets(plan: &Plan, rows: &[Row], results: &mut Results) -> Outcome<Vec<Of<Fleet>>> {
    let mut fleets = Vec::new();
    for &kind in &plan.kinds {
        let started = Fleet::start(kind).and_then(|mut fleet| {
            fleet.sleeping(1, START_LIMIT)?;
            Ok(fleet)
        });
        match started {
            Ok(it) => fleets.push(Of { kind, it }),
            Err(Error::Failed(why)) => rows.iter().for_each(|&row| results.absent(row, kind, &why)),
            Err(Error::Interrupted) => return Err(Error::Interrupted),
        }
    }
    Ok(fleets)
}
