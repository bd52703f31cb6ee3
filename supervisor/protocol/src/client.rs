//! The client side of a connection, blocking, on one thread.
//!
//! Owns connecting, sending a request and receiving its replies with their descriptors.
//! Promises that each failure says which of a person's next steps it calls for, and that
//! [`Session::call`] outlives the death of the daemon's engine. What a reply means is left to
//! the caller.

mod receive;
mod session;

use std::io;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

pub use receive::ReceiveError;
pub use session::{CallError, Incoming, Session};

use crate::frame::{self, EncodeError};
use crate::{Envelope, Paths, Reply, Request};
use receive::Receiver;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// There is no socket, or nobody listens on it.
    #[error("no daemon is running (nothing listens on {})", tried.display())]
    NoDaemon {
        /// The first place where its socket was looked for.
        tried: PathBuf,
    },
    /// A daemon may be there, but not for this user.
    #[error("{} may not be opened by this user", path.display())]
    Denied {
        /// Its socket.
        path: PathBuf,
    },
    /// The path does not fit into a Unix socket's address.
    #[error(
        "the socket's path is longer than the {} bytes that a Unix socket's path has: {}",
        Paths::SOCKET_MAX, path.display()
    )]
    TooLong {
        /// The path.
        path: PathBuf,
    },
    /// Something else.
    #[error("cannot connect to {}: {source}", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A connection to the daemon.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    receiver: Receiver,
}

impl Client {
    /// Tries the daemon's sockets in their order.
    ///
    /// # Errors
    /// See [`ConnectError`]. A place that denies access, or fails oddly, is told in preference to
    /// one where nothing is.
    pub fn connect(paths: &Paths) -> Result<Client, ConnectError> {
        let mut fault = None;
        for path in &paths.sockets {
            if path.as_os_str().len() > Paths::SOCKET_MAX {
                return Err(ConnectError::TooLong { path: path.clone() });
            }
            match UnixStream::connect(path) {
                Ok(stream) => return Ok(Client::over(stream)),
                Err(error) => match error.kind() {
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {}
                    io::ErrorKind::PermissionDenied => {
                        fault.get_or_insert(ConnectError::Denied { path: path.clone() });
                    }
                    _ => {
                        let path = path.clone();
                        fault.get_or_insert(ConnectError::Io {
                            path,
                            source: error,
                        });
                    }
                },
            }
        }
        let tried = paths.sockets.first().cloned().unwrap_or_default();
        Err(fault.unwrap_or(ConnectError::NoDaemon { tried }))
    }

    /// Speaks over a stream that is connected already.
    #[must_use]
    pub fn over(stream: UnixStream) -> Client {
        Client {
            stream,
            receiver: Receiver::default(),
        }
    }

    /// Sends a request. Its replies must have been read to the end before the next one.
    ///
    /// # Errors
    /// [`SendError::Broken`] when the daemon has gone.
    pub fn send(&mut self, request: &Request) -> Result<(), SendError> {
        let bytes = frame::encode(&Envelope::new(request.clone()))?;
        self.stream.write_all(&bytes).map_err(SendError::Broken)
    }

    /// The next reply, with the descriptors that belong to it. Blocks; `patience` limits the wait
    /// for the next bytes.
    ///
    /// # Errors
    /// See [`ReceiveError`].
    pub fn next(
        &mut self,
        patience: Option<Duration>,
    ) -> Result<(Reply, Vec<OwnedFd>), ReceiveError> {
        self.receiver.next(&self.stream, patience)
    }
}

/// Why a request was not sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// It cannot be written as a frame.
    #[error("the request cannot be sent: {0}")]
    Encode(#[from] EncodeError),
    /// The connection broke.
    #[error("the connection to the daemon broke: {0}")]
    Broken(#[source] io::Error),
}
