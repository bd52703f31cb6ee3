//! What is in the files already.
//!
//! Owns how much must be asked for and read: at first little, and more only where that does not have
//! the lines that are wanted. Promises that the last lines are the last ones that pass the filter, and
//! that memory does not grow with the logs: what is looked for is counted first and printed then.

use std::io;

use supervisor_logs::reading::{self, Harm, Line, Place, Query, Report, StreamLog, Trouble};
use supervisor_protocol::client::Session;

use super::ask::{ALL, Answer, Wanted};
use super::filter::Filter;
use super::printer::Printer;
use super::source::{Piece, Source};
use crate::errors::{CliError, Exit};
use crate::output::tell;
use crate::render::sanitize;

/// With so many lines to find, all rotated files are asked for at once, and none is read twice.
const FEW: usize = 1_000;

/// How many lines are looked at first for each that is wanted and has a certain level, and how many
/// times as many then.
const WIDER: usize = 8;

/// Which lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Those that arrived at or after this.
    pub since: Option<i64>,
    /// Those that arrived at or before this.
    pub until: Option<i64>,
    /// At most so many of each stream, the last ones.
    pub last: Option<usize>,
}

/// What is to be read and printed.
pub struct Plan {
    query: Query<'static>,
    /// Of each stream: how many lines that pass the filter are too many.
    skip: Vec<usize>,
}

/// Asks for what is needed to print `range`.
pub fn look(
    wanted: &Wanted,
    session: &mut Session,
    range: &Range,
    filter: &Filter,
) -> Result<(Answer, Plan), CliError> {
    let is_tail = range.since.is_none() && range.until.is_none() && filter.pattern.is_none();
    let mut archives = match range.last {
        Some(0) => 0,
        Some(1..=FEW) if is_tail => 1,
        Some(_) | None => ALL,
    };
    let mut answer = wanted.ask(session, archives)?;
    let mut query = Query {
        since: range.since,
        until: range.until,
        last: range.last,
        complete_only: wanted.follow,
        ..Query::default()
    };
    // Where levels are looked at, a line counts for its neighbours even if it is not printed.
    let is_filtered = filter.least.is_some();
    if is_filtered {
        query.last = range.last.map(|last| last.saturating_mul(WIDER));
    } else {
        query.pattern.clone_from(&filter.pattern);
    }
    let Some(last) = range.last.filter(|_| is_filtered || archives == 1) else {
        return Ok((answer, Plan::all(query)));
    };
    loop {
        let found = count(&answer, &query, filter)?;
        let few = |of: &Count| of.passed < last;
        let window = query.last.unwrap_or(usize::MAX);
        // Whose files have all been read, though there may be more of them.
        let is_short = |(of, log): (&Count, &StreamLog)| {
            few(of) && of.read < window && log.parts.iter().any(|part| part.number == archives)
        };
        if archives != ALL && found.iter().zip(&answer.logs).any(is_short) {
            archives = ALL;
            answer = wanted.ask(session, archives)?;
        } else if is_filtered && found.iter().any(|of| few(of) && of.read >= window) {
            query.last = Some(window.saturating_mul(WIDER));
        } else {
            let skip = found.iter().map(|of| of.passed.saturating_sub(last));
            let skip = skip.collect();
            return Ok((answer, Plan { query, skip }));
        }
    }
}

/// How many lines, or pieces of long ones, of a stream there were, and how many of them passed.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    read: usize,
    passed: usize,
}

impl Plan {
    /// All that the query finds.
    fn all(query: Query<'static>) -> Plan {
        Plan {
            query,
            skip: Vec::new(),
        }
    }

    /// What arrived since then, of streams that were not there before.
    pub fn since(time_ms: i64) -> Plan {
        Plan::all(Query {
            since: Some(time_ms),
            complete_only: true,
            ..Query::default()
        })
    }

    /// Prints it, where the first stream of the answer is source number `first`; says where what comes
    /// later begins.
    pub fn print(
        &self,
        answer: &Answer,
        first: usize,
        filter: &mut Filter,
        printer: &mut Printer<'_>,
    ) -> Result<Vec<Place>, CliError> {
        let mut skip = self.skip.clone();
        let report = each(answer, &self.query, &mut |source, piece| {
            let left = skip.get_mut(piece.source);
            let piece = Piece {
                source: first + piece.source,
                ..*piece
            };
            if !filter.admits(source, &piece) {
                return Ok(());
            }
            match left {
                Some(left @ 1..) => {
                    *left -= 1;
                    Ok(())
                }
                Some(0) | None => printer.line(source, &piece),
            }
        })?;
        printer.flush()?;
        let is_timed = self.query.since.is_some() || self.query.until.is_some();
        tell_troubles(answer, &report, is_timed || printer.shows_times());
        Ok(report.places)
    }
}

fn count(answer: &Answer, query: &Query<'_>, filter: &Filter) -> Result<Vec<Count>, CliError> {
    let mut filter = filter.clone();
    let mut counts = vec![Count::default(); answer.known.len()];
    each(answer, query, &mut |source, piece| {
        let count = &mut counts[piece.source];
        let passes = filter.least.is_none() || filter.admits(source, piece);
        count.read += 1;
        count.passed += usize::from(passes);
        Ok(())
    })?;
    Ok(counts)
}

/// Hands over what the query finds.
fn each(
    answer: &Answer,
    query: &Query<'_>,
    sink: &mut dyn FnMut(&Source, &Piece<'_>) -> Result<(), CliError>,
) -> Result<Report, CliError> {
    let mut failed = None;
    let read = reading::read(&answer.logs, query, &mut |line: Line<'_>| {
        sink(&answer.known[line.stream].source, &line.into()).map_err(|error| {
            failed = Some(error);
            io::Error::other("the output has ended")
        })
    });
    match (read, failed) {
        (_, Some(error)) => Err(error),
        (Ok(report), None) => Ok(report),
        (Err(error), None) => Err(CliError::new(
            Exit::Failed,
            format!("the logs cannot be read: {error}"),
        )),
    }
}

/// The most files that are named one by one.
const NAMED: usize = 5;

/// What is wrong with files. It stands after the lines, to be seen. That the live file has no index
/// only matters to who looks at times: right after a rotation there is none for a moment.
fn tell_troubles(answer: &Answer, report: &Report, times: bool) {
    let passes = |trouble: &&Trouble| match trouble.what {
        Harm::NoIndex => times || trouble.number > 0,
        Harm::BadIndex | Harm::BadFrame { .. } => true,
    };
    let troubles: Vec<_> = report.troubles.iter().filter(passes).collect();
    for trouble in troubles.iter().take(NAMED) {
        let name = answer.file_name(trouble.stream, trouble.number);
        let text = sanitize::cell(&format!("{name}: {}", trouble.what));
        tell(&format!("{text}\n"));
    }
    let more = troubles.len().saturating_sub(NAMED);
    if more > 0 {
        tell(&format!("and the like in {more} more files\n"));
    }
}
