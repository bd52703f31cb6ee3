//! The keeper as the main process of a systemd service: what it owes systemd, and what it wants to know
//! from it.
//!
//! systemd hears that the service is ready when its first engine is, and that it lives, from the loop
//! itself; it stores what the keeper holds ([`super::store`]), so that a keeper that follows one that
//! was killed has all of it. Nothing waits for systemd: what cannot be said now is owed and said later.

use std::env;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::Pid;

use super::held::{Debt, Held, borrow};
use super::job::{Answer, Asking};
use super::link::{Kind, Tag};
use super::notify::Notify;
use super::store::{self, Store, Words};
use super::{Keeper, POKE_STOP};
use crate::os::own;

/// By these systemd speaks to a main process; neither an engine nor an app has them.
pub const VARIABLES: [&str; 9] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "LISTEN_FDNAMES",
    "FDSTORE",
    "SYSTEMD_EXEC_PID",
];

/// While the apps are being stopped, systemd is asked so often for so much more time.
const EXTEND: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(30));
/// When everything else is done, what is owed is given so long.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Whether this process is the main process of a service. systemd names that by its pid, and where the
/// pid is another one, the socket is inherited, too: from a service that a terminal or a runner of jobs
/// is in, which starts no next keeper. Before version 248, and in containers, only the socket tells.
pub fn is_above() -> bool {
    match env::var_os("SYSTEMD_EXEC_PID") {
        Some(_) => number("SYSTEMD_EXEC_PID") == Some(own_pid()),
        None => env::var_os("NOTIFY_SOCKET").is_some(),
    }
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}

fn own_pid() -> u64 {
    u64::from(std::process::id())
}

/// Takes what systemd has passed to this process, by the ledger that is in it.
///
/// # Errors
/// No memory.
pub fn take_passed() -> io::Result<Vec<(RawFd, Tag)>> {
    let ours = number("LISTEN_PID") == Some(own_pid());
    let count = number("LISTEN_FDS").filter(|count| ours && *count > 0);
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    for variable in [
        "LISTEN_PID",
        "LISTEN_PIDFDID",
        "LISTEN_FDS",
        "LISTEN_FDNAMES",
    ] {
        own::remove_environment(variable);
    }
    let Some(count) = count else {
        return Ok(Vec::new());
    };
    let fds = (3..).take(count as usize);
    let passed: Vec<(String, RawFd)> = names.split(':').map(str::to_owned).zip(fds).collect();
    store::place(&passed, memory()?)
}

fn memory() -> nix::Result<OwnedFd> {
    memfd_create(c"supervisor-ledger", MFdFlags::MFD_CLOEXEC)
}

/// See the module.
#[derive(Debug)]
pub struct Systemd {
    notify: Option<Notify>,
    store: Store,
    /// It is to be told that this engine is ready.
    ready: Option<Pid>,
    /// It is to be told that this is the end.
    stopping: bool,
    /// How often it wants to hear that this process lives, and when the next time is.
    watchdog: Option<(Duration, Instant)>,
    /// The apps are being stopped; when it is to be asked for more time.
    extend_at: Option<Instant>,
    leave_by: Option<Instant>,
    asking: Option<Asking>,
}

impl Systemd {
    /// `None`: this process is nobody's service.
    ///
    /// # Errors
    /// No memory.
    pub fn find(held: &mut Held) -> io::Result<Option<Systemd>> {
        if !is_above() {
            return Ok(None);
        }
        let tag = Tag::single(Kind::LEDGER);
        let ledger = match held.get(tag) {
            Some(fd) => fd,
            None => held
                .insert(tag, memory()?, Debt::None)
                .map_err(|_| io::Error::other("descriptor limit"))?,
        };
        let notify = env::var_os("NOTIFY_SOCKET").and_then(|address| Notify::new(&address));
        let most = match (&notify, number("FDSTORE")) {
            (None, _) => 0,
            (Some(_), Some(most)) => most as usize,
            // Before version 254 it does not tell.
            (Some(_), None) => store::MOST,
        };
        let mut store = Store::open(borrow(ledger).try_clone_to_owned()?, most)?;
        store.recall(held);
        let watched = number("WATCHDOG_PID").is_none_or(|pid| pid == own_pid());
        let watched = watched && notify.is_some();
        let watchdog = number("WATCHDOG_USEC").filter(|usec| watched && *usec > 0);
        Ok(Some(Systemd {
            notify,
            store,
            ready: None,
            stopping: false,
            watchdog: watchdog.map(|usec| (Duration::from_micros(usec / 3), Instant::now())),
            extend_at: None,
            leave_by: None,
            asking: None,
        }))
    }

    /// When there is something to do at the latest.
    pub fn next_due(&self) -> Option<Instant> {
        let now = Instant::now();
        let timed = [self.watchdog.map(|(_, at)| at), self.extend_at];
        let words = match self.owes(now) {
            true => Some(now),
            false => timed.into_iter().flatten().min(),
        };
        let words = match (self.room(), self.notify.as_ref().and_then(Notify::again_at)) {
            // What waits for room is not waited for by the clock.
            (Some(_), _) => None,
            (None, Some(again)) => words.map(|due| due.max(again)),
            (None, None) => words,
        };
        let patience = self.asking.as_ref().map(|asking| asking.until);
        [words, patience, self.leave_by].into_iter().flatten().min()
    }

