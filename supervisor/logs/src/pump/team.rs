//! The pump's workers: one for each filesystem, made when the first stream comes that is on it.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use super::lane::Way;
use super::mounts::Mounts;
use super::orders::{Done, Order, Orders, shared};
use super::stage::{self, Stage};
use super::worker::Worker;
use super::{Event, Places, TargetOf, Tell, failed};
use crate::{Folder, Janitor, Ledger, LogError, Registry, STAGES, Step, StreamId, Target};

/// The threads have no deep calls and no big buffers.
const STACK: usize = 256 << 10;

/// The workers, and what each of them is given.
pub(super) struct Team {
    pub(super) folder: Folder,
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) registry: Arc<Registry>,
    pub(super) target_of: Arc<TargetOf>,
    pub(super) tell: Tell,
    pub(super) mounts: Mounts,
    pub(super) workers: BTreeMap<PathBuf, Handle>,
    /// Mounts that no thread of their own could be had for, and whose thread they share. For good:
    /// never two threads for one file.
    pub(super) sharing: BTreeMap<PathBuf, PathBuf>,
    /// Staging pipes that no worker uses.
    pub(super) spare: Vec<Stage>,
    /// Staging pipes there are, used or not: also the number of the next.
    pub(super) stages: u32,
    pub(super) total: Option<u64>,
    pub(super) places: Places,
}

pub(super) struct Handle {
    pub(super) orders: Arc<Orders>,
    pub(super) ended: Receiver<()>,
}

impl Team {
    pub(super) fn take_over(
        &mut self,
        stages: Vec<(u32, OwnedFd, OwnedFd)>,
    ) -> Result<(), LogError> {
        let mut busy = BTreeMap::<PathBuf, Vec<Stage>>::new();
        for (number, read, write) in stages {
            self.stages = self.stages.max(number + 1);
            let stage = Stage::new(number, read, write, Arc::clone(&self.ledger))
                .map_err(failed("the staging pipe is not a pipe"))?;
            let idle = stage.is_empty() && self.ledger.step(number) == Step::None;
            if idle {
                self.spare.push(stage);
                continue;
            }
            let owner = self.ledger.owner(number);
            let target = owner.and_then(|owner| (self.target_of)(&owner));
            let mount = match target {
                Some(target) => self.mount_of(&target),
                None => self.mounts.of(self.folder.root()),
            };
            busy.entry(mount).or_default().push(stage);
        }
        for (mount, stages) in busy {
            self.start_worker(mount, stages)?;
        }
        Ok(())
    }

    pub(super) fn mount_of(&mut self, target: &Target) -> PathBuf {
        match &target.path {
            None => self.mounts.of(&self.folder.path(&target.id)),
            Some(path) => {
                // The operator may have mounted it just now.
                self.mounts = Mounts::read();
                self.mounts.of(path)
            }
        }
    }

    /// The mount whose thread writes the target's files.
    pub(super) fn place(&mut self, target: &Target) -> PathBuf {
        let mount = self.mount_of(target);
        self.shared(mount)
    }

    pub(super) fn shared(&self, mount: PathBuf) -> PathBuf {
        self.sharing.get(&mount).cloned().unwrap_or(mount)
    }

    /// The thread of this mount. Where none can be had, that of another one does it, too, and is
    /// held up where this one's disk hangs: better than no log, which would stop the app.
    pub(super) fn worker(&mut self, mount: &Path, id: &StreamId) -> Result<Arc<Orders>, LogError> {
        if let Some(worker) = self.workers.get(mount) {
            return Ok(Arc::clone(&worker.orders));
        }
        let error = match self.another_worker(mount) {
            Ok(orders) => return Ok(orders),
            Err(error) => error,
        };
        let Some((other, worker)) = self.workers.first_key_value() else {
            return Err(error);
        };
        self.sharing.insert(mount.to_owned(), other.clone());
        (self.tell)(Event::Notice {
            id: id.clone(),
            text: format!(
                "{error}; until then they wait for the disk at {}",
                other.display()
            ),
        });
        Ok(Arc::clone(&worker.orders))
    }

    pub(super) fn another_worker(&mut self, mount: &Path) -> Result<Arc<Orders>, LogError> {
        let stage = match self.spare.pop() {
            Some(stage) => stage,
            None if self.stages >= STAGES => return Err(too_many(mount)),
            None => self.new_stage()?,
        };
        self.start_worker(mount.to_owned(), vec![stage])
    }

    pub(super) fn new_stage(&mut self) -> Result<Stage, LogError> {
        let number = self.stages;
        let (read, write) = stage::pipe().map_err(failed("making a pipe"))?;
        self.ledger.hold_stage(number, &read, &write);
        self.stages += 1;
        Stage::new(number, read, write, Arc::clone(&self.ledger))
            .map_err(failed("the staging pipe is not a pipe"))
    }

    pub(super) fn start_worker(
        &mut self,
        mount: PathBuf,
        stages: Vec<Stage>,
    ) -> Result<Arc<Orders>, LogError> {
        let orders = Arc::new(Orders::new().map_err(failed("making a descriptor"))?);
        let mut stages = stages;
        let stage = match stages.pop() {
            Some(stage) => stage,
            None => self.new_stage()?,
        };
        let tell = Arc::clone(&self.tell);
        let way = Way {
            folder: self.folder.clone(),
            stage,
            scratch: None,
            tell: Arc::clone(&self.tell),
            registry: Arc::clone(&self.registry),
            janitor: Janitor::new(
                self.folder.clone(),
                Arc::clone(&self.registry),
                move |id, error| {
                    let (id, text) = (id.clone(), error.to_string());
                    tell(Event::Notice { id, text });
                },
            ),
            stamped: Vec::new(),
        };
        let target_of = Arc::clone(&self.target_of);
        let worker = Worker::new(way, stages, Arc::clone(&orders), move |id| target_of(id))
            .map_err(failed("making a descriptor"))?;
        orders.give(Order::SetTotal { total: self.total });
        let (end, ended) = channel();
        std::thread::Builder::new()
            .name("logs".to_owned())
            .stack_size(STACK)
            .spawn(move || {
                worker.run();
                // Nobody may be waiting for it.
                let _ = end.send(());
            })
            .map_err(|source| LogError::Start {
                doing: "making a thread",
                source,
            })?;
        let handle = Handle {
            orders: Arc::clone(&orders),
            ended,
        };
        self.workers.insert(mount, handle);
        Ok(orders)
    }

    pub(super) fn tell_all(&self, order: impl Fn() -> Order) {
        for worker in self.workers.values() {
            worker.orders.give(order());
        }
    }

    pub(super) fn ask_all(&self, done: Done, order: impl Fn(Done) -> Order) {
        let parts = shared(self.workers.len(), done);
        for (worker, done) in self.workers.values().zip(parts) {
            worker.orders.give(order(done));
        }
    }
}

fn too_many(mount: &Path) -> LogError {
    LogError::Start {
        doing: "one more filesystem for logs",
        source: std::io::Error::other(format!(
            "{} would be the {STAGES}th plus one; keep logs on fewer",
            mount.display()
        )),
    }
}
