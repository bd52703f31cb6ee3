//! The engine: the daemon proper. It decides by asking the core and does what the core says.
//!
//! One task owns everything: each turn of [`Engine::run`] takes one message that says what happened,
//! tells the core, carries out its actions, and looks whether somebody's answer is due. Nothing in a
//! turn waits: processes are made by the spawner's thread, trees ended by the undertaker's, logs moved
//! by the pump's, the desired state written by the saver's, clients served by tasks; all of them send
//! what came of it as the next message.
//!
//! It may be killed at any moment. What the next engine needs is in the slots before an action is
//! carried out, and in the keeper's hands ([`birth`]).

mod about;
mod actions;
mod adopt;
mod allowed;
mod asking;
mod birth;
mod changes;
mod commands;
mod conditions;
mod deeds;
mod details;
mod dispatch;
mod doors;
mod ending;
mod estate;
mod explain;
mod find;
mod groups;
pub mod inbox;
mod ledger;
mod log;
mod log_files;
mod logs;
mod mutate;
mod placing;
pub mod prepare;
pub mod reading;
mod reaping;
pub mod record;
mod spawner;
mod streams;
mod targets;
mod undertaker;
mod upgrade;
mod view;
mod waiters;

use std::collections::{BTreeMap, HashMap};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use supervisor_core::{Fleet, RunId, ServiceId, Time};
use supervisor_logs::{Folder, Pump};
use supervisor_protocol::Paths;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::Receiver;

use crate::keeper::exits::Exits;
use crate::keeper::link::{Kind, Tag};
use crate::keeper::{POKE_EXITS, POKE_REOPEN, POKE_STOP};
use crate::os::own;
use crate::persist::desired::Desired;
use crate::persist::saver::Saver;
use crate::persist::slots::{CellId, Slots};
use crate::probes::Probes;
use estate::Estate;
use inbox::{Inbox, Message};
use mutate::Mutation;
use record::LastExit;
use spawner::Spawner;
use streams::Streams;
use undertaker::Undertaker;

/// One instance as the engine knows it, besides what the core knows.
#[derive(Debug)]
struct Instance {
    slot: u32,
    /// How many of the operator's wishes it has heard.
    asked: u64,
    last_exit: Option<LastExit>,
    /// Last lines of standard error of the run that ended last.
    tail: Vec<String>,
}

/// A run that has a process, is getting one, or is being cleared away.
#[derive(Debug)]
struct Live {
    id: ServiceId,
    run: RunId,
    pid: Option<i32>,
    pidfd: Option<Arc<OwnedFd>>,
    /// A checksum of what it was ordered from.
    spec: u32,
    /// The value of its `SUPERVISOR_RUN`.
    token: String,
    /// Its standard error goes where its standard output goes.
    merged: bool,
    /// Not a child of this keeper, whose records say nothing about it.
    foreign: bool,
    /// The cgroup that its processes are in.
    place: groups::Place,
    /// What `send` writes to, where the app has that.
    stdin: Option<OwnedFd>,
    /// The pipes that the pump has.
    pipes: Vec<logs::Pipe>,
    /// The last lines of its standard error, once its pipe is drained.
    tail: Vec<u8>,
    /// It has exited; what is still to be done about that.
    ending: Option<ending::Ending>,
    /// CPU ticks of its tree and when they were read.
    cpu: Option<view::CpuSample>,
}

