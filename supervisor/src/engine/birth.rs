//! How an engine begins: it takes over what the keeper holds, reads both states, and goes on where the
//! one before was killed, or, if there was none, starts what is to run at boot.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::stat::{Mode, umask};
use supervisor_core::Fleet;
use supervisor_logs::{Folder, Pump};
use supervisor_protocol::Paths;
use tokio::io::unix::AsyncFd;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, Receiver};

use super::doors::Doors;
use super::estate::Estate;
use super::groups::Groups;
use super::inbox::{Inbox, Message, inbox};
use super::ledger::{Notes, take_stages};
use super::spawner::{Spawner, Tools};
use super::streams::Streams;
use super::undertaker::Undertaker;
use super::upgrade::Upgrades;
use super::{Engine, mutate, now, waiters};
use crate::control;
use crate::keeper::exits::Exits;
use crate::keeper::link::{Kind, Tag};
use crate::keeper::start;
use crate::os::{own, pidfd, proc, watch};
use crate::persist::desired::Store;
use crate::persist::saver::Saver;
use crate::persist::slots::{Slots, SlotsError};
use crate::probes::Probes;

/// The engine's own score: after the apps, before the keeper.
const OOM_SCORE: &str = "-900";

/// Where the runtime state is.
pub fn runtime_path(paths: &Paths) -> PathBuf {
    paths.run.join("runtime.state")
}

/// What was given by the keeper, by tag.
pub type Given = BTreeMap<Tag, OwnedFd>;

/// Builds the engine and puts everything in motion.
///
/// # Errors
/// One sentence for the log: the keeper tries again, ever more slowly.
pub async fn born(
    paths: Paths,
    own_log: Rc<super::log::OwnLog>,
) -> Result<(Engine, Receiver<Message>, AsyncFd<Arc<OwnedFd>>), String> {
    let born = "it is started by the keeper, not by hand";
    let channel = own::claim(start::CHANNEL).map_err(|error| format!("{born} ({error})"))?;
    let poke = own::claim(start::POKE).map_err(|error| format!("{born} ({error})"))?;
    let exits = own::claim(start::EXITS).map_err(|error| format!("{born} ({error})"))?;
    let exits = Exits::open(exits).map_err(|error| format!("{born} ({error})"))?;
    // Not the parent, which is somebody else's by now if the keeper has died since.
    let keeper = getsockopt(&channel, PeerCredentials)
        .map_err(|error| format!("{born} ({error})"))?
        .pid();
    let (estate, mut given, news) = Estate::take_over(channel).map_err(|e| e.to_string())?;
    lower_oom_score();

    let (inbox, receiver) = inbox();
    let store = Store::new(&paths.state);
    let loaded = store.load()?;
    if let Some(warning) = &loaded.warning {
        tracing::error!("the state before is used, because {warning}");
    }
    let mut desired = loaded.desired;
    let slots = match find_runtime_state(&paths, &estate, &mut given)? {
        Some(slots) => slots,
        None => {
            // What the boot policy says is written down before anything follows from it, so that an
            // engine that is killed in the middle leaves nothing half-decided.
            if desired.boot() {
                store
                    .save(&desired)
                    .map_err(|e| format!("cannot save the state: {e}"))?;
            }
            new_runtime_state(&paths, &estate)?
        }
    };
    slots.count_engine();
    let slots = Arc::new(slots);
    let exits = Arc::new(exits);
    let folder = Folder::new(paths.logs.clone());
    let streams = Arc::new(Streams::default());
    streams.update(&desired);
    let pump = start_pump(&folder, &streams, &slots, &estate, &mut given, &inbox)?;
    let groups = Groups::find();
    let tools = Tools {
        room: groups.room().cloned(),
        estate: estate.clone(),
        keeper,
        slots: Arc::clone(&slots),
        exits: Arc::clone(&exits),
    };
    let thread = |error: io::Error| format!("no thread to be had: {error}");
    let spawner = Spawner::start(tools, sender(&inbox, Message::Spawned)).map_err(thread)?;
    let tell = inbox.clone();
    let room = groups.room().cloned();
    let undertaker = Undertaker::start(keeper, room, move |order, left| {
        send(&tell, Message::TreeEnded(order, left));
    })
    .map_err(thread)?;
    let saver = Saver::start(store, sender(&inbox, Message::Saved)).map_err(thread)?;
    let listeners = listeners(&paths, &estate, &mut given)?;
    let mut doors = Doors::default();
    doors.set(&paths, &desired.daemon);
    watch_keeper(keeper, &inbox)?;
    let upgrades = Upgrades::begin(news, &mut given, &inbox);

    own_log.set_level(desired.daemon.log_level);
    let seen = exits.head().map_err(|e| e.to_string())?;
    let mut engine = Engine {
        paths,
        keeper,
        born: now(),
        fleet: Fleet::new(),
        desired,
        instances: BTreeMap::new(),
        cells: BTreeMap::new(),
        by_pid: Default::default(),
        slots,
        exits,
        seen,
        estate,
        spawner,
        undertaker,
        groups,
        pump,
        folder,
        streams,
        openers: Default::default(),
        log_news: Default::default(),
        saver,
        mutations: mutate::Queue::default(),
        waiters: waiters::Waiters::default(),
        probes: Probes::new(inbox.clone()),
        inbox: inbox.clone(),
        doors,
        own_log,
        upgrades,
        stopping: None,
    };
    engine.set_log_total();
    tracing::info!(
        "version {} begins, keeper {keeper}",
        env!("CARGO_PKG_VERSION")
    );
    engine.adopt(given).map_err(|e| e.to_string())?;
    control::serve(listeners, inbox, engine.doors.rights())?;
    let poke = watch::readable(Arc::new(poke)).map_err(|e| e.to_string())?;
    engine.estate.ready();
    Ok((engine, receiver, poke))
}

