//! The pump: app pipe → staging pipe → log file, by `splice(2)`, in one thread for each filesystem.
//!
//! Owns the pipes it is given (its copies of the descriptors) and the log files. Promises:
//! - **Exactly once.** A byte is in the app's pipe, in the staging pipe or in the file, and moves
//!   between them only inside one system call, or in a step that the next process undoes or
//!   finishes; the process may be killed between any two. Whoever starts next on the same pipes
//!   first finishes what is in the staging pipes.
//! - **In order.** Bytes of one pipe stay in order, and the pipes of one stream follow each other
//!   in the order they were attached; the source changes only at a newline.
//! - **Bounded.** Files are rotated and removed as their [`Rules`] say. Where the disk is full all
//!   the same, the rules say who gives way; what is dropped is counted to the byte.
//! - **One trouble stays alone.** A log that cannot be opened holds up only its own stream, a
//!   filesystem that hangs only the logs that are on it. Orders never block.
//! - **Idle costs nothing.** With no output the threads sleep without a timeout.
//!
//! Leaves to others: making the pipes and keeping copies of them, so that they outlive this
//! process, and the notes that must outlive it, too ([`Ledger`]).
//!
//! Never two pumps on one folder or one staging pipe: the next one may start only when the
//! process of the one before has been reaped.

mod dropping;
mod lane;
mod log;
mod mounts;
mod open;
mod orders;
mod pacing;
mod service;
mod source;
mod stage;
mod team;
mod transfer;
mod trouble;
mod worker;

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::errno::Errno;

use crate::{Folder, Ledger, LogError, Losses, Rules, StreamId, Target};
use mounts::Mounts;
use orders::{Order, shared};
use team::Team;

/// How long a thread may take to end before it is left to the end of the process.
const LEAVE: Duration = Duration::from_secs(2);

/// What the pump tells, from its own threads: the receiver must not block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Nobody can write to the pipe any more, and all of it is in the log. What is left to do is
    /// [`Pump::finish`]; whoever hears this first does not have to wait for the answer.
    Ended {
        /// The pipe.
        key: u64,
        /// As in [`Event::Finished`].
        tail: Vec<u8>,
    },
    /// The answer to [`Pump::finish`], exactly one for each.
    Finished {
        /// The pipe.
        key: u64,
        /// Bytes are left that cannot be written now. The pump goes on trying, and they come
        /// before those of the pipes attached later. Copies of the pipe that are to survive this
        /// process must be kept until [`Event::Released`].
        kept: bool,
        /// The last lines that came through this pipe, as they are in the file: at most 20, and at
        /// most 4 KiB.
        tail: Vec<u8>,
    },
    /// A kept pipe is empty, or was given up (then [`Event::Dropped`] came before).
    Released {
        /// The pipe.
        key: u64,
    },
    /// A stream's log cannot be opened or written; told once, until [`Event::Recovered`].
    Trouble {
        /// Whose log.
        id: StreamId,
        /// What, why, and what to do.
        error: String,
    },
    /// Nothing of this stream is held up or dropped any more.
    Recovered {
        /// Whose log.
        id: StreamId,
    },
    /// Something about a stream's files that an operator should know, though nothing is held up: a
    /// time index that was damaged and begun anew, a file that cannot be rotated, compressed or
    /// removed.
    Notice {
        /// Whose files.
        id: StreamId,
        /// One sentence.
        text: String,
    },
    /// Bytes had to be given up: told when that begins, when the log tells of it, and when a pipe is
    /// given up. The ledger is always exact.
    Dropped {
        /// Whose they were; `None` if a staging pipe held bytes that nobody had recorded, or of an
        /// app that is no more.
        id: Option<StreamId>,
        /// All that was dropped of the stream so far; for `None`: this time.
        losses: Losses,
    },
}

/// What a worker tells, to whom and with what.
pub(super) type Tell = Arc<dyn Fn(Event) + Send + Sync>;

/// Who knows the target of a stream that the process before was busy with.
type TargetOf = Box<dyn Fn(&StreamId) -> Option<Target> + Send + Sync>;

/// The handle of the pump's threads. Dropping it stops them and waits for them, but not for a disk
/// that hangs; what is in the pipes stays there.
pub struct Pump {
    state: Mutex<Team>,
}

/// Which worker has a pipe. Not part of the state: the workers take out what they are done with.
type Places = Arc<Mutex<BTreeMap<u64, PathBuf>>>;

