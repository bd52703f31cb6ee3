//! The thread that writes the desired state: a disk takes its time, and the engine does not wait.

use std::sync::mpsc::{Sender, channel};
use std::thread;

use super::desired::{Desired, Store};

/// A handle to the thread; it ends with the process.
#[derive(Debug)]
pub struct Saver {
    orders: Sender<Desired>,
}

impl Saver {
    /// Starts it. `done` is called after each save, in order.
    ///
    /// # Errors
    /// No thread to be had.
    pub fn start(
        store: Store,
        done: impl Fn(std::io::Result<()>) + Send + 'static,
    ) -> std::io::Result<Saver> {
        let (orders, inbox) = channel::<Desired>();
        thread::Builder::new()
            .name("state".into())
            .stack_size(128 * 1024)
            .spawn(move || {
                for desired in inbox {
                    done(store.save(&desired));
                }
            })?;
        Ok(Saver { orders })
    }

    /// Orders a save. There is never more than one under way: the engine waits for `done`.
    pub fn save(&self, desired: Desired) {
        // The thread ends only with the process.
        let _ = self.orders.send(desired);
    }
}
