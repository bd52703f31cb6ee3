//! Starting a run in its cgroup. An app matters more than where it is: where its cgroup cannot be made or
//! entered, it starts without, and that is told; unless it has a limit that only a cgroup keeps, for then
//! it would be let loose.

use std::os::fd::OwnedFd;
use std::sync::Once;

use nix::errno::Errno;
use supervisor_core::SpawnFault;

use super::groups::Place;
use super::spawner::{Order, Problem, Tools};
use crate::os::cgroup::Controller;
use crate::os::spawn::{Launch, Outcome, Stage};

impl Tools {
    /// Starts the process, in its cgroup where it can be; says where it is.
    pub(super) fn start_in_place(
        &self,
        order: &Order,
        launch: &mut Launch,
        start: impl Fn(&Launch) -> Outcome,
    ) -> Result<(Outcome, Place), Problem> {
        let Some(name) = order.place.group() else {
            return Ok((start(launch), order.place.clone()));
        };
        let refused = match self.make(name, order) {
            Ok(cgroup) => {
                launch.cgroup = Some(cgroup);
                let outcome = start(launch);
                match refusal(&outcome) {
                    None => return Ok((outcome, order.place.clone())),
                    Some(errno) => format!("it cannot be entered: {}", errno.desc()),
                }
            }
            Err(why) => why,
        };
        launch.cgroup = None;
        if let Some(room) = &self.room {
            // Empty, so that it can be taken away at once; else it is found when the run is over.
            let _ = room.clear(name);
        }
        if self.is_limited(order) {
            return Err(Problem {
                fault: SpawnFault::Shortage,
                reason: format!("no cgroup for its limits: {refused}"),
            });
        }
        static TOLD: Once = Once::new();
        TOLD.call_once(|| {
            tracing::warn!("{}: started without a cgroup: {refused}", order.id);
        });
        Ok((start(launch), Place::Refused(refused)))
    }

    fn make(&self, name: &str, order: &Order) -> Result<OwnedFd, String> {
        let room = self.room.as_ref().ok_or("there is none")?;
        room.make(name, &order.app.ceilings)
            .map_err(|error| format!("it cannot be made: {}", super::prepare::plain(&error)))
    }

    /// Whether it has a limit that would be kept here.
    fn is_limited(&self, order: &Order) -> bool {
        let room = self.room.as_ref();
        Controller::ALL.into_iter().any(|controller| {
            controller.is_asked_by(&order.app.ceilings)
                && room.is_some_and(|room| room.why_off(controller).is_none())
        })
    }
}

/// Whether it was perhaps the cgroup that was in the way, and not a shortage, or the program.
fn refusal(outcome: &Outcome) -> Option<Errno> {
    match outcome {
        Outcome::NoProcess {
            errno: Errno::EAGAIN | Errno::ENOMEM,
        }
        | Outcome::Running { .. } => None,
        Outcome::NoProcess { errno } => Some(*errno),
        Outcome::Failed { stage, errno, .. } => (*stage == Stage::Cgroup).then_some(*errno),
    }
}
