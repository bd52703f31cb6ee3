//! The keeper: parent of every app, holder of everything that must not be lost.
//!
//! It does four things and no more, so that it hardly ever has to change and can be read in one
//! sitting:
//! 1. It reaps. An exit is written down ([`exits`]) before the child is reaped.
//! 2. It holds descriptors under opaque tags ([`held`]) and gives them to each new engine.
//! 3. It starts the engine, at once whenever it ends; only an engine that ended before it was
//!    ready slows this down.
//! 4. It passes on the wishes to stop and to reopen log files, and leaves when the engine says that
//!    everything is stopped.
//!
//! One thread, `poll`, no allocation in the loop, and it never waits for the engine: what cannot
//! be sent now is owed and sent when there is room. Messages of an engine are read to the end
//! before anything is reaped, also when that engine is dead: what it managed to send, counts.
//!
//! Left to others: everything that has to do with what users write.

pub mod exits;
pub mod held;
pub mod inherit;
pub mod link;
mod reap;
pub mod start;

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;

use exits::Exits;
use held::{Debt, Held, borrow};
use link::{Kind, Message, Received, Tag, Verb};

use crate::os::own;

/// Added to the eventfd for "there are exits to look at".
pub const POKE_EXITS: u64 = 1;
/// Added to the eventfd for "stop everything and leave".
pub const POKE_STOP: u64 = 1 << 32;
/// Added to the eventfd for "look every log file up by its name again".
pub const POKE_REOPEN: u64 = 1 << 48;

/// Wait before an engine that follows one which never became ready: doubles from the first to the second.
const SLOWEST: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));
/// Quiet for so many milliseconds, it goes to sleep in as little memory as it can.
const DROWSY: u16 = 100;
/// So many descriptors stay free for starting the next engine.
const RESERVE: usize = 16;
/// The table has room for so many descriptors even where the limit is higher.
const MOST_DESCRIPTORS: u64 = 1 << 20;

/// The running engine.
struct Engine {
    pid: Pid,
    channel: OwnedFd,
    ready: bool,
    /// Everything owed has been given, and it has been told so.
    given: bool,
    /// It has closed the channel.
    closed: bool,
}

struct Keeper {
    held: Held,
    exits: Exits,
    sequence: u64,
    /// The limit of descriptors.
    most: usize,
    poke: RawFd,
    program: RawFd,
    engine: Option<Engine>,
    /// A message that could not be taken for want of a descriptor; until the engine is told,
    /// nothing more is read from it.
    refused: Option<Tag>,
    /// Not before this moment is the next engine started.
    next_start: Instant,
    slowdown: Duration,
    stop_wanted: bool,
    leaving: Option<u8>,
    /// What this process has mapped and does not need while it sleeps.
    clean: own::CleanPages,
    /// Something has happened since it was given back.
    awake: bool,
}

/// Becomes the keeper; returns the code to exit with when everything is stopped.
///
/// # Errors
/// What it needs to begin with could not be had.
pub fn run(inherited: OwnedFd) -> io::Result<u8> {
    own::survive_file_size_limit();
    own::become_subreaper()?;
    let signals = SigSet::from_iter([
        Signal::SIGCHLD,
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGPIPE,
        Signal::SIGALRM,
    ]);
    signals.thread_block()?;
    let signals = SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    let mut keeper = Keeper::take_over(inherited)?;
    loop {
        if let Some(code) = keeper.turn(&signals)? {
            return Ok(code);
        }
    }
}

