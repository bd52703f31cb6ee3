//! `logs`: the daemon hands over open descriptors; reading them is our own work, so that it costs
//! the daemon nothing and goes on without it.

mod follow;
mod printer;

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;

use clap::{Args, ValueEnum};
use supervisor_logs::{Follower, last_lines};
use supervisor_protocol::client::Incoming;
use supervisor_protocol::{LogFile, Reply, Request, Stream};

use super::{Context, open};
use crate::cli::AnyTargets;
use crate::errors::{CliError, Exit};
use crate::output::tell;
use follow::Watched;
use printer::{Form, Printer};

/// The most that is read of one file before what comes is followed.
const TAIL_MAX: u64 = 16 << 20;

/// The last lines of the logs, then what comes
#[derive(Debug, Args)]
#[command(
    aliases = ["log", "tail"],
    after_help = "Where more than one file is shown, each line begins with the app's name: `api | ` for \
                  standard output, `api ! ` for standard error. Ctrl-C ends it.\n\n\
                  Example: supervisorctl logs api -n 100 --no-follow"
)]
pub struct Logs {
    #[command(flatten)]
    of: AnyTargets,
    /// How many of the last lines of each file
    #[arg(short = 'n', long, value_name = "N", default_value_t = 15)]
    lines: usize,
    /// End after the last lines
    #[arg(long, visible_alias = "nostream")]
    no_follow: bool,
    /// What is done anyway, as `tail` wants it told
    #[arg(short, long, hide = true, conflicts_with = "no_follow")]
    follow: bool,
    /// Only standard output or only standard error
    #[arg(long)]
    stream: Option<Only>,
    /// Only standard output (PM2's)
    #[arg(long, hide = true, conflicts_with = "stream")]
    out: bool,
    /// Only standard error (PM2's)
    #[arg(long, hide = true, conflicts_with_all = ["stream", "out"])]
    err: bool,
    /// The bytes as they are: no names, and nothing is made harmless for the terminal
    #[arg(long)]
    raw: bool,
    /// Each line as a JSON object with `name`, `instance`, `stream` and `line`
    #[arg(long, conflicts_with = "raw")]
    json: bool,
}

/// One of an app's output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Only {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// One frame of the answer: some files and what tells of changes in them.
struct Group {
    inotify: Option<OwnedFd>,
    files: Vec<(LogFile, File)>,
}

impl Logs {
    /// Prints the last lines, then (unless told otherwise) what comes.
    pub fn run(&self, context: &mut Context) -> Result<Exit, CliError> {
        let mut groups = self.ask(context)?;
        for group in &mut groups {
            group.files.retain(|(file, _)| self.wants(file.stream));
        }
        groups.retain(|group| !group.files.is_empty());
        if groups.is_empty() {
            if !self.json {
                context.out.text("there are no logs yet\n")?;
            }
            return Ok(Exit::Done);
        }
        let form = match (self.raw, self.json) {
            (true, _) => Form::Raw,
            (false, true) => Form::Json,
            (false, false) => Form::Labelled(labels(&groups)),
        };
        let files = groups.iter().flat_map(|group| &group.files);
        let files: Vec<_> = files.map(|(file, _)| file.clone()).collect();
        let mut printer = Printer::new(&mut context.out, form, &files);
        let mut watched = Vec::new();
        let mut number = 0;
        for group in groups {
            let mut followers = Vec::new();
            for (file, descriptor) in group.files {
                let offset = self.print_tail(&mut printer, number, &file, &descriptor)?;
                let follower = Follower::new(descriptor, offset);
                followers.push(follow::Followed {
                    follower,
                    number,
                    watch: file.watch,
                });
                number += 1;
            }
            watched.push(Watched {
                inotify: group.inotify.map(File::from),
                files: followers,
            });
        }
        printer.flush()?;
        if self.no_follow {
            return Ok(Exit::Done);
        }
        follow::run(watched, &mut printer)
    }

    /// The connection is closed when this returns: following needs none.
    fn ask(&self, context: &Context) -> Result<Vec<Group>, CliError> {
        let request = Request::Logs {
            targets: self.of.targets.clone(),
            follow: !self.no_follow,
        };
        let mut groups = Vec::new();
        open(context)?.call::<CliError>(&request, |incoming| {
            match incoming {
                Incoming::Reply(Reply::Logs(logs), descriptors) => {
                    groups.push(group(logs, descriptors));
                }
                Incoming::Reply(..) => {}
                Incoming::Again => groups.clear(),
            }
            Ok(())
        })?;
        Ok(groups)
    }

    fn wants(&self, stream: Stream) -> bool {
        match stream {
            Stream::Out => self.stream != Some(Only::Err) && !self.err,
            Stream::Err => self.stream != Some(Only::Out) && !self.out,
        }
    }

    /// Prints the last lines; where following goes on from.
    fn print_tail(
        &self,
        printer: &mut Printer<'_>,
        number: usize,
        file: &LogFile,
        descriptor: &File,
    ) -> Result<u64, CliError> {
        let tail = last_lines(descriptor, self.lines, TAIL_MAX).map_err(|error| {
            CliError::new(
                Exit::Failed,
                format!("{} cannot be read: {error}", file.path.display()),
            )
        })?;
        let mut bytes = tail.bytes.as_slice();
        let mut offset = tail.offset;
        if !self.no_follow {
            // A line that is still being written comes whole, from the follower.
            bytes = &bytes[..bytes.len() - usize::try_from(tail.unfinished).unwrap_or(bytes.len())];
            offset -= tail.unfinished;
        }
        // The one that comes later counts, too.
        let mut lines = usize::from(bytes.len() < tail.bytes.len());
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            printer.line(number, line.strip_suffix(b"\n").unwrap_or(line))?;
            lines += 1;
        }
        if lines < self.lines && tail.offset > tail.bytes.len() as u64 {
            // Where there are so many, the notice comes after them, to be seen.
            tell(&format!(
                "only the last {lines} lines are shown ({} MiB); all of them: {}\n",
                TAIL_MAX >> 20,
                file.path.display()
            ));
        }
        Ok(offset)
    }
}

fn group(logs: supervisor_protocol::Logs, descriptors: Vec<OwnedFd>) -> Group {
    let mut descriptors = descriptors.into_iter();
    let inotify = if logs.inotify {
        descriptors.next()
    } else {
        None
    };
    let files = logs
        .files
        .into_iter()
        .zip(descriptors.map(File::from))
        .collect();
    Group { inotify, files }
}

/// What stands before the lines of each file: the app, with its instance where there are several.
fn labels(groups: &[Group]) -> Vec<(String, Stream)> {
    let files = || {
        groups
            .iter()
            .flat_map(|group| &group.files)
            .map(|(file, _)| file)
    };
    let mut highest: BTreeMap<&str, u32> = BTreeMap::new();
    for file in files() {
        let instance = highest.entry(&file.name).or_default();
        *instance = file.instance.max(*instance);
    }
    let several = |name: &str| highest.get(name).is_some_and(|&instance| instance > 0);
    files()
        .map(|file| {
            let label = if several(&file.name) {
                format!("{}:{}", file.name, file.instance)
            } else {
                file.name.clone()
            };
            (label, file.stream)
        })
        .collect()
}
