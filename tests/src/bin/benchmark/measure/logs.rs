//! Logs: how fast what an app writes gets into a file, and what the manager uses for it.

use std::time::Duration;

use supervisor_tests::monotonic_ns;

use super::{Plan, interleaved, megabytes};
use crate::fleet::Fleet;
use crate::managers::Kind;
use crate::results::Results;
use crate::rows::Row;
use crate::{Outcome, wait};

/// How long an app's output may take to be in its file.
const LIMIT: Duration = Duration::from_secs(120);

/// Measures them, each time with a new manager and an app that writes as fast as it can.
pub fn run(plan: &Plan, results: &mut Results) -> Outcome<()> {
    let wide = [Row::Log4k, Row::LogCpu];
    if !plan.wanted(&wide).is_empty() {
        let bytes = if plan.quick { 100 } else { 400 } * 1_000_000;
        each(plan, &wide, bytes, 4096, results)?;
    }
    if !plan.wanted(&[Row::Log100]).is_empty() {
        let bytes = if plan.quick { 20 } else { 100 } * 1_000_000;
        each(plan, &[Row::Log100], bytes, 100, results)?;
    }
    Ok(())
}

fn each(plan: &Plan, rows: &[Row], bytes: u64, width: u64, results: &mut Results) -> Outcome<()> {
    let mut kinds = plan.each_kind();
    interleaved(
        &mut kinds,
        plan.heavy_rounds(),
        rows,
        results,
        |one, results| {
            let (seconds, cpu_seconds) = write(one.kind, bytes, width)?;
            let megabytes = megabytes(bytes);
            rows.iter().try_for_each(|&row| {
                let figure = if row == Row::LogCpu {
                    cpu_seconds / (megabytes / 1e3)
                } else {
                    megabytes / seconds
                };
                results.record(row, one.kind, Ok(figure))
            })
        },
    )
}

/// The seconds from the app's first instruction until the file has all it wrote, and the seconds
/// of CPU that the manager used meanwhile.
fn write(kind: Kind, bytes: u64, width: u64) -> Outcome<(f64, f64)> {
    let mut fleet = Fleet::start(kind)?;
    let used_before = fleet.cpu_ns()?;
    let words = ["write", &bytes.to_string(), &width.to_string()];
    let launch = fleet.launch(1, &words)?;
    let ended = wait::until("all of the output is in the file", LIMIT, || {
        (fleet.logged() >= bytes).then(monotonic_ns)
    })?;
    let began = fleet.began().unwrap_or(ended);
    let used = fleet.cpu_ns_without(&launch)?.saturating_sub(used_before);
    launch.end()?;
    Ok((ended.saturating_sub(began) as f64 / 1e9, used as f64 / 1e9))
}
