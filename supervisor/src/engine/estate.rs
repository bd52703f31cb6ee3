//! The engine's side of the channel to the keeper: what it was given, and what it asks to be held.
//!
//! A message that was queued is safe: the keeper reads all of a dead engine's messages before it
//! does anything else. An answer is waited for only where the keeper may have to refuse (it is out
//! of descriptors), and only by the spawner's thread, which is the only reader after the hand-over.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, PoisonError};

use crate::keeper::link::{self, Kind, Message, Received, Tag, Verb};

/// The channel, and which descriptors the keeper holds for us, with their numbers in this process.
#[derive(Clone, Debug)]
pub struct Estate {
    channel: Arc<OwnedFd>,
    book: Arc<Mutex<Book>>,
}

#[derive(Debug, Default)]
struct Book {
    /// Needed if this process must become the keeper: it then inherits by number.
    held: BTreeMap<Tag, RawFd>,
    /// What the keeper still holds and need not.
    dropped: Vec<Tag>,
}

impl Estate {
    /// Takes over what the keeper holds: blocks until it has said that this was all.
    ///
    /// # Errors
    /// The keeper is gone, or this process has too few descriptors.
    pub fn take_over(channel: OwnedFd) -> io::Result<(Estate, BTreeMap<Tag, OwnedFd>)> {
        let mut given = BTreeMap::new();
        loop {
            match link::receive(channel.as_fd(), true)? {
                Received::Closed => return Err(io::Error::other("the keeper is gone")),
                Received::Truncated(_) => return Err(io::Error::from_raw_os_error(libc::EMFILE)),
                Received::Unknown => {}
                Received::Message(
                    Message {
                        verb: Verb::Given, ..
                    },
                    _,
                ) => break,
                Received::Message(
                    Message {
                        verb: Verb::Give,
                        tag,
                    },
                    Some(fd),
                ) => {
                    given.insert(tag, fd);
                }
                Received::Message(..) => {}
            }
        }
        let held = given
            .iter()
            .map(|(tag, fd)| (*tag, fd.as_raw_fd()))
            .collect();
        let book = Book {
            held,
            dropped: Vec::new(),
        };
        Ok((
            Estate {
                channel: Arc::new(channel),
                book: Arc::new(Mutex::new(book)),
            },
            given,
        ))
    }

    /// Has `fd` held from now on. The descriptor stays the caller's.
    ///
    /// # Errors
    /// The keeper is gone.
    pub fn hold(&self, tag: Tag, fd: &impl AsRawFd) -> io::Result<()> {
        self.tell(Verb::Hold, tag, Some(fd.as_raw_fd()))?;
        self.note(tag, fd.as_raw_fd());
        Ok(())
    }

    /// Asks to have `fds` held; [`Self::surely_held`] must follow. Only for the spawner's thread.
    ///
    /// # Errors
    /// The keeper is gone.
    pub fn ask_to_hold(&self, fds: &[(Tag, RawFd)]) -> io::Result<()> {
        for (tag, fd) in fds {
            self.tell(Verb::HoldAndTell, *tag, Some(*fd))?;
        }
        Ok(())
    }

    /// Returns when the keeper has all that it was asked to hold. Only for the spawner's thread.
    ///
    /// # Errors
    /// `EMFILE`: the keeper has no room. Anything else: it is gone.
    pub fn surely_held(&self, fds: &[(Tag, RawFd)]) -> io::Result<()> {
        let mut waiting = fds.len();
        let mut refused = false;
        while waiting > 0 {
            match link::receive(self.channel.as_fd(), true)? {
                Received::Closed => return Err(io::Error::other("the keeper is gone")),
                Received::Message(message, _) if fds.iter().any(|(tag, _)| *tag == message.tag) => {
                    match message.verb {
                        Verb::Held => waiting -= 1,
                        Verb::Refused => {
                            waiting -= 1;
                            refused = true;
                        }
                        _ => {}
                    }
                }
                Received::Message(..) | Received::Truncated(_) | Received::Unknown => {}
            }
        }
        if refused {
            for (tag, _) in fds {
                self.drop_held(*tag);
            }
            return Err(io::Error::from_raw_os_error(libc::EMFILE));
        }
        for (tag, fd) in fds {
            self.note(*tag, *fd);
        }
        Ok(())
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
            // Where the keeper is gone, it holds nothing any more.
            let _ = self.tell(Verb::Drop, tag, None);
        }
    }

    /// Everything is taken over.
    ///
    /// # Errors
    /// The keeper is gone.
    pub fn ready(&self) -> io::Result<()> {
        self.tell(Verb::Ready, Tag::single(Kind(0)), None)
    }

    /// Everything is stopped: the keeper leaves, with this code, after this process.
    pub fn leave(&self, code: u8) {
        let tag = Tag {
            slot: 0,
            kind: Kind(0),
            generation: code.into(),
        };
        // Where the keeper is gone already, there is nobody to tell.
        let _ = self.tell(Verb::Leave, tag, None);
    }

    /// What the next keeper would have to inherit.
    pub fn list(&self) -> Vec<(RawFd, Tag)> {
        self.lock()
            .held
            .iter()
            .map(|(tag, fd)| (*fd, *tag))
            .collect()
    }

    fn note(&self, tag: Tag, fd: RawFd) {
        self.lock().held.insert(tag, fd);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, verb: Verb, tag: Tag, fd: Option<RawFd>) -> io::Result<()> {
        link::send(self.channel.as_fd(), &Message { verb, tag }, fd, true)
    }
}
