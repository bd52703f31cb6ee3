//! The keeper's care for its engine: it starts one at once whenever one ends, finds out one that hangs,
//! and tries a new program without letting go of the last good one.
//!
//! Promises: there are never two engines, since the next one is started when the one before is reaped,
//! and an engine is only ever killed. One that does not read its heartbeats is killed, unless somebody
//! traces it; what counts are this process's own ticks, so that neither a machine that slept nor a
//! keeper that did not run counts against it. A program on trial is given up, and the last good one
//! goes on, when its engine is not ready in time, ends before, or when three of them have died. It is
//! the engine on trial that ends the trial (it has the program held as the good one, and drops the
//! other), because from that moment on it may also write what older programs cannot read.
//!
//! Left to others: what becomes of the descriptors and messages of an engine.

use std::io::Write as _;
use std::os::fd::{OwnedFd, RawFd};
use std::time::{Duration, Instant};

use nix::fcntl::{OFlag, open};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, read, write};

use super::fate::{Fate, News};
use super::held::{Held, borrow};
use super::link::{Kind, Tag};
use super::start::{self, Environment};

/// So often the keeper looks after its engine: seldom, since each look wakes both, and often enough
/// that one that hangs is replaced within six seconds, whenever in between it began.
pub const TICK: Duration = Duration::from_millis(1400);
/// A tick that is later by more than this says nothing about the engine.
const LATE: Duration = Duration::from_secs(2);
/// So many heartbeats may go unread, after how many engines that hung before.
const MISSES: (u32, u32) = (3, 42);
/// An engine that has been well for so many ticks makes up for those that hung before.
const WELL: u32 = 42;
/// A program on trial has so many ticks to get ready: the first may come at once.
const PATIENCE: u32 = 4;
/// So many deaths of its engines, and a program on trial is given up.
const DEATHS: u32 = 3;
/// Wait before an engine that follows one which never became ready: doubles from the first to the second.
const SLOWEST: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// Added to the eventfd at each tick: an engine that lives reads it.
pub const POKE_BEAT: u64 = 1 << 56;

/// The running engine.
pub struct Engine {
    /// Its process.
    pub pid: Pid,
    /// The keeper's end of the channel.
    pub channel: OwnedFd,
    /// Everything owed has been given, and it has been told so.
    pub given: bool,
    /// It has closed the channel.
    pub closed: bool,
    /// It has taken everything over.
    pub ready: bool,
    trial: bool,
    /// In ticks.
    age: u32,
    /// Ticks in a row after which a heartbeat was still unread, and in a row after which none was.
    missed: u32,
    well: u32,
    verdict: Option<Verdict>,
}

/// Why an engine was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Another program takes its place.
    Replaced,
    /// On trial, and not ready in time.
    NotReady,
    /// It does not read its heartbeats.
    Hung,
}

/// See the module.
pub struct Care {
    /// The engine, from its start until it is reaped.
    pub engine: Option<Engine>,
    /// What the next one is told.
    pub news: News,
    poke: RawFd,
    /// Not before this moment is the next engine started.
    next_start: Instant,
    slowdown: Duration,
    /// So many heartbeats may go unread now.
    limit: u32,
    /// Of engines on the present trial.
    deaths: u32,
}

impl Care {
    /// With the programs that are held: a trial that another keeper began goes on.
    pub fn new(held: &Held, poke: RawFd) -> Care {
        let mut news = News::default();
        if let Some(tag) = held.of_kind(Kind::TRIAL) {
            (news.trial, news.number) = (Fate::Trial, tag.slot);
        }
        Care {
            engine: None,
            news,
            poke,
            next_start: Instant::now(),
            slowdown: Duration::ZERO,
            limit: MISSES.0,
            deaths: 0,
        }
    }

    /// When the next engine is to be started; `None` while there is one.
    pub fn next_start(&self) -> Option<Instant> {
        self.engine.is_none().then_some(self.next_start)
    }

    /// Starts the next engine, if it is time: the pid of a new one.
    pub fn start(
        &mut self,
        held: &mut Held,
        exits: RawFd,
        environment: &Environment,
    ) -> Option<Pid> {
        let now = Instant::now();
        if self.next_start().is_none_or(|at| now < at) {
            return None;
        }
        self.next_start = now + self.slowdown.max(SLOWEST.0);
        let trial = held.of_kind(Kind::TRIAL);
        let program = held.get(trial.unwrap_or(Tag::single(Kind::PROGRAM)));
        let started = program.map(|program| start::engine(program, self.poke, exits, environment));
        let Some(Ok((pid, channel))) = started else {
            // No process to be had: tried again, ever more slowly.
            self.slow_down();
            return None;
        };
        held.owe_all(is_given);
        self.engine = Some(Engine {
            pid,
            channel,
            given: false,
            closed: false,
            ready: false,
            trial: trial.is_some(),
            age: 0,
            missed: 0,
            well: 0,
            verdict: None,
        });
        Some(pid)
    }

    /// The engine has taken everything over.
    pub fn ready(&mut self) {
        if let Some(engine) = &mut self.engine {
            engine.ready = true;
        }
        self.slowdown = Duration::ZERO;
        self.news.before = Fate::Nothing;
    }

    /// Wakes the engine.
    pub fn poke(&self, what: u64) {
        // It fails only when the counter is full, and then the engine is being woken already.
        let _ = write(borrow(self.poke), &what.to_ne_bytes());
    }

