//! Sifting on all processors.

use std::io;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Scope};

use super::chunk::Chunk;
use super::sieve::{Found, Sieve};

/// More threads than this only wait for the one that hands over.
const MOST: usize = 16;

struct Task {
    chunk: Chunk,
    done: SyncSender<io::Result<Found>>,
}

/// Threads that sift chunks, or nobody: then it is done at once.
pub(super) struct Pool<'q> {
    threads: usize,
    tasks: Option<Sender<Task>>,
    sieve: Sieve<'q>,
    buffer: Vec<u8>,
}

/// A chunk that is being sifted.
pub(super) enum Pending {
    Done(io::Result<Found>),
    Later(Receiver<io::Result<Found>>),
}

impl<'q> Pool<'q> {
    /// A pool of threads that end with it; `many`: it is worth more than one.
    pub fn start<'s>(scope: &'s Scope<'s, '_>, sieve: &Sieve<'q>, many: bool) -> Pool<'q>
    where
        'q: 's,
    {
        let mut pool = Pool {
            threads: 0,
            tasks: None,
            sieve: sieve.clone(),
            buffer: Vec::new(),
        };
        if many {
            let (sender, receiver) = channel();
            let receiver = Arc::new(Mutex::new(receiver));
            pool.tasks = Some(sender);
            pool.threads = thread::available_parallelism()
                .map_or(1, usize::from)
                .min(MOST);
            for _ in 0..pool.threads {
                // A clone for each: they would wait for each other's caches.
                let sieve = sieve.clone();
                let receiver = Arc::clone(&receiver);
                scope.spawn(move || work(&receiver, &sieve));
            }
        }
        pool
    }

    /// How many chunks of a stream should be under way, with so many streams.
    pub fn window(&self, streams: usize) -> usize {
        self.threads.div_ceil(streams.max(1)) + 2
    }

    pub fn sift(&mut self, chunk: Chunk) -> Pending {
        let Some(tasks) = &self.tasks else {
            return Pending::Done(self.sieve.sift(&chunk, &mut self.buffer));
        };
        let (done, found) = sync_channel(1);
        match tasks.send(Task { chunk, done }) {
            Ok(()) => Pending::Later(found),
            Err(unsent) => Pending::Done(self.sieve.sift(&unsent.0.chunk, &mut self.buffer)),
        }
    }
}

impl Pending {
    pub fn wait(self) -> io::Result<Found> {
        match self {
            Pending::Done(found) => found,
            Pending::Later(found) => found
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
        // Nobody waits for it any more if the reading has failed.
        let _ = task.done.send(sieve.sift(&task.chunk, &mut buffer));
    }
}
