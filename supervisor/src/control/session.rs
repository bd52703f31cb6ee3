//! One connection: requests in, replies out, each within its time.

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, RawFd};
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use supervisor_protocol::frame::{Decoder, encode};
use supervisor_protocol::{Envelope, Failure, FailureKind, Paths, Reply, Request, VERSION};
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::Seat;
use crate::engine::changes::{Read, read_command, read_files};
use crate::engine::inbox::{Ask, Inbox, Message, Outgoing, Replies, What};

/// A request has to be there so soon after the connection or the last answer.
const REQUEST_PATIENCE: Duration = Duration::from_secs(5);
/// A frame has to be taken so soon.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);

/// Serves a connection to its end.
pub async fn run(mut stream: UnixStream, inbox: Inbox, seat: &Seat) {
    let mut decoder = Decoder::default();
    loop {
        let frame = match timeout(REQUEST_PATIENCE, read_frame(&mut stream, &mut decoder)).await {
            Ok(Ok(Some(frame))) => frame,
            // Gone, silent for too long, or not speaking frames.
            Ok(Ok(None)) | Err(_) => return,
            Ok(Err(message)) => {
                let failure = failure(FailureKind::Usage, message);
                return write_last(&mut stream, failure).await;
            }
        };
        seat.is_asking(true);
        let request = match parse(&frame) {
            Ok(request) => request,
            Err(failure) => return write_last(&mut stream, failure).await,
        };
        if answer(&mut stream, &inbox, request).await.is_err() {
            return;
        }
        seat.is_asking(false);
    }
}

/// Tells somebody who may not be here, and closes.
pub async fn turn_away(mut stream: UnixStream) {
    let message = "you may not control this supervisor: it belongs to another user".to_owned();
    write_last(&mut stream, failure(FailureKind::Denied, message)).await;
}

async fn read_frame(
    stream: &mut UnixStream,
    decoder: &mut Decoder,
) -> Result<Option<Vec<u8>>, String> {
    let mut buffer = [0; 16 * 1024];
    loop {
        match decoder.next_frame() {
            Ok(Some(frame)) => return Ok(Some(frame.to_vec())),
            Ok(None) => {}
            Err(error) => return Err(error.to_string()),
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return Ok(None),
            Ok(n) => decoder.push(&buffer[..n]),
        }
    }
}

fn parse(frame: &[u8]) -> Result<Request, Failure> {
    // The version first: what another version asks may not be a request here.
    let version = serde_json::from_slice::<serde_json::Value>(frame)
        .ok()
        .and_then(|value| value.get("v")?.as_u64());
    match version {
        Some(version) if version == u64::from(VERSION) => {}
        Some(version) => {
            return Err(failure(
                FailureKind::Version,
                format!(
                    "this daemon is version {} and speaks protocol {VERSION}, the client speaks {version}",
                    env!("CARGO_PKG_VERSION")
                ),
            ));
        }
        None => return Err(failure(FailureKind::Usage, "not a request".to_owned())),
    }
    serde_json::from_slice::<Envelope>(frame)
        .map(|envelope| envelope.request)
        .map_err(|error| failure(FailureKind::Usage, format!("not a request: {error}")))
}

fn failure(kind: FailureKind, message: String) -> Failure {
    Failure {
        kind,
        message,
        causes: Vec::new(),
        hint: None,
    }
}

/// Has a request answered. `Err`: the connection is of no more use.
async fn answer(stream: &mut UnixStream, inbox: &Inbox, request: Request) -> io::Result<()> {
    let what = match prepare(request).await {
        Ok(what) => what,
        Err(failure) => {
            let frame = Outgoing {
                reply: Reply::Error(failure),
                fds: Vec::new(),
            };
            return write(stream, frame).await;
        }
    };
    let (replies, mut answers) = Replies::new();
    let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
    inbox
        .send(Message::Ask(Ask { what, replies }))
        .await
        .map_err(|_| gone())?;
    loop {
        let frame = answers.recv().await.ok_or_else(gone)?;
        let last = matches!(frame.reply, Reply::End | Reply::Error(_));
        write(stream, frame).await?;
        if last {
            return Ok(());
        }
    }
}

/// Reads the files that a request names, away from the engine.
async fn prepare(request: Request) -> Result<What, Failure> {
    let (job, dry_run, wait): (Job, bool, bool) = match request {
        Request::Up {
            file,
            dry_run,
            wait,
        } => (Job::Files(file), dry_run, wait),
        Request::Add {
            text,
            directory,
            path,
            wait,
        } => (
            Job::Command {
                text,
                directory,
                path,
            },
            false,
            wait,
        ),
        other => return Ok(What::Request(other)),
    };
    let sources = tokio::task::spawn_blocking(move || job.read())
        .await
        .unwrap_or_else(|error| Err(failure(FailureKind::Failed, error.to_string())))?;
    Ok(What::Define(Read {
        sources,
        dry_run,
        wait,
    }))
}

enum Job {
    Files(Option<PathBuf>),
    Command {
        text: String,
        directory: PathBuf,
        path: Option<String>,
    },
}

impl Job {
    fn read(self) -> Result<Vec<crate::engine::changes::Source>, Failure> {
        match self {
            Job::Files(file) => {
                let paths = Paths::from_env()
                    .map_err(|error| failure(FailureKind::Failed, error.to_string()))?;
                read_files(file.as_deref(), &paths)
            }
            Job::Command {
                text,
                directory,
                path,
            } => read_command(&text, directory, path),
        }
    }
}

async fn write_last(stream: &mut UnixStream, failure: Failure) {
    let frame = Outgoing {
        reply: Reply::Error(failure),
        fds: Vec::new(),
    };
    // Whoever is turned away may be gone already.
    let _ = write(stream, frame).await;
}

async fn write(stream: &mut UnixStream, frame: Outgoing) -> io::Result<()> {
    let bytes = encode(&frame.reply).map_err(io::Error::other)?;
    let fds: Vec<RawFd> = frame.fds.iter().map(AsRawFd::as_raw_fd).collect();
    timeout(WRITE_PATIENCE, write_all(stream, &bytes, &fds))
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// The descriptors go with the first byte.
async fn write_all(stream: &UnixStream, mut bytes: &[u8], mut fds: &[RawFd]) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        let sent = stream.try_io(Interest::WRITABLE, || {
            let control = [ControlMessage::ScmRights(fds)];
            let control = if fds.is_empty() {
                &control[..0]
            } else {
                &control[..]
            };
            let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
            let part = [IoSlice::new(bytes)];
            Ok(sendmsg::<()>(
                stream.as_raw_fd(),
                &part,
                control,
                flags,
                None,
            )?)
        });
        match sent {
            Ok(n) => {
                bytes = &bytes[n..];
                fds = &[];
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