impl Keeper {
    fn take_over(inherited: OwnedFd) -> io::Result<Keeper> {
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
        let most = most.min(MOST_DESCRIPTORS) as usize;
        let mut held = Held::new(most);
        for (fd, tag) in inherit::read(inherited)? {
            // A pipe that the engine before had closed in its last moment.
            let Ok(fd) = own::claim(fd) else { continue };
            held.insert(tag, fd, Debt::None)
                .map_err(|_| io::Error::other("descriptor limit"))?;
        }
        let exits = match held.get(Tag::single(Kind::EXITS)) {
            Some(fd) => borrow(fd).try_clone_to_owned()?,
            None => memfd_create(c"supervisor-exits", MFdFlags::MFD_CLOEXEC)?,
        };
        let exits = Exits::open(exits)?;
        let sequence = exits.head()?;
        let mut hold = |kind: Kind, fd: OwnedFd| {
            held.insert(Tag::single(kind), fd, Debt::None)
                .map_err(|_| io::Error::other("descriptor limit"))
        };
        hold(Kind::EXITS, exits.file().try_clone()?.into())?;
        // The eventfd is new for each keeper: a stop that an earlier one was asked for is asked again.
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        let poke = hold(Kind::POKE, EventFd::from_flags(flags)?.into())?;
        let program = match held.get(Tag::single(Kind::PROGRAM)) {
            Some(fd) => fd,
            None => {
                let program = start::own_program()?;
                held.insert(Tag::single(Kind::PROGRAM), program, Debt::None)
                    .map_err(|_| io::Error::other("descriptor limit"))?
            }
        };
        Ok(Keeper {
            held,
            exits,
            sequence,
            most,
            poke,
            program,
            engine: None,
            refused: None,
            next_start: Instant::now(),
            slowdown: Duration::ZERO,
            stop_wanted: false,
            leaving: None,
            clean: own::CleanPages::find(),
            awake: true,
        })
    }

    /// Waits for something to happen and deals with it. `Some`: it is time to leave.
    fn turn(&mut self, signals: &SignalFd) -> io::Result<Option<u8>> {
        let now = Instant::now();
        if self.engine.is_none() && now >= self.next_start {
            self.start_engine(now);
        }
        if !self.wait(signals)? {
            // Nothing for a while: the pages of code that were needed are not, for now.
            self.awake = false;
            self.clean.give_back();
            self.wait(signals)?;
        }
        self.awake = true;
        self.read_signals(signals);
        self.read_engine();
        self.pay();
        reap::all(self);
        if self.engine.is_none()
            && let Some(code) = self.leaving
        {
            return Ok(Some(code));
        }
        Ok(None)
    }

