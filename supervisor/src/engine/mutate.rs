//! Everything that changes what is wanted: first it is on disk, then it is carried out, then it is
//! answered. One change at a time; the others wait their turn, and each sees what the one before left.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use supervisor_core::{Name, RunId, ServiceId};
use supervisor_protocol::{FailureKind, Reply};

use super::Engine;
use super::actions::done;
use super::asking::{asked_by, tell_change, wish};
use super::changes::{Change, plan, scale};
use super::inbox::{Message, Replies};
use super::reading::Read;
use crate::persist::desired::{Desired, What};

/// So long after a failure to save what changed by itself, it is tried again.
const SYNC_AGAIN: Duration = Duration::from_secs(5);

/// Who restarted something last is on disk so soon.
const NOTE_WITHIN: Duration = Duration::from_secs(1);

/// Changes that wait.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: VecDeque<Mutation>,
    /// The one whose desired state is on its way to the disk.
    saving: Option<(Desired, Step)>,
    /// Wishes that changed by themselves: a job is completed, an instance is gone.
    unsynced: bool,
    /// They could not be saved, and are tried again in a while.
    postponed: bool,
    /// What is known here is more than what is on disk: who asked last.
    noted: bool,
}

/// A change of what is wanted, as it was asked for.
#[derive(Debug)]
pub enum Mutation {
    Act(Asked),
    Define {
        read: Read,
        replies: Replies,
    },
    Scale {
        name: String,
        instances: u32,
        wait: bool,
        replies: Replies,
    },
}

impl Mutation {
    fn replies(&self) -> &Replies {
        match self {
            Mutation::Act(Asked { replies, .. })
            | Mutation::Define { replies, .. }
            | Mutation::Scale { replies, .. } => replies,
        }
    }
}

/// What can be asked of an instance that changes what is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    Start,
    Stop,
    Restart,
    Delete,
}

/// What is done once the new state is on disk.
#[derive(Debug)]
enum Step {
    Act {
        asked: Asked,
        /// Something else is wanted than before; otherwise only who asked is new.
        changes: bool,
    },
    Define {
        changes: Vec<Change>,
        wait: bool,
        replies: Replies,
    },
    Sync,
}

impl Step {
    /// It can be carried out before anything is on disk.
    fn changes_nothing(&self) -> bool {
        matches!(self, Step::Act { changes: false, .. })
    }
}

/// An act, on the instances that the client has seen.
#[derive(Debug)]
pub struct Asked {
    pub act: Move,
    pub on: Vec<(ServiceId, RunId)>,
    /// What stands in the way of a new start, by app; looked up only for a restart.
    pub obstacles: BTreeMap<Name, String>,
    pub wait: bool,
    pub replies: Replies,
}

impl Queue {
    /// The durable wish of a service is not what is on disk any more.
    pub fn sync(&mut self) {
        self.unsynced = true;
    }

    /// The while is over.
    pub fn sync_again(&mut self) {
        self.postponed = false;
        self.unsynced = true;
    }

    /// It waits for its turn.
    pub fn wait(&mut self, mutation: Mutation) {
        self.waiting.push_back(mutation);
    }

    /// Nothing is waiting or on its way to the disk.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.saving.is_none() && !self.unsynced
    }
}

impl Engine {
    /// Takes the next change in hand, if none is on its way to the disk.
    pub(super) fn next_mutation(&mut self) {
        while self.mutations.saving.is_none() {
            let next = self.mutations.waiting.pop_front();
            if next.is_none() && !self.mutations.unsynced {
                return;
            }
            let mut desired = self.desired.clone();
            let step = match next {
                Some(mutation) if self.stopping.is_some() => {
                    let replies = mutation.replies();
                    replies.refuse(FailureKind::ShuttingDown, "the daemon is stopping", None);
                    continue;
                }
                Some(mutation) => match self.work_in(mutation, &mut desired) {
                    Some(step) => step,
                    None => continue,
                },
                None => {
                    self.sync(&mut desired);
                    Step::Sync
                }
            };
            let noted = matches!(step, Step::Sync) && self.mutations.noted;
            if desired == self.desired && !noted {
                self.step(step);
            } else if step.changes_nothing() {
                // Nobody's command waits for a disk because of a note.
                self.desired = desired;
                self.mutations.noted = true;
                self.sync_in(NOTE_WITHIN);
                self.step(step);
            } else {
                self.mutations.noted = false;
                self.saver.save(desired.clone());
                self.mutations.saving = Some((desired, step));
            }
        }
    }

    /// Works a change into the desired state; `None`: it is answered already.
    fn work_in(&mut self, mutation: Mutation, desired: &mut Desired) -> Option<Step> {
        match mutation {
            Mutation::Act(asked) => {
                let by = asked_by(&asked.replies, asked.act.what());
                let changes = wish(desired, asked.act, &asked.on, &by);
                Some(Step::Act { asked, changes })
            }
            Mutation::Define { read, replies } => {
                let changes = self.define(desired, &read, &replies)?;
                let wait = read.wait;
                let Some(name) = changes.iter().find_map(Change::start_again) else {
                    return Some(Step::Define {
                        changes,
                        wait,
                        replies,
                    });
                };
                let act = Move::Start;
                let on = self.instances_of(&name);
                let changes = wish(desired, act, &on, &asked_by(&replies, act.what()));
                let obstacles = BTreeMap::new();
                let asked = Asked {
                    act,
                    on,
                    obstacles,
                    wait,
                    replies,
                };
                Some(Step::Act { asked, changes })
            }
            Mutation::Scale {
                name,
                instances,
                wait,
                replies,
            } => match scale(&name, instances, desired) {
                Ok(change) => {
                    let changes = vec![change];
                    self.put(desired, &changes, &replies, What::Scaled)?;
                    tracing::info!(
                        "{name}: {instances} instances, as {} asked",
                        replies.asker()
                    );
                    Some(Step::Define {
                        changes,
                        wait,
                        replies,
                    })
                }
                Err(failure) => {
                    replies.send(Reply::Error(failure));
                    None
                }
            },
        }
    }