impl Pump {
    /// Starts a thread for each of the `stages` (number, read end, write end) that the process before
    /// left something in, and finishes that. `target_of` is asked for the streams it belongs to.
    ///
    /// # Errors
    /// When the system has no more threads or descriptors, or these are not the ends of a pipe.
    pub fn start(
        folder: Folder,
        ledger: Arc<dyn Ledger>,
        stages: Vec<(u32, OwnedFd, OwnedFd)>,
        target_of: impl Fn(&StreamId) -> Option<Target> + Send + Sync + 'static,
        events: impl Fn(Event) + Send + Sync + 'static,
    ) -> Result<Pump, LogError> {
        let places = Places::default();
        let forget = Arc::clone(&places);
        let tell = move |event: Event| {
            if let Event::Finished {
                key, kept: false, ..
            }
            | Event::Released { key } = &event
            {
                lock(&forget).remove(key);
            }
            events(event);
        };
        let mut state = Team {
            folder,
            ledger,
            registry: Arc::default(),
            target_of: Arc::new(Box::new(target_of)),
            tell: Arc::new(tell),
            mounts: Mounts::read(),
            workers: BTreeMap::new(),
            sharing: BTreeMap::new(),
            spare: Vec::new(),
            stages: 0,
            total: None,
            places,
        };
        state.take_over(stages)?;
        Ok(Pump {
            state: Mutex::new(state),
        })
    }

    /// Takes over the read end of a run's pipe; `key` names it from now on. `fresh`: no byte of
    /// it was ever moved, so a half line in the file is ended first. A pipe that an earlier
    /// process attached must come with `fresh: false`, or a line could be cut in two; see
    /// [`Ledger::begun`]. The pipes of one stream must be attached in the order of their runs.
    pub fn attach(&self, key: u64, target: Target, pipe: OwnedFd, fresh: bool) {
        let mut state = lock(&self.state);
        let place = state.place(&target);
        let id = target.id.clone();
        match state.worker(&place, &id) {
            Ok(orders) => orders.give(Order::Attach {
                key,
                target,
                pipe,
                fresh,
            }),
            // No thread to be had: the copy that others keep of the pipe fills, and the next process
            // finds it.
            Err(error) => (state.tell)(Event::Trouble {
                id,
                error: error.to_string(),
            }),
        }
        let place = state.shared(place);
        lock(&state.places).insert(key, place);
    }

    /// The run is over: move what is in its pipe, at most one pipe's worth if others still write
    /// to it, close it, and answer with [`Event::Finished`].
    pub fn finish(&self, key: u64) {
        let state = lock(&self.state);
        let place = lock(&state.places).get(&key).cloned();
        match place.as_ref().and_then(|place| state.workers.get(place)) {
            Some(worker) => worker.orders.give(Order::Finish { key }),
            None => (state.tell)(Event::Finished {
                key,
                // Attached, but no thread could be had for it.
                kept: place.is_some(),
                tail: Vec::new(),
            }),
        }
    }

    /// The app is deleted: finish and close everything of it, keep nothing back.
    pub fn forget(&self, app: &str) {
        lock(&self.state).tell_all(|| Order::Forget {
            app: app.to_owned(),
        });
    }

    /// From now on this holds for the files of the app, also for those that are being written.
    pub fn set_rules(&self, app: &str, rules: &Arc<Rules>) {
        lock(&self.state).tell_all(|| Order::SetRules {
            app: app.to_owned(),
            rules: Arc::clone(rules),
        });
    }

    /// What all log files in the folder may have together, in bytes; `None`: any number.
    pub fn set_total(&self, total: Option<u64>) {
        let mut state = lock(&self.state);
        state.total = total;
        state.tell_all(|| Order::SetTotal { total });
    }

    /// Empties the live files, removes the rotated ones and begins to count losses anew; what is not
    /// there is empty. Only the thread that writes can do that without leaving a hole in a file.
    /// `done` is called from a thread of the pump.
    pub fn empty(
        &self,
        targets: Vec<Target>,
        done: impl FnOnce(Result<(), LogError>) + Send + 'static,
    ) {
        let mut state = lock(&self.state);
        let mut parts = BTreeMap::<PathBuf, Vec<Target>>::new();
        for target in targets {
            let place = state.place(&target);
            parts.entry(place).or_default().push(target);
        }
        for (done, (place, targets)) in shared(parts.len(), Box::new(done)).into_iter().zip(parts) {
            match state.worker(&place, &targets[0].id) {
                Ok(orders) => orders.give(Order::Empty { targets, done }),
                Err(error) => done(Err(error)),
            }
        }
    }

    /// Looks every live file up by its name again, for those who move log files by other means. When
    /// `done` is called nothing more is written to what had the name before.
    pub fn reopen(&self, done: impl FnOnce(Result<(), LogError>) + Send + 'static) {
        lock(&self.state).ask_all(Box::new(done), |done| Order::Reopen { done });
    }

    /// Makes the files of these streams fit for a reader: what somebody moved or deleted is begun anew
    /// under its name, and the indexes have all that is known of the lines' times.
    pub fn sync(&self, ids: &[StreamId], done: impl FnOnce(Result<(), LogError>) + Send + 'static) {
        lock(&self.state).ask_all(Box::new(done), |done| Order::Sync {
            ids: ids.to_vec(),
            done,
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed(doing: &'static str) -> impl Fn(Errno) -> LogError {
    move |errno| LogError::Start {
        doing,
        source: errno.into(),
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.tell_all(|| Order::Stop);
        for worker in state.workers.values() {
            // An error means that the thread panicked (it has said so itself), or that its disk
            // hangs.
            let _ = worker.ended.recv_timeout(LEAVE);
        }
    }
}
