//! The messages between keeper and engine, and how they travel: fixed 32-byte records over a
//! `SOCK_SEQPACKET` pair, each with at most one descriptor.
//!
//! The layout is frozen. A keeper may be a year older than its engine: a record that is longer
//! than it knows is read by its first 32 bytes, a verb it does not know is ignored, and a tag is
//! stored and given back without being understood (only [`Kind`]'s first few mean something here).
#![expect(
    unsafe_code,
    reason = "SCM_RIGHTS without allocation, which nix's wrappers do not offer"
)]

use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// The version of the layout that both sides write.
pub const VERSION: u16 = 1;

/// What a held descriptor is, as far as names are needed. Numbers are frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(pub u32);

impl Kind {
    /// The pidfd of a child; `slot` is its exit cell, `generation` its pid. The keeper reads this one.
    pub const CHILD: Kind = Kind(1);
    /// The exit records ([`super::exits`]). The keeper writes them.
    pub const EXITS: Kind = Kind(2);
    /// The eventfd by which the keeper wakes the engine.
    pub const POKE: Kind = Kind(3);
    /// The last program that is known to be good; engines are started from it.
    pub const PROGRAM: Kind = Kind(4);
    /// The pipe on which `--daemonize` waits for "ready".
    pub const ANNOUNCE: Kind = Kind(5);
    /// A program to be tried: while it is held, engines are started from it. `slot` is the number under
    /// which its fate is told.
    pub const TRIAL: Kind = Kind(6);
    /// The same, to be tried first as a keeper.
    pub const NEW_KEEPER: Kind = Kind(7);
    /// Which descriptor is in systemd's store under which name ([`super::store`]).
    pub const LEDGER: Kind = Kind(8);
    /// Locked folders; merely held.
    pub const LOCK: Kind = Kind(16);
    /// The runtime state file.
    pub const STATE: Kind = Kind(17);
    /// A control socket.
    pub const LISTENER: Kind = Kind(18);
    /// The read end of a run's standard output; `generation` is the run.
    pub const STDOUT: Kind = Kind(19);
    /// The read end of a run's standard error.
    pub const STDERR: Kind = Kind(20);
    /// The read end of the log pump's staging pipe.
    pub const STAGING_READ: Kind = Kind(21);
    /// Its write end.
    pub const STAGING_WRITE: Kind = Kind(22);
    /// The end of an app's standard input that `send` writes to.
    pub const STDIN: Kind = Kind(23);
}

/// The name under which a descriptor is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag {
    /// Which run cell it belongs to; 0 where that means nothing.
    pub slot: u32,
    /// What it is.
    pub kind: Kind,
    /// Tells the present holder of the slot from earlier ones.
    pub generation: u64,
}

impl Tag {
    /// A tag of something there is only one of.
    pub const fn single(kind: Kind) -> Tag {
        Tag {
            slot: 0,
            kind,
            generation: 0,
        }
    }
}

/// What a message asks or tells. Numbers are frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Engine: hold this descriptor.
    Hold,
    /// Engine: hold this descriptor and tell me when you have it.
    HoldAndTell,
    /// Engine: close what you hold under this tag.
    Drop,
    /// Engine: I have taken everything over.
    Ready,
    /// Engine: everything is stopped; I leave, and so shall you, with this exit code (`generation`).
    Leave,
    /// Keeper: I have it.
    Held,
    /// Keeper: I could not take it (`generation` of the tag tells which).
    Refused,
    /// Keeper: this is what I hold.
    Give,
    /// Keeper: that was all (its tag says how it went with others: [`super::fate::News`]).
    Given,
}

impl Verb {
    const ALL: [(Verb, u16); 9] = [
        (Verb::Hold, 1),
        (Verb::HoldAndTell, 2),
        (Verb::Drop, 3),
        (Verb::Ready, 4),
        (Verb::Leave, 5),
        (Verb::Held, 101),
        (Verb::Refused, 102),
        (Verb::Give, 103),
        (Verb::Given, 104),
    ];

    fn number(self) -> u16 {
        Verb::ALL
            .iter()
            .find(|(verb, _)| *verb == self)
            .map_or(0, |(_, number)| *number)
    }

    fn from_number(number: u16) -> Option<Verb> {
        Verb::ALL
            .iter()
            .find(|(_, n)| *n == number)
            .map(|(verb, _)| *verb)
    }
}

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// What it says.
    pub verb: Verb,
    /// About what.
    pub tag: Tag,
}