/// For callbacks of threads: they wait where the inbox is full.
fn sender<T: Send + 'static>(
    inbox: &Inbox,
    wrap: impl Fn(T) -> Message + Send + 'static,
) -> impl Fn(T) + Send + 'static {
    let inbox = inbox.clone();
    move |value| send(&inbox, wrap(value))
}

fn send(inbox: &mpsc::Sender<Message>, message: Message) {
    // It fails only while the engine is leaving, and then nothing matters any more.
    let _ = inbox.blocking_send(message);
}

fn lower_oom_score() {
    if std::env::var_os(crate::launch::ORIGINAL_OOM).is_some() {
        // From the keeper's score upwards, which is always allowed; a failure costs nothing but rank.
        let _ = std::fs::write("/proc/self/oom_score_adj", OOM_SCORE);
    }
}

/// Opens the slots that the keeper holds, or that a daemon of this boot left which was killed whole.
fn find_runtime_state(
    paths: &Paths,
    estate: &Estate,
    given: &mut Given,
) -> Result<Option<Slots>, String> {
    let tag = Tag::single(Kind::STATE);
    let boot_id = boot_id()?;
    if let Some(fd) = given.remove(&tag) {
        // Mapped from a copy: the descriptor that is listed for the next keeper stays as it is.
        let copy = fd.try_clone().map_err(|e| e.to_string())?;
        return match Slots::open(copy, &boot_id) {
            Ok(slots) => {
                keep(fd);
                Ok(Some(slots))
            }
            // The keeper has seen no other boot. What ran is ended when it is adopted, since nothing
            // knows it any more, and started anew.
            Err(SlotsError::Stale) => {
                tracing::error!(
                    "the runtime state is damaged; everything that runs is started again"
                );
                new_runtime_state(paths, estate).map(Some)
            }
            Err(error) => Err(error.to_string()),
        };
    }
    let path = runtime_path(paths);
    if let Ok(found) = std::fs::symlink_metadata(&path)
        && (!found.is_file() || found.nlink() > 1)
    {
        tracing::error!(
            "{} is no plain file; a new one takes its place",
            path.display()
        );
        return Ok(None);
    }
    let file = match open_runtime(&path, false) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    match Slots::open(file, &boot_id) {
        Ok(slots) => {
            // That daemon is gone, and this one was started on purpose.
            slots.set_stopping(false);
            hold_runtime(&slots, estate)?;
            Ok(Some(slots))
        }
        Err(SlotsError::Stale) => Ok(None),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

fn new_runtime_state(paths: &Paths, estate: &Estate) -> Result<Slots, String> {
    let path = runtime_path(paths);
    let failed = |error: io::Error| format!("{}: {error}", path.display());
    // Never an existing file: somebody may still have it mapped.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        Ok(()) | Err(_) => {}
    }
    let file = open_runtime(&path, true).map_err(failed)?;
    let slots = Slots::create(file, &boot_id()?, token()).map_err(failed)?;
    hold_runtime(&slots, estate)?;
    Ok(slots)
}

fn boot_id() -> Result<String, String> {
    proc::boot_id().ok_or_else(|| "/proc does not tell the boot id; is it mounted?".to_owned())
}

fn open_runtime(path: &Path, create: bool) -> io::Result<OwnedFd> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(create)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file.into())
}

