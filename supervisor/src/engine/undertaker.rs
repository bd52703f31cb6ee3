//! The thread that ends what is left of a tree, or all of it, and removes the cgroups of runs that are
//! over. Looking through `/proc` and waiting for processes to be gone takes its time; the engine does not
//! wait.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use crate::os::cgroup::Room;
use crate::os::tree::{Left, Tree, kill_rest};
use crate::persist::slots::CellId;

/// So long are processes given to be gone after SIGKILL; then the engine goes on without them.
const PATIENCE: Duration = Duration::from_secs(2);

/// A cgroup that cannot be removed is tried again after a time that grows between these.
const SOON: Duration = Duration::from_millis(5);
const LATE: Duration = Duration::from_secs(10);
/// So many that cannot be removed are remembered; the next engine finds the others.
const MOST: usize = 4096;

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
    /// The cgroup that they are in.
    pub group: Option<String>,
}

#[derive(Debug)]
enum Job {
    End(Order),
    Clear(String),
}

/// A handle to the thread; it ends with the process.
#[derive(Debug)]
pub struct Undertaker {
    jobs: Sender<Job>,
}

impl Undertaker {
    /// Starts the thread. `done` is called once for each order.
    ///
    /// # Errors
    /// No thread to be had.
    pub fn start(
        keeper: i32,
        room: Option<Arc<Room>>,
        done: impl Fn(Order, Left) + Send + 'static,
    ) -> io::Result<Undertaker> {
        let (jobs, inbox) = channel::<Job>();
        thread::Builder::new()
            .name("undertaker".into())
            .stack_size(256 * 1024)
            .spawn(move || work(&inbox, keeper, room.as_deref(), done))?;
        Ok(Undertaker { jobs })
    }

    /// Orders the end of a tree.
    pub fn end(&self, order: Order) {
        self.tell(Job::End(order));
    }

    /// Orders the removal of a cgroup whose run is over.
    pub fn clear(&self, group: String) {
        self.tell(Job::Clear(group));
    }

    fn tell(&self, job: Job) {
        // The thread ends only with the process.
        let _ = self.jobs.send(job);
    }
}

fn work(inbox: &Receiver<Job>, keeper: i32, room: Option<&Room>, done: impl Fn(Order, Left)) {
    let mut groups = Vec::new();
    let mut pause = SOON;
    loop {
        let job = match groups.is_empty() {
            true => inbox.recv().map_err(RecvTimeoutError::from),
            false => inbox.recv_timeout(pause),
        };
        pause = match &job {
            Ok(_) => SOON,
            Err(RecvTimeoutError::Timeout) => (pause * 2).min(LATE),
            Err(RecvTimeoutError::Disconnected) => return,
        };
        match job {
            Ok(Job::End(order)) => {
                let left = end(keeper, room, &order);
                done(order, left);
            }
            Ok(Job::Clear(group)) if groups.len() < MOST => groups.push(group),
            Ok(Job::Clear(_)) | Err(_) => {}
        }
        groups.retain(|group| room.is_some_and(|room| !room.clear(group)));
    }
}

/// First everybody in the cgroup, in one stroke that no fork escapes; then whoever has left it.
fn end(keeper: i32, room: Option<&Room>, order: &Order) -> Left {
    let group = room.zip(order.group.as_deref());
    let survivors = group.filter(|(room, group)| !room.end(group, PATIENCE));
    let tree = Tree {
        keeper,
        main: order.main,
        main_alive: order.main_alive,
        token: &order.token,
    };
    let mut left = kill_rest(&tree, PATIENCE);
    left.pids.extend(
        survivors
            .into_iter()
            .flat_map(|(room, group)| room.members(group)),
    );
    left.pids.sort_unstable();
    left.pids.dedup();
    left
}
