//! What may happen to the engine, and how its answers travel back.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use supervisor_core::{Exit, RunId, ServiceId, Time};
use supervisor_protocol::{Failure, FailureKind, Reply, Request};
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use super::mutate::Asked;
use super::reading::Read;
use super::spawner::Report;
use super::undertaker::Order;
use super::upgrade::Candidate;
use crate::control::rights::Asker;
use crate::keeper::care::POKE_BEAT;
use crate::os::tree::Left;
use crate::persist::slots::CellId;
use crate::probes::Met;

/// Messages that wait for the engine; senders wait when there are more.
const INBOX: usize = 1024;
/// Replies that wait for one client; with more it is too slow and is let go.
const REPLIES: usize = 16 * 1024;

/// One thing that happened.
#[derive(Debug)]
pub enum Message {
    /// A client asks.
    Ask(Ask),
    /// The spawner is done with an order.
    Spawned(Report),
    /// The undertaker is done with an order.
    TreeEnded(Order, Left),
    /// The log pump tells.
    Log(supervisor_logs::Event),
    /// The desired state is on disk, or is not.
    Saved(std::io::Result<()>),
    /// A process that is not the keeper's child has ended.
    Gone {
        /// Its cell.
        cell: CellId,
        /// Its run.
        run: RunId,
        /// `None`: nobody can say how.
        exit: Option<Exit>,
    },
    /// The log pump has emptied an instance's files, or could not.
    Emptied {
        /// Whose.
        id: ServiceId,
        /// Who asked.
        ticket: u64,
        /// Why not.
        error: Option<String>,
    },
    /// All is there that an instance waits for.
    Met(Met),
    /// What an act needs to know of the machine is known.
    Checked(Asked),
    /// What changed by itself is to be saved.
    Sync,
    /// How much the logs of all apps may take, where nobody has said so.
    LogRoom(u64),
    /// The keeper is dead.
    KeeperGone,
    /// A program that is to be tried was looked at.
    Candidate(Candidate),
    /// This engine has lived long enough for its program to be called good.
    Proven,
}

/// A request and where its answers go.
#[derive(Debug)]
pub struct Ask {
    /// What is asked.
    pub what: What,
    /// Where the answers go.
    pub replies: Replies,
}

/// What is asked, with the files read that it names.
#[derive(Debug)]
pub enum What {
    /// Anything that needs no files.
    Request(Request),
    /// Definitions to carry out.
    Define(Read),
}

/// The sending end for the engine's messages.
pub type Inbox = mpsc::Sender<Message>;

/// Makes the inbox.
pub fn inbox() -> (Inbox, mpsc::Receiver<Message>) {
    mpsc::channel(INBOX)
}

/// One frame on its way to a client.
#[derive(Debug)]
pub struct Outgoing {
    /// The frame.
    pub reply: Reply,
    /// The descriptors that go with it.
    pub fds: Vec<OwnedFd>,
}

/// Who asks, and where the answers go. Sending never waits: a client that does not read is let go.
#[derive(Clone, Debug)]
pub struct Replies {
    asker: Arc<Asker>,
    sender: mpsc::Sender<Outgoing>,
}

impl Replies {
    /// A new pair.
    pub fn new(asker: Asker) -> (Replies, mpsc::Receiver<Outgoing>) {
        let (sender, receiver) = mpsc::channel(REPLIES);
        let asker = Arc::new(asker);
        (Replies { asker, sender }, receiver)
    }

    /// Who asks.
    pub fn asker(&self) -> &Asker {
        &self.asker
    }

    /// Sends a frame.
    pub fn send(&self, reply: Reply) {
        self.send_with(reply, Vec::new());
    }

    /// Sends a frame with descriptors.
    pub fn send_with(&self, reply: Reply, fds: Vec<OwnedFd>) {
        // A client that is gone or does not read gets nothing; the session sees the gap by the
        // missing end.
        let _ = self.sender.try_send(Outgoing { reply, fds });
    }

    /// Waits until the session has taken what was sent, so that descriptors do not pile up here.
    pub async fn taken(&self) {
        while !self.sender.is_closed() && self.sender.capacity() < self.sender.max_capacity() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Whether nobody waits for it any more.
    pub fn is_gone(&self) -> bool {
        self.sender.is_closed()
    }

    /// The last frame.
    pub fn end(&self) {
        self.send(Reply::End);
    }

    /// The last frame of a request that was refused.
    pub fn refuse(&self, kind: FailureKind, message: impl Into<String>, hint: Option<&str>) {
        let failure = Failure::new(kind, message);
        self.send(Reply::Error(match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }));
    }

    /// Waits until the session has taken everything, or is gone, but not for long.
    pub async fn flushed(&mut self) {
        // The session drops its end after it has written the last frame.
        // A client that does not read does not keep the daemon from leaving.
        let _ = tokio::time::timeout(Duration::from_secs(1), self.sender.closed()).await;
    }
}

/// Waits for the keeper and takes what it said. Its heartbeats are read, and that is all there is to
/// do about them.
pub async fn read_poke(poke: &AsyncFd<Arc<OwnedFd>>) -> u64 {
    loop {
        let Ok(mut ready) = poke.readable().await else {
            return 0;
        };
        let mut value = [0; 8];
        match nix::unistd::read(poke.get_ref(), &mut value) {
            Ok(8) => match u64::from_ne_bytes(value) % POKE_BEAT {
                0 => {}
                said => return said,
            },
            _ => ready.clear_ready(),
        }
    }
}

/// Sleeps until a moment of the core's clock; for ever without one.
pub async fn sleep_until(deadline: Option<Time>) {
    match deadline {
        // One more, so that it is not woken a fraction too early.
        Some(at) => {
            tokio::time::sleep(Duration::from_millis(at.since(super::now()).0 + 1)).await;
        }
        None => std::future::pending().await,
    }
}
