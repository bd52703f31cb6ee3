//! Following: sleeps until a file changes, reads what is new.
//!
//! The descriptors are ours, so that the daemon is needed only for what comes under a name anew: the
//! next file after a rotation, an app's first file, a new instance. While it does not answer, what is
//! open is followed on. Ends when nobody reads the output.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use supervisor_logs::reading::{Follower, Lost, Place};
use supervisor_protocol::Paths;
use supervisor_protocol::client::Session;

use super::ask::{ALL, Answer, Known, Wanted};
use super::changes::{self, Changes};
use super::filter::Filter;
use super::history::Plan;
use super::printer::Printer;
use super::source::{Id, Piece};
use crate::errors::{CliError, Exit};
use crate::output::tell;
use crate::render::sanitize;
use crate::verbs::rows;

/// How often files are looked at that nothing tells about.
const LOOK: Duration = Duration::from_millis(500);

/// How often the daemon is asked whether there are new apps, and the longest pause between two tries
/// to reach it.
const LIST: Duration = Duration::from_secs(10);

/// The same while there is nothing to follow at all.
const FIRST: Duration = Duration::from_secs(1);

/// Between two lists at least, however fast files are rotated; and the first pause between two tries.
const PAUSE: Duration = Duration::from_millis(100);

/// How long the daemon may take to answer: nothing is shown meanwhile.
const PATIENCE: Duration = Duration::from_secs(1);

/// A stream that is followed.
struct Followed {
    known: Known,
    follower: Follower,
    /// Its live file is to be looked up by its name again.
    is_stale: bool,
}

/// All that is followed, and when to ask for more.
struct Follow<'a> {
    paths: &'a Paths,
    wanted: Wanted,
    filter: Filter,
    printer: Printer<'a>,
    streams: Vec<Followed>,
    /// By the number of the watch.
    inotifies: BTreeMap<usize, File>,
    /// What ran at the last look.
    runs: Option<BTreeSet<Run>>,
    /// When that was.
    looked: Timestamp,
    /// When the daemon is asked next whether there are others.
    due: Instant,
    /// When it may be asked next for what is stale, and how much later after the next try.
    retry: Instant,
    pause: Duration,
    /// It was said that the daemon does not answer.
    is_told: bool,
}

/// Name, instance and the number of its run.
type Run = (String, u32, u64);

/// Follows from these places on, until there is nobody to print for.
pub fn run(
    paths: &Paths,
    wanted: Wanted,
    filter: Filter,
    answer: Answer,
    places: Vec<Place>,
    printer: Printer<'_>,
) -> Result<Exit, CliError> {
    let now = Instant::now();
    let mut follow = Follow {
        paths,
        wanted,
        filter,
        printer,
        streams: Vec::new(),
        inotifies: BTreeMap::new(),
        runs: None,
        looked: Timestamp::now(),
        due: now,
        retry: now,
        pause: PAUSE,
        is_told: false,
    };
    follow.add(answer, &places)?;
    follow.due = now + follow.interval();
    // What was written since the last lines were read has been told of already, or never will be.
    let mut changes = None;
    loop {
        follow.read(changes.as_ref())?;
        if follow.is_stale() && Instant::now() >= follow.retry {
            let result = follow.look_up();
            follow.is_answered(result)?;
        }
        if Instant::now() >= follow.due {
            follow.due = Instant::now() + follow.interval();
            let result = follow.look_for_more();
            follow.is_answered(result)?;
        }
        follow.printer.flush()?;
        let most = follow.rest();
        changes = Some(changes::wait(&mut follow.inotifies, most)?);
    }
}

/// Why the daemon could not be asked, which is no reason to end; or why nothing can be printed.
enum Trouble {
    Daemon(CliError),
    Output(CliError),
}