    /// A program is held as one to be tried, under this number: it takes the engine's place.
    pub fn try_out(&mut self, number: u32) {
        self.news = News {
            trial: Fate::Trial,
            number,
            ..News::default()
        };
        self.deaths = 0;
        self.replace();
    }

    /// Ends the engine, so that another one can take its place. To kill it is always allowed.
    pub fn replace(&mut self) {
        if let Some(engine) = &mut self.engine {
            engine.verdict = Some(Verdict::Replaced);
            end(engine.pid);
        }
    }

    /// One more tick, or one that comes so late that it only begins a new count.
    pub fn tick(&mut self, late: Duration) {
        let Some(engine) = &mut self.engine else {
            return;
        };
        let unread = beat(self.poke);
        // What was unread when it was started, is not its fault.
        let missed = unread && engine.age > 0 && late < LATE;
        engine.age += 1;
        (engine.missed, engine.well) = if missed {
            (engine.missed + 1, 0)
        } else {
            (0, engine.well + 1)
        };
        if engine.ready && engine.well >= WELL {
            self.limit = MISSES.0;
        }
        let verdict = if engine.trial && !engine.ready && engine.age >= PATIENCE {
            Verdict::NotReady
        } else if engine.missed >= self.limit {
            Verdict::Hung
        } else {
            return;
        };
        if engine.verdict.is_some() {
            return;
        }
        if is_traced(engine.pid) {
            // Once it is let go, it has its whole time to answer.
            (engine.missed, engine.age) = (0, 0);
            return;
        }
        engine.verdict = Some(verdict);
        end(engine.pid);
    }

    /// The engine is reaped, and what it sent is read.
    pub fn ended(&mut self, held: &mut Held, status: i32) {
        let Some(engine) = self.engine.take() else {
            return;
        };
        let at_once = engine.ready || engine.verdict.is_some();
        if engine.verdict == Some(Verdict::Hung) {
            self.news.before = Fate::Hung;
            self.limit = (self.limit * 2).min(MISSES.1);
        }
        if let Some(fate) = self.judge(&engine, held) {
            self.give_up(held, fate, status);
        } else if at_once {
            self.next_start = Instant::now();
        } else {
            self.slow_down();
        }
    }

    /// Whether this end of its engine also ends the trial of its program, and how.
    fn judge(&mut self, engine: &Engine, held: &Held) -> Option<Fate> {
        let on_trial = engine.trial && held.of_kind(Kind::TRIAL).is_some();
        match engine.verdict {
            _ if !on_trial => None,
            Some(Verdict::Replaced) => None,
            Some(Verdict::NotReady) => Some(Fate::NotReady),
            Some(Verdict::Hung) if !engine.ready => Some(Fate::NotReady),
            None if !engine.ready => Some(Fate::EndedEarly),
            Some(Verdict::Hung) | None => {
                self.deaths += 1;
                (self.deaths >= DEATHS).then_some(Fate::DiedAgain)
            }
        }
    }

    /// The new program is of no use: the last good one goes on.
    pub fn give_up(&mut self, held: &mut Held, fate: Fate, status: i32) {
        held.remove_kind(Kind::TRIAL);
        self.news.trial = fate;
        self.news.status = status;
        self.news.before = fate;
        self.slowdown = Duration::ZERO;
        self.next_start = Instant::now();
    }

    fn slow_down(&mut self) {
        self.slowdown = (self.slowdown * 2).clamp(SLOWEST.0, SLOWEST.1);
        self.next_start = Instant::now() + self.slowdown;
    }
}

/// Whether an engine is given what is held under this kind: not what it is born with, nor what is
/// the keeper's own business.
fn is_given(kind: Kind) -> bool {
    let own = [
        Kind::POKE,
        Kind::EXITS,
        Kind::ANNOUNCE,
        Kind::NEW_KEEPER,
        Kind::LEDGER,
    ];
    !own.contains(&kind)
}

fn end(pid: Pid) {
    // A child that is not reaped yet: the number is its own, and nothing else can go wrong.
    let _ = kill(pid, Signal::SIGKILL);
}

/// Puts a heartbeat into the eventfd. True: the one before is still in it, and then it stays the only
/// one. What else is in it is not lost: no engine sees it for the moment between the two calls, and
/// the second one wakes it.
fn beat(poke: RawFd) -> bool {
    let mut bytes = [0; 8];
    let waiting = match read(borrow(poke), &mut bytes) {
        Ok(8) => u64::from_ne_bytes(bytes),
        _ => 0,
    };
    let next = waiting % POKE_BEAT + POKE_BEAT;
    // There is room: it was emptied just now.
    let _ = write(borrow(poke), &next.to_ne_bytes());
    waiting >= POKE_BEAT
}

/// Whether somebody looks into this process with a debugger, which is then the reason why it does not
/// answer. Without an allocation: this is in the keeper's loop.
fn is_traced(pid: Pid) -> bool {
    let mut path = [0; 32];
    if write!(&mut path[..], "/proc/{pid}/status").is_err() {
        return false;
    }
    let length = path.iter().position(|&b| b == 0).unwrap_or(path.len());
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    let Ok(file) = open(&path[..length], flags, Mode::empty()) else {
        return false;
    };
    let mut text = [0; 2048];
    let length = read(&file, &mut text).unwrap_or(0);
    traced(&text[..length])
}

fn traced(status: &[u8]) -> bool {
    let mut lines = status.split(|&b| b == b'\n');
    let tracer = lines.find_map(|line| line.strip_prefix(b"TracerPid:"));
    tracer.is_some_and(|pid| pid.trim_ascii() != b"0")
}

#[cfg(test)]
mod tests;
