//! The stop ladder of one run: asked, then killed, then killed again until it is gone.
//!
//! Owns the rungs and their deadlines. Promises that every run on it has either been signalled
//! or has no process to signal yet. Who steps on it, and what an exit means, is left to others.

use serde::{Deserialize, Serialize};

use crate::machine::Turn;
use crate::{Action, RunId, Rung, Span, Time};

/// A kill can only fail to work while the kernel holds the process; it is repeated this often.
const KILL_AGAIN: Span = Span::secs(5);

/// A run on its way down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ladder {
    /// Whose.
    pub run: RunId,
    /// How far.
    pub step: Step,
}

/// How far a run has come on its way down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// It is still being spawned: there is nobody to ask yet.
    Unborn,
    /// It was sent the app's stop signal.
    Asked {
        /// Then it is killed.
        until: Time,
    },
    /// It was killed.
    Killed {
        /// Then it is killed again.
        until: Time,
    },
}

impl Step {
    /// The signal that was sent last.
    #[must_use]
    pub fn rung(self) -> Option<Rung> {
        match self {
            Step::Unborn => None,
            Step::Asked { .. } => Some(Rung::Ask),
            Step::Killed { .. } => Some(Rung::Kill),
        }
    }

    /// When the next one is sent.
    #[must_use]
    pub fn deadline(self) -> Option<Time> {
        match self {
            Step::Unborn => None,
            Step::Asked { until } | Step::Killed { until } => Some(until),
        }
    }
}

/// The stop ladder, of either run.
impl Turn<'_> {
    fn signal(&mut self, run: RunId, rung: Rung) {
        self.out.push(Action::Signal {
            id: self.id.clone(),
            run,
            rung,
        });
    }

    fn ask(&mut self, run: RunId) -> Ladder {
        self.signal(run, Rung::Ask);
        Ladder {
            run,
            step: Step::Asked {
                until: self.now.after(self.policy.stop.timeout),
            },
        }
    }

    /// A run that has been up steps on the ladder.
    pub fn retire(&mut self, run: RunId) -> Ladder {
        self.out.push(Action::StopProbes {
            id: self.id.clone(),
            run,
        });
        self.ask(run)
    }

    /// A run that was to stop before it existed does exist now.
    pub fn born(&mut self, ladder: Ladder) -> Ladder {
        match ladder.step {
            Step::Unborn => self.ask(ladder.run),
            Step::Asked { .. } | Step::Killed { .. } => ladder,
        }
    }

    /// It is killed once its time is over, and again for as long as it is not gone.
    pub fn climb(&mut self, ladder: &mut Ladder) {
        if ladder
            .step
            .deadline()
            .is_some_and(|until| until <= self.now)
        {
            ladder.step = Step::Killed {
                until: self.now.after(KILL_AGAIN),
            };
            self.signal(ladder.run, Rung::Kill);
        }
    }

    /// Sends again what the last engine may not have sent.
    pub fn repeat(&mut self, ladder: Ladder) {
        if let Some(rung) = ladder.step.rung() {
            self.signal(ladder.run, rung);
        }
    }
}
