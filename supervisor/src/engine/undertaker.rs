//! The thread that ends what is left of a tree, or all of it. Looking through `/proc` and waiting for
//! processes to be gone takes its time; the engine does not wait.

use std::io;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use crate::os::tree::{Left, Tree, kill_rest};
use crate::persist::slots::CellId;

/// So long are processes given to be gone after SIGKILL; then the engine goes on without them.
const PATIENCE: Duration = Duration::from_secs(2);

/// A tree to end.
#[derive(Debug)]
pub struct Order {
    /// Whose.
    pub cell: CellId,
    /// The main process.
    pub main: i32,
    /// False: it has exited, and only the rest is meant.
    pub main_alive: bool,
    /// What its processes have in their environment.
    pub token: String,
}

/// A handle to the thread; it ends with the process.
#[derive(Debug)]
pub struct Undertaker {
    orders: Sender<Order>,
}

impl Undertaker {
    /// Starts the thread. `done` is called once for each order.
    ///
    /// # Errors
    /// No thread to be had.
    pub fn start(
        keeper: i32,
        done: impl Fn(Order, Left) + Send + 'static,
    ) -> io::Result<Undertaker> {
        let (orders, inbox) = channel::<Order>();
        thread::Builder::new()
            .name("undertaker".into())
            .stack_size(256 * 1024)
            .spawn(move || {
                for order in inbox {
                    let tree = Tree {
                        keeper,
                        main: order.main,
                        main_alive: order.main_alive,
                        token: &order.token,
                    };
                    let left = kill_rest(&tree, PATIENCE);
                    done(order, left);
                }
            })?;
        Ok(Undertaker { orders })
    }

    /// Orders the end of a tree.
    pub fn end(&self, order: Order) {
        // The thread ends only with the process.
        let _ = self.orders.send(order);
    }
}
