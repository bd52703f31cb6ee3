//! The benchmark: this supervisor, the machine's own limits and every other manager that is
//! installed do the same work in one run. `tests/benchmark.sh` builds what it needs and runs it.
//!
//! [`rows`] says what is measured and which goal it has, [`managers`] how each manager is driven,
//! [`measure`] how the figures come about, [`report`] what becomes of them. Nothing is left
//! behind: every manager has a [`place`] of its own, and with it goes all that runs there.

mod fleet;
mod interrupt;
mod machine;
mod managers;
mod measure;
mod place;
mod report;
mod results;
mod rows;
mod table;
mod wait;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use managers::Kind;
use measure::Plan;
use report::Report;
use results::Results;
use rows::Row;

/// Why something did not come to its end.
#[derive(Debug)]
pub enum Error {
    /// Ctrl-C.
    Interrupted,
    /// It could not be done.
    Failed(String),
}

/// What became of it.
pub type Outcome<T> = Result<T, Error>;

/// An error of a file, with its path.
pub fn failed(path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |error| Error::Failed(format!("{}: {error}", path.display()))
}

/// Compares this supervisor with bare system calls and with other process managers.
#[derive(Debug, Parser)]
struct Options {
    /// Only these rows
    #[arg(long, value_delimiter = ',')]
    rows: Vec<Row>,
    /// Only these managers
    #[arg(long, value_delimiter = ',')]
    managers: Vec<Kind>,
    /// How often what takes little time is measured; what takes long, a sixth of it [default: 30,
    /// quick: 4]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: Option<u16>,
    /// Writes every sample to this file
    #[arg(long)]
    json: Option<PathBuf>,
    /// Puts the table between this file's markers
    #[arg(long)]
    readme: Option<PathBuf>,
    /// About two minutes instead of fifteen
    #[arg(long)]
    quick: bool,
}

/// What was asked for, or all of it, in the table's order.
fn chosen<T: ValueEnum + PartialEq + Copy>(asked: &[T]) -> Vec<T> {
    let wanted = |one: &&T| asked.is_empty() || asked.contains(one);
    T::value_variants().iter().filter(wanted).copied().collect()
}

fn run(options: &Options) -> Outcome<()> {
    interrupt::watch();
    let managers: Vec<_> = chosen(&options.managers)
        .into_iter()
        .map(|kind| (kind, kind.find()))
        .collect();
    let there = managers.iter().filter(|(_, found)| found.is_ok());
    let default_rounds = if options.quick { 4 } else { 30 };
    let plan = Plan {
        rows: chosen(&options.rows),
        kinds: there.map(|&(kind, _)| kind).collect(),
        rounds: options.rounds.unwrap_or(default_rounds).into(),
        quick: options.quick,
    };
    let date = OffsetDateTime::now_utc().replace_nanosecond(0);
    let date = date.ok().and_then(|date| date.format(&Rfc3339).ok());
    let load_before = machine::load();
    let mut results = Results::default();
    measure::all(&plan, &mut results)?;
    let report = Report {
        date: date.unwrap_or_default(),
        machine: machine::Machine::this(),
        load: [load_before, machine::load()],
        rounds: plan.rounds,
        quick: plan.quick,
        managers,
        results,
    };
    println!("{}", report.text());
    if let Some(file) = &options.json {
        fs::write(file, format!("{:#}\n", report.json())).map_err(failed(file))?;
    }
    if let Some(file) = &options.readme {
        report::into_readme(file, &report.markdown())?;
    }
    Ok(())
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Error::Interrupted) => {
            eprintln!("benchmark: broken off; everything that it had started is stopped");
            ExitCode::from(130)
        }
        Err(Error::Failed(why)) => {
            eprintln!("benchmark: {why}");
            ExitCode::FAILURE
        }
    }
}
