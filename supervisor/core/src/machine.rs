//! One service: what each fact and each wish makes of it.
//!
//! Owns every change of the main phase, but those that need no event (`ripen`). Promises that whatever starts a run puts the service into
//! `Waiting(Dependencies)` first, and whatever ends one goes through the stop ladder. When the
//! gates are open, and what other services do, is left to `fleet`; the second run to `reload`.

use alloc::vec::Vec;

use crate::{
    Action, Cause, Command, Exit, Ladder, Phase, Policy, RestartWhen, RunId, Service, ServiceId,
    Span, SpawnFault, Step, Then, Time, Wait, Want, backoff,
};

/// How long a machine that was short of something is left alone.
const SHORTAGE: Span = Span::secs(1);

/// How a run ended, as far as the restart policy asks.
#[derive(Clone, Copy)]
struct Verdict {
    /// There was a process.
    ran: bool,
    success: bool,
    quick: bool,
}

/// One service at one moment.
pub(crate) struct Turn<'a> {
    pub now: Time,
    /// The whole fleet is going down.
    pub closing: bool,
    pub id: &'a ServiceId,
    pub policy: &'a Policy,
    pub service: &'a mut Service,
    pub out: &'a mut Vec<Action>,
}

/// The wishes.
impl Turn<'_> {
    pub fn command(&mut self, command: Command) {
        // What goes down with the fleet, or leaves it, is not started any more.
        let may_start = !self.closing && !self.service.remove;
        match command {
            Command::Start | Command::Restart | Command::Reload if !may_start => {}
            Command::Start => self.start(),
            Command::Restart => self.restart(),
            Command::Reload => self.reload(),
            Command::Stop => self.stop(),
            Command::Remove => {
                self.service.remove = true;
                self.service.restart = false;
            }
            Command::Reset => {
                self.service.failures = 0;
                self.service.restarts = 0;
            }
        }
    }

    fn start(&mut self) {
        self.service.want = Want::Up;
        if let Phase::Stopping { then, .. } = &mut self.service.phase {
            *then = Then::Settle;
            self.service.failures = 0;
        } else if self.service.phase.run().is_none() {
            self.service.failures = 0;
            self.request();
        }
    }

    pub fn restart(&mut self) {
        self.start();
        self.service.failures = 0;
        // What runs is brought down as soon as those of its dependents are gone that go down, too.
        self.service.restart = self.service.is_alive();
    }

    fn stop(&mut self) {
        self.service.want = Want::Down;
        self.service.reload = false;
        self.service.restart = false;
        if let Phase::Stopping { then, .. } = &mut self.service.phase {
            *then = Then::Settle;
        } else if self.service.phase.run().is_none() {
            self.enter(Phase::Stopped);
        }
        // What runs is brought down as soon as its dependents are gone.
    }

    /// All is there that it waits for besides its dependencies.
    pub fn met(&mut self) {
        if let Phase::Waiting(Wait::Conditions { met }) = &mut self.service.phase {
            *met = true;
        }
    }

    /// The date of a job has come. A run that is still busy with the last one is left alone, a
    /// try again of the last one is not waited for.
    pub fn due(&mut self) {
        let idle = self.service.phase.run().is_none();
        if idle && self.policy.scheduled && self.up() {
            self.service.failures = 0;
            self.request();
        }
    }
}

/// The facts.
impl Turn<'_> {
    pub fn spawned(&mut self, run: RunId) {
        match self.service.phase {
            Phase::Spawning { .. } => {
                self.out.push(Action::StartProbes {
                    id: self.id.clone(),
                    run,
                });
                self.enter(match self.policy.ready {
                    Some(span) => Phase::Starting {
                        run,
                        ready_by: self.now.after(span),
                    },
                    None => self.running(run),
                });
            }
            Phase::Stopping { ladder, then } => {
                let ladder = self.born(ladder);
                self.service.phase = Phase::Stopping { ladder, then };
            }
            // It said so before.
            Phase::Starting { .. } | Phase::Running { .. } => {}
            Phase::Stopped
            | Phase::Waiting(_)
            | Phase::Backoff { .. }
            | Phase::Errored
            | Phase::Completed { .. } => {}
        }
    }

    pub fn spawn_failed(&mut self, fault: SpawnFault) {
        let spawning = matches!(self.service.phase, Phase::Spawning { .. });
        match fault {
            SpawnFault::Shortage if spawning => {
                let until = self.now.after(SHORTAGE);
                self.enter(Phase::Waiting(Wait::Shortage { until }));
            }
            SpawnFault::Broken if spawning => {
                self.ended(Some(Verdict {
                    ran: false,
                    success: false,
                    quick: true,
                }));
            }
            // It was told to stop meanwhile, so that nothing is to be made of the fault.
            SpawnFault::Shortage | SpawnFault::Broken => self.never_ran(),
        }
    }

    /// Of a run that has been up this is not true: its exit will come.
    pub fn never_ran(&mut self) {
        if self.service.phase.is_unborn() {
            self.ended(None);
        }
    }

    pub fn exited(&mut self, exit: Exit) {
        let success = exit != Exit::Unknown && self.policy.restart.success.contains(&exit);
        let quick = self.is_quick();
        let verdict = match self.service.phase {
            Phase::Stopping {
                then: Then::Settle, ..
            } => None,
            Phase::Stopping {
                then: Then::Failed { quick, .. },
                ..
            } => Some(Verdict {
                ran: true,
                success: false,
                quick,
            }),
            Phase::Starting { run, .. } | Phase::Running { run, .. } => {
                self.out.push(Action::StopProbes {
                    id: self.id.clone(),
                    run,
                });
                Some(Verdict {
                    ran: true,
                    success,
                    quick,
                })
            }
            Phase::Spawning { .. } => Some(Verdict {
                ran: true,
                success,
                quick,
            }),
            Phase::Stopped
            | Phase::Waiting(_)
            | Phase::Backoff { .. }
            | Phase::Errored
            | Phase::Completed { .. } => return,
        };
        self.ended(verdict);
    }

    pub fn became_ready(&mut self, run: RunId) {
        if let Phase::Starting { .. } = self.service.phase {
            self.service.phase = self.running(run);
        }
    }

    pub fn failing(&mut self, cause: Cause) {
        let quick = self.is_quick();
        self.descend(match cause {
            Cause::NotReady | Cause::Unhealthy | Cause::OverMemory => Then::Failed { cause, quick },
            Cause::Watch => Then::Settle,
        });
    }

    /// Repeats what the last engine may have died over.
    pub fn resume(&mut self) {
        if let Phase::Starting { run, .. } | Phase::Running { run, .. } = self.service.phase {
            self.out.push(Action::StartProbes {
                id: self.id.clone(),
                run,
            });
        } else if let Phase::Stopping { ladder, .. } = self.service.phase {
            self.repeat(ladder);
        }
        self.resume_beside();
    }
}

