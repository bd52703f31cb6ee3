//! `logs`: the daemon hands over open descriptors; reading them is our own work, so that it costs
//! the daemon nothing and goes on without it.

mod ask;
mod changes;
mod files;
mod filter;
mod follow;
mod history;
mod moment;
mod pretty;
mod printer;
mod record;
mod source;

use clap::{Args, ValueEnum};
use supervisor_logs::reading::Pattern;
use supervisor_protocol::Stream;

use super::{Context, open};
use crate::cli::AnyTargets;
use crate::errors::{CliError, Exit};
use crate::output::{Style, tell};
use crate::render::sanitize;
use ask::Wanted;
use filter::Filter;
use history::Range;
use printer::{Form, Printer};
use record::Level;

/// How many lines are shown where nobody says which.
const LINES: usize = 15;

/// The last lines of the logs, then what comes
#[derive(Debug, Args)]
#[command(
    aliases = ["log"],
    after_help = "Where more than one file is shown, each line begins with the app's name: `api | ` for \
                  standard output, `api ! ` for standard error. Lines of several files are in the order of \
                  their times, which are known to 20 ms. Ctrl-C ends it.\n\n\
                  A line that is a JSON object of pino, bunyan, winston or the like (`level` with `msg`, \
                  `message` or `time`) is shown as time, level, message and the rest where there is colour, \
                  without `pid`, `hostname` and `v` where the level is a number; elsewhere, with --raw and \
                  with --no-pretty as it is. For --level, a line without a level counts as info on standard \
                  output and as error on standard error, and a line that begins with a blank belongs to the \
                  one before.\n\n\
                  TIME is one of: 10m, 1h30m, \"2h ago\", 10:00 (the last time it was), today, yesterday, \
                  \"yesterday 18:00\", 2026-11-22, \"2026-11-22 10:00\", 2026-11-22T10:00:00Z.\n\n\
                  Examples: supervisorctl logs api -n 100 --no-follow\n          \
                  supervisorctl logs --since 1h --grep 'time(d )?out' -i --timestamps"
)]
pub struct Logs {
    #[command(flatten)]
    of: AnyTargets,
    /// How many of the last lines of each file, or `all` (15; all with --since or --until)
    #[arg(short = 'n', long, value_name = "N", value_parser = Lines::parse)]
    lines: Option<Lines>,
    /// End after the last lines
    #[arg(long, visible_alias = "nostream")]
    no_follow: bool,
    /// What is done anyway, as `tail` wants it told
    #[arg(short, long, hide = true, conflicts_with_all = ["no_follow", "until"])]
    follow: bool,
    /// Lines that arrived at or after this
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    since: Option<i64>,
    /// Lines that arrived at or before this; nothing is followed
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    until: Option<i64>,
    /// Only lines in which this regular expression is found
    #[arg(long, value_name = "REGEX")]
    grep: Option<String>,
    /// Capital and small letters are the same to --grep
    #[arg(short, long, requires = "grep")]
    ignore_case: bool,
    /// Only lines of this level or above
    #[arg(long, ignore_case = true)]
    level: Option<Level>,
    /// Only standard output or only standard error
    #[arg(long)]
    stream: Option<Only>,
    /// Only standard output (PM2's)
    #[arg(long, hide = true, conflicts_with = "stream")]
    out: bool,
    /// Only standard error (PM2's)
    #[arg(long, hide = true, conflicts_with_all = ["stream", "out"])]
    err: bool,
    /// The local time at which each line arrived before it
    #[arg(short, long, alias = "timestamp")]
    timestamps: bool,
    /// JSON lines of loggers as they are, in colour, too
    #[arg(long)]
    no_pretty: bool,
    /// The bytes as they are: no names, and nothing is made harmless for the terminal
    #[arg(long, conflicts_with = "timestamps")]
    raw: bool,
    /// Each line as a JSON object with `time`, `app`, `instance`, `stream` and `line`
    #[arg(long, conflicts_with = "raw")]
    json: bool,
    /// Print where the files are that are written now, and no lines
    #[arg(long, conflicts_with_all = ["json", "raw"])]
    path: bool,
}

/// At most so many of the last lines; `None`: all of them.
#[derive(Clone, Copy, Debug)]
struct Lines(Option<usize>);

impl Lines {
    fn parse(text: &str) -> Result<Lines, String> {
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(most) if is_number => Ok(Lines(Some(most))),
            _ if text == "all" => Ok(Lines(None)),
            _ => Err("it is not a number of lines, nor `all`".to_owned()),
        }
    }
}

