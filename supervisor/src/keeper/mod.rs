//! The keeper: parent of every app, holder of everything that must not be lost.
//!
//! It does five things and no more, so that it hardly ever has to change and can be read in one
//! sitting:
//! 1. It reaps. An exit is written down ([`exits`]) before the child is reaped.
//! 2. It holds descriptors under opaque tags ([`held`]) and gives them to each new engine ([`talk`]).
//! 3. It takes care that there is an engine, one that answers, of a program that works ([`care`]), and
//!    lets a keeper of another program follow it in place ([`succession`]).
//! 4. Under systemd it is the only one that speaks to it ([`systemd`]).
//! 5. It passes on the wishes to stop and to reopen log files, and leaves when the engine says that
//!    everything is stopped.
//!
//! One thread, `poll`, no allocation in the loop, and it never waits for the engine: what cannot
//! be sent now is owed and sent when there is room. Messages of an engine are read to the end
//! before anything is reaped, also when that engine is dead: what it managed to send, counts.
//!
//! Left to others: everything that has to do with what users write.

pub mod care;
pub mod exits;
pub mod fate;
pub mod held;
pub mod holder;
pub mod inherit;
pub mod job;
pub mod link;
mod notify;
mod reap;
pub mod start;
pub mod stay;
pub mod store;
mod succession;
pub mod systemd;
mod talk;

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

use care::{Care, TICK};
use exits::Exits;
use held::{Debt, Held, borrow};
use holder::Holder;
use link::{Kind, Tag};
use start::Environment;
use succession::Succession;
use systemd::Systemd;

use crate::os::own;

/// Added to the eventfd for "there are exits to look at".
pub const POKE_EXITS: u64 = 1;
/// Added to the eventfd for "stop everything and leave".
pub const POKE_STOP: u64 = 1 << 32;
/// Added to the eventfd for "look every log file up by its name again".
pub const POKE_REOPEN: u64 = 1 << 48;

/// Quiet for so long, it goes to sleep in as little memory as it can.
const DROWSY: Duration = Duration::from_millis(100);
/// So many ticks after it was asked to stop, it leaves without an engine: more than one needs to begin.
const UNHEARD: u32 = 8;
/// So many descriptors stay free for starting the next engine.
const RESERVE: usize = 16;
/// The table has room for so many descriptors even where the limit is higher.
const MOST_DESCRIPTORS: u64 = 1 << 20;

struct Keeper {
    held: Held,
    exits: Exits,
    sequence: u64,
    /// The limit of descriptors.
    most: usize,
    care: Care,
    succession: Succession,
    /// A message that could not be taken for want of a descriptor; until the engine is told,
    /// nothing more is read from it.
    refused: Option<Tag>,
    /// When the next tick is due.
    next_tick: Instant,
    stop_wanted: bool,
    /// For so many ticks nobody was there who could carry that out.
    unheard: u32,
    leaving: Option<u8>,
    /// Where this process is a service's main process.
    systemd: Option<Systemd>,
    /// What the processes find that it starts.
    environment: Environment,
    /// What this process has mapped and does not need while it sleeps.
    clean: own::CleanPages,
    /// Something has happened since it was given back.
    awake: bool,
}

/// What ended a sleep.
#[derive(PartialEq, Eq)]
enum Woke {
    /// Something has happened.
    Happened,
    /// It is time: for a tick, or for the next engine.
    Time,
    /// Nothing, for [`DROWSY`].
    Nothing,
}

/// Becomes the keeper; returns the code to exit with when everything is stopped.
///
/// # Errors
/// What it needs to begin with could not be had.
pub fn run(inherited: OwnedFd) -> io::Result<u8> {
    own::set_name("supervisor");
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

/// Does what [`run`] begins with, as far as it touches nothing; returns the code that says that a keeper
/// of this program can take over what this list describes.
///
/// # Errors
/// It could not.
pub fn rehearse(inherited: OwnedFd) -> io::Result<u8> {
    let (held, _) = take_table(inherited)?;
    let exits = held.get(Tag::single(Kind::EXITS));
    let exits = exits.ok_or_else(|| io::Error::other("no exit records"))?;
    Exits::open(borrow(exits).try_clone_to_owned()?)?.head()?;
    Ok(succession::REHEARSED)
}

/// Takes what this process was born with; also gives the limit of descriptors.
fn take_table(inherited: OwnedFd) -> io::Result<(Held, usize)> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let most = most.min(MOST_DESCRIPTORS) as usize;
    let mut held = Held::new(most);
    for (fd, tag) in inherit::read(inherited)? {
        // A pipe that the engine before had closed in its last moment.
        let Ok(fd) = own::claim(fd) else { continue };
        hold(&mut held, tag, fd)?;
    }
    // Of a rehearsal whose keeper died.
    held.remove_kind(Kind::NEW_KEEPER);
    Ok((held, most))
}

