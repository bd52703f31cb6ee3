//! How the engine speaks to a worker.
//!
//! Owns the list of orders and the descriptor that wakes the thread. Promises that giving an
//! order never blocks and that the thread sees each once, in order. Not bounded here: the callers
//! give two orders for each run, and the thread serves them even when the disk is full.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::{LogError, Rules, StreamId, Target};

/// What is called when an order is carried out, from the worker's thread.
pub(super) type Done = Box<dyn FnOnce(Result<(), LogError>) + Send>;

/// What the thread is to do.
pub(super) enum Order {
    Attach {
        key: u64,
        target: Target,
        pipe: OwnedFd,
        fresh: bool,
    },
    Finish {
        key: u64,
    },
    Forget {
        app: String,
    },
    SetRules {
        app: String,
        rules: Arc<Rules>,
    },
    SetTotal {
        total: Option<u64>,
    },
    Empty {
        targets: Vec<Target>,
        done: Done,
    },
    Reopen {
        done: Done,
    },
    Sync {
        ids: Vec<StreamId>,
        done: Done,
    },
    Stop,
}

pub(super) struct Orders {
    list: Mutex<VecDeque<Order>>,
    wake: EventFd,
}

impl Orders {
    pub(super) fn new() -> nix::Result<Orders> {
        let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Orders {
            list: Mutex::default(),
            wake,
        })
    }

    pub(super) fn give(&self, order: Order) {
        self.list
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back(order);
        // Fails only when the counter is full, and then the thread is awake anyway.
        let _ = self.wake.write(1);
    }

    pub(super) fn take(&self) -> Option<Order> {
        self.list
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    }

    /// To be called before [`Orders::take`] when the descriptor was readable: an order given
    /// after this wakes the thread again.
    pub(super) fn hush(&self) {
        // Fails only when there is nothing to take back.
        let _ = self.wake.read();
    }
}

impl AsFd for Orders {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

/// One answer for an order that several workers carry out: when the last one has, with the first
/// error there was.
pub(super) fn shared(parts: usize, done: Done) -> Vec<Done> {
    struct Last {
        done: Option<Done>,
        error: Option<LogError>,
        left: usize,
    }
    if parts == 0 {
        done(Ok(()));
        return Vec::new();
    }
    let last = Arc::new(Mutex::new(Last {
        done: Some(done),
        error: None,
        left: parts,
    }));
    let part = |_| -> Done {
        let last = Arc::clone(&last);
        Box::new(move |result| {
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            last.left -= 1;
            last.error = last.error.take().or(result.err());
            if last.left == 0
                && let Some(done) = last.done.take()
            {
                done(last.error.take().map_or(Ok(()), Err));
            }
        })
    };
    (0..parts).map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_several_answers() {
        let (tell, told) = std::sync::mpsc::channel();
        let mut parts = shared(
            3,
            Box::new(move |result| tell.send(result.is_err()).expect("the test listens")),
        );
        parts.pop().expect("three")(Ok(()));
        let name = String::new();
        parts.pop().expect("two")(Err(LogError::Name { name }));
        assert!(told.try_recv().is_err());
        parts.pop().expect("one")(Ok(()));
        assert_eq!(told.try_recv(), Ok(true));
    }
}
