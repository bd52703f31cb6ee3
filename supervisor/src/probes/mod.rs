//! Looking whether what an app waits for is there.
//!
//! Owns one task for each instance that waits, and nothing while none does. Promises: the conditions
//! are looked at in turn, at once and then every half second, until one look found all of them met,
//! and that is told as [`Message::Met`]; no look takes longer than two seconds; so many at most are
//! under way at the same time; the loop of the engine waits for none of it. Names of hosts and files
//! may take for ever where a server or a disk is gone: they are asked on threads, one for each
//! instance at a time.
//! Leaves to others: when to look, and what follows from it (the core).

mod file;
mod http;
mod name;
mod tcp;
#[cfg(test)]
mod tests;
mod unix;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use supervisor_config::WaitFor;
use supervisor_core::ServiceId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::engine::inbox::{Inbox, Message};
use crate::engine::prepare::plain;

/// From one look to the next.
const EVERY: Duration = Duration::from_millis(500);
/// So long the other side is given to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Looks under way at the same time: each has a descriptor.
const LOOKS: usize = 128;
/// Threads that may hang at the same time; the engine has more than these.
const THREADS: usize = 8;

const SILENT: &str = "no answer in 2 s";

/// Everybody who waits.
#[derive(Debug)]
pub struct Probes {
    inbox: Inbox,
    looks: Arc<Semaphore>,
    threads: Arc<Semaphore>,
    waiting: BTreeMap<ServiceId, Waiting>,
    tickets: u64,
}

/// One that waits. Its task ends when this is dropped.
#[derive(Debug)]
struct Waiting {
    conditions: Arc<[WaitFor]>,
    ticket: u64,
    missing: watch::Receiver<Missing>,
}

/// What was found missing last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Missing {
    /// Which of the conditions.
    index: usize,
    /// Why; `None`: the first look is under way.
    why: Option<String>,
}

/// All is there that an instance waits for.
#[derive(Debug)]
pub struct Met {
    /// Which one.
    pub id: ServiceId,
    /// It may have been told to wait for something else since.
    ticket: u64,
}

impl Probes {
    /// Nobody waits.
    pub fn new(inbox: Inbox) -> Probes {
        Probes {
            inbox,
            looks: Arc::new(Semaphore::new(LOOKS)),
            threads: Arc::new(Semaphore::new(THREADS)),
            waiting: BTreeMap::new(),
            tickets: 0,
        }
    }

    /// Looks for this instance from now on. It changes nothing where that is done already.
    pub fn look(&mut self, id: &ServiceId, conditions: &[WaitFor]) {
        let same = |waiting: &Waiting| *waiting.conditions == *conditions;
        if self.waiting.get(id).is_some_and(same) {
            return;
        }
        self.tickets += 1;
        let ticket = self.tickets;
        let conditions: Arc<[WaitFor]> = conditions.into();
        let (tell, missing) = watch::channel(Missing::default());
        let look = Look {
            conditions: Arc::clone(&conditions),
            looks: Arc::clone(&self.looks),
            threads: Threads {
                all: Arc::clone(&self.threads),
                own: Arc::new(Semaphore::new(1)),
            },
        };
        let (inbox, met) = (
            self.inbox.clone(),
            Met {
                id: id.clone(),
                ticket,
            },
        );
        tokio::spawn(async move {
            tokio::select! {
                () = look.until_met(&tell) => {}
                () = tell.closed() => return,
            }
            // It fails only while the engine is leaving.
            let _ = inbox.send(Message::Met(met)).await;
        });
        let waiting = Waiting {
            conditions,
            ticket,
            missing,
        };
        self.waiting.insert(id.clone(), waiting);
    }

    /// Looks no more.
    pub fn stop(&mut self, id: &ServiceId) {
        self.waiting.remove(id);
    }

    /// Whether it is what the instance waits for now.
    pub fn is_current(&self, met: &Met) -> bool {
        let waiting = self.waiting.get(&met.id);
        waiting.is_some_and(|waiting| waiting.ticket == met.ticket)
    }

    /// What an instance waits for, and why it is not there, where that is known.
    pub fn missing(&self, id: &ServiceId) -> Option<(&WaitFor, Option<String>)> {
        let waiting = self.waiting.get(id)?;
        let Missing { index, why } = waiting.missing.borrow().clone();
        Some((waiting.conditions.get(index)?, why))
    }
}

/// What a task looks at, and what it may take for that.
struct Look {
    conditions: Arc<[WaitFor]>,
    looks: Arc<Semaphore>,
    threads: Threads,
}

impl Look {
    async fn until_met(&self, tell: &watch::Sender<Missing>) {
        let mut times = interval(EVERY);
        times.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            times.tick().await;
            let Some(missing) = self.missing().await else {
                return;
            };
            tell.send_replace(missing);
        }
    }

    /// The first that does not answer.
    async fn missing(&self) -> Option<Missing> {
        for (index, condition) in self.conditions.iter().enumerate() {
            let _look = self.looks.acquire().await;
            let answer = timeout(PATIENCE, answer(condition, &self.threads)).await;
            if let Err(why) = answer.unwrap_or_else(|_| Err(SILENT.to_owned())) {
                let why = Some(why);
                return Some(Missing { index, why });
            }
        }
        None
    }
}

/// Why something is not there, in a few words for the end of a sentence.
type Answer<T = ()> = Result<T, String>;

async fn answer(condition: &WaitFor, threads: &Threads) -> Answer {
    match condition {
        WaitFor::Tcp(address) => tcp::connect(address, threads).await.map(drop),
        WaitFor::Unix(path) => unix::connect(path).await,
        WaitFor::File(path) => file::is_there(path, threads).await,
        WaitFor::Http(url) => http::get(url, threads).await,
    }
}

/// Where calls are made that may hang.
struct Threads {
    all: Arc<Semaphore>,
    /// A call that hangs is not made again beside it.
    own: Arc<Semaphore>,
}

impl Threads {
    async fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Answer<T> {
        let own = permit(&self.own).await?;
        let one = permit(&self.all).await?;
        let done = tokio::task::spawn_blocking(move || {
            let value = call();
            drop((own, one));
            value
        });
        done.await.map_err(|error| error.to_string())
    }
}

async fn permit(of: &Arc<Semaphore>) -> Answer<OwnedSemaphorePermit> {
    let permit = Arc::clone(of).acquire_owned().await;
    permit.map_err(|closed| closed.to_string())
}

/// An error of the system as the end of a sentence.
fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "it is not there".to_owned(),
        // Of a socket whose owner takes nobody any more.
        io::ErrorKind::WouldBlock => "its queue is full".to_owned(),
        _ => uncapitalised(&plain(error)),
    }
}

fn uncapitalised(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}
