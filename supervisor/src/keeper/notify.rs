//! The way to systemd: one datagram socket to the address in `NOTIFY_SOCKET`.
//!
//! Promises: nothing here waits or allocates. What cannot be said now, because the queue is full or
//! nobody listens (a user's systemd that is being replaced), the caller says again: [`Notify::room`] and
//! [`Notify::again_at`] tell when. What was said arrives, in order, also if this process dies at once.
//! Left to others: what there is to say.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

use super::link;

/// Where nobody listens, it is tried again so often.
const AGAIN: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub struct Notify {
    address: UnixAddr,
    /// Connected, so that it can be waited for room.
    socket: Option<OwnedFd>,
    full: bool,
    again_at: Option<Instant>,
}

impl Notify {
    /// To the address as systemd writes it: a path, or a name behind `@`. `None`: something else.
    pub fn new(address: &std::ffi::OsStr) -> Option<Notify> {
        let address = match address.as_bytes() {
            [b'@', name @ ..] => UnixAddr::new_abstract(name).ok()?,
            path @ [b'/', ..] => UnixAddr::new(path).ok()?,
            _ => return None,
        };
        Some(Notify {
            address,
            socket: None,
            full: false,
            again_at: None,
        })
    }

    /// Says something, perhaps with a descriptor. False: not now.
    pub fn say(&mut self, text: &[u8], fd: Option<RawFd>) -> bool {
        if self.again_at.is_some_and(|at| Instant::now() < at) {
            return false;
        }
        match self.try_say(text, fd) {
            Ok(()) => {
                (self.full, self.again_at) = (false, None);
                return true;
            }
            Err(Errno::EAGAIN) => (self.full, self.again_at) = (true, None),
            // Too many descriptors on their way, or no memory: nothing is wrong with the socket.
            Err(Errno::ETOOMANYREFS | Errno::ENOBUFS | Errno::ENOMEM) => self.later(),
            Err(_) => {
                self.socket = None;
                self.later();
            }
        }
        false
    }

    fn later(&mut self) {
        self.full = false;
        self.again_at = Some(Instant::now() + AGAIN);
    }

    fn try_say(&mut self, text: &[u8], fd: Option<RawFd>) -> nix::Result<()> {
        if self.socket.is_none() {
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            let new = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
            connect(new.as_raw_fd(), &self.address)?;
            self.socket = Some(new);
        }
        let socket = self.socket.as_ref().ok_or(Errno::ENOTCONN)?;
        link::send_bytes(socket.as_fd(), text, fd, false)
            .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))
    }

    /// What becomes writable when there is room again, where it is that what is missing.
    pub fn room(&self) -> Option<BorrowedFd<'_>> {
        let socket = self.socket.as_ref().filter(|_| self.full);
        socket.map(AsFd::as_fd)
    }

    /// When to try again, where it is not room that is missing.
    pub fn again_at(&self) -> Option<Instant> {
        self.again_at
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::*;

    fn has_room(notify: &Notify) -> bool {
        let room = notify.room().expect("it is full");
        let mut fds = [PollFd::new(room, PollFlags::POLLOUT)];
        poll(&mut fds, PollTimeout::ZERO) == Ok(1)
    }

    #[test]
    fn what_finds_no_room_is_refused_until_there_is_some() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let systemd = UnixDatagram::bind(&path).expect("binds");
        let mut notify = Notify::new(path.as_os_str()).expect("an address");
        let mut said = 0;
        while notify.say(b"WATCHDOG=1", None) {
            said += 1;
            assert!(said < 100_000, "a queue has an end");
        }
        assert!(!has_room(&notify));
        assert_eq!(notify.again_at(), None);
        let mut text = [0; 64];
        systemd.set_nonblocking(true).expect("a socket");
        while let Ok(length) = systemd.recv(&mut text) {
            assert_eq!(&text[..length], b"WATCHDOG=1");
            said -= 1;
        }
        assert_eq!(said, 0);
        assert!(has_room(&notify));
        assert!(notify.say(b"READY=1", None));
        assert!(notify.room().is_none());
    }

    #[test]
    fn where_nobody_listens_it_is_tried_again_later() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let mut notify = Notify::new(path.as_os_str()).expect("an address");
        assert!(!notify.say(b"READY=1", None));
        assert!(notify.room().is_none());
        assert!(notify.again_at().is_some());
        let systemd = UnixDatagram::bind(&path).expect("binds");
        notify.again_at = Some(Instant::now());
        assert!(notify.say(b"READY=1", None));
        // Another one listens under the same name.
        drop(systemd);
        std::fs::remove_file(&path).expect("it was bound");
        let systemd = UnixDatagram::bind(&path).expect("binds");
        assert!(!notify.say(b"STOPPING=1", None));
        notify.again_at = Some(Instant::now());
        assert!(notify.say(b"STOPPING=1", None));
        let mut text = [0; 64];
        assert_eq!(systemd.recv(&mut text).expect("receives"), 10);
    }

    #[test]
    fn only_unix_sockets_are_addresses() {
        assert!(Notify::new("@/org/x".as_ref()).is_some());
        for other in ["", "vsock:2:1", "notify"] {
            assert!(Notify::new(other.as_ref()).is_none(), "{other:?}");
        }
    }
}
