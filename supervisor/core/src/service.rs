//! The record of one service: everything that decisions depend on besides its policy.
//!
//! Owns the phases and what they mean to others (`state`, `run`, `since`, …). Promises to be a
//! plain value: no heap, no clock, a few dozen bytes that a slot can hold and a new engine can
//! go on from. How it changes is left to `machine` and `reload`.

use serde::{Deserialize, Serialize};

use crate::{Cause, Ladder, Policy, RunId, State, Step, Time, Want};

/// One service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// What the operator wants.
    pub want: Want,
    /// It is to leave the fleet as soon as nothing of it is alive.
    pub remove: bool,
    /// A reload was asked for and has not begun yet.
    pub reload: bool,
    /// A restart was asked for while something of it ran, and the next run has not begun yet.
    pub restart: bool,
    /// What its main run is doing.
    pub phase: Phase,
    /// When that began. From exec on it stands still until the run is told to stop, so that it gives the uptime.
    pub since: Time,
    /// The second run that a reload has for a while.
    pub beside: Option<Beside>,
    /// Quick exits in a row.
    pub failures: u32,
    /// Automatic restarts since the last reset.
    pub restarts: u64,
    /// The newest run; counts attempts to spawn.
    pub last_run: RunId,
}

/// What the main run is doing, or why there is none. Every deadline stands here as a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Nothing runs and nothing is to run.
    Stopped,
    /// It is to run, but not yet.
    Waiting(Wait),
    /// The engine was told to spawn it.
    Spawning {
        /// The main run.
        run: RunId,
    },
    /// It has exec'd and is not ready.
    Starting {
        /// The main run.
        run: RunId,
        /// Not ready by then is a failure.
        ready_by: Time,
    },
    /// It runs and, where readiness is set, is ready.
    Running {
        /// The main run.
        run: RunId,
        /// The exits before are forgotten then; `None`: that has happened.
        stable_at: Option<Time>,
    },
    /// It was told to stop.
    Stopping {
        /// The main run and how far its stop has come.
        ladder: Ladder,
        /// What its exit will mean.
        then: Then,
    },
    /// It failed and is started again later.
    Backoff {
        /// When.
        until: Time,
    },
    /// It was given up; only an operator (or a job's next date) starts it again.
    Errored,
    /// It ended and its policy does not start it again.
    Completed {
        /// As it should. Otherwise nothing that comes after it starts.
        success: bool,
    },
}

/// What a service that is to run is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wait {
    /// For its dependencies: when they are ready it starts, or its conditions are looked at.
    Dependencies,
    /// For the machine to have what it was short of.
    Shortage {
        /// The next try.
        until: Time,
    },
    /// For its schedule.
    Schedule {
        /// It has run before, so it shows as completed.
        ran: bool,
    },
    /// For what the engine looks at while this is the phase; its dependencies are ready.
    Conditions {
        /// The engine has said that all is there. It is so only until the fleet settles.
        met: bool,
    },
}

/// What the exit of a run means that was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Then {
    /// Nothing more: it is started again if it is wanted up.
    Settle,
    /// A failed run.
    Failed {
        /// Why it was told to stop.
        cause: Cause,
        /// It had not been stable.
        quick: bool,
    },
}

/// The second run of a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Beside {
    /// The next one; the engine was told to spawn it.
    Spawning {
        /// The second run.
        run: RunId,
    },
    /// The next one; it has exec'd and is not ready.
    Starting {
        /// The second run.
        run: RunId,
        /// When it exec'd.
        since: Time,
        /// Not ready by then: the reload has failed.
        ready_by: Time,
    },
    /// The previous one, or a next one that failed, on its way out.
    Falling(Ladder),
}

/// Which of the runs of a service one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The one that counts.
    Main,
    /// It becomes the main one once it is ready.
    Rising,
    /// It was replaced, or failed to replace, and is on its way out.
    Falling,
}

impl Phase {
    /// The run of this phase; `None`: nothing runs.
    #[must_use]
    pub fn run(&self) -> Option<RunId> {
        match self {
            Phase::Spawning { run } | Phase::Starting { run, .. } | Phase::Running { run, .. } => {
                Some(*run)
            }
            Phase::Stopping { ladder, .. } => Some(ladder.run),
            Phase::Stopped
            | Phase::Waiting(_)
            | Phase::Backoff { .. }
            | Phase::Errored
            | Phase::Completed { .. } => None,
        }
    }

    /// Whether its run is still being spawned.
    pub(crate) fn is_unborn(&self) -> bool {
        match self {
            Phase::Spawning { .. } => true,
            Phase::Stopping { ladder, .. } => ladder.step == Step::Unborn,
            Phase::Starting { .. } | Phase::Running { .. } => false,
            Phase::Stopped
            | Phase::Waiting(_)
            | Phase::Backoff { .. }
            | Phase::Errored
            | Phase::Completed { .. } => false,
        }
    }

    fn deadline(&self) -> Option<Time> {
        match self {
            Phase::Waiting(Wait::Shortage { until }) | Phase::Backoff { until } => Some(*until),
            Phase::Starting { ready_by, .. } => Some(*ready_by),
            Phase::Running { stable_at, .. } => *stable_at,
            Phase::Stopping { ladder, .. } => ladder.step.deadline(),
            Phase::Waiting(
                Wait::Dependencies | Wait::Schedule { .. } | Wait::Conditions { .. },
            )
            | Phase::Spawning { .. }
            | Phase::Stopped
            | Phase::Errored
            | Phase::Completed { .. } => None,
        }
    }
}

