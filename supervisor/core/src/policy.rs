//! What the operator wants of a service, as far as decisions depend on it. Commands, paths and
//! users are the engine's business.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::{Name, Span, Want};

/// All rules of one app. Every instance has the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// When and how fast to start again.
    pub restart: Restart,
    /// How to stop.
    pub stop: Stop,
    /// What to do when the daemon starts.
    pub boot: Boot,
    /// Starts when these are ready (running, where they say no more); stops before them.
    pub after: Vec<Name>,
    /// The time a new run has to become ready; `None`: it is ready as soon as it has exec'd.
    pub ready: Option<Span>,
    /// It also waits for conditions that only the engine can judge ([`crate::Event::Met`]).
    #[serde(default)]
    pub conditional: bool,
    /// A job: it is started by [`crate::Event::Due`], runs, ends, and waits for the next time.
    pub scheduled: bool,
}

/// When and how fast to start again after an exit that nobody asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restart {
    /// Which exits lead to a new start.
    pub policy: RestartWhen,
    /// Before the first restart; also the least wait of the back-off.
    pub delay: Span,
    /// The most that the back-off waits.
    pub max_delay: Span,
    /// Up this long: the exits before are forgotten.
    pub stable_after: Span,
    /// Quick exits in a row before it is given up; 0 = never given up.
    pub max_restarts: u32,
    /// The exits that are not failures. An unknown exit always is one.
    pub success: BTreeSet<Exit>,
}

/// Which exits lead to a new start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartWhen {
    /// After every exit.
    #[default]
    Always,
    /// After an exit that is not in `success`.
    OnFailure,
    /// Never: an exit is the end.
    Never,
}

/// How to stop: the first rung is the app's stop signal, the second SIGKILL to its whole tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// The time between the two rungs.
    pub timeout: Span,
}

/// What to do when the daemon starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Boot {
    /// Start it.
    Always,
    /// Leave it stopped.
    Never,
    /// As it was when the machine went down.
    #[default]
    Last,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// It exited by itself with this code, 0..=255.
    Code(u8),
    /// It was killed by this signal number.
    Signal(u8),
    /// Nobody can say any more. Never treated as a success.
    Unknown,
}

impl Default for Restart {
    fn default() -> Restart {
        Restart {
            policy: RestartWhen::Always,
            delay: Span(0),
            max_delay: Span::secs(30),
            stable_after: Span::secs(10),
            max_restarts: 0,
            success: BTreeSet::from([Exit::Code(0)]),
        }
    }
}

impl Default for Stop {
    fn default() -> Stop {
        Stop {
            timeout: Span::secs(10),
        }
    }
}

impl Boot {
    /// What is wanted when the daemon starts, if `last` was wanted when the machine went down.
    #[must_use]
    pub fn want(self, last: Want) -> Want {
        match self {
            Boot::Always => Want::Up,
            Boot::Never => Want::Down,
            Boot::Last => last,
        }
    }
}