/// One of an app's output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Only {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Logs {
    /// Prints the last lines, then (unless told otherwise) what comes.
    pub fn run(&self, context: &mut Context) -> Result<Exit, CliError> {
        let mut filter = Filter::new(self.level, self.pattern()?);
        let range = self.range()?;
        let wanted = Wanted {
            targets: self.of.targets.clone(),
            only: self.only(),
            follow: !(self.no_follow || self.path || self.until.is_some()),
        };
        let session = open(context);
        let lacking = |error| files::without_daemon(error, &context.paths, &self.of.targets);
        let mut session = session.map_err(lacking)?;
        if self.path {
            let mut answer = wanted.ask(&mut session, 0).map_err(lacking)?;
            answer.retain(ask::Known::is_live);
            if answer.known.is_empty() {
                self.tell_why_nothing(true, false);
            }
            return paths(context, &answer);
        }
        let looked = history::look(&wanted, &mut session, &range, &filter);
        let (answer, plan) = looked.map_err(lacking)?;
        drop(session);
        let style = context.out.style;
        let mut printer = Printer::new(&mut context.out, self.form(style));
        printer.set_sources(&answer.sources());
        let places = plan.print(&answer, 0, &mut filter, &mut printer)?;
        if printer.is_silent() && range.last != Some(0) {
            self.tell_why_nothing(answer.known.is_empty(), wanted.follow);
        }
        if !wanted.follow {
            printer.end()?;
            return Ok(Exit::Done);
        }
        follow::run(&context.paths, wanted, filter, answer, places, printer)
    }

    /// An empty screen says nothing of its reason.
    fn tell_why_nothing(&self, is_without_files: bool, follow: bool) {
        let is_filtered = self.grep.is_some() || self.level.is_some();
        let is_part = is_filtered || self.since.is_some() || self.until.is_some();
        let is_chosen = !self.of.targets.is_empty() || self.only().is_some();
        let why = match (is_without_files, is_chosen, is_part) {
            (true, true, _) => {
                "there is no such log file; `supervisorctl show NAME` says where output goes"
            }
            (true, false, _) => "there are no logs yet",
            (false, _, true) => "no line is in that range or passes the filters",
            (false, _, false) => "nothing has been written yet",
        };
        let then = if follow { "; what comes is shown" } else { "" };
        tell(&format!("{why}{then}\n"));
    }

    fn form(&self, style: Style) -> Form {
        match (self.raw, self.json) {
            (true, _) => Form::Raw,
            (false, true) => Form::Json,
            (false, false) => Form::Text {
                times: self.timestamps,
                pretty: style == Style::Coloured && !self.no_pretty,
            },
        }
    }

    fn only(&self) -> Option<Stream> {
        match (self.stream, self.out, self.err) {
            (Some(Only::Out), ..) | (None, true, _) => Some(Stream::Out),
            (Some(Only::Err), ..) | (None, false, true) => Some(Stream::Err),
            (None, false, false) => None,
        }
    }

    fn range(&self) -> Result<Range, CliError> {
        if let (Some(since), Some(until)) = (self.since, self.until)
            && since > until
        {
            let message = "--since is after --until, so that no line is between them";
            return Err(CliError::new(Exit::Usage, message));
        }
        let is_all = self.since.is_some() || self.until.is_some();
        Ok(Range {
            since: self.since,
            until: self.until,
            last: match self.lines {
                Some(Lines(most)) => most,
                None => (!is_all).then_some(LINES),
            },
        })
    }

    fn pattern(&self) -> Result<Option<Pattern>, CliError> {
        let Some(text) = &self.grep else {
            return Ok(None);
        };
        let case = if self.ignore_case { "(?i)" } else { "" };
        let pattern = Pattern::new(&format!("{case}{text}"));
        pattern.map(Some).map_err(|error| {
            CliError::new(Exit::Usage, format!("--grep: {error}"))
                .hint("what has a meaning is taken as it is after a backslash: '\\['")
        })
    }
}

fn paths(context: &mut Context, answer: &ask::Answer) -> Result<Exit, CliError> {
    for known in &answer.known {
        let path = sanitize::cell(&known.path.display().to_string());
        context.out.bytes(format!("{path}\n").as_bytes())?;
    }
    context.out.flush()?;
    Ok(Exit::Done)
}