    /// False: nothing happened for [`DROWSY`].
    fn wait(&self, signals: &SignalFd) -> io::Result<bool> {
        let mut timeout = if self.awake {
            PollTimeout::from(DROWSY)
        } else {
            PollTimeout::NONE
        };
        let ours = || PollFd::new(signals.as_fd(), PollFlags::POLLIN);
        let mut fds = [ours(), ours()];
        let mut count = 1;
        match &self.engine {
            None => {
                let left = self.next_start.saturating_duration_since(Instant::now());
                let millis = u16::try_from(left.as_millis() + 1).unwrap_or(u16::MAX);
                timeout = PollTimeout::from(millis);
            }
            // Only its exit can come.
            Some(engine) if engine.closed => {}
            Some(engine) => {
                let mut wanted = PollFlags::empty();
                if self.refused.is_none() {
                    wanted |= PollFlags::POLLIN;
                }
                if self.refused.is_some() || self.held.next_debt(0).is_some() || !engine.given {
                    wanted |= PollFlags::POLLOUT;
                }
                fds[1] = PollFd::new(engine.channel.as_fd(), wanted);
                count = 2;
            }
        }
        match poll(&mut fds[..count], timeout) {
            Ok(0) => Ok(self.engine.is_none() || !self.awake),
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    fn read_signals(&mut self, signals: &SignalFd) {
        // A hangup of the terminal, SIGUSR1 and the like are no reason to end: read and forgotten.
        while let Ok(Some(signal)) = signals.read_signal() {
            let number = signal.ssi_signo.cast_signed();
            if number == Signal::SIGTERM as i32 || number == Signal::SIGINT as i32 {
                self.stop_wanted = true;
                self.poke(POKE_STOP);
            } else if number == Signal::SIGUSR2 as i32 {
                self.poke(POKE_REOPEN);
            }
        }
    }

    /// Reads all that the engine has sent, also if it is dead by now.
    fn read_engine(&mut self) {
        while self.refused.is_none() {
            let Some(engine) = &self.engine else { return };
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
        if let Some(engine) = &mut self.engine {
            engine.closed = true;
        }
    }

    fn obey(&mut self, message: Message, fd: Option<OwnedFd>) {
        match (message.verb, fd) {
            (Verb::Hold, Some(fd)) => self.hold(message.tag, fd, Debt::None),
            (Verb::HoldAndTell, Some(fd)) => self.hold(message.tag, fd, Debt::Held),
            (Verb::Drop, None) => self.held.remove(message.tag),
            (Verb::Ready, None) => self.engine_is_ready(),
            (Verb::Leave, None) => self.leaving = Some(message.tag.generation as u8),
            // Not for a keeper, or not what it says: nothing to do, and the descriptor is closed.
            _ => {}
        }
    }

    fn hold(&mut self, tag: Tag, fd: OwnedFd, debt: Debt) {
        let room = fd.as_raw_fd() as usize + RESERVE <= self.most;
        if !room || self.held.insert(tag, fd, debt).is_err() {
            self.refused = Some(tag);
        } else if tag == Tag::single(Kind::PROGRAM) {
            self.program = self.held.get(tag).unwrap_or(self.program);
        }
    }

    fn engine_is_ready(&mut self) {
        if let Some(engine) = &mut self.engine {
            engine.ready = true;
        }
        self.slowdown = Duration::ZERO;
        let announce = Tag::single(Kind::ANNOUNCE);
        if let Some(fd) = self.held.get(announce) {
            // Nobody listens any more: then nobody wants to know.
            let _ = nix::unistd::write(borrow(fd), b"ready");
            self.held.remove(announce);
        }
    }

    /// Sends what is owed, as far as there is room.
    fn pay(&mut self) {
        let Some(engine) = &mut self.engine else {
            return;
        };
        let channel = engine.channel.as_fd();
        if let Some(tag) = self.refused {
            if link::send(
                channel,
                &Message {
                    verb: Verb::Refused,
                    tag,
                },
                None,
                false,
            )
            .is_err()
            {
                return;
            }
            self.refused = None;
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
            engine.given = link::send(channel, &Message::plain(Verb::Given), None, false).is_ok();
        }
    }

    fn poke(&self, what: u64) {
        // It fails only when the counter is full, and then the engine is being woken already.
        let _ = nix::unistd::write(borrow(self.poke), &what.to_ne_bytes());
    }

    fn start_engine(&mut self, now: Instant) {
        self.next_start = now + self.slowdown.max(SLOWEST.0);
        match start::engine(self.program, self.poke, self.exits.file().as_raw_fd()) {
            Ok((pid, channel)) => {
                self.held
                    .owe_all(|kind| ![Kind::POKE, Kind::EXITS, Kind::ANNOUNCE].contains(&kind));
                self.engine = Some(Engine {
                    pid,
                    channel,
                    ready: false,
                    given: false,
                    closed: false,
                });
                if self.stop_wanted {
                    self.poke(POKE_STOP);
                }
            }
            // No process to be had: tried again, ever more slowly.
            Err(_) => self.slow_down(),
        }
    }

    fn slow_down(&mut self) {
        self.slowdown = (self.slowdown * 2).clamp(SLOWEST.0, SLOWEST.1);
        self.next_start = Instant::now() + self.slowdown;
    }

    fn engine_ended(&mut self) {
        // Also what comes after a message that could not be taken: nobody is left to be told of that.
        loop {
            self.refused = None;
            self.read_engine();
            if self.refused.is_none() {
                break;
            }
        }
        let Some(engine) = self.engine.take() else {
            return;
        };
        if engine.ready {
            self.next_start = Instant::now();
        } else {
            self.slow_down();
        }
    }
}
