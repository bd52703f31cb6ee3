//! The apps' logs: the write side (the pump, which moves bytes from the apps' pipes to their
//! files) and the read side (last lines, follow).
//!
//! Owns the layout of the log folder and the rules for opening what is in it. Promises that no
//! byte is lost or written twice when the process that pumps is killed at any instant and
//! another one goes on with the same descriptors. Leaves to others: making the pipes, keeping
//! their descriptors alive across a kill, and remembering whose bytes are in the staging pipe.

mod family;
mod folder;
pub mod index;
mod janitor;
mod ledger;
mod marker;
mod pump;
pub mod reading;
mod registry;
mod rules;
mod tail;

use std::fmt;

pub use family::{Family, Member, Opened, Victims};
pub use folder::{Folder, LogError};
pub use janitor::{Janitor, drop_oldest_archive};
pub use ledger::{Ledger, Losses, STAGES, Step};
pub use marker::{is_marker, marker};
pub use pump::{Event, Pump};
pub use registry::Registry;
pub use rules::{Format, LATEST, OnFull, Rules, Target};
pub use tail::{Tail, last_lines};

/// One of the two output streams of an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Stream {
    /// How the stream is called in file names and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Stream::Out => "out",
            Stream::Err => "err",
        }
    }
}

/// Which log a byte belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// The app's name.
    pub app: String,
    /// Which of the app's instances, counted from 0.
    pub instance: u32,
    /// Which of its streams.
    pub stream: Stream,
}

impl StreamId {
    /// The name of the log file inside the app's folder.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}.{}.log", self.instance, self.stream.name())
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} {}", self.app, self.instance, self.stream.name())
    }
}