impl Beside {
    /// The second run.
    #[must_use]
    pub fn run(&self) -> RunId {
        match self {
            Beside::Spawning { run } | Beside::Starting { run, .. } => *run,
            Beside::Falling(ladder) => ladder.run,
        }
    }

    /// Where it is going.
    #[must_use]
    pub fn role(&self) -> Role {
        match self {
            Beside::Spawning { .. } | Beside::Starting { .. } => Role::Rising,
            Beside::Falling(_) => Role::Falling,
        }
    }

    /// Whether it is still being spawned.
    pub(crate) fn is_unborn(&self) -> bool {
        match self {
            Beside::Spawning { .. } => true,
            Beside::Starting { .. } => false,
            Beside::Falling(ladder) => ladder.step == Step::Unborn,
        }
    }

    fn deadline(&self) -> Option<Time> {
        match self {
            Beside::Spawning { .. } => None,
            Beside::Starting { ready_by, .. } => Some(*ready_by),
            Beside::Falling(ladder) => ladder.step.deadline(),
        }
    }
}

impl Service {
    /// A service that has never run. `last_run` is the number after which its runs count.
    #[must_use]
    pub fn new(now: Time, want: Want, last_run: RunId) -> Service {
        Service {
            want,
            remove: false,
            reload: false,
            restart: false,
            phase: Phase::Stopped,
            since: now,
            beside: None,
            failures: 0,
            restarts: 0,
            last_run,
        }
    }

    /// What it is doing. A stopped service whose reload has left a run behind is still stopping.
    #[must_use]
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Stopped if self.beside.is_some() => State::Stopping,
            Phase::Stopped => State::Stopped,
            Phase::Waiting(Wait::Schedule { ran: true }) | Phase::Completed { .. } => {
                State::Completed
            }
            Phase::Waiting(_) => State::Waiting,
            Phase::Spawning { .. } | Phase::Starting { .. } => State::Starting,
            Phase::Running { .. } => State::Running,
            Phase::Stopping { .. } => State::Stopping,
            Phase::Backoff { .. } => State::Backoff,
            Phase::Errored => State::Errored,
        }
    }

    /// The main run, if it has a process or is being spawned.
    #[must_use]
    pub fn run(&self) -> Option<RunId> {
        self.phase.run()
    }

    /// Every run that has a process or is being spawned, the main one first. Never more than two.
    pub fn runs(&self) -> impl Iterator<Item = (RunId, Role)> + use<> {
        let main = self.run().map(|run| (run, Role::Main));
        let beside = self.beside.map(|beside| (beside.run(), beside.role()));
        main.into_iter().chain(beside)
    }

    /// What this run is here; `None`: it is over, its news are stale.
    #[must_use]
    pub fn role(&self, run: RunId) -> Option<Role> {
        self.runs()
            .find(|&(known, _)| known == run)
            .map(|(_, role)| role)
    }

    /// Since when it has been in its phase; for a run that is up, when it exec'd.
    #[must_use]
    pub fn since(&self) -> Time {
        self.since
    }

    /// Whether it is ready; `None` where its policy has no readiness.
    #[must_use]
    pub fn ready(&self, policy: &Policy) -> Option<bool> {
        policy
            .ready
            .map(|_| matches!(self.phase, Phase::Running { .. }))
    }

    /// When it is started next, where that is a moment and not a condition.
    #[must_use]
    pub fn next_start(&self) -> Option<Time> {
        match self.phase {
            Phase::Backoff { until } | Phase::Waiting(Wait::Shortage { until }) => Some(until),
            Phase::Stopped
            | Phase::Waiting(
                Wait::Dependencies | Wait::Schedule { .. } | Wait::Conditions { .. },
            )
            | Phase::Spawning { .. }
            | Phase::Starting { .. }
            | Phase::Running { .. }
            | Phase::Stopping { .. }
            | Phase::Errored
            | Phase::Completed { .. } => None,
        }
    }

    /// Whether it waits for its conditions, so that the engine has to look at them.
    #[must_use]
    pub fn awaits_conditions(&self) -> bool {
        matches!(self.phase, Phase::Waiting(Wait::Conditions { .. }))
    }

    /// Whether anything of it has a process or is being spawned.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.runs().next().is_some()
    }

    /// Whether it should run, all things considered.
    pub(crate) fn should_run(&self, closing: bool) -> bool {
        self.want == Want::Up && !self.remove && !closing
    }

    /// Whether what runs of it should go on, all things considered.
    pub(crate) fn may_stay(&self, closing: bool) -> bool {
        self.should_run(closing) && !self.restart
    }

    /// Whether a run of it has not been told to stop.
    pub(crate) fn is_standing(&self) -> bool {
        match self.phase {
            Phase::Spawning { .. } | Phase::Starting { .. } | Phase::Running { .. } => true,
            Phase::Stopped
            | Phase::Waiting(_)
            | Phase::Stopping { .. }
            | Phase::Backoff { .. }
            | Phase::Errored
            | Phase::Completed { .. } => self.beside.is_some_and(|b| b.role() == Role::Rising),
        }
    }

    /// What to remember of `want` when everything else is forgotten: what has completed is not started again.
    #[must_use]
    pub fn durable_want(&self) -> Want {
        match self.phase {
            Phase::Completed { .. } => Want::Down,
            Phase::Stopped
            | Phase::Waiting(_)
            | Phase::Spawning { .. }
            | Phase::Starting { .. }
            | Phase::Running { .. }
            | Phase::Stopping { .. }
            | Phase::Backoff { .. }
            | Phase::Errored => self.want,
        }
    }

    /// The next moment at which time alone changes something.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        let beside = self.beside.and_then(|beside| beside.deadline());
        self.phase.deadline().into_iter().chain(beside).min()
    }
}
