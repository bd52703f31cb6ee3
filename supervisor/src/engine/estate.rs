//! The engine's side of the channel to the keeper: what it was given, and what it asks to be held.
//!
//! A message that was queued is safe: the keeper reads all of a dead engine's messages before it
//! does anything else. An answer is waited for only where the keeper may have to refuse (it is out
//! of descriptors), and only by the spawner's thread, which is the only reader after the hand-over.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::keeper::fate::News;
use crate::keeper::link::{self, Kind, Message, Received, Tag, Verb};
use crate::launch::is_under_systemd;
use crate::os::own;

/// The channel, and which descriptors the keeper holds for us, with their numbers in this process.
///
/// That the keeper is gone is no error here: its watch tells it, and then this process takes its place
/// with all that is noted, whether it could still be sent or not.
#[derive(Clone, Debug)]
pub struct Estate {
    channel: Arc<OwnedFd>,
    book: Arc<Mutex<Book>>,
}

#[derive(Debug, Default)]
struct Book {
    /// Needed if this process must become the keeper: it then inherits by number. The inode tells
    /// whether the number still means the same; others may have closed it since.
    held: BTreeMap<Tag, (RawFd, u64)>,
    /// What the keeper still holds and need not.
    dropped: Vec<Tag>,
}

impl Book {
    fn note(&mut self, tag: Tag, fd: RawFd) {
        if let Some(inode) = inode_of(fd) {
            self.held.insert(tag, (fd, inode));
        }
    }
}

impl Estate {
    /// Takes over what the keeper holds, and what it has to tell: blocks until it has said that this was
    /// all. From a keeper that is gone already, what came is all there is.
    ///
    /// # Errors
    /// This process has too few descriptors; or the keeper is gone and another one is on its way: that
    /// knows of this process only if it was given everything.
    pub fn take_over(channel: OwnedFd) -> io::Result<(Estate, BTreeMap<Tag, OwnedFd>, News)> {
        let (mut given, mut news) = (BTreeMap::new(), News::default());
        loop {
            match link::receive(channel.as_fd(), true)? {
                Received::Closed if is_under_systemd() => {
                    return Err(io::Error::other("the keeper is gone"));
                }
                Received::Closed => break,
                Received::Truncated(_) => return Err(io::Error::from_raw_os_error(libc::EMFILE)),
                Received::Message(message, fd) => match (message.verb, fd) {
                    (Verb::Given, _) => {
                        news = News::of(message.tag);
                        break;
                    }
                    (Verb::Give, Some(fd)) => {
                        given.insert(message.tag, fd);
                    }
                    _ => {}
                },
                Received::Unknown => {}
            }
        }
        let mut book = Book::default();
        for (tag, fd) in &given {
            book.note(*tag, fd.as_raw_fd());
        }
        let (channel, book) = (Arc::new(channel), Arc::new(Mutex::new(book)));
        Ok((Estate { channel, book }, given, news))
    }

    /// One whose keeper is gone.
    #[cfg(test)]
    pub fn nobodys() -> Estate {
        let (channel, _) = std::os::unix::net::UnixStream::pair().expect("a pair");
        Estate {
            channel: Arc::new(channel.into()),
            book: Arc::default(),
        }
    }

    /// Has `fd` held from now on. The descriptor stays the caller's.
    pub fn hold(&self, tag: Tag, fd: &impl AsRawFd) {
        self.lock().note(tag, fd.as_raw_fd());
        self.tell(Verb::Hold, tag, Some(fd.as_raw_fd()));
    }

    /// Asks to have `fds` held; [`Self::surely_held`] must follow. Only for the spawner's thread.
    pub fn ask_to_hold(&self, fds: &[(Tag, RawFd)]) {
        for (tag, fd) in fds {
            self.lock().note(*tag, *fd);
            self.tell(Verb::HoldAndTell, *tag, Some(*fd));
        }
    }

    /// Returns when the keeper has all that it was asked to hold, or is gone. Only for the spawner's thread.
    ///
    /// # Errors
    /// `EMFILE`: the keeper has no room, and nothing is held.
    pub fn surely_held(&self, fds: &[(Tag, RawFd)]) -> io::Result<()> {
        let answer = self.await_held(fds);
        if answer.is_err() {
            for (tag, _) in fds {
                self.drop_held(*tag);
            }
        }
        answer
    }

    fn await_held(&self, fds: &[(Tag, RawFd)]) -> io::Result<()> {
        let (mut waiting, mut refused) = (fds.len(), false);
        while waiting > 0 {
            match link::receive(self.channel.as_fd(), true)? {
                // What is noted here goes to the next one.
                Received::Closed => return Ok(()),
                Received::Message(message, _) if fds.iter().any(|(tag, _)| *tag == message.tag) => {
                    let answered = matches!(message.verb, Verb::Held | Verb::Refused);
                    waiting -= usize::from(answered);
                    refused |= message.verb == Verb::Refused;
                }
                Received::Message(..) | Received::Truncated(_) | Received::Unknown => {}
            }
        }
        match refused {
            true => Err(io::Error::from_raw_os_error(libc::EMFILE)),
            false => Ok(()),
        }
    }

    /// The keeper closes what it holds under `tag`, at the next [`Self::let_go`].
    pub fn drop_held(&self, tag: Tag) {
        let mut book = self.lock();
        book.held.remove(&tag);
        book.dropped.push(tag);
    }

    /// Tells the keeper what it need not hold any more. Apart from the dropping, so that the keeper
    /// is not woken for it while a start is under way.
    pub fn let_go(&self) {
        let dropped = std::mem::take(&mut self.lock().dropped);
        for tag in dropped {
            self.tell(Verb::Drop, tag, None);
        }
    }

    /// Everything is taken over.
    pub fn ready(&self) {
        self.tell(Verb::Ready, Tag::single(Kind(0)), None);
    }

    /// Everything is stopped: the keeper leaves, with this code, after this process.
    pub fn leave(&self, code: u8) {
        let generation = code.into();
        let kind = Kind(0);
        let slot = 0;
        self.tell(
            Verb::Leave,
            Tag {
                slot,
                kind,
                generation,
            },
            None,
        );
    }

    /// What the next keeper has to inherit: all that is held and still open here.
    pub fn list(&self) -> Vec<(RawFd, Tag)> {
        let book = self.lock();
        let open = book
            .held
            .iter()
            .filter(|(_, (fd, inode))| inode_of(*fd) == Some(*inode));
        open.map(|(tag, (fd, _))| (*fd, *tag)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, verb: Verb, tag: Tag, fd: Option<RawFd>) {
        // It fails only when the keeper is gone (see above), or for a moment has too many descriptors
        // on their way (ETOOMANYREFS), where waiting helps.
        while let Err(error) = link::send(self.channel.as_fd(), &Message { verb, tag }, fd, true) {
            if error.raw_os_error() != Some(libc::ETOOMANYREFS) {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn inode_of(fd: RawFd) -> Option<u64> {
    own::inode(fd).ok()
}
