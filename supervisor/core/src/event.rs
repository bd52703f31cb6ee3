//! What goes into the fleet and what comes out of it.
//!
//! Owns the vocabulary between the core and the engine, nothing else. An [`Event`] is a fact or
//! a wish, told once; an [`Action`] is something that the engine is to do, now and in the order
//! given. Neither holds a pid, a path or a clock.

use serde::{Deserialize, Serialize};

use crate::{Exit, Policy, RunId, ServiceId};

/// What is wanted of a service, whatever it is doing at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Want {
    /// To run, as far as its policy and its dependencies allow.
    Up,
    /// Not to run.
    Down,
}

/// Something that happened or that somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A new service, or a new policy for a known one. The policy alone restarts nothing.
    Define {
        /// Which one.
        id: ServiceId,
        /// Its rules from now on.
        policy: Policy,
        /// Counts for a new service, and for one on its way out, whose removal this cancels; a known one keeps its own.
        want: Want,
    },
    /// An operator's wish.
    Command {
        /// Which one.
        id: ServiceId,
        /// The wish.
        command: Command,
    },
    /// The run has exec'd.
    Spawned {
        /// Which one.
        id: ServiceId,
        /// Its run.
        run: RunId,
    },
    /// The run never exec'd and never will.
    SpawnFailed {
        /// Which one.
        id: ServiceId,
        /// Its run.
        run: RunId,
        /// Whose fault it is.
        fault: SpawnFault,
    },
    /// The engine died before the run had a process: it counts as nothing and is made up for at once.
    NeverRan {
        /// Which one.
        id: ServiceId,
        /// Its run.
        run: RunId,
    },
    /// The run is over: the rest of its tree is gone and its log is complete. The last news of a run.
    Exited {
        /// Which one.
        id: ServiceId,
        /// Its run.
        run: RunId,
        /// How.
        exit: Exit,
    },
    /// The run is ready to serve.
    Ready {
        /// Which one.
        id: ServiceId,
        /// Its run.
        run: RunId,
    },
    /// The run is alive but must be replaced.
    Failing {
        /// Which one.
        id: ServiceId,
        /// Its run.
        run: RunId,
        /// Why.
        cause: Cause,
    },
    /// All that the service waits for besides its dependencies is there.
    Met {
        /// Which one.
        id: ServiceId,
    },
    /// The schedule of a job says: now.
    Due {
        /// Which one.
        id: ServiceId,
    },
    /// Everything down, dependents first; what is wanted stays as it is.
    ShutDown,
    /// A new engine has put back the fleet and told what happened meanwhile: repeat what may have been lost.
    Resume,
    /// Time has passed.
    Tick,
}

impl Event {
    /// The run that the event brings news of, where it does.
    #[must_use]
    pub fn run(&self) -> Option<(&ServiceId, RunId)> {
        match self {
            Event::Spawned { id, run }
            | Event::SpawnFailed { id, run, .. }
            | Event::NeverRan { id, run }
            | Event::Exited { id, run, .. }
            | Event::Ready { id, run }
            | Event::Failing { id, run, .. } => Some((id, *run)),
            Event::Define { .. }
            | Event::Command { .. }
            | Event::Met { .. }
            | Event::Due { .. }
            | Event::ShutDown
            | Event::Resume
            | Event::Tick => None,
        }
    }
}

/// What an operator can ask of one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// Up, and now: no back-off, no schedule is waited for, only the dependencies and conditions. Nothing to do where it runs.
    Start,
    /// Down.
    Stop,
    /// Down and up again; up, where it was down. Dependents that are not to go down themselves stay up.
    Restart,
    /// The new one beside the old one, then the old one away; where nothing runs yet, the same as `Restart`.
    Reload,
    /// Down, then out of the fleet.
    Remove,
    /// The counters back to zero.
    Reset,
}

/// Why a run never exec'd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SpawnFault {
    /// The machine is short of something (processes, memory, descriptors): not the app's fault.
    Shortage,
    /// The command, the directory, the user … is not there: counts as a quick exit.
    Broken,
}

/// Why a run that is alive must be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// It was not ready in time. The core finds this out by itself.
    NotReady,
    /// Its health checks fail.
    Unhealthy,
    /// It uses more memory than it may.
    OverMemory,
    /// A file changed that it is to be restarted for. Not a failure.
    Watch,
}

/// How a run is told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rung {
    /// The app's own stop signal.
    Ask,
    /// SIGKILL to its whole tree.
    Kill,
}

/// Something for the engine to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The record of the service is another one than before the event. It is to be saved before
    /// any other action is done, so that a new engine knows of whatever this one began.
    Changed {
        /// Which one.
        id: ServiceId,
    },
    /// Spawn this run; the answer is `Spawned`, `SpawnFailed` or `NeverRan`.
    Spawn {
        /// Which one.
        id: ServiceId,
        /// The new run.
        run: RunId,
    },
    /// Signal this run.
    Signal {
        /// Which one.
        id: ServiceId,
        /// Its run.
        run: RunId,
        /// With what.
        rung: Rung,
    },
    /// Readiness and health of this run are of interest from now on.
    StartProbes {
        /// Which one.
        id: ServiceId,
        /// Its run.
        run: RunId,
    },
    /// Readiness and health of this run are of no interest any more.
    StopProbes {
        /// Which one.
        id: ServiceId,
        /// Its run.
        run: RunId,
    },
    /// The service has left the fleet; nothing of it is alive.
    Removed {
        /// Which one.
        id: ServiceId,
    },
}