impl Follow<'_> {
    /// Prints what is new in the files that may have changed; `None`: in all.
    fn read(&mut self, changes: Option<&Changes>) -> Result<(), CliError> {
        for (number, stream) in self.streams.iter_mut().enumerate() {
            let watch = stream.known.watch;
            if changes.is_none_or(|changes| changes.concern(watch)) {
                stream.is_stale |= changes.is_some_and(|changes| changes.moved(watch));
                stream.read(number, &mut self.filter, &mut self.printer)?;
            }
        }
        Ok(())
    }

    fn is_stale(&self) -> bool {
        self.streams.iter().any(|stream| stream.is_stale)
    }

    /// How long until something must be looked at without being told.
    fn rest(&self) -> Duration {
        let mut until = self.due;
        if self.is_stale() {
            until = until.min(self.retry);
        }
        let rest = until.saturating_duration_since(Instant::now());
        let is_told = self.streams.iter().all(|s| s.known.watch.is_some());
        if is_told { rest } else { rest.min(LOOK) }
    }

    fn interval(&self) -> Duration {
        if self.streams.is_empty() { FIRST } else { LIST }
    }

    /// Asks for the files of the streams that have new ones: all of them, since nobody knows how many
    /// there were meanwhile.
    fn look_up(&mut self) -> Result<(), Trouble> {
        self.retry = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(LIST);
        let stale = self.streams.iter().filter(|stream| stream.is_stale);
        let targets: BTreeSet<_> = stale
            .map(|stream| &stream.known.source.id)
            .map(|id| format!("{}:{}", id.name, id.instance))
            .collect();
        let wanted = Wanted {
            targets: targets.into_iter().collect(),
            ..self.wanted.clone()
        };
        let answer = wanted
            .ask(&mut self.session()?, ALL)
            .map_err(Trouble::Daemon)?;
        let first = self.take_inotifies(answer.inotifies);
        for (known, log) in answer.known.into_iter().zip(answer.logs) {
            let found = |stream: &Followed| stream.known.source.id == known.source.id;
            let Some(number) = self.streams.iter().position(found) else {
                continue;
            };
            let stream = &mut self.streams[number];
            // Between a rotation and the next line there is none.
            stream.is_stale = !known.is_live();
            stream.known = known.watched_from(first);
            stream
                .follower
                .renew(&log)
                .map_err(|error| Trouble::Output(unreadable(&error)))?;
            let output = stream.read(number, &mut self.filter, &mut self.printer);
            output.map_err(Trouble::Output)?;
        }
        self.forget_inotifies();
        if !self.is_stale() {
            self.pause = PAUSE;
        }
        Ok(())
    }

    /// Asks whether something has been started or removed since the last look, and takes it in.
    fn look_for_more(&mut self) -> Result<(), Trouble> {
        let mut session = self.session()?;
        let now = Timestamp::now();
        let rows = rows(&mut session, &self.wanted.targets).map_err(Trouble::Daemon)?;
        let runs: BTreeSet<Run> = rows
            .into_iter()
            .map(|row| (row.name, row.instance, row.run))
            .collect();
        if self.runs.as_ref() != Some(&runs) {
            let mut answer = self.wanted.ask(&mut session, 0).map_err(Trouble::Daemon)?;
            let is_there = |id: &Id| {
                runs.iter()
                    .any(|(name, instance, _)| (name, *instance) == (&id.name, id.instance))
            };
            self.streams
                .retain(|stream| is_there(&stream.known.source.id));
            answer.retain(|known| {
                self.streams
                    .iter()
                    .all(|stream| stream.known.source.id != known.source.id)
            });
            let first = self.streams.len();
            let sources = self
                .streams
                .iter()
                .map(|stream| stream.known.source.clone());
            let sources: Vec<_> = sources.chain(answer.sources()).collect();
            self.printer.set_sources(&sources);
            self.filter.begin_anew();
            let plan = Plan::since(self.looked.as_millisecond());
            let places = plan.print(&answer, first, &mut self.filter, &mut self.printer);
            let places = places.map_err(Trouble::Output)?;
            self.add(answer, &places).map_err(Trouble::Output)?;
            self.runs = Some(runs);
        }
        self.looked = now;
        Ok(())
    }

    /// Follows these streams, too.
    fn add(&mut self, answer: Answer, places: &[Place]) -> Result<(), CliError> {
        let first = self.take_inotifies(answer.inotifies);
        for ((known, log), place) in answer.known.into_iter().zip(answer.logs).zip(places) {
            // The lines' own number is not looked at: it changes when a stream before them goes.
            let follower = Follower::new(0, &log, *place).map_err(|error| unreadable(&error))?;
            self.streams.push(Followed {
                is_stale: !known.is_live(),
                known: known.watched_from(first),
                follower,
            });
        }
        self.forget_inotifies();
        Ok(())
    }

    /// Keeps the descriptors; the number of the first.
    fn take_inotifies(&mut self, files: Vec<File>) -> usize {
        let first = self
            .inotifies
            .last_key_value()
            .map_or(0, |(last, _)| last + 1);
        self.inotifies.extend((first..).zip(files));
        first
    }

    /// Closes those that no file is watched by any more: the system has few of them.
    fn forget_inotifies(&mut self) {
        let watches = self.streams.iter().filter_map(|stream| stream.known.watch);
        let used: BTreeSet<_> = watches.map(|watch| watch.descriptor).collect();
        self.inotifies.retain(|number, _| used.contains(number));
    }

    fn session(&self) -> Result<Session, Trouble> {
        match Session::open(self.paths) {
            Ok(session) => Ok(session.patience(PATIENCE)),
            Err(error) => Err(Trouble::Daemon(error.into())),
        }
    }

    /// What is open is followed on without the daemon; that nothing else comes is said once.
    fn is_answered(&mut self, result: Result<(), Trouble>) -> Result<(), CliError> {
        match result {
            Ok(()) => self.is_told = false,
            Err(Trouble::Output(error)) => return Err(error),
            // What was named has been deleted; it may come back.
            Err(Trouble::Daemon(error)) if error.exit == Exit::NoSuchApp => {}
            Err(Trouble::Daemon(error)) if !self.is_told => {
                self.is_told = true;
                self.printer.flush()?;
                let why = sanitize::cell(&error.message);
                tell(&format!(
                    "waiting for the daemon, to see what is new: {why}\n"
                ));
            }
            Err(Trouble::Daemon(_)) => {}
        }
        Ok(())
    }
}