/// See the module.
struct Engine {
    paths: Paths,
    keeper: i32,
    born: Time,
    fleet: Fleet,
    desired: Desired,
    instances: BTreeMap<ServiceId, Instance>,
    cells: BTreeMap<CellId, Live>,
    by_pid: HashMap<i32, CellId>,
    slots: Arc<Slots>,
    exits: Arc<Exits>,
    /// The newest exit record that was looked at.
    seen: u64,
    estate: Estate,
    spawner: Spawner,
    undertaker: Undertaker,
    groups: groups::Groups,
    pump: Pump,
    folder: Folder,
    streams: Arc<Streams>,
    openers: log_files::Openers,
    log_news: logs::News,
    saver: Saver,
    mutations: mutate::Queue,
    waiters: waiters::Waiters,
    probes: Probes,
    inbox: Inbox,
    doors: doors::Doors,
    own_log: Rc<log::OwnLog>,
    upgrades: upgrade::Upgrades,
    /// Somebody asked for the daemon to stop; who waits for it.
    stopping: Option<Vec<inbox::Replies>>,
}

/// Now, on the core's clock: milliseconds since boot, not counting time asleep.
pub fn now() -> Time {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Time(0), |t| {
        Time(t.tv_sec().unsigned_abs() * 1000 + t.tv_nsec().unsigned_abs() / 1_000_000)
    })
}

/// Becomes the engine, in the process that a keeper has started for it.
pub fn main() -> ExitCode {
    own::small_heap();
    own::survive_file_size_limit();
    own::set_name("supervisor");
    let paths = match Paths::from_env() {
        Ok(paths) => paths,
        Err(error) => return refuse(&error.to_string()),
    };
    // What is private is made with its exact mode; this is for the own log, which the group may read.
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o027));
    // Kept here, too: why an engine cannot begin is written when it is over.
    let own_log = Rc::new(log::start(&paths));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // More than what may hang at a time: files that are looked for (8), logs (8), names (2).
        .max_blocking_threads(32)
        .thread_stack_size(256 * 1024)
        .build();
    let result = match runtime {
        Ok(runtime) => {
            let result = runtime.block_on(async {
                let (engine, inbox, poke) = birth::born(paths, Rc::clone(&own_log)).await?;
                Ok::<_, String>(engine.run(inbox, poke).await)
            });
            // A read that hangs (NFS) must not keep this process from leaving.
            runtime.shutdown_background();
            result
        }
        Err(error) => Err(error.to_string()),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            tracing::error!("the engine cannot start: {error}");
            refuse(&error)
        }
    }
}

fn refuse(why: &str) -> ExitCode {
    eprintln!("supervisor: the engine cannot start: {why}");
    ExitCode::FAILURE
}

impl Engine {
    async fn run(mut self, mut inbox: Receiver<Message>, poke: AsyncFd<Arc<OwnedFd>>) -> ExitCode {
        let clean = own::CleanPages::find();
        let mut awake = true;
        loop {
            let deadlines = [
                self.fleet.next_deadline(),
                self.waiters.next_deadline(),
                self.next_log_deadline(),
            ];
            let deadline = deadlines.into_iter().flatten().min();
            let quiet = async {
                match awake {
                    true => tokio::time::sleep(QUIET).await,
                    false => std::future::pending().await,
                }
            };
            // First only what happened; what to do about it, after.
            let happened = tokio::select! {
                biased;
                poked = inbox::read_poke(&poke) => Happened::Poked(poked),
                message = inbox.recv() => match message {
                    Some(message) => Happened::Message(message),
                    None => return ExitCode::FAILURE,
                },
                () = inbox::sleep_until(deadline) => Happened::Time,
                () = quiet => Happened::Nothing,
            };
            awake = !matches!(happened, Happened::Nothing);
            match happened {
                Happened::Poked(value) => self.poked(value),
                Happened::Message(message) => self.take(message),
                Happened::Time => {
                    self.tell(supervisor_core::Event::Tick);
                    self.give_up_on_logs();
                }
                // The pages of code that were needed are not, for now.
                Happened::Nothing => clean.give_back(),
            }
            self.next_mutation();
            self.answer_waiters();
            if !self.cells.values().any(|live| live.pid.is_none()) {
                self.estate.let_go();
                self.clear_groups();
            }
            if self.may_leave() {
                // Threads that are still telling something must not wait for somebody to read it:
                // they are joined when the engine is dropped.
                drop(inbox);
                return self.leave().await;
            }
        }
    }