const SIZE: usize = 32;

impl Message {
    /// A message about nothing in particular.
    #[cfg(test)]
    pub const fn plain(verb: Verb) -> Message {
        Message {
            verb,
            tag: Tag::single(Kind(0)),
        }
    }

    fn encode(&self) -> [u8; SIZE] {
        let mut out = [0; SIZE];
        out[0..2].copy_from_slice(&VERSION.to_le_bytes());
        out[2..4].copy_from_slice(&self.verb.number().to_le_bytes());
        out[4..8].copy_from_slice(&self.tag.slot.to_le_bytes());
        out[8..12].copy_from_slice(&self.tag.kind.0.to_le_bytes());
        out[16..24].copy_from_slice(&self.tag.generation.to_le_bytes());
        out
    }

    /// `None`: a verb of another time, to be ignored.
    fn decode(bytes: &[u8; SIZE]) -> Option<Message> {
        let u32_at = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let mut generation = [0; 8];
        generation.copy_from_slice(&bytes[16..24]);
        Some(Message {
            verb: Verb::from_number(u16::from_le_bytes([bytes[2], bytes[3]]))?,
            tag: Tag {
                slot: u32_at(4),
                kind: Kind(u32_at(8)),
                generation: u64::from_le_bytes(generation),
            },
        })
    }
}

/// What came out of the channel.
#[derive(Debug)]
pub enum Received {
    /// A message, with its descriptor where it has one.
    Message(Message, Option<OwnedFd>),
    /// A message whose descriptor was lost because this process has no free one.
    Truncated(Message),
    /// A message that means nothing to this version.
    Unknown,
    /// The other side is gone.
    Closed,
}

#[repr(C)]
union Control {
    buffer: [u8; 64],
    // For alignment only.
    header: libc::cmsghdr,
}

/// Sends one message; `wait` says whether to block while the other side's queue is full.
///
/// # Errors
/// `EAGAIN` (only without `wait`), `ETOOMANYREFS`, `EPIPE`.
pub fn send(
    channel: BorrowedFd<'_>,
    message: &Message,
    fd: Option<RawFd>,
    wait: bool,
) -> io::Result<()> {
    send_bytes(channel, &message.encode(), fd, wait)
}

/// The same for any words, to whoever is at the other end.
///
/// # Errors
/// As the kernel says.
pub fn send_bytes(
    channel: BorrowedFd<'_>,
    bytes: &[u8],
    fd: Option<RawFd>,
    wait: bool,
) -> io::Result<()> {
    let mut part = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    let mut control = Control { buffer: [0; 64] };
    // SAFETY: an all-zero msghdr is a valid empty one.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    if let Some(fd) = fd {
        header.msg_control = (&raw mut control).cast();
        // SAFETY: CMSG_SPACE and the macros below only compute inside `control`, which is large
        // enough for one descriptor and aligned as a cmsghdr.
        unsafe {
            header.msg_controllen = libc::CMSG_SPACE(size_of::<RawFd>() as u32) as _;
            let first = libc::CMSG_FIRSTHDR(&raw const header);
            (*first).cmsg_level = libc::SOL_SOCKET;
            (*first).cmsg_type = libc::SCM_RIGHTS;
            (*first).cmsg_len = libc::CMSG_LEN(size_of::<RawFd>() as u32) as _;
            libc::CMSG_DATA(first).cast::<RawFd>().write_unaligned(fd);
        }
    }
    let flags = libc::MSG_NOSIGNAL | if wait { 0 } else { libc::MSG_DONTWAIT };
    loop {
        // SAFETY: header points to live buffers for the length of the call.
        let sent = unsafe { libc::sendmsg(channel.as_raw_fd(), &raw const header, flags) };
        if sent >= 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Takes one message out of the channel; `wait` says whether to block until there is one.
///
/// # Errors
/// `EAGAIN` when there is none (only without `wait`).
pub fn receive(channel: BorrowedFd<'_>, wait: bool) -> io::Result<Received> {
    let mut bytes = [0u8; SIZE];
    let mut part = libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: SIZE,
    };
    let mut control = Control { buffer: [0; 64] };
    // SAFETY: an all-zero msghdr is a valid empty one.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = (&raw mut control).cast();
    header.msg_controllen = size_of::<Control>() as _;
    let flags = libc::MSG_CMSG_CLOEXEC | if wait { 0 } else { libc::MSG_DONTWAIT };
    let got = loop {
        // SAFETY: header points to live buffers for the length of the call.
        let got = unsafe { libc::recvmsg(channel.as_raw_fd(), &raw mut header, flags) };
        if got >= 0 {
            break got as usize;
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            Some(libc::ECONNRESET) => return Ok(Received::Closed),
            _ => return Err(error),
        }
    };
    let fd = first_descriptor(&header);
    if got == 0 {
        return Ok(Received::Closed);
    }
    if got < SIZE {
        return Ok(Received::Unknown);
    }
    Ok(match Message::decode(&bytes) {
        None => Received::Unknown,
        Some(message) if header.msg_flags & libc::MSG_CTRUNC != 0 => Received::Truncated(message),
        Some(message) => Received::Message(message, fd),
    })
}