impl Followed {
    /// Prints what is new.
    fn read(
        &mut self,
        number: usize,
        filter: &mut Filter,
        printer: &mut Printer<'_>,
    ) -> Result<(), CliError> {
        let source = &self.known.source;
        let mut failed = None;
        let read = self.follower.read_new(&mut |line| {
            let piece = Piece {
                source: number,
                // What is so new that no index tells of it has just arrived.
                time: line
                    .time
                    .or_else(|| Some(Timestamp::now().as_millisecond())),
                ..line.into()
            };
            if filter.admits(source, &piece) {
                printer.line(source, &piece).map_err(|error| {
                    failed = Some(error);
                    io::Error::other("the output has ended")
                })?;
            }
            Ok(())
        });
        let progress = match (read, failed) {
            (_, Some(error)) => return Err(error),
            (Err(error), None) => return Err(unreadable(&error)),
            (Ok(progress), None) => {
                self.is_stale |= progress.gone;
                progress
            }
        };
        if let Some(lost) = progress.lost {
            printer.notice(number, &missing(lost))?;
        }
        for trouble in progress.troubles {
            printer.notice(number, &trouble.what.to_string())?;
        }
        Ok(())
    }
}

/// What a follower is told that did not look for so long that files were removed meanwhile.
fn missing(lost: Lost) -> String {
    let what = match lost {
        Lost::Bytes(bytes) => format!("{bytes} bytes are missing"),
        Lost::Unknown => "something may be missing".to_owned(),
    };
    format!("{what} in the lines above: their files went before they could be shown")
}

fn unreadable(error: &io::Error) -> CliError {
    CliError::of_system("the logs can no longer be followed", error)
}