/// The steps that they are made of.
impl Turn<'_> {
    /// Whether it should run, all things considered.
    pub fn up(&self) -> bool {
        self.service.should_run(self.closing)
    }

    pub fn enter(&mut self, phase: Phase) {
        if self.service.phase != phase {
            self.service.phase = phase;
            self.service.since = self.now;
        }
    }

    /// It is to start, as soon as its dependencies allow.
    pub fn request(&mut self) {
        self.enter(Phase::Waiting(Wait::Dependencies));
    }

    pub fn next_run(&mut self) -> RunId {
        let run = RunId(self.service.last_run.0.saturating_add(1));
        self.service.last_run = run;
        self.out.push(Action::Spawn {
            id: self.id.clone(),
            run,
        });
        run
    }

    pub fn running(&self, run: RunId) -> Phase {
        let stable_at = Some(self.now.after(self.policy.restart.stable_after));
        Phase::Running { run, stable_at }
    }

    /// Whether an end now would be one that came before the run was stable.
    fn is_quick(&self) -> bool {
        if let Phase::Running { stable_at, .. } = self.service.phase {
            stable_at.is_some_and(|at| self.now < at)
        } else {
            true
        }
    }

    /// The main run goes down; nothing to do where none is up.
    pub fn descend(&mut self, then: Then) {
        let ladder = match self.service.phase {
            Phase::Spawning { run } => Ladder {
                run,
                step: Step::Unborn,
            },
            Phase::Starting { run, .. } | Phase::Running { run, .. } => self.retire(run),
            Phase::Stopped
            | Phase::Waiting(_)
            | Phase::Stopping { .. }
            | Phase::Backoff { .. }
            | Phase::Errored
            | Phase::Completed { .. } => return,
        };
        self.enter(Phase::Stopping { ladder, then });
    }

    /// The main run is gone. Without a verdict (asked for, or it never ran) it counts as nothing.
    fn ended(&mut self, verdict: Option<Verdict>) {
        if self.take_over() {
            return;
        }
        match verdict {
            Some(verdict) if self.service.may_stay(self.closing) => self.judge(verdict),
            // It was to go down anyway. If it is not wanted, `ripen` makes it stopped.
            Some(_) | None => self.request(),
        }
    }

    fn judge(&mut self, verdict: Verdict) {
        let restart = &self.policy.restart;
        let again = match restart.policy {
            // A job is started at each of its dates: that is its "always".
            RestartWhen::Always => !self.policy.scheduled,
            RestartWhen::OnFailure => !verdict.success,
            RestartWhen::Never => false,
        };
        let in_a_row = verdict.quick && (again || !verdict.success);
        let failures = if in_a_row {
            self.service.failures.saturating_add(1)
        } else {
            0
        };
        let given_up = restart.max_restarts > 0 && failures >= restart.max_restarts;
        let wait = backoff::wait(restart, failures, self.id, self.service.last_run);
        self.service.failures = failures;
        self.enter(match (again, verdict.success) {
            (true, _) if given_up => Phase::Errored,
            (true, _) => Phase::Backoff {
                until: self.now.after(wait),
            },
            (false, _) if self.policy.scheduled => Phase::Waiting(Wait::Schedule { ran: true }),
            (false, success) if verdict.ran => Phase::Completed { success },
            (false, _) => Phase::Errored,
        });
    }
}