/// Takes ownership of the first descriptor that came; closes any others, which nobody sends.
fn first_descriptor(header: &libc::msghdr) -> Option<OwnedFd> {
    let mut first = None;
    // SAFETY: the kernel has filled msg_control up to msg_controllen; the macros stay inside it,
    // and each descriptor found there is new and owned by nobody else.
    unsafe {
        let mut item = libc::CMSG_FIRSTHDR(header);
        while !item.is_null() {
            if (*item).cmsg_level == libc::SOL_SOCKET && (*item).cmsg_type == libc::SCM_RIGHTS {
                let bytes = (*item).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
                let data = libc::CMSG_DATA(item).cast::<RawFd>();
                for index in 0..bytes / size_of::<RawFd>() {
                    let fd = OwnedFd::from_raw_fd(data.add(index).read_unaligned());
                    first.get_or_insert(fd);
                }
            }
            item = libc::CMSG_NXTHDR(header, item);
        }
    }
    first
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

    use super::*;

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(
            AddressFamily::Unix,
            SockType::SeqPacket,
            None,
            SockFlag::SOCK_CLOEXEC,
        )
        .expect("a socket pair")
    }

    #[test]
    fn every_verb_survives_the_wire() {
        let (a, b) = pair();
        for (verb, _) in Verb::ALL {
            let message = Message {
                verb,
                tag: Tag {
                    slot: 7,
                    kind: Kind(9),
                    generation: u64::MAX - 1,
                },
            };
            send(a.as_fd(), &message, None, false).expect("sends");
            match receive(b.as_fd(), false).expect("receives") {
                Received::Message(got, None) => assert_eq!(got, message),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_longer_record_of_a_later_version_is_read_by_its_start() {
        let (a, b) = pair();
        let message = Message {
            verb: Verb::Drop,
            tag: Tag::single(Kind::LOCK),
        };
        let mut long = message.encode().to_vec();
        long.extend([0xff; 100]);
        nix::unistd::write(&a, &long).expect("writes");
        assert!(matches!(
            receive(b.as_fd(), false).expect("receives"),
            Received::Message(got, None) if got == message
        ));
    }

    #[test]
    fn an_unknown_verb_is_ignored_and_its_descriptor_closed() {
        let (a, b) = pair();
        let mut bytes = Message::plain(Verb::Ready).encode();
        bytes[2] = 77;
        nix::unistd::write(&a, &bytes).expect("writes");
        assert!(matches!(
            receive(b.as_fd(), false).expect("receives"),
            Received::Unknown
        ));
    }

    #[test]
    fn a_descriptor_arrives_and_is_closed_on_exec() {
        let (a, b) = pair();
        let (read, write) = nix::unistd::pipe().expect("a pipe");
        let message = Message {
            verb: Verb::Hold,
            tag: Tag::single(Kind::STDOUT),
        };
        send(a.as_fd(), &message, Some(read.as_raw_fd()), false).expect("sends");
        let Received::Message(_, Some(fd)) = receive(b.as_fd(), false).expect("receives") else {
            panic!("no descriptor came");
        };
        let flags = nix::fcntl::fcntl(&fd, nix::fcntl::FcntlArg::F_GETFD).expect("flags");
        assert_eq!(flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
        drop(read);
        nix::unistd::write(&write, b"x").expect("the copy still reads");
    }

    #[test]
    fn the_end_of_the_other_side_is_told() {
        let (a, b) = pair();
        drop(a);
        assert!(matches!(
            receive(b.as_fd(), false).expect("receives"),
            Received::Closed
        ));
    }
}
