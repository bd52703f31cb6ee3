//! The reload: the new run beside the old one, then the old one away.
//!
//! Owns the second run of a service. It rises, and once it is ready it becomes the main one and the
//! old one takes its place beside, falling. Promises that there are never more than two: a
//! reload that is asked for while one is under way begins when the place beside is free. A new run
//! that fails before it is ready changes nothing; if the old one ends first, the new one takes over.

use crate::machine::Turn;
use crate::{Action, Beside, Ladder, Phase, RunId, Step, Want};

impl Turn<'_> {
    /// Asks for one. Without a run that is up there is nothing to keep, and of a job there must never
    /// be two: the same as a restart.
    pub fn reload(&mut self) {
        if self.is_running() && !self.policy.scheduled {
            self.service.want = Want::Up;
            self.service.failures = 0;
            self.service.reload = true;
        } else {
            self.restart();
        }
    }

    pub fn beside_spawned(&mut self, run: RunId) {
        match self.service.beside {
            Some(Beside::Spawning { .. }) => {
                self.out.push(Action::StartProbes {
                    id: self.id.clone(),
                    run,
                });
                if let Some(span) = self.policy.ready {
                    let (since, ready_by) = (self.now, self.now.after(span));
                    self.service.beside = Some(Beside::Starting {
                        run,
                        since,
                        ready_by,
                    });
                } else {
                    self.promote(run);
                    self.service.since = self.now;
                }
            }
            Some(Beside::Falling(ladder)) => {
                self.service.beside = Some(Beside::Falling(self.born(ladder)));
            }
            Some(Beside::Starting { .. }) | None => {}
        }
    }

    pub fn beside_spawn_failed(&mut self) {
        if self.service.beside.is_some_and(|beside| beside.is_unborn()) {
            self.service.beside = None;
        }
    }

    pub fn beside_never_ran(&mut self) {
        if let Some(Beside::Spawning { .. }) = self.service.beside {
            self.service.reload = true;
        }
        self.beside_spawn_failed();
    }

    pub fn beside_exited(&mut self) {
        if let Some(Beside::Starting { run, .. }) = self.service.beside {
            self.out.push(Action::StopProbes {
                id: self.id.clone(),
                run,
            });
        }
        self.service.beside = None;
    }

    pub fn beside_ready(&mut self) {
        if let Some(Beside::Starting { run, since, .. }) = self.service.beside {
            self.promote(run);
            self.service.since = since;
        }
    }

    /// The next run, if there is one, goes down: the old one stays.
    pub fn drop_rising(&mut self) {
        let ladder = match self.service.beside {
            Some(Beside::Spawning { run }) => Ladder {
                run,
                step: Step::Unborn,
            },
            Some(Beside::Starting { run, .. }) => self.retire(run),
            Some(Beside::Falling(_)) | None => return,
        };
        self.service.beside = Some(Beside::Falling(ladder));
    }

    /// The main run is gone: the next one, if there is one, is the main one now.
    pub fn take_over(&mut self) -> bool {
        let (phase, since) = match self.service.beside {
            Some(Beside::Spawning { run }) => (Phase::Spawning { run }, self.now),
            Some(Beside::Starting {
                run,
                since,
                ready_by,
            }) => (Phase::Starting { run, ready_by }, since),
            Some(Beside::Falling(_)) | None => return false,
        };
        self.service.phase = phase;
        self.service.since = since;
        self.service.beside = None;
        true
    }

    pub fn ripen_rising(&mut self) {
        if let Some(Beside::Starting { ready_by, .. }) = self.service.beside {
            if self.policy.ready.is_none() {
                self.beside_ready();
            } else if ready_by <= self.now {
                self.drop_rising();
            }
        }
    }

    pub fn ripen_beside(&mut self) {
        let free = self.is_running() && self.service.beside.is_none();
        if self.service.reload && self.service.may_stay(self.closing) && free {
            self.service.reload = false;
            self.service.beside = Some(Beside::Spawning {
                run: self.next_run(),
            });
        }
        if let Some(Beside::Falling(mut ladder)) = self.service.beside {
            self.climb(&mut ladder);
            self.service.beside = Some(Beside::Falling(ladder));
        }
    }

    pub fn resume_beside(&mut self) {
        match self.service.beside {
            Some(Beside::Starting { run, .. }) => {
                self.out.push(Action::StartProbes {
                    id: self.id.clone(),
                    run,
                });
            }
            Some(Beside::Falling(ladder)) => self.repeat(ladder),
            Some(Beside::Spawning { .. }) | None => {}
        }
    }

    fn is_running(&self) -> bool {
        matches!(self.service.phase, Phase::Running { .. })
    }

    /// The next run is ready: it is the main one, and the old one goes away.
    fn promote(&mut self, run: RunId) {
        let old = match self.service.phase {
            Phase::Starting { run, .. } | Phase::Running { run, .. } => Some(self.retire(run)),
            Phase::Spawning { run } => Some(Ladder {
                run,
                step: Step::Unborn,
            }),
            Phase::Stopping { ladder, .. } => Some(ladder),
            Phase::Stopped
            | Phase::Waiting(_)
            | Phase::Backoff { .. }
            | Phase::Errored
            | Phase::Completed { .. } => None,
        };
        self.service.beside = old.map(Beside::Falling);
        self.service.phase = self.running(run);
    }
}