fn hold_runtime(slots: &Slots, estate: &Estate) -> Result<(), String> {
    let copy = slots.file().try_clone().map_err(|e| e.to_string())?;
    estate.hold(Tag::single(Kind::STATE), &copy);
    keep(copy);
    Ok(())
}

/// The descriptor stays open for as long as this process lives: it is listed for the next keeper.
pub(super) fn keep(fd: impl Into<OwnedFd>) {
    std::mem::forget(fd.into());
}

/// Random enough to tell two supervisors on one machine apart.
fn token() -> u64 {
    let mut bytes = [0; 8];
    let read =
        File::open("/dev/urandom").and_then(|mut file| io::Read::read_exact(&mut file, &mut bytes));
    match read {
        Ok(()) => u64::from_le_bytes(bytes),
        Err(_) => {
            let nanos = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |d| d.as_nanos());
            nanos as u64 ^ u64::from(std::process::id()) << 40
        }
    }
}

fn start_pump(
    folder: &Folder,
    streams: &Arc<Streams>,
    slots: &Arc<Slots>,
    estate: &Estate,
    given: &mut Given,
    inbox: &Inbox,
) -> Result<Pump, String> {
    let notes = Notes::new(Arc::clone(slots), estate.clone());
    let (streams, tell) = (Arc::clone(streams), teller(inbox));
    Pump::start(
        folder.clone(),
        Arc::new(notes),
        take_stages(given),
        move |id| streams.target(id),
        move |event| tell(Message::Log(event)),
    )
    .map_err(|error| error.to_string())
}

/// For callbacks that come from other threads, which wait where the inbox is full, and sometimes from
/// the engine's own turn, which must not.
pub(super) fn teller(inbox: &Inbox) -> impl Fn(Message) + Send + Sync + 'static {
    let inbox = inbox.clone();
    move |message| match Handle::try_current() {
        Ok(runtime) => {
            let inbox = inbox.clone();
            runtime.spawn(async move {
                // It fails only while the engine is leaving, and then nothing matters any more.
                let _ = inbox.send(message).await;
            });
        }
        Err(_) => send(&inbox, message),
    }
}

/// The control sockets: the ones that the keeper holds, or new ones.
fn listeners(
    paths: &Paths,
    estate: &Estate,
    given: &mut Given,
) -> Result<Vec<UnixListener>, String> {
    let mut listeners = Vec::new();
    for (path, generation) in paths.sockets.iter().zip(0..) {
        let tag = Tag {
            slot: 0,
            kind: Kind::LISTENER,
            generation,
        };
        let listener = match given.remove(&tag) {
            Some(fd) if path.exists() => UnixListener::from(fd),
            // The first time, or somebody has swept the folder: then a new one takes its place.
            _ => {
                let listener = bind(path)
                    .map_err(|e| format!("cannot make the socket {}: {e}", path.display()))?;
                estate.hold(tag, &listener);
                listener
            }
        };
        listener.set_nonblocking(true).map_err(|e| e.to_string())?;
        listeners.push(listener);
    }
    Ok(listeners)
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    // The lock says that nobody else lives here: what is there was left behind.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    // There is no moment in which others may connect. The log pump, which runs by now, gives its
    // files their modes without regard to the mask.
    let mask = umask(Mode::from_bits_truncate(0o077));
    let listener = UnixListener::bind(path);
    umask(mask);
    let listener = listener?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

fn watch_keeper(keeper: i32, inbox: &Inbox) -> Result<(), String> {
    let alive = pidfd::open(keeper).ok();
    let alive = alive.filter(|_| nix::unistd::getppid().as_raw() == keeper);
    let watched = match alive {
        Some(pidfd) => Some(watch::readable(Arc::new(pidfd)).map_err(|error| error.to_string())?),
        // It is gone since this process was started.
        None => None,
    };
    let inbox = inbox.clone();
    tokio::spawn(async move {
        if let Some(watched) = watched {
            // Readable or an error: in both cases there is no keeper to rely on.
            let _ = watched.readable().await;
        }
        // The engine ends only with the process.
        let _ = inbox.send(Message::KeeperGone).await;
    });
    Ok(())
}
