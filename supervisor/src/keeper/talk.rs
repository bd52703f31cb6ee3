//! What the keeper and its engine say to each other: what is to be held and let go, what is owed.
//!
//! Promises: all that an engine has sent counts, also when it is dead; what cannot be taken for want of a
//! descriptor is refused, and what cannot be sent now stays owed.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use super::held::{Debt, borrow};
use super::link::{self, Kind, Message, Received, Tag, Verb};
use super::{Keeper, RESERVE};

impl Keeper {
    /// Reads all that the engine has sent, also if it is dead by now.
    pub(super) fn read_engine(&mut self) {
        while self.refused.is_none() {
            let Some(engine) = &self.care.engine else {
                return;
            };
            // An error or the end means that there is no more to read; that the engine is gone is
            // learned from its exit alone.
            let Ok(received) = link::receive(engine.channel.as_fd(), false) else {
                return;
            };
            match received {
                Received::Closed => return self.channel_closed(),
                Received::Unknown => {}
                Received::Truncated(message) => self.refused = Some(message.tag),
                Received::Message(message, fd) => self.obey(message, fd),
            }
        }
    }

    /// The engine has closed its end and lives on for a moment: a channel that hangs up wakes a poll
    /// for ever, so it is not asked any more.
    fn channel_closed(&mut self) {
        if let Some(engine) = &mut self.care.engine {
            engine.closed = true;
        }
    }

    fn obey(&mut self, message: Message, fd: Option<OwnedFd>) {
        match (message.verb, fd) {
            (Verb::Hold, Some(fd)) => self.hold(message.tag, fd, Debt::None),
            (Verb::HoldAndTell, Some(fd)) => self.hold(message.tag, fd, Debt::Held),
            (Verb::Drop, None) => self.let_go(message.tag),
            (Verb::Ready, None) => self.engine_is_ready(),
            (Verb::Leave, None) => self.leaving = Some(message.tag.generation as u8),
            // Not for a keeper, or not what it says: nothing to do, and the descriptor is closed.
            _ => {}
        }
    }

    fn hold(&mut self, tag: Tag, fd: OwnedFd, debt: Debt) {
        if tag.kind == Kind::NEW_KEEPER && self.succession.is_under_way() {
            return;
        }
        let (new, before) = (fd.as_raw_fd(), self.held.get(tag));
        let room = new as usize + RESERVE <= self.most;
        if tag.kind == Kind::TRIAL {
            self.held.remove_kind(Kind::TRIAL);
        }
        if !room || self.held.insert(tag, fd, debt).is_err() {
            self.refused = Some(tag);
            return;
        }
        if let Some(systemd) = &mut self.systemd {
            systemd.hold(before, new, tag);
        }
        if tag.kind == Kind::TRIAL {
            self.care.try_out(tag.slot);
        } else if tag.kind == Kind::NEW_KEEPER {
            let environment = &self.environment;
            self.succession
                .begin(&mut self.held, &mut self.care, environment);
        }
    }

    fn let_go(&mut self, tag: Tag) {
        if let (Some(systemd), Some(fd)) = (&mut self.systemd, self.held.get(tag)) {
            systemd.forget(fd);
        }
        self.held.remove(tag);
    }

    fn engine_is_ready(&mut self) {
        self.care.ready();
        if let (Some(systemd), Some(engine)) = (&mut self.systemd, &self.care.engine) {
            systemd.ready(engine.pid);
        }
        let announce = Tag::single(Kind::ANNOUNCE);
        if let Some(fd) = self.held.get(announce) {
            // Nobody listens any more: then nobody wants to know.
            let _ = nix::unistd::write(borrow(fd), b"ready");
            self.held.remove(announce);
        }
    }

    /// Sends what is owed, as far as there is room.
    pub(super) fn pay(&mut self) {
        let Some(engine) = &mut self.care.engine else {
            return;
        };
        let channel = engine.channel.as_fd();
        if let Some(tag) = self.refused {
            let verb = Verb::Refused;
            match link::send(channel, &Message { verb, tag }, None, false) {
                Ok(()) => self.refused = None,
                // It is going, and does not read any more.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                    self.refused = None;
                    engine.closed = true;
                    return;
                }
                Err(_) => return,
            }
        }
        let mut from = 0;
        while let Some((index, tag, debt)) = self.held.next_debt(from) {
            let (verb, fd) = match debt {
                Debt::Give => (Verb::Give, Some(index as RawFd)),
                Debt::Held | Debt::None => (Verb::Held, None),
            };
            if link::send(channel, &Message { verb, tag }, fd, false).is_err() {
                return;
            }
            self.held.paid(index);
            from = index + 1;
        }
        if !engine.given {
            let (verb, tag) = (Verb::Given, self.care.news.tag());
            engine.given = link::send(channel, &Message { verb, tag }, None, false).is_ok();
        }
    }
}
