//! How the engine speaks to the pump's thread.
//!
//! Owns the list of orders and the descriptor that wakes the thread. Promises that giving an
//! order never blocks and that the thread sees each once, in order. Not bounded here: the callers
//! give two orders for each run, and the thread serves them even when the disk is full.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::{LogError, StreamId};

/// What the thread is to do.
pub(super) enum Order {
    Attach {
        key: u64,
        id: StreamId,
        pipe: OwnedFd,
        fresh: bool,
    },
    Finish {
        key: u64,
    },
    Forget {
        app: String,
    },
    Empty {
        ids: Vec<StreamId>,
        done: Box<dyn FnOnce(Result<(), LogError>) + Send>,
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
