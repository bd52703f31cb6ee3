//! The pump: app pipe → staging pipe → log file, by `splice(2)`, in one thread.
//!
//! Owns the pipes it is given (its copies of the descriptors) and the log files. Promises:
//! - **Exactly once.** A byte is in the app's pipe, in the staging pipe or in the file, and moves
//!   between them only inside one system call; the process may be killed between any two. Whoever
//!   starts next on the same pipes first finishes what is in the staging pipe.
//! - **In order.** Bytes of one pipe stay in order, and the pipes of one stream follow each other
//!   in the order they were attached; the source changes only at a newline.
//! - **One trouble stays alone.** A log that cannot be opened holds up only its own stream. A full
//!   disk holds up all, loses nothing, and orders are still answered.
//! - **Idle costs nothing.** With no output the thread sleeps without a timeout.
//!
//! Leaves to others: making the pipes and keeping copies of them, so that they outlive this
//! process, and the record of whose bytes are in the staging pipe ([`Staging`]).
//!
//! Never two pumps on one folder or one staging pipe: the next one may start only when the
//! process of the one before has been reaped.

mod lane;
mod orders;
mod pacing;
mod stage;
mod trouble;
mod worker;

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::JoinHandle;

use nix::errno::Errno;

use crate::{Folder, LogError, StreamId};
use lane::Way;
use orders::{Order, Orders};
use stage::Stage;
use worker::Worker;

/// The thread has no deep calls and no big buffers.
const STACK: usize = 256 << 10;

/// Whose bytes are in the staging pipe: kept where the next process finds it.
pub trait Staging: Send {
    /// The stream that [`Staging::set_owner`] named last. Only asked for at the start, and only
    /// when there are bytes in the staging pipe.
    fn owner(&self) -> Option<StreamId>;

    /// Called before bytes enter the staging pipe, always while it is empty: being killed in the
    /// middle of this may leave any record behind. Must be visible to the next process when it
    /// returns.
    fn set_owner(&mut self, owner: &StreamId);

    /// The first byte of the pipe `key`, attached as fresh, is about to be moved, and a half line
    /// before it has been ended. From here on the pipe must be attached with `fresh: false`.
    /// Whoever keeps this bit gets the newline between two runs exactly once, whatever is killed
    /// when; the pump itself does not need it.
    fn begun(&mut self, key: u64) {
        // The key is for those who keep the bit.
        let _ = key;
    }
}

/// What the pump tells, from its own thread: the receiver must not block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Nobody can write to the pipe any more, and all of it is in the log. What is left to do is
    /// [`Pump::finish`]; whoever hears this first does not have to wait for the answer.
    Ended {
        /// The pipe.
        key: u64,
    },
    /// The answer to [`Pump::finish`], exactly one for each.
    Finished {
        /// The pipe.
        key: u64,
        /// Bytes are left that cannot be written now. The pump goes on trying, and they come
        /// before those of the pipes attached later. Copies of the pipe that are to survive this
        /// process must be kept until [`Event::Released`].
        kept: bool,
    },
    /// A kept pipe is empty, or was given up (then [`Event::Dropped`] came before).
    Released {
        /// The pipe.
        key: u64,
    },
    /// A stream's log cannot be opened or written; told once, until [`Event::Recovered`]. A full
    /// disk is told for the stream whose bytes did not fit, though all the others wait too.
    Trouble {
        /// Whose log.
        id: StreamId,
        /// What, why, and what to do.
        error: String,
    },
    /// Nothing of this stream is held up any more.
    Recovered {
        /// Whose log.
        id: StreamId,
    },
    /// Bytes had to be given up.
    Dropped {
        /// Whose they were; `None` if the staging pipe held bytes that nobody had recorded.
        id: Option<StreamId>,
        /// How many.
        bytes: u64,
    },
}

/// The handle of the pump's thread. Dropping it stops the thread and waits for it, as long as a
/// hanging disk may take; what is in the pipes stays there.
pub struct Pump {
    orders: Arc<Orders>,
    thread: Option<JoinHandle<()>>,
}

impl Pump {
    /// Starts the thread, which first finishes what is in the staging pipe.
    ///
    /// # Errors
    /// When the system has no more threads or descriptors, or these are not the ends of a pipe.
    pub fn start(
        folder: Folder,
        staging_read: OwnedFd,
        staging_write: OwnedFd,
        staging: Box<dyn Staging>,
        events: impl Fn(Event) + Send + 'static,
    ) -> Result<Pump, LogError> {
        let failed = |doing| {
            move |e: Errno| LogError::Start {
                doing,
                source: e.into(),
            }
        };
        let stage = Stage::new(staging_read, staging_write, staging)
            .map_err(failed("the staging pipe is not a pipe"))?;
        let orders = Arc::new(Orders::new().map_err(failed("making a descriptor"))?);
        let worker = Worker::new(Way { folder, stage }, Arc::clone(&orders), Box::new(events))
            .map_err(failed("making a descriptor"))?;
        let thread = std::thread::Builder::new()
            .name("logs".to_owned())
            .stack_size(STACK)
            .spawn(|| worker.run())
            .map_err(|source| LogError::Start {
                doing: "making a thread",
                source,
            })?;
        Ok(Pump {
            orders,
            thread: Some(thread),
        })
    }

    /// Takes over the read end of a run's pipe; `key` names it from now on. `fresh`: no byte of
    /// it was ever moved, so a half line in the file is ended first. A pipe that an earlier
    /// process attached must come with `fresh: false`, or a line could be cut in two; see
    /// [`Staging::begun`]. The pipes of one stream must be attached in the order of their runs.
    pub fn attach(&self, key: u64, id: StreamId, pipe: OwnedFd, fresh: bool) {
        self.orders.give(Order::Attach {
            key,
            id,
            pipe,
            fresh,
        });
    }

    /// The run is over: move what is in its pipe, at most one pipe's worth if others still write
    /// to it, close it, and answer with [`Event::Finished`].
    pub fn finish(&self, key: u64) {
        self.orders.give(Order::Finish { key });
    }

    /// The app is deleted: finish and close everything of it, keep nothing back.
    pub fn forget(&self, app: &str) {
        self.orders.give(Order::Forget {
            app: app.to_owned(),
        });
    }

    /// Empties log files; those that are not there are empty. Only this thread can do that without
    /// leaving a hole in a file that is being written. `done` is called from the pump's thread.
    pub fn empty(
        &self,
        ids: Vec<StreamId>,
        done: impl FnOnce(Result<(), LogError>) + Send + 'static,
    ) {
        let done = Box::new(done);
        self.orders.give(Order::Empty { ids, done });
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.orders.give(Order::Stop);
        if let Some(thread) = self.thread.take() {
            // An error means that the thread panicked: it has said so itself.
            let _ = thread.join();
        }
    }
}
