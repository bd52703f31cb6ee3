//! Logs: how fast what an app writes gets into a file, and what the manager uses for it.

use std::path::Path;
use std::time::{Duration, Instant};

use supervisor_tests::{bare, monotonic_ns};

use super::{Plan, START_LIMIT, interleaved, megabytes};
use crate::fleet::Fleet;
use crate::managers::Kind;
use crate::place::Place;
use crate::results::Results;
use crate::rows::Row;
use crate::{Outcome, failed, wait};

/// How long an app's output may take to be in its file.
pub const LIMIT: Duration = Duration::from_secs(120);

/// What is measured while an app writes 4 KiB at a time.
const WIDE: [Row; 3] = [Row::Log4k, Row::LogCpu, Row::LogMemory];

/// Measures them, each time with a new manager and an app that writes as fast as it can.
pub fn run(plan: &Plan, results: &mut Results) -> Outcome<()> {
    let bytes = if plan.quick { 100 } else { 400 } * 1_000_000;
    each(plan, &WIDE, results, |kind, results| {
        let wrote = write(kind, bytes, 4096)?;
        let cpu = wrote.cpu.as_secs_f64() / (megabytes(bytes) / 1e3);
        let speed = megabytes(bytes) / wrote.time.as_secs_f64();
        results.record(Row::Log4k, kind, Ok(speed))?;
        results.record(Row::LogCpu, kind, Ok(cpu))?;
        results.record(Row::LogMemory, kind, wrote.memory.map(megabytes))
    })?;
    let bytes = if plan.quick { 20 } else { 100 } * 1_000_000;
    each(plan, &[Row::Log100], results, |kind, results| {
        let wrote = write(kind, bytes, 100)?;
        let speed = megabytes(bytes) / wrote.time.as_secs_f64();
        results.record(Row::Log100, kind, Ok(speed))
    })?;
    let window = Duration::from_secs(if plan.quick { 2 } else { 5 });
    each(plan, &[Row::LogLines], results, |kind, results| {
        results.record(Row::LogLines, kind, many_lines(kind, window))
    })
}

fn each(
    plan: &Plan,
    rows: &[Row],
    results: &mut Results,
    mut measure: impl FnMut(Kind, &mut Results) -> Outcome<()>,
) -> Outcome<()> {
    if plan.wanted(rows).is_empty() {
        return Ok(());
    }
    let mut kinds = plan.each_kind();
    let rounds = plan.heavy_rounds();
    interleaved(&mut kinds, rounds, rows, results, |one, results| {
        measure(one.kind, results)
    })
}

/// What came of an app's writing.
struct Wrote {
    /// From the app's first instruction until the file has all it wrote.
    time: Duration,
    /// What the manager used meanwhile; without one, a loop that only splices.
    cpu: Duration,
    /// What the manager's memory grew by in bytes.
    memory: Outcome<u64>,
}

fn write(kind: Kind, bytes: u64, width: u64) -> Outcome<Wrote> {
    let mut fleet = Fleet::start(kind)?;
    let used_before = fleet.cpu_ns()?;
    let had = fleet.forget_peak();
    let words = ["write", &bytes.to_string(), &width.to_string()];
    let launch = fleet.launch(1, &words)?;
    let ended = wait::until("all of the output is in the file", LIMIT, || {
        (fleet.logged() >= bytes).then_some(monotonic_ns())
    })?;
    let began = fleet.began().unwrap_or(ended);
    let used = fleet.cpu_ns_without(&launch)?.saturating_sub(used_before);
    launch.end()?;
    let memory = had.and_then(|had| Ok(fleet.peak()?.saturating_sub(had)));
    let cpu = if kind == Kind::Bare {
        spliced(bytes, width)?
    } else {
        Duration::from_nanos(used)
    };
    let time = Duration::from_nanos(ended.saturating_sub(began));
    Ok(Wrote { time, cpu, memory })
}

/// The CPU time of a loop that does nothing but splice.
fn spliced(bytes: u64, width: u64) -> Outcome<Duration> {
    let place = Place::new()?;
    let took = bare::spliced(&place.folder("splice")?, bytes, width);
    took.map(|took| took.cpu)
        .map_err(failed(Path::new("splice")))
}

/// The share of a core that the manager uses for 50 apps with 2,000 lines a second each, in
/// percent.
fn many_lines(kind: Kind, window: Duration) -> Outcome<f64> {
    let mut fleet = Fleet::start(kind)?;
    let launch = fleet.launch(50, &["lines", "2000", &fleet.folder()])?;
    fleet.all_run(&launch, START_LIMIT)?;
    launch.end()?;
    wait::nap(Duration::from_secs(1))?;
    let (before, since) = (fleet.cpu_ns()?, Instant::now());
    wait::nap(window)?;
    let used = Duration::from_nanos(fleet.cpu_ns()?.saturating_sub(before));
    Ok(used.as_secs_f64() / since.elapsed().as_secs_f64() * 100.0)
}
