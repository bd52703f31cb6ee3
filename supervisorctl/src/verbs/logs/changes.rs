//! What tells that files have changed: inotify descriptors that the daemon made, and the clock where
//! there are none.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::os::fd::AsFd as _;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::ask::Watch;
use crate::errors::CliError;

/// What has happened to files since the last look.
#[derive(Debug, Default)]
pub struct Changes {
    /// Nobody knows what has changed: anything may have.
    all: bool,
    /// By descriptor and watch: whether the file is no longer the one under its name.
    watches: BTreeMap<(usize, i32), bool>,
}

impl Changes {
    /// Whether a file with this watch may have changed.
    pub fn concern(&self, watch: Option<Watch>) -> bool {
        // What is not watched is looked at whenever there is time.
        let key = |watch: Watch| (watch.descriptor, watch.number);
        self.all || watch.is_none_or(|watch| self.watches.contains_key(&key(watch)))
    }

    /// Whether a file with this watch was moved away or deleted.
    pub fn moved(&self, watch: Option<Watch>) -> bool {
        let told = watch.and_then(|watch| self.watches.get(&(watch.descriptor, watch.number)));
        self.all || told.is_some_and(|moved| *moved)
    }

    /// Takes what the kernel tells: `struct inotify_event` is watch, mask, cookie and length of the
    /// name, four bytes each, then the name.
    fn take(&mut self, descriptor: usize, bytes: &[u8]) {
        const MASK: usize = 4;
        const LENGTH: usize = 12;
        const HEADER: usize = 16;
        /// `IN_ATTRIB` (a name was taken away), `IN_DELETE_SELF`, `IN_MOVE_SELF`, `IN_IGNORED`.
        const MOVED: u32 = 0x4 | 0x400 | 0x800 | 0x8000;
        let mut rest = bytes;
        while rest.len() >= HEADER {
            let number = |at: usize| {
                rest.get(at..)
                    .and_then(|rest| rest.first_chunk())
                    .map_or(0, |bytes| u32::from_ne_bytes(*bytes))
            };
            let length = usize::try_from(number(LENGTH)).unwrap_or(0);
            match i32::try_from(number(0)) {
                Ok(watch) => {
                    *self.watches.entry((descriptor, watch)).or_default() |=
                        number(MASK) & MOVED != 0;
                }
                // -1: the queue has overflowed.
                Err(_) => self.all = true,
            }
            rest = rest.get(HEADER + length..).unwrap_or_default();
        }
    }
}

/// Sleeps until something has changed, at most so long. The end of the output's reader is an error.
pub fn wait(inotifies: &mut BTreeMap<usize, File>, most: Duration) -> Result<Changes, CliError> {
    let stdout = io::stdout();
    // Standard output is asked for nothing, and so only tells when its reader has gone.
    let mut polled = vec![PollFd::new(stdout.as_fd(), PollFlags::empty())];
    let files = inotifies.values();
    polled.extend(files.map(|file| PollFd::new(file.as_fd(), PollFlags::POLLIN)));
    // Rounded up, or the last millisecond would be spent asking over and over.
    let timeout =
        PollTimeout::try_from(most.as_micros().div_ceil(1000)).unwrap_or(PollTimeout::MAX);
    match poll(&mut polled, timeout) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(errno) => return Err(failed(&errno.into())),
    }
    let happened: Vec<_> = polled
        .iter()
        .map(|polled| polled.revents().is_some_and(|events| !events.is_empty()))
        .collect();
    let Some((false, told)) = happened.split_first() else {
        return Err(CliError::from_output(&ErrorKind::BrokenPipe.into()));
    };
    let mut changes = Changes::default();
    for ((descriptor, file), _) in inotifies.iter_mut().zip(told).filter(|(_, told)| **told) {
        let mut bytes = [0; 16 << 10];
        match file.read(&mut bytes) {
            Ok(read) => changes.take(*descriptor, &bytes[..read]),
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(failed(&error)),
        }
    }
    Ok(changes)
}

fn failed(error: &io::Error) -> CliError {
    CliError::of_system("the logs can no longer be followed", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(watch: i32, mask: u32, name: &[u8]) -> Vec<u8> {
        let length = u32::try_from(name.len()).unwrap();
        let mut bytes = watch.to_ne_bytes().to_vec();
        for number in [mask, 0, length] {
            bytes.extend(number.to_ne_bytes());
        }
        bytes.extend(name);
        bytes
    }

    #[test]
    fn each_event_is_told() {
        let watch = |descriptor, number| Some(Watch { descriptor, number });
        let mut changes = Changes::default();
        assert!(changes.concern(None) && !changes.concern(watch(0, 1)));
        changes.take(1, &[event(1, 0x2, b"name"), event(2, 0x800, b"")].concat());
        assert!(changes.concern(watch(1, 1)) && changes.concern(watch(1, 2)));
        assert!(!changes.concern(watch(0, 1)));
        assert!(changes.moved(watch(1, 2)) && !changes.moved(watch(1, 1)) && !changes.moved(None));
        let mut written = Changes::default();
        written.take(0, &event(1, 0x2, b""));
        assert!(!written.moved(watch(0, 1)));
        written.take(0, &event(-1, 0x4000, b""));
        assert!(written.concern(watch(5, 5)) && written.moved(watch(5, 5)));
        // What is cut is no event.
        written.take(0, &event(7, 0x2, b"")[..15]);
    }
}