fn hold(held: &mut Held, tag: Tag, fd: OwnedFd) -> io::Result<RawFd> {
    let inserted = held.insert(tag, fd, Debt::None);
    inserted.map_err(|_| io::Error::other("descriptor limit"))
}

impl Keeper {
    fn take_over(inherited: OwnedFd) -> io::Result<Keeper> {
        let (mut held, most) = take_table(inherited)?;
        let exits = match held.get(Tag::single(Kind::EXITS)) {
            Some(fd) => borrow(fd).try_clone_to_owned()?,
            None => memfd_create(c"supervisor-exits", MFdFlags::MFD_CLOEXEC)?,
        };
        let exits = Exits::open(exits)?;
        let sequence = exits.head()?;
        let copy = exits.file().try_clone()?;
        hold(&mut held, Tag::single(Kind::EXITS), copy.into())?;
        // The eventfd is new for each keeper: a stop that an earlier one was asked for is asked again.
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        let poke = EventFd::from_flags(flags)?;
        let poke = hold(&mut held, Tag::single(Kind::POKE), poke.into())?;
        if held.of_kind(Kind::PROGRAM).is_none() {
            hold(&mut held, Tag::single(Kind::PROGRAM), start::own_program()?)?;
        }
        let systemd = Systemd::find(&mut held)?;
        Ok(Keeper {
            environment: Environment::new(systemd.is_some()),
            systemd,
            care: Care::new(&held, poke),
            succession: Succession::None,
            held,
            exits,
            sequence,
            most,
            refused: None,
            next_tick: Instant::now() + TICK,
            stop_wanted: false,
            unheard: 0,
            leaving: None,
            clean: own::CleanPages::find(),
            awake: true,
        })
    }

    /// Waits for something to happen and deals with it. `Some`: it is time to leave.
    fn turn(&mut self, signals: &SignalFd) -> io::Result<Option<u8>> {
        self.start_engine();
        match self.wait(signals)? {
            Woke::Time => {}
            // The pages of code that were needed are not, for now.
            Woke::Nothing => {
                self.awake = false;
                self.clean.give_back();
            }
            Woke::Happened => {
                self.awake = true;
                self.read_signals(signals);
                self.read_engine();
                self.pay();
                reap::all(self);
            }
        }
        self.tick();
        self.serve_systemd();
        let code = self.leaving.filter(|_| self.care.engine.is_none());
        Ok(code.filter(|_| self.may_leave()))
    }

    fn wait(&self, signals: &SignalFd) -> io::Result<Woke> {
        let mut wanted = PollFlags::empty();
        let ours = || PollFd::new(signals.as_fd(), PollFlags::POLLIN);
        let mut fds = [ours(), ours(), ours()];
        let mut count = 1;
        // Of one that has closed its channel only the exit can come.
        if let Some(engine) = self.care.engine.as_ref().filter(|engine| !engine.closed) {
            if self.refused.is_none() {
                wanted |= PollFlags::POLLIN;
            }
            if self.refused.is_some() || self.held.next_debt(0).is_some() || !engine.given {
                wanted |= PollFlags::POLLOUT;
            }
            fds[1] = PollFd::new(engine.channel.as_fd(), wanted);
            count = 2;
        }
        if let Some(room) = self.systemd.as_ref().and_then(Systemd::room) {
            fds[count] = PollFd::new(room, PollFlags::POLLOUT);
            count += 1;
        }
        let start = self.care.next_start().filter(|_| self.leaving.is_none());
        let systemd = self.systemd.as_ref().and_then(Systemd::next_due);
        let due = [start, systemd].into_iter().flatten().min();
        let time = due.map_or(self.next_tick, |due| due.min(self.next_tick));
        let time = time.saturating_duration_since(Instant::now());
        let (limit, woke) = match self.awake && DROWSY < time {
            true => (DROWSY, Woke::Nothing),
            false => (time, Woke::Time),
        };
        let millis = u16::try_from(limit.as_millis() + 1).unwrap_or(u16::MAX);
        match poll(&mut fds[..count], PollTimeout::from(millis)) {
            Ok(0) => Ok(woke),
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(Woke::Happened),
            Err(error) => Err(error.into()),
        }
    }

