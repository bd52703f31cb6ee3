//! `logs`: the daemon hands over open descriptors; reading them is our own work, so that it costs
//! the daemon nothing and goes on without it.

mod follow;
mod printer;

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;

use supervisor_logs::{Follower, last_lines};
use supervisor_protocol::client::Incoming;
use supervisor_protocol::{LogFile, Logs, Reply, Request, Stream};

use super::{Context, open};
use crate::cli;
use crate::errors::{CliError, Exit};
use follow::Watched;
use printer::Printer;

/// The most that is read of one file before what comes is followed.
const TAIL_MAX: u64 = 16 << 20;

/// One frame of the answer: some files and what tells of changes in them.
struct Group {
    inotify: Option<OwnedFd>,
    files: Vec<(LogFile, File)>,
}

/// Prints the last lines, then (unless told otherwise) what comes.
pub fn run(context: &mut Context, args: &cli::Logs) -> Result<Exit, CliError> {
    let mut groups = ask(context, args)?;
    for group in &mut groups {
        group
            .files
            .retain(|(file, _)| wanted(args.stream, file.stream));
    }
    groups.retain(|group| !group.files.is_empty());
    if groups.is_empty() {
        context.out.text("there are no logs yet\n")?;
        return Ok(Exit::Done);
    }
    let labels = labels(&groups);
    let mut printer = Printer::new(&mut context.out, args.raw, &labels);
    let mut watched = Vec::new();
    let mut number = 0;
    for group in groups {
        let mut followers = Vec::new();
        for (file, descriptor) in group.files {
            let offset = print_tail(&mut printer, number, &file, &descriptor, args)?;
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
    if args.no_follow {
        return Ok(Exit::Done);
    }
    follow::run(watched, &mut printer)
}

/// The connection is closed when this returns: following needs none.
fn ask(context: &Context, args: &cli::Logs) -> Result<Vec<Group>, CliError> {
    let request = Request::Logs {
        targets: args.targets.clone(),
        follow: !args.no_follow,
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

fn group(logs: Logs, descriptors: Vec<OwnedFd>) -> Group {
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

fn wanted(stream: Option<cli::Stream>, of: Stream) -> bool {
    match (stream, of) {
        (None, _)
        | (Some(cli::Stream::Out), Stream::Out)
        | (Some(cli::Stream::Err), Stream::Err) => true,
        (Some(cli::Stream::Out), Stream::Err) | (Some(cli::Stream::Err), Stream::Out) => false,
    }
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

/// Prints the last lines; where following goes on from.
fn print_tail(
    printer: &mut Printer<'_>,
    number: usize,
    file: &LogFile,
    descriptor: &File,
    args: &cli::Logs,
) -> Result<u64, CliError> {
    let tail = last_lines(descriptor, args.lines, TAIL_MAX).map_err(|error| {
        CliError::new(
            Exit::Failed,
            format!("{} cannot be read: {error}", file.path.display()),
        )
    })?;
    let mut bytes = tail.bytes.as_slice();
    let mut offset = tail.offset;
    if !args.no_follow {
        // A line that is still being written comes whole, from the follower.
        bytes = &bytes[..bytes.len() - usize::try_from(tail.unfinished).unwrap_or(bytes.len())];
        offset -= tail.unfinished;
    }
    let mut lines = 0;
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        printer.line(number, line.strip_suffix(b"\n").unwrap_or(line))?;
        lines += 1;
    }
    if lines < args.lines && tail.offset > tail.bytes.len() as u64 {
        // Where there are so many, the notice comes after them, to be seen.
        eprintln!(
            "only the last {lines} lines are shown ({} MiB); all of them: {}",
            TAIL_MAX >> 20,
            file.path.display()
        );
    }
    Ok(offset)
}
