//! One service when the fleet settles: what time, the gates and what is wanted make of it.
//!
//! Owns what happens without an event of its own. Whether a gate is open is left to `settle`, what
//! the steps are made of to `machine`, the second run to `reload`.

use crate::machine::Turn;
use crate::{Cause, Phase, Then, Wait};

/// What the fleet asks for when it settles.
impl Turn<'_> {
    /// Does what time and what is wanted ask for, as far as no gate can forbid it.
    pub fn ripen(&mut self) {
        self.ripen_idle();
        // First: it may make another run the main one.
        self.ripen_rising();
        self.ripen_live();
        self.ripen_beside();
    }

    fn ripen_idle(&mut self) {
        let (now, up) = (self.now, self.up());
        match self.service.phase {
            Phase::Waiting(_) | Phase::Backoff { .. } if !up => self.enter(Phase::Stopped),
            Phase::Stopped if up && self.policy.scheduled => {
                self.enter(Phase::Waiting(Wait::Schedule { ran: false }));
            }
            Phase::Stopped if up => self.request(),
            Phase::Waiting(Wait::Shortage { until }) if until <= now => self.request(),
            // It is no job any more: nothing else would ever start it.
            Phase::Waiting(Wait::Schedule { .. }) if !self.policy.scheduled => self.request(),
            Phase::Waiting(Wait::Conditions { .. }) if !self.policy.conditional => self.request(),
            Phase::Backoff { until } if until <= now => {
                self.service.restarts = self.service.restarts.saturating_add(1);
                self.request();
            }
            Phase::Stopped | Phase::Waiting(_) | Phase::Backoff { .. } => {}
            Phase::Errored | Phase::Completed { .. } => {}
            Phase::Spawning { .. }
            | Phase::Starting { .. }
            | Phase::Running { .. }
            | Phase::Stopping { .. } => {}
        }
    }

    fn ripen_live(&mut self) {
        let now = self.now;
        if let Phase::Starting { run, ready_by } = self.service.phase {
            if self.policy.ready.is_none() {
                // Nothing asks for its readiness any more, so nothing would ever tell.
                self.service.phase = self.running(run);
            } else if ready_by <= now {
                self.failing(Cause::NotReady);
            }
        }
        if let Phase::Running { stable_at, .. } = &mut self.service.phase
            && stable_at.is_some_and(|at| at <= now)
        {
            *stable_at = None;
            self.service.failures = 0;
        }
        if let Phase::Stopping { mut ladder, then } = self.service.phase {
            self.climb(&mut ladder);
            self.service.phase = Phase::Stopping { ladder, then };
        }
    }

    /// The start gate was looked at: what is to start does so where it is open and the conditions
    /// are met. They are looked at while it is open, and anew when it was shut meanwhile.
    pub fn gate(&mut self, open: bool) {
        match self.service.phase {
            Phase::Waiting(Wait::Conditions { .. }) if !open => self.request(),
            Phase::Waiting(Wait::Conditions { met: true }) => self.spawn(),
            Phase::Waiting(Wait::Dependencies) if open && self.policy.conditional => {
                self.enter(Phase::Waiting(Wait::Conditions { met: false }));
            }
            Phase::Waiting(Wait::Dependencies) if open => self.spawn(),
            Phase::Waiting(_)
            | Phase::Stopped
            | Phase::Spawning { .. }
            | Phase::Starting { .. }
            | Phase::Running { .. }
            | Phase::Stopping { .. }
            | Phase::Backoff { .. }
            | Phase::Errored
            | Phase::Completed { .. } => {}
        }
    }

    fn spawn(&mut self) {
        let run = self.next_run();
        // Whatever a restart or a reload was asked for, this run has it.
        self.service.restart = false;
        self.service.reload = false;
        self.enter(Phase::Spawning { run });
    }

    /// The stop gate is open.
    pub fn bring_down(&mut self) {
        self.drop_rising();
        self.descend(Then::Settle);
    }
}