    /// What is to be done about once a second, whether or not anything happens.
    fn tick(&mut self) {
        let late = Instant::now().checked_duration_since(self.next_tick);
        let Some(late) = late else { return };
        self.next_tick += late + TICK;
        self.care.tick(late);
        self.succession.tick();
        self.hear_out();
    }

    /// Who was asked to stop, and has no engine that could begin (its state cannot be read, say), leaves
    /// all the same; the apps are the next daemon's.
    fn hear_out(&mut self) {
        let ready = self.care.engine.as_ref().is_some_and(|engine| engine.ready);
        self.unheard = match self.stop_wanted && !ready {
            true => self.unheard + 1,
            false => 0,
        };
        if self.unheard == UNHEARD {
            eprintln!(
                "supervisor: no engine could begin, so apps that run go on; the daemon's log says why"
            );
            self.leaving = Some(1);
            self.care.replace();
        }
    }

    fn read_signals(&mut self, signals: &SignalFd) {
        // A hangup of the terminal, SIGUSR1 and the like are no reason to end: read and forgotten.
        while let Ok(Some(signal)) = signals.read_signal() {
            let number = signal.ssi_signo.cast_signed();
            if number == Signal::SIGTERM as i32 || number == Signal::SIGINT as i32 {
                self.asked_to_end();
            } else if number == Signal::SIGUSR2 as i32 {
                self.care.poke(POKE_REOPEN);
            }
        }
    }

    /// Starts the next engine, or the next keeper, if it is time.
    fn start_engine(&mut self) {
        if self.leaving.is_some() {
            return;
        }
        // A keeper that follows would not know that SIGTERM has come.
        let asked = self.systemd.as_ref().is_some_and(Systemd::is_asking);
        if !self.stop_wanted && !asked {
            self.succession.carry_out(&mut self.held, &mut self.care);
        }
        let exits = self.exits.file().as_raw_fd();
        let environment = &self.environment;
        if let Some(pid) = self.care.start(&mut self.held, exits, environment) {
            self.note_engine(pid);
            if self.stop_wanted {
                self.care.poke(POKE_STOP);
            }
        }
    }

    /// Before the engine is given anything: one that is not known must not do anything.
    fn note_engine(&self, pid: Pid) {
        if let Some(lock) = self.held.get(Tag::single(Kind::LOCK)) {
            // The room is there; without the note, an engine that outlives this process and hangs
            // keeps the next daemon from starting, which then says so.
            let _ = Holder::me(Some(pid.as_raw())).write(borrow(lock));
        }
    }

    /// Whether this child is the engine, or another of the keeper's own, whose exit is nobody else's
    /// business.
    fn is_own(&self, pid: i32) -> bool {
        let engine = self.care.engine.as_ref();
        let systemd = self.systemd.as_ref();
        engine.is_some_and(|engine| engine.pid.as_raw() == pid)
            || self.succession.is_of(pid)
            || systemd.is_some_and(|systemd| systemd.asks_by(pid))
    }

    /// It is reaped.
    fn own_ended(&mut self, pid: i32, status: i32) {
        if self.job_ended(pid, status) {
            return;
        }
        if self.succession.is_of(pid) {
            return self
                .succession
                .rehearsed(&mut self.held, &mut self.care, status);
        }
        // Also what comes after a message that could not be taken: nobody is left to be told of that.
        loop {
            self.refused = None;
            self.read_engine();
            if self.refused.is_none() {
                break;
            }
        }
        self.care.ended(&mut self.held, status);
    }
}
