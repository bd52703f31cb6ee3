//! A request that outlives the engine it was sent to.

use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use super::{Client, ConnectError, ReceiveError, SendError};
use crate::{Failure, Paths, Reply, Request};

/// How long a daemon may be silent about something that needs no waiting, and for how long a
/// broken connection is made anew.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two tries. While the engine alone is away, connecting succeeds and waits in the backlog
/// that the keeper holds, so that this counts only where the daemon dies again and again.
const PAUSE: Duration = Duration::from_millis(20);

/// Why a request was not carried out to its end.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The request cannot be sent.
    #[error(transparent)]
    Send(SendError),
    /// The replies cannot be received.
    #[error(transparent)]
    Receive(ReceiveError),
    /// The connection broke again and again.
    #[error("the daemon ended the connection {times} times in {} s without an answer", after.as_secs())]
    KeepsBreaking {
        /// How often.
        times: u32,
        /// Since the first time.
        after: Duration,
    },
    /// The connection broke over a request that must not be sent twice.
    #[error("the daemon went away before it answered: whether this was done is not known")]
    Unknown,
    /// The daemon refused it and changed nothing.
    #[error("{}", .0.message)]
    Refused(Failure),
}

/// What a call hands to its caller.
#[derive(Debug)]
pub enum Incoming {
    /// One reply (neither `End` nor `Error`) with its descriptors.
    Reply(Reply, Vec<OwnedFd>),
    /// The connection broke and the same request was sent again: every reply comes anew.
    Again,
}

/// Requests to one supervisor, one after the other.
#[derive(Debug)]
pub struct Session {
    paths: Paths,
    client: Option<Client>,
    patience: Duration,
}

/// When the connection broke, and how often.
struct Breaks {
    since: Instant,
    times: u32,
}

impl Session {
    /// Connects.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub fn open(paths: &Paths) -> Result<Session, ConnectError> {
        let client = Some(Client::connect(paths)?);
        Ok(Session {
            paths: paths.clone(),
            client,
            patience: PATIENCE,
        })
    }

    /// With another patience than 10 s.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Session {
        Session { patience, ..self }
    }

    /// Sends `request` and gives each reply to `on`, until the last one. If the connection breaks,
    /// the same request is sent again for up to 10 s: an [`Act`](crate::Request::Act) names the
    /// runs it is about, so that nothing is done twice. What nobody can tell to be done already
    /// ([`Request::is_repeatable`]) is sent again only if it never arrived.
    ///
    /// # Errors
    /// A [`CallError`], or what `on` returned.
    pub fn call<E: From<CallError>>(
        &mut self,
        request: &Request,
        mut on: impl FnMut(Incoming) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut breaks: Option<Breaks> = None;
        loop {
            let began = Instant::now();
            let gone = match self.attempt(request, &mut on)? {
                Attempt::Done => return Ok(()),
                Attempt::Broken { sent: true } if !request.is_repeatable() => {
                    return Err(CallError::Unknown.into());
                }
                Attempt::Broken { .. } => None,
                // A keeper that was killed comes back; one that was asked to go does not.
                Attempt::Gone(error) if breaks.is_none() || *request == Request::DaemonStop => {
                    return Err(CallError::Connect(error).into());
                }
                Attempt::Gone(error) => Some(error),
            };
            // A connection that held for long did not break for the reason of the one before.
            if began.elapsed() > self.patience {
                breaks = None;
            }
            let count = breaks.get_or_insert(Breaks {
                since: Instant::now(),
                times: 0,
            });
            let after = count.since.elapsed();
            match gone {
                Some(error) if after > self.patience => {
                    return Err(CallError::Connect(error).into());
                }
                None if after > self.patience => {
                    return Err(CallError::KeepsBreaking {
                        times: count.times + 1,
                        after,
                    }
                    .into());
                }
                Some(_) => {}
                None => {
                    count.times += 1;
                    on(Incoming::Again)?;
                }
            }
            if count.times > 1 || gone.is_some() {
                thread::sleep(PAUSE);
            }
        }
    }

    fn attempt<E: From<CallError>>(
        &mut self,
        request: &Request,
        on: &mut impl FnMut(Incoming) -> Result<(), E>,
    ) -> Result<Attempt, E> {
        // Taken out, and put back only between two requests: a connection that is left in the
        // middle of its replies must not be used again.
        let mut client = match self.client.take() {
            Some(client) => client,
            None => match Client::connect(&self.paths) {
                Ok(client) => client,
                Err(error @ ConnectError::NoDaemon { .. }) => return Ok(Attempt::Gone(error)),
                Err(error) => return Err(CallError::Connect(error).into()),
            },
        };
        match client.send(request) {
            Ok(()) => {}
            Err(SendError::Broken(_)) => return Ok(Attempt::Broken { sent: false }),
            Err(error @ SendError::Encode(_)) => return Err(CallError::Send(error).into()),
        }
        let patience = answers_at_once(request).then_some(self.patience);
        loop {
            match client.next(patience) {
                Ok((Reply::End, _)) => {
                    self.client = Some(client);
                    return Ok(Attempt::Done);
                }
                Ok((Reply::Error(failure), _)) => {
                    self.client = Some(client);
                    return Err(CallError::Refused(failure).into());
                }
                Ok((reply, descriptors)) => on(Incoming::Reply(reply, descriptors))?,
                Err(ReceiveError::Broken(_)) => return Ok(Attempt::Broken { sent: true }),
                Err(error) => return Err(CallError::Receive(error).into()),
            }
        }
    }
}

enum Attempt {
    /// The last reply has come.
    Done,
    /// The connection broke before that.
    Broken {
        /// The whole request had gone out.
        sent: bool,
    },
    /// There is nobody to connect to.
    Gone(ConnectError),
}

/// Whether the daemon has nothing to wait for before it answers.
fn answers_at_once(request: &Request) -> bool {
    match request {
        Request::Status { .. }
        | Request::Show { .. }
        | Request::Logs { .. }
        | Request::ReopenLogs
        | Request::DaemonStatus => true,
        Request::Up { .. }
        | Request::Add { .. }
        | Request::Scale { .. }
        | Request::Act { .. }
        | Request::Upgrade { .. }
        | Request::DaemonStop => false,
    }
}