    /// The disk has answered.
    pub(super) fn saved(&mut self, result: std::io::Result<()>) {
        let Some((desired, step)) = self.mutations.saving.take() else {
            return;
        };
        match (result, step) {
            (Ok(()), step) => {
                self.own_log.set_level(desired.daemon.log_level);
                let before = std::mem::replace(&mut self.desired, desired);
                if before.daemon != self.desired.daemon {
                    self.doors.set(&self.paths, &self.desired.daemon);
                }
                self.apply_log_rules(&before);
                self.step(step);
            }
            (Err(error), Step::Sync) => {
                tracing::error!("cannot save the state: {error}; trying again in a while");
                self.mutations.noted = true;
                self.sync_in(SYNC_AGAIN);
            }
            (
                Err(error),
                Step::Act {
                    asked: Asked { replies, .. },
                    ..
                }
                | Step::Define { replies, .. },
            ) => {
                self.mutations.noted = true;
                tracing::error!("cannot save the state: {error}; a command was refused");
                let why = super::prepare::plain(&error);
                let message = format!(
                    "nothing was changed, because it could not be saved in {}: {why}",
                    self.paths.state.display()
                );
                self.give_back_slots();
                replies.refuse(
                    FailureKind::Failed,
                    message,
                    Some("make room and try again"),
                );
            }
        }
    }

    /// Not at once: a disk that is full is not asked at its own speed, and notes are written together.
    fn sync_in(&mut self, pause: Duration) {
        if std::mem::replace(&mut self.mutations.postponed, true) {
            return;
        }
        let inbox = self.inbox.clone();
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            // The engine ends only with the process.
            let _ = inbox.send(Message::Sync).await;
        });
    }

    fn sync(&mut self, desired: &mut Desired) {
        self.mutations.unsynced = false;
        // What has left the fleet is forgotten; it may have been defined again meanwhile.
        let gone: Vec<ServiceId> = desired
            .instances()
            .filter(|(id, _, wish)| wish.remove && self.fleet.get(id).is_none())
            .map(|(id, _, _)| id)
            .collect();
        for id in gone {
            desired.forget(&id);
        }
        for (id, service) in self.fleet.iter() {
            if let Some(wish) = desired.wish_mut(id).filter(|wish| !wish.remove) {
                wish.done = done(service);
            }
        }
    }

    /// Works what was read into the desired state; `None`: it is answered already.
    fn define(
        &mut self,
        desired: &mut Desired,
        read: &Read,
        replies: &Replies,
    ) -> Option<Vec<Change>> {
        let changes = match plan(read, desired, &self.paths.logs) {
            Ok(changes) => changes,
            Err(failure) => {
                replies.send(Reply::Error(failure));
                return None;
            }
        };
        for change in changes.iter().filter(|change| change.origin.is_some()) {
            replies.send(Reply::Plan(change.plan.clone()));
        }
        if read.dry_run {
            replies.end();
            return None;
        }
        if let Some(daemon) = &read.daemon {
            if *daemon == desired.daemon {
                // A group of that name may be there by now, or be another one.
                self.doors.set(&self.paths, daemon);
            }
            desired.daemon = daemon.clone();
        }
        self.put(desired, &changes, replies, What::Defined)?;
        for change in &changes {
            tell_change(change, replies);
        }
        Some(changes)
    }

    /// Works changes into the desired state, if there is room; `None`: it is answered already.
    fn put(
        &mut self,
        desired: &mut Desired,
        changes: &[Change],
        replies: &Replies,
        what: What,
    ) -> Option<()> {
        let asked = asked_by(replies, what);
        for change in changes {
            for app in &change.put {
                desired.put(app.clone(), change.origin.clone(), &asked);
            }
            for name in &change.remove {
                desired.remove(name);
            }
        }
        let ids: Vec<ServiceId> = desired.instances().map(|(id, _, _)| id).collect();
        for id in ids {
            if let Err(error) = self.claim_slot(&id) {
                self.give_back_slots();
                let why = format!(
                    "there is no room for {id}: {}",
                    super::prepare::plain(&error)
                );
                replies.refuse(FailureKind::Failed, why, None);
                return None;
            }
        }
        Some(())
    }

    /// Slots that were claimed for a change that came to nothing.
    fn give_back_slots(&mut self) {
        let unused: Vec<ServiceId> = self
            .instances
            .keys()
            .filter(|id| self.fleet.get(id).is_none())
            .cloned()
            .collect();
        for id in unused {
            if let Some(instance) = self.instances.remove(&id) {
                self.slots.free(instance.slot);
            }
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Act { asked, .. } => self.act(asked),
            Step::Define {
                changes,
                wait,
                replies,
            } => self.carry(&changes, wait, replies),
            Step::Sync => {}
        }
    }
}
