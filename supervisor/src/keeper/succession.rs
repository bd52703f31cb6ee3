//! How a keeper of another program follows this one: in place, by `exec`, so that there is no moment in
//! which nobody holds what it holds, and no child changes its parent.
//!
//! What executes in place cannot be taken back, so the program rehearses it first, as a child with
//! copies of all descriptors: it takes over the list of them as it would in earnest, touches nothing,
//! and ends with a code that no other program ends with. If it does not, or not in time, the keeper
//! stays. In both cases the engine is killed: the next one, whoever starts it, tells how it went.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::care::Care;
use super::fate::{Fate, News};
use super::held::Held;
use super::inherit;
use super::link::{Kind, Tag};
use super::start::{self, Environment};
use crate::os::own;

/// The exit code of a rehearsal that went well. Frozen.
pub const REHEARSED: u8 = 86;

/// A rehearsal has so many ticks: the first may come at once.
const PATIENCE: u32 = 4;

/// How far it is.
#[derive(Default)]
pub enum Succession {
    /// Nobody is to follow.
    #[default]
    None,
    /// The rehearsal goes on.
    Rehearses {
        /// Its process.
        pid: Pid,
        /// In ticks.
        age: u32,
    },
    /// It went well: to be carried out as soon as there is no engine.
    Due,
}

impl Succession {
    /// Whether one is under way.
    pub fn is_under_way(&self) -> bool {
        match self {
            Succession::None => false,
            Succession::Rehearses { .. } | Succession::Due => true,
        }
    }

    /// Whether this child is the rehearsal.
    pub fn is_of(&self, child: i32) -> bool {
        match self {
            Succession::Rehearses { pid, .. } => pid.as_raw() == child,
            Succession::None | Succession::Due => false,
        }
    }

    /// A program is held as a new keeper: begins.
    pub fn begin(&mut self, held: &mut Held, care: &mut Care, environment: &Environment) {
        match rehearse(held, environment) {
            Ok(pid) => *self = Succession::Rehearses { pid, age: 0 },
            Err(error) => give_up(held, care, Fate::RehearsalFailed, exited(&error)),
        }
    }

    /// One more tick.
    pub fn tick(&mut self) {
        if let Succession::Rehearses { pid, age } = self {
            *age += 1;
            if *age >= PATIENCE {
                // A child that is not reaped yet: the number is its own.
                let _ = kill(*pid, Signal::SIGKILL);
            }
        }
    }

    /// The rehearsal is over.
    pub fn rehearsed(&mut self, held: &mut Held, care: &mut Care, status: i32) {
        let over = std::mem::take(self);
        let in_time = !matches!(over, Succession::Rehearses { age, .. } if age >= PATIENCE);
        if in_time && status == i32::from(REHEARSED) << 8 {
            *self = Succession::Due;
            care.replace();
        } else {
            let fate = if in_time {
                Fate::RehearsalFailed
            } else {
                Fate::RehearsalHung
            };
            give_up(held, care, fate, status);
        }
    }

    /// If it is due: replaces this program. Returns only if nothing is due, or it could not be done.
    pub fn carry_out(&mut self, held: &mut Held, care: &mut Care) {
        if matches!(self, Succession::Due) && care.engine.is_none() {
            *self = Succession::None;
            let error = execute(held);
            give_up(held, care, Fate::RehearsalFailed, exited(&error));
        }
    }
}

/// What the next keeper inherits: it makes a poke of its own, and tries the new program.
fn entries(held: &Held) -> impl Iterator<Item = (RawFd, Tag)> {
    let inherited = held
        .iter()
        .filter(|(_, tag)| ![Kind::POKE, Kind::TRIAL].contains(&tag.kind));
    inherited.map(|(fd, tag)| match tag.kind {
        Kind::NEW_KEEPER => (
            fd,
            Tag {
                kind: Kind::TRIAL,
                ..tag
            },
        ),
        _ => (fd, tag),
    })
}

fn program(held: &Held) -> io::Result<RawFd> {
    let tag = held.of_kind(Kind::NEW_KEEPER);
    tag.and_then(|tag| held.get(tag))
        .ok_or_else(|| Errno::ENOENT.into())
}

fn rehearse(held: &Held, environment: &Environment) -> io::Result<Pid> {
    let list = inherit::write(entries(held))?;
    let fds = entries(held).map(|(fd, _)| fd);
    start::rehearsal(program(held)?, list.as_raw_fd(), fds, environment)
}

fn execute(held: &Held) -> io::Error {
    let (list, program) = match (inherit::write(entries(held)), program(held)) {
        (Ok(list), Ok(program)) => (list, program),
        (Err(error), _) | (_, Err(error)) => return error,
    };
    let fds = || entries(held).map(|(fd, _)| fd);
    let inherited = fds().try_for_each(own::inherit_on_exec);
    let error = match inherited {
        Ok(()) => start::successor(program, list.as_raw_fd()).into(),
        Err(error) => error,
    };
    // This keeper stays, and its children shall not inherit them.
    fds().for_each(own::close_on_exec);
    error
}

/// This keeper stays, and the next engine tells why.
fn give_up(held: &mut Held, care: &mut Care, fate: Fate, status: i32) {
    let number = held.of_kind(Kind::NEW_KEEPER).map_or(0, |tag| tag.slot);
    held.remove_kind(Kind::NEW_KEEPER);
    care.news = News {
        trial: fate,
        number,
        status,
        before: fate,
    };
    care.replace();
}

/// As if a child had ended with this error.
fn exited(error: &io::Error) -> i32 {
    (error.raw_os_error().unwrap_or(libc::EIO) & 0xff) << 8
}