    fn poked(&mut self, value: u64) {
        if value % POKE_STOP >= POKE_EXITS {
            self.read_exits();
        }
        if value % POKE_REOPEN >= POKE_STOP {
            tracing::info!("asked to stop by a signal");
            self.shut_down(None);
        }
        if value >= POKE_REOPEN {
            self.reopen_logs(None);
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Ask(ask) => self.asked(ask),
            Message::Spawned(report) => self.spawned(report),
            Message::TreeEnded(order, left) => self.tree_ended(&order, &left),
            Message::Log(event) => self.log_event(event),
            Message::Saved(result) => self.saved(result),
            Message::Gone { cell, run, exit } => self.gone(cell, run, exit),
            Message::Emptied { id, ticket, error } => self.emptied(&id, ticket, error.as_deref()),
            Message::Sync => self.mutations.sync_again(),
            Message::LogRoom(room) => self.log_room(room),
            Message::Met(met) => self.met(met),
            Message::Checked(asked) => self.mutations.wait(Mutation::Act(asked)),
            Message::KeeperGone => self.succeed_keeper(),
            Message::Candidate(candidate) => self.try_out(candidate),
            Message::Proven => self.upgrades.end_trial(&self.estate),
        }
    }

    /// The keeper is dead. Without systemd this process becomes the keeper in place: it has all
    /// the descriptors, and the next engine goes on from the slots.
    fn succeed_keeper(&mut self) {
        if crate::launch::is_under_systemd() {
            // Under systemd a new keeper is on its way, and two of them must never be.
            tracing::error!("the keeper is gone; systemd starts the next one");
            std::process::exit(1);
        }
        if self.stopping.is_some() {
            tracing::error!("the keeper is gone while everything is being stopped");
        }
        tracing::error!("the keeper is gone; this process takes its place");
        if std::env::var_os(crate::launch::ORIGINAL_OOM).is_some() {
            // The keeper is the last to go. Lower than one's own is only allowed to root; a failure
            // costs nothing but rank.
            let _ = std::fs::write("/proc/self/oom_score_adj", crate::launch::KEEPER_OOM);
        }
        let mut table = self.estate.list();
        table.push((self.exits.file().as_raw_fd(), Tag::single(Kind::EXITS)));
        // The own log's thread ends with this program: a moment for its last line.
        std::thread::sleep(std::time::Duration::from_millis(5));
        let error = crate::launch::become_keeper(&table);
        tracing::error!("cannot become the keeper: {error}");
        std::process::exit(1);
    }

    fn may_leave(&self) -> bool {
        self.stopping.is_some()
            && self.fleet.is_down()
            && self.cells.is_empty()
            && self.mutations.is_idle()
    }

    /// The last thing: nothing runs any more.
    async fn leave(mut self) -> ExitCode {
        tracing::info!("everything is stopped; leaving");
        for path in &self.paths.sockets {
            // Gone already is as good.
            let _ = std::fs::remove_file(path);
        }
        self.leave_groups();
        // The next daemon begins by the boot policy, not from here.
        let _ = std::fs::remove_file(birth::runtime_path(&self.paths));
        let mut waiting = self.stopping.take().unwrap_or_default();
        for replies in &waiting {
            replies.end();
        }
        // Not for long, one after the other: the keeper takes an engine that is busy for hung.
        let flushed = async {
            for replies in &mut waiting {
                replies.flushed().await;
            }
        };
        // Whoever has not read by now does not read.
        let _ = tokio::time::timeout(Duration::from_secs(2), flushed).await;
        self.estate.leave(0);
        ExitCode::SUCCESS
    }
}

/// So long after the last event, the engine needs as little memory as it can.
const QUIET: Duration = Duration::from_millis(500);

enum Happened {
    Nothing,
    Poked(u64),
    Message(Message),
    Time,
}
