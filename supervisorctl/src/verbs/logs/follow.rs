//! Following: sleeps until a file changes, reads what is new.
//!
//! Needs the daemon no more: the descriptors are ours. Ends when nobody reads the output.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use supervisor_logs::Follower;

use super::printer::Printer;
use crate::errors::{CliError, Exit};

/// How often files are looked at that nothing tells about.
const LOOK_MS: u16 = 500;

/// A file that is followed.
pub struct Followed {
    /// Reads it.
    pub follower: Follower,
    /// Its number for the printer.
    pub number: usize,
    /// Its watch on the group's inotify descriptor.
    pub watch: Option<i32>,
}

/// Files with what tells of their changes.
pub struct Watched {
    /// The inotify descriptor.
    pub inotify: Option<File>,
    /// The files.
    pub files: Vec<Followed>,
}

impl Watched {
    /// Whether a change of each file is told.
    fn is_told_of_all(&self) -> bool {
        self.inotify.is_some() && self.files.iter().all(|file| file.watch.is_some())
    }
}

/// Which files may have changed.
enum Changed {
    /// Any of them.
    All,
    /// Those with these watches, and those without one.
    Watches(BTreeSet<i32>),
}

impl Changed {
    fn contains(&self, watch: Option<i32>) -> bool {
        match (self, watch) {
            (Changed::All, _) | (Changed::Watches(_), None) => true,
            (Changed::Watches(watches), Some(watch)) => watches.contains(&watch),
        }
    }
}

/// Follows until there is nobody to print for.
pub fn run(mut groups: Vec<Watched>, printer: &mut Printer<'_>) -> Result<Exit, CliError> {
    // What was written between the tail and now has been told of already, or never will be.
    for group in &mut groups {
        read_changed(group, &Changed::All, printer)?;
    }
    loop {
        printer.flush()?;
        let told = wait(&groups)?;
        for (group, told) in groups.iter_mut().zip(told) {
            let changed = match &mut group.inotify {
                Some(inotify) if told => events(inotify).map_err(|error| failed(&error))?,
                Some(_) | None => Changed::Watches(BTreeSet::new()),
            };
            read_changed(group, &changed, printer)?;
        }
    }
}

/// Sleeps until something may have changed; for each group, whether its descriptor tells of it.
fn wait(groups: &[Watched]) -> Result<Vec<bool>, CliError> {
    let stdout = io::stdout();
    let all_told = groups.iter().all(Watched::is_told_of_all);
    let timeout = if all_told {
        PollTimeout::NONE
    } else {
        PollTimeout::from(LOOK_MS)
    };
    // Standard output is asked for nothing, and so only tells when its reader has gone.
    let mut polled = vec![PollFd::new(stdout.as_fd(), PollFlags::empty())];
    let inotifies = groups.iter().filter_map(|group| group.inotify.as_ref());
    polled.extend(inotifies.map(|file| PollFd::new(file.as_fd(), PollFlags::POLLIN)));
    match poll(&mut polled, timeout) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(errno) => return Err(failed(&errno.into())),
    }
    let mut happened = polled
        .iter()
        .map(|polled| polled.revents().is_some_and(|events| !events.is_empty()));
    if happened.next() == Some(true) {
        return Err(CliError::from_output(&io::ErrorKind::BrokenPipe.into()));
    }
    let told = groups
        .iter()
        .map(|group| group.inotify.is_some() && happened.next() == Some(true));
    Ok(told.collect())
}

/// Takes what the kernel tells about: `struct inotify_event` is watch, mask, cookie and length of
/// the name, four bytes each, then the name.
fn events(inotify: &mut File) -> io::Result<Changed> {
    const WATCH: usize = 0;
    const LENGTH: usize = 12;
    const HEADER: usize = 16;
    let mut bytes = [0; 16 << 10];
    let read = match inotify.read(&mut bytes) {
        Ok(read) => read,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
        Err(error) => return Err(error),
    };
    let mut watches = BTreeSet::new();
    let mut rest = &bytes[..read];
    while rest.len() >= HEADER {
        let number = |at: usize| {
            rest.get(at..)
                .and_then(|r| r.first_chunk())
                .map_or(0, |bytes| i32::from_ne_bytes(*bytes))
        };
        let (watch, length) = (number(WATCH), usize::try_from(number(LENGTH)).unwrap_or(0));
        // -1: the queue has overflowed, and nobody knows what has changed.
        if watch < 0 {
            return Ok(Changed::All);
        }
        watches.insert(watch);
        rest = rest.get(HEADER + length..).unwrap_or_default();
    }
    Ok(Changed::Watches(watches))
}

fn read_changed(
    group: &mut Watched,
    changed: &Changed,
    printer: &mut Printer<'_>,
) -> Result<(), CliError> {
    for file in group
        .files
        .iter_mut()
        .filter(|file| changed.contains(file.watch))
    {
        let number = file.number;
        let mut printed = Ok(());
        let progress = file.follower.read_new(&mut |line| {
            if printed.is_ok() {
                printed = printer.line(number, line);
            }
        });
        printed?;
        progress.map_err(|error| failed(&error))?;
    }
    Ok(())
}

fn failed(error: &io::Error) -> CliError {
    CliError::new(
        Exit::Failed,
        format!("the logs can no longer be followed: {error}"),
    )
}
