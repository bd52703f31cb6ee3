//! What the daemon is asked for: the open log files of some apps.
//!
//! The connection is closed when an answer is there: reading needs none.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use supervisor_logs::reading::{Part, StreamLog};
use supervisor_protocol::client::{Incoming, Session};
use supervisor_protocol::{LogFile, Logs, Reply, Request, Stream};

use super::source::{self, Id, Source};
use crate::errors::CliError;

/// Every rotated file there is.
pub const ALL: u32 = u32::MAX;

/// Whose files are wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// `TARGET`s as typed; none means all.
    pub targets: Vec<String>,
    /// Only this stream.
    pub only: Option<Stream>,
    /// With what tells of changes.
    pub follow: bool,
}

/// What is known of a stream besides its files.
#[derive(Clone, Debug)]
pub struct Known {
    /// The stream.
    pub source: Source,
    /// Where its live file is, for people; empty while there is none.
    pub path: PathBuf,
    /// What tells of changes in the live file.
    pub watch: Option<Watch>,
}

impl Known {
    /// The same where the answer's first descriptor has this number.
    pub fn watched_from(self, first: usize) -> Known {
        let watch = self.watch.map(|watch| Watch {
            descriptor: first + watch.descriptor,
            ..watch
        });
        Known { watch, ..self }
    }

    /// Whether there is a file that is written now.
    pub fn is_live(&self) -> bool {
        !self.path.as_os_str().is_empty()
    }
}

/// One of an inotify descriptor's watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Which of the descriptors.
    pub descriptor: usize,
    /// The number that the kernel gave it.
    pub number: i32,
}

/// The daemon's answer.
#[derive(Debug)]
pub struct Answer {
    /// The streams, in the order in which they are shown.
    pub known: Vec<Known>,
    /// Their files, in the same order.
    pub logs: Vec<StreamLog>,
    /// What tells of changes.
    pub inotifies: Vec<File>,
}

impl Answer {
    /// Leaves out the streams that are not wanted.
    pub fn retain(&mut self, wants: impl Fn(&Known) -> bool) {
        let known = std::mem::take(&mut self.known);
        let logs = std::mem::take(&mut self.logs);
        let pairs = known.into_iter().zip(logs);
        (self.known, self.logs) = pairs.filter(|(known, _)| wants(known)).unzip();
    }

    /// The streams alone.
    pub fn sources(&self) -> Vec<Source> {
        let known = self.known.iter();
        known.map(|known| known.source.clone()).collect()
    }

    /// A file's path, for people.
    pub fn file_name(&self, stream: usize, number: u32) -> String {
        let Known { source, path, .. } = &self.known[stream];
        let parts = &self.logs[stream].parts;
        let is_packed = parts.iter().any(|p| p.number == number && p.compressed);
        let live = if path.as_os_str().is_empty() {
            let (id, word) = (&source.id, source::word(source.id.stream));
            format!("{}/{}.{word}.log", id.name, id.instance)
        } else {
            path.display().to_string()
        };
        match (number, is_packed) {
            (0, _) => live,
            (_, false) => format!("{live}.{number}"),
            (_, true) => format!("{live}.{number}.zst"),
        }
    }
}

impl Wanted {
    /// Asks, with that many rotated files of each stream.
    pub fn ask(&self, session: &mut Session, archives: u32) -> Result<Answer, CliError> {
        raise_limit();
        let request = Request::Logs {
            targets: self.targets.clone(),
            follow: self.follow,
            archives,
        };
        let mut frames = Vec::new();
        session.call::<CliError>(&request, |incoming| {
            match incoming {
                Incoming::Reply(Reply::Logs(logs), descriptors) => frames.push((logs, descriptors)),
                Incoming::Reply(..) => {}
                Incoming::Again => frames.clear(),
            }
            Ok(())
        })?;
        Ok(self.answer(frames))
    }

    fn answer(&self, frames: Vec<(Logs, Vec<OwnedFd>)>) -> Answer {
        let mut inotifies = Vec::new();
        let mut streams: BTreeMap<Id, (Known, Vec<Part>)> = BTreeMap::new();
        for (logs, descriptors) in frames {
            let mut descriptors = descriptors.into_iter().map(File::from);
            if logs.inotify {
                inotifies.extend(descriptors.next());
            }
            for file in logs.files {
                let Some(log) = descriptors.next() else { break };
                let index = file.index.then(|| descriptors.next()).flatten();
                if self.only.is_none_or(|only| only == file.stream) {
                    let descriptor = inotifies.len().saturating_sub(1);
                    add(&mut streams, file, log, index, descriptor);
                }
            }
        }
        let sorted = |(known, mut parts): (Known, Vec<Part>)| {
            parts.sort_by_key(|part| part.number);
            (known, StreamLog { parts })
        };
        let (known, logs) = streams.into_values().map(sorted).unzip();
        Answer {
            known,
            logs,
            inotifies,
        }
    }
}

fn add(
    streams: &mut BTreeMap<Id, (Known, Vec<Part>)>,
    file: LogFile,
    log: File,
    index: Option<File>,
    descriptor: usize,
) {
    let id = Id {
        name: file.name,
        instance: file.instance,
        stream: file.stream,
    };
    let format = file.format;
    let (known, parts) = streams.entry(id.clone()).or_insert_with(|| {
        let known = Known {
            source: Source { id, format },
            path: PathBuf::new(),
            watch: None,
        };
        (known, Vec::new())
    });
    if file.number == 0 {
        known.path = file.path;
        known.watch = file.watch.map(|number| Watch { descriptor, number });
    }
    parts.push(Part {
        log,
        index,
        number: file.number,
        compressed: file.compressed,
    });
}

/// The files of a hundred apps are more than a process may have open by default. Where this fails, so
/// does receiving them, which tells of it.
fn raise_limit() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).ok();
    }
}
