//! The words for what a service is doing.
//!
//! Owns the eight states that users and scripts see. Which phase shows as which is left to `service`.

use core::fmt;

use serde::{Deserialize, Serialize};

/// What a service is doing, in the words that users and scripts see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Down, as wanted.
    Stopped,
    /// For its dependencies, its conditions, its schedule, or for the machine to have room.
    Waiting,
    /// Not ready yet.
    Starting,
    /// Up.
    Running,
    /// Told to stop.
    Stopping,
    /// Between a failure and the next try.
    Backoff,
    /// Given up.
    Errored,
    /// Ended as it should.
    Completed,
}

impl State {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            State::Stopped => "stopped",
            State::Waiting => "waiting",
            State::Starting => "starting",
            State::Running => "running",
            State::Stopping => "stopping",
            State::Backoff => "backoff",
            State::Errored => "errored",
            State::Completed => "completed",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
