//! One connection: requests in, replies out, each within its time.

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;
use std::time::Duration;

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use nix::unistd::{Uid, User};
use supervisor_protocol::frame::{Decoder, encode};
use supervisor_protocol::{Envelope, Failure, FailureKind, Paths, Reply, Request};
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::rights::{Asker, Peer, Right, Rights, refusal};
use super::{Seat, refused};
use crate::engine::inbox::{Ask, Inbox, Message, Outgoing, Replies, What};
use crate::engine::reading::{Read, read_command, read_files};

/// A request has to be there so soon after the connection or the last answer.
const REQUEST_PATIENCE: Duration = Duration::from_secs(5);
/// A frame has to be taken so soon.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);

/// A name service that takes longer leaves the number.
const NAME_PATIENCE: Duration = Duration::from_millis(500);
/// So many may wait for it at the same time: of the threads on which files are read for others, too.
static NAMES: Semaphore = Semaphore::const_new(2);

/// Serves a connection to its end.
pub async fn run(mut stream: UnixStream, inbox: Inbox, seat: &Seat, who: (&Peer, &Rights)) {
    let (peer, rights) = who;
    let mut decoder = Decoder::default();
    loop {
        let frame = match timeout(REQUEST_PATIENCE, read_frame(&mut stream, &mut decoder)).await {
            Ok(Ok(Some(frame))) => frame,
            // Gone, silent for too long, or not speaking frames.
            Ok(Ok(None)) | Err(_) => return,
            Ok(Err(message)) => {
                let failure = Failure::new(FailureKind::Usage, message);
                return write_last(&mut stream, failure).await;
            }
        };
        seat.is_asking(true);
        let request = match Envelope::read(&frame) {
            Ok(request) => request,
            Err(failure) => return write_last(&mut stream, failure).await,
        };
        let answered = match rights.check(peer, &request) {
            Ok(()) => {
                let asker = asker(peer.uid, &request).await;
                answer(&mut stream, &inbox, request, asker).await
            }
            Err(failure) => {
                refused::note(peer.uid, &failure.message);
                refuse(&mut stream, failure).await
            }
        };
        if answered.is_err() {
            return;
        }
        seat.is_asking(false);
    }
}

/// Tells somebody who may not be here, and closes.
pub async fn turn_away(mut stream: UnixStream) {
    write_last(&mut stream, refusal(Right::None, Right::Look)).await;
}

/// Who is asking, by name where it is written down.
async fn asker(uid: u32, request: &Request) -> Asker {
    let look_up = move || User::from_uid(Uid::from_raw(uid)).ok().flatten();
    let name = match request.looks_only() {
        true => None,
        false => name(NAME_PATIENCE, move || Some(look_up()?.name)).await,
    };
    Asker { uid, name }
}

async fn name(
    patience: Duration,
    look_up: impl FnOnce() -> Option<String> + Send + 'static,
) -> Option<String> {
    let asked = async {
        let permit = NAMES.acquire().await.ok()?;
        let asked = tokio::task::spawn_blocking(move || {
            let name = look_up();
            drop(permit);
            name
        });
        asked.await.ok()?
    };
    timeout(patience, asked).await.ok()?
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

/// Has a request answered. `Err`: the connection is of no more use.
async fn answer(
    stream: &mut UnixStream,
    inbox: &Inbox,
    request: Request,
    asker: Asker,
) -> io::Result<()> {
    let what = match prepare(request).await {
        Ok(what) => what,
        Err(failure) => return refuse(stream, failure).await,
    };
    let (replies, mut answers) = Replies::new(asker);
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
        } => (Box::new(move || read_up(file.as_deref())), dry_run, wait),
        Request::Add {
            text,
            directory,
            path,
            wait,
        } => (
            Box::new(move || read_command(&text, directory, path)),
            false,
            wait,
        ),
        other => return Ok(What::Request(other)),
    };
    let read = tokio::task::spawn_blocking(job)
        .await
        .unwrap_or_else(|error| Err(Failure::new(FailureKind::Failed, error.to_string())))?;
    Ok(What::Define(Read {
        dry_run,
        wait,
        ..read
    }))
}

type Job = Box<dyn FnOnce() -> Result<Read, Failure> + Send>;

fn read_up(file: Option<&Path>) -> Result<Read, Failure> {
    let paths =
        Paths::from_env().map_err(|error| Failure::new(FailureKind::Failed, error.to_string()))?;
    read_files(file, &paths)
}

async fn write_last(stream: &mut UnixStream, failure: Failure) {
    // Whoever is turned away may be gone already.
    let _ = refuse(stream, failure).await;
}

async fn refuse(stream: &mut UnixStream, failure: Failure) -> io::Result<()> {
    let frame = Outgoing {
        reply: Reply::Error(failure),
        fds: Vec::new(),
    };
    write(stream, frame).await
}

async fn write(stream: &mut UnixStream, frame: Outgoing) -> io::Result<()> {
    let bytes = match encode(&frame.reply) {
        Ok(bytes) => bytes,
        Err(error) => {
            let failure = Failure::new(FailureKind::Failed, "the answer cannot be sent")
                .cause(error.to_string());
            let bytes = encode(&Reply::Error(failure)).map_err(io::Error::other)?;
            timeout(WRITE_PATIENCE, write_all(stream, &bytes, &[]))
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
            // Whatever would have followed is not expected after an error.
            return Err(io::Error::other(error));
        }
    };
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, mpsc};

    use super::*;

    #[tokio::test]
    async fn a_name_service_that_hangs_takes_few_threads() {
        let (open, shut) = mpsc::channel::<()>();
        let shut = Arc::new(std::sync::Mutex::new(shut));
        let asked = Arc::new(AtomicUsize::new(0));
        for _ in 0..6 {
            let (shut, asked) = (Arc::clone(&shut), Arc::clone(&asked));
            let found = name(Duration::from_millis(20), move || {
                asked.fetch_add(1, Ordering::SeqCst);
                // Until this test is over.
                let _ = shut.lock().map(|shut| shut.recv());
                None
            });
            assert_eq!(found.await, None);
        }
        assert_eq!(asked.load(Ordering::SeqCst), 2);
        drop(open);
        let found = name(Duration::from_secs(20), || Some("alice".to_owned()));
        assert_eq!(found.await.as_deref(), Some("alice"));
    }
}
