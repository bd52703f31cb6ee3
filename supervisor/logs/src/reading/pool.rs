//! Sifting on all processors.

use std::cell::OnceCell;
use std::io;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Scope};

use super::chunk::Chunk;
use super::sieve::{Found, Sieve};

/// More threads than this only wait for the one that hands over.
const MOST: usize = 16;

/// How many chunks of a stream are under way in any case.
const LEAST: usize = 2;

struct Task {
    chunk: Chunk,
    done: SyncSender<io::Result<Found>>,
}

/// Threads that sift chunks. They are made for the first chunk, and end with the pool.
pub(super) struct Pool<'s, 'q> {
    scope: &'s Scope<'s, 'q>,
    /// How many there are to be. To ask takes many system calls, which a few lines do not need.
    threads: OnceCell<usize>,
    tasks: Option<Sender<Task>>,
    sieve: Sieve<'q>,
    buffer: Vec<u8>,
}

/// A chunk that is to be sifted.
pub(super) enum Pending {
    /// By whoever waits for it.
    Here(Chunk),
    Elsewhere(Receiver<io::Result<Found>>),
}

impl<'s, 'q> Pool<'s, 'q> {
    pub fn new(scope: &'s Scope<'s, 'q>, sieve: Sieve<'q>) -> Pool<'s, 'q> {
        Pool {
            scope,
            threads: OnceCell::new(),
            tasks: None,
            sieve,
            buffer: Vec::new(),
        }
    }

    fn threads(&self) -> usize {
        *self.threads.get_or_init(|| {
            thread::available_parallelism()
                .map_or(1, usize::from)
                .min(MOST)
        })
    }

    /// Whether more chunks should be under way of a stream, one of so many that are read at once.
    pub fn wants_more(&self, under_way: usize, streams: usize) -> bool {
        under_way < LEAST || under_way < LEAST + self.threads().div_ceil(streams)
    }

    /// Gives a chunk to the threads.
    pub fn begin(&mut self, chunk: Chunk) -> Pending {
        let tasks = match &self.tasks {
            Some(tasks) => tasks,
            None => {
                let tasks = self.start();
                self.tasks.insert(tasks)
            }
        };
        let (done, found) = sync_channel(1);
        match tasks.send(Task { chunk, done }) {
            Ok(()) => Pending::Elsewhere(found),
            Err(unsent) => Pending::Here(unsent.0.chunk),
        }
    }

    fn start(&self) -> Sender<Task> {
        let (sender, receiver) = channel();
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..self.threads() {
            // A clone for each: they would wait for each other's caches.
            let sieve = self.sieve.clone();
            let receiver = Arc::clone(&receiver);
            self.scope.spawn(move || work(&receiver, &sieve));
        }
        sender
    }

    /// What is wanted of the chunk.
    pub fn finish(&mut self, pending: Pending) -> io::Result<Found> {
        match pending {
            Pending::Here(chunk) => self.sieve.sift(&chunk, &mut self.buffer),
            Pending::Elsewhere(found) => found
                .recv()
                .map_err(|_| io::Error::other("a thread that reads logs has ended"))?,
        }
    }
}

fn work(tasks: &Mutex<Receiver<Task>>, sieve: &Sieve<'_>) {
    let mut buffer = Vec::new();
    loop {
        let task = tasks.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(task) = task else {
            return;
        };
        // Nobody waits for it any more if the reading has failed, or enough was found.
        let _ = task.done.send(sieve.sift(&task.chunk, &mut buffer));
    }
}