    /// What becomes writable when something that is owed can be said.
    pub fn room(&self) -> Option<BorrowedFd<'_>> {
        self.notify.as_ref().and_then(Notify::room)
    }

    fn owes(&self, now: Instant) -> bool {
        let timed = [self.watchdog.map(|(_, at)| at), self.extend_at];
        let late = timed.into_iter().flatten().any(|at| at <= now);
        self.ready.is_some() || self.stopping || self.store.owes() || late
    }

    /// The descriptor `fd` is held from now on, in the place of another one.
    pub fn hold(&mut self, before: Option<RawFd>, fd: RawFd, tag: Tag) {
        if let Some(before) = before {
            self.store.forget(before);
        }
        self.store.put(fd, tag);
    }

    /// The descriptor is about to be closed.
    pub fn forget(&mut self, fd: RawFd) {
        self.store.forget(fd);
    }

    /// Whether systemd is being asked what it wants.
    pub fn is_asking(&self) -> bool {
        self.asking.is_some()
    }

    /// Whether this child is the helper that asks systemd.
    pub fn asks_by(&self, child: i32) -> bool {
        self.asking
            .as_ref()
            .is_some_and(|asking| asking.pid.as_raw() == child)
    }

    /// An engine is ready.
    pub fn ready(&mut self, engine: Pid) {
        self.ready = Some(engine);
    }

    /// Says what is due, as far as there is room.
    fn pay(&mut self, now: Instant) {
        let Some(notify) = &mut self.notify else {
            // A service that systemd does not want to hear from.
            (self.ready, self.stopping, self.extend_at) = (None, false, None);
            return;
        };
        if let Some((third, at)) = self.watchdog.filter(|(_, at)| *at <= now)
            && notify.say(b"WATCHDOG=1", None)
        {
            // Not from when it was due: what was late is not made up for.
            self.watchdog = Some((third, at.max(now) + third));
        }
        self.store.pay(|text, fd| notify.say(text, fd));
        if self.store.owes() {
            return;
        }
        if let Some(engine) = self.ready {
            let text = format_args!("READY=1\nSTATUS=Ready; the engine has pid {engine}");
            if notify.say(Words::new(text).text(), None) {
                self.ready = None;
            }
        }
        if self.extend_at.is_some_and(|at| at <= now) {
            let text = format_args!("EXTEND_TIMEOUT_USEC={}", EXTEND.1.as_micros());
            if notify.say(Words::new(text).text(), None) {
                self.extend_at = Some(now + EXTEND.0);
            }
        }
        if self.stopping && notify.say(b"STOPPING=1\nSTATUS=Stopped", None) {
            self.stopping = false;
        }
    }
}

impl Keeper {
    /// Does what is due for systemd.
    pub(super) fn serve_systemd(&mut self) {
        let now = Instant::now();
        let stopping =
            self.stop_wanted && self.care.engine.as_ref().is_some_and(|engine| engine.ready);
        let Some(systemd) = &mut self.systemd else {
            return;
        };
        // Only an engine that is at work is worth more time.
        systemd.extend_at = stopping.then(|| systemd.extend_at.unwrap_or(now));
        systemd.pay(now);
        if let Some(asking) = systemd.asking.take_if(|asking| asking.until <= now) {
            asking.give_up();
            self.stop();
        }
    }

    /// SIGTERM has come.
    pub(super) fn asked_to_end(&mut self) {
        match &mut self.systemd {
            Some(systemd) if !self.stop_wanted => {
                if systemd.asking.is_some() {
                    return;
                }
                match Asking::begin(&self.environment) {
                    Ok(asking) => systemd.asking = Some(asking),
                    Err(_) => self.stop(),
                }
            }
            Some(_) | None => self.stop(),
        }
    }

    /// A child has ended. True: it was the helper that asks systemd.
    pub(super) fn job_ended(&mut self, pid: i32, status: i32) -> bool {
        let asking = self.systemd.as_mut().map(|systemd| &mut systemd.asking);
        let its = asking.and_then(|asking| asking.take_if(|asking| asking.pid.as_raw() == pid));
        if its.is_none() {
            return false;
        }
        match Asking::answer(status) {
            Answer::Stop => self.stop(),
            Answer::Restart => self.hand_over(),
        }
        true
    }

    fn stop(&mut self) {
        self.stop_wanted = true;
        self.care.poke(POKE_STOP);
    }

    /// Another keeper follows, and finds everything in the store.
    fn hand_over(&mut self) {
        self.leaving = Some(0);
        self.care.replace();
    }

    /// Everything is done; whether what is owed to systemd is said, too, or was tried for long enough.
    pub(super) fn may_leave(&mut self) -> bool {
        let now = Instant::now();
        let Some(systemd) = &mut self.systemd else {
            return true;
        };
        if systemd.leave_by.is_none() {
            systemd.leave_by = Some(now + LAST_WORDS);
            systemd.stopping = true;
        }
        systemd.pay(now);
        !systemd.owes(now) || systemd.leave_by.is_some_and(|by| by <= now)
    }
}
