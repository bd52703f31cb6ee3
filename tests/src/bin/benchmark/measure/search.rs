//! Looking for something in a gigabyte of logs, in files as the manager keeps them. The limit is
//! ripgrep on the same files; most managers have nothing for it.

use std::process::{Command, Stdio};
use std::time::Duration;

use supervisor_tests::lines;

use super::{Plan, interleaved, ms};
use crate::fleet::Fleet;
use crate::managers::{Kind, Search};
use crate::results::Results;
use crate::rows::Row;
use crate::{Error, Outcome, wait};

const ROWS: [Row; 2] = [Row::LogGrep, Row::LogSince];

/// What is found once.
const RARE: &str = "0000424242";

/// Measures them on one manager of each kind that can.
pub fn run(plan: &Plan, results: &mut Results) -> Outcome<()> {
    let rows = plan.wanted(&ROWS);
    if rows.is_empty() {
        return Ok(());
    }
    let bytes = if plan.quick { 200 } else { 1000 } * 1_000_000;
    let mut kinds = plan.each_kind();
    interleaved(&mut kinds, 1, &rows, results, |one, results| {
        match one.kind {
            // Its files are searched in the same run, between those of ours.
            Kind::Bare => Ok(()),
            Kind::Ours => ours(plan, bytes, results),
            Kind::Pm2 | Kind::Supervisord | Kind::S6 | Kind::Runit => {
                Err(Error::Failed("has no command for it".to_owned()))
            }
        }
    })
}

fn ours(plan: &Plan, bytes: u64, results: &mut Results) -> Outcome<()> {
    let mut fleet = Fleet::start(Kind::Ours)?;
    let count = bytes / lines::LENGTH as u64;
    let launch = fleet.launch(1, &["burst", &count.to_string(), &fleet.folder()])?;
    wait::until("all of the output is in files", super::logs::LIMIT, || {
        (fleet.logged() >= count * lines::LENGTH as u64).then_some(())
    })?;
    launch.end()?;
    // So long ago that nothing is of the last second.
    wait::nap(Duration::from_millis(2000))?;
    let mut ripgrep = Command::new("rg");
    ripgrep
        .args(["--no-config", "-N", "-I", RARE])
        .args(fleet.logs());
    let mut grep = fleet.search(Search::Grep(RARE))?;
    let mut since = fleet.search(Search::Since("1s"))?;
    let found = wait::printed(&mut grep)?;
    if found.lines().count() != 1 {
        return Err(Error::Failed(format!(
            "should have found one line: {found}"
        )));
    }
    for _ in 0..plan.rounds.div_ceil(3) {
        let limit = timed(&mut ripgrep).map_err(|error| missing(error, "ripgrep"));
        results.record(Row::LogGrep, Kind::Bare, limit)?;
        results.record(Row::LogGrep, Kind::Ours, timed(&mut grep))?;
        results.record(Row::LogSince, Kind::Ours, timed(&mut since))?;
    }
    Ok(())
}

fn timed(command: &mut Command) -> Outcome<f64> {
    let silent = command.stdin(Stdio::null()).stdout(Stdio::null());
    wait::timed(silent).map(ms)
}

/// Says how to get what is not there.
fn missing(error: Error, package: &str) -> Error {
    match error {
        Error::Failed(why) => Error::Failed(format!("{why} (apt-get install {package})")),
        Error::Interrupted => Error::Interrupted,
    }
}
