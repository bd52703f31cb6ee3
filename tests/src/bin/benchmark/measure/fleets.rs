//! Many apps: until all run, `status`, memory, and what it costs while nothing happens. Only one
//! manager has its apps at a time: who looks through the processes of the machine shall find
//! those of no other.

use std::time::{Duration, Instant};

use super::{Of, Plan, START_LIMIT, interleaved, megabytes, ms, ns_in_ms};
use crate::fleet::Fleet;
use crate::managers::Kind;
use crate::results::Results;
use crate::rows::Row;
use crate::{Outcome, wait};

/// What is measured with 100 apps.
const HUNDRED: [Row; 4] = [Row::Up100, Row::Status100, Row::Memory100, Row::Idle];

/// What is measured with 2,000 apps.
const THOUSANDS: [Row; 2] = [Row::Status2000, Row::Memory2000];

/// 100 apps that sleep; each round with a new manager.
pub fn hundred(plan: &Plan, results: &mut Results) -> Outcome<()> {
    let rounds = plan.heavy_rounds();
    visits(plan, 100, &HUNDRED, rounds, results)
}

/// 2,000 apps that sleep; once, because some take minutes.
pub fn thousands(plan: &Plan, results: &mut Results) -> Outcome<()> {
    let mut plan = plan.clone();
    if plan.quick {
        for row in plan.wanted(&THOUSANDS) {
            let all = plan.kinds.iter().copied();
            all.filter(takes_long)
                .for_each(|kind| results.absent(row, kind, "left out of a quick run"));
        }
        plan.kinds.retain(|kind| !takes_long(kind));
    }
    visits(&plan, 2000, &THOUSANDS, 1, results)
}

fn takes_long(kind: &Kind) -> bool {
    match kind {
        Kind::Ours | Kind::Bare => false,
        Kind::Pm2 | Kind::Supervisord | Kind::S6 | Kind::Runit => true,
    }
}

fn visits(
    plan: &Plan,
    count: usize,
    rows: &[Row],
    rounds: usize,
    results: &mut Results,
) -> Outcome<()> {
    let rows = plan.wanted(rows);
    if rows.is_empty() {
        return Ok(());
    }
    let mut kinds = plan.each_kind();
    interleaved(&mut kinds, rounds, &rows, results, |one, results| {
        visit(plan, one, count, &rows, results)
    })
}

/// Starts a manager with this many apps, measures these rows, and ends it.
fn visit(
    plan: &Plan,
    one: &Of<()>,
    count: usize,
    rows: &[Row],
    results: &mut Results,
) -> Outcome<()> {
    let (asked, window) = if plan.quick { (3, 2) } else { (6, 5) };
    let mut fleet = Fleet::start(one.kind)?;
    let up = fleet.sleeping(count, START_LIMIT)?;
    plan.settle()?;
    fleet.check_status()?;
    for &row in rows {
        match row {
            Row::Up100 => results.record(row, one.kind, Ok(ns_in_ms(up)))?,
            Row::Status100 | Row::Status2000 => {
                for _ in 0..asked {
                    results.record(row, one.kind, fleet.status().map(ms))?;
                }
                plan.settle()?;
            }
            Row::Memory100 | Row::Memory2000 => {
                results.record(row, one.kind, fleet.memory().map(megabytes))?;
            }
            Row::Idle => {
                results.record(row, one.kind, idle(&fleet, Duration::from_secs(window)))?;
            }
            Row::Respawn
            | Row::Restart
            | Row::RestartCommand
            | Row::Status1
            | Row::Memory1
            | Row::Log4k
            | Row::Log100
            | Row::LogCpu
            | Row::LogMemory
            | Row::LogLines
            | Row::LogGrep
            | Row::LogSince => unreachable!("{row:?} is not a row of many apps"),
        }
    }
    Ok(())
}

/// What the manager uses while nothing happens, in milliseconds a second.
fn idle(fleet: &Fleet, window: Duration) -> Outcome<f64> {
    let (before, since) = (fleet.cpu_ns()?, Instant::now());
    wait::nap(window)?;
    let used = fleet.cpu_ns()?.saturating_sub(before);
    Ok(ns_in_ms(used) / since.elapsed().as_secs_f64())
}
