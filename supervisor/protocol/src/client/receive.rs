//! Receiving replies, and the descriptors that come with some of them.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};

use crate::Reply;
use crate::frame::{Decoder, Oversize};

/// The most descriptors that the kernel passes in one message.
const DESCRIPTORS: usize = 253;

/// Why there is no next reply.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The connection ended or was reset before the last reply: the engine was killed, perhaps.
    #[error("the connection to the daemon broke: {0}")]
    Broken(#[source] io::Error),
    /// Nothing came for that long.
    #[error("the daemon does not answer (waited {} s)", .0.as_secs())]
    Silent(Duration),
    /// A frame that is too long.
    #[error("the daemon's answer cannot be read: {0}")]
    Oversize(#[from] Oversize),
    /// Not the JSON of a reply: another version of the program, probably.
    #[error("the daemon's answer is not understood: {0}")]
    Json(#[from] serde_json::Error),
    /// Descriptors got lost on the way: this process may not open as many.
    #[error(
        "not all open files came through; the limit of open files (`ulimit -n`) may be too low"
    )]
    LostDescriptors,
}

/// Bytes and descriptors that have arrived and were not given out yet.
#[derive(Debug, Default)]
pub(super) struct Receiver {
    decoder: Decoder,
    descriptors: VecDeque<OwnedFd>,
}

impl Receiver {
    pub(super) fn next(
        &mut self,
        stream: &UnixStream,
        patience: Option<Duration>,
    ) -> Result<(Reply, Vec<OwnedFd>), ReceiveError> {
        stream
            .set_read_timeout(patience)
            .map_err(ReceiveError::Broken)?;
        loop {
            if let Some(frame) = self.decoder.next_frame()? {
                let reply: Reply = serde_json::from_slice(frame)?;
                let descriptors = self.take_descriptors(expected(&reply))?;
                return Ok((reply, descriptors));
            }
            let mut bytes = [0; 16 << 10];
            match receive(stream, &mut bytes, &mut self.descriptors) {
                Ok(0) => return Err(ReceiveError::Broken(io::ErrorKind::UnexpectedEof.into())),
                Ok(length) => self.decoder.push(&bytes[..length]),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    return Err(ReceiveError::Silent(patience.unwrap_or_default()));
                }
                Err(Errno::NOBUFS) => return Err(ReceiveError::LostDescriptors),
                Err(errno) => return Err(ReceiveError::Broken(errno.into())),
            }
        }
    }

    /// Descriptors arrive with the first byte of their frame at the latest, and in the order of
    /// the frames, so that the oldest belong to the frame which was just read.
    fn take_descriptors(&mut self, count: usize) -> Result<Vec<OwnedFd>, ReceiveError> {
        if self.descriptors.len() < count {
            return Err(ReceiveError::LostDescriptors);
        }
        Ok(self.descriptors.drain(..count).collect())
    }
}

/// How many descriptors come with a reply.
fn expected(reply: &Reply) -> usize {
    match reply {
        Reply::Logs(logs) => logs.descriptors(),
        Reply::Services(_)
        | Reply::Details(_)
        | Reply::Plan(_)
        | Reply::Outcome(_)
        | Reply::Daemon(_)
        | Reply::End
        | Reply::Error(_) => 0,
    }
}

/// One read. `ENOBUFS`: descriptors were cut off.
fn receive(
    stream: &UnixStream,
    bytes: &mut [u8],
    descriptors: &mut VecDeque<OwnedFd>,
) -> Result<usize, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(bytes)];
    let message = recvmsg(stream, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = part {
            descriptors.extend(received);
        }
    }
    if message.flags.contains(ReturnFlags::CTRUNC) {
        return Err(Errno::NOBUFS);
    }
    Ok(message.bytes)
}
