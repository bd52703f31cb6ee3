//! News of a run, and whom it concerns.
//!
//! Owns the one place where news of a run that is over is told from news, and dropped. What it
//! means is left to `machine` for the main run and to `reload` for the one beside it.

use crate::machine::Turn;
use crate::{Cause, Exit, Role, RunId, SpawnFault};

/// What an event says of a run.
pub(crate) enum News {
    Spawned,
    SpawnFailed(SpawnFault),
    NeverRan,
    Exited(Exit),
    Ready,
    Failing(Cause),
}

impl Turn<'_> {
    pub fn news(&mut self, run: RunId, news: &News) {
        match self.service.role(run) {
            Some(Role::Main) => match *news {
                News::Spawned => self.spawned(run),
                News::SpawnFailed(fault) => self.spawn_failed(fault),
                News::NeverRan => self.never_ran(),
                News::Exited(exit) => self.exited(exit),
                News::Ready => self.became_ready(run),
                News::Failing(cause) => self.failing(cause),
            },
            Some(Role::Rising | Role::Falling) => match *news {
                News::Spawned => self.beside_spawned(run),
                News::SpawnFailed(_) => self.beside_spawn_failed(),
                News::NeverRan => self.beside_never_ran(),
                News::Exited(_) => self.beside_exited(),
                News::Ready => self.beside_ready(),
                News::Failing(_) => self.drop_rising(),
            },
            None => {}
        }
    }
}
