//! The one thread that makes processes. One at a time: the kernel suspends it until the child has
//! exec'd, which is what makes the slot's words trustworthy, and costs less than a millisecond.
//!
//! The order is the promise: the pipes are sent to the keeper before the child exists, the cell says
//! which run it is before the kernel writes the pid into it, and the child is in its cell before it
//! runs a line. So a new engine finds either no process, or one that it knows all about.
//!
//! Known limit: a program or environment file on a file system that hangs (NFS) holds up the starts
//! of others, too, for as long as it does. Running apps are not touched by that.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use supervisor_config::{App, Stdin};
use supervisor_core::{RunId, ServiceId, SpawnFault};

use super::estate::Estate;
use super::groups::Place;
use super::prepare::{Prepared, explain_exec, identity, prepare};
use super::streams::{Route, routes};
use crate::keeper::exits::Exits;
use crate::keeper::link::{Kind, Tag};
use crate::os::cgroup::Room;
use crate::os::pidfd;
use crate::os::pipe::{AppPipe, input_for_app, pipe_for_app};
use crate::os::spawn::{Launch, Outcome, Stage, spawn};
use crate::os::users::Identity;
use crate::persist::slots::{CellId, RunNotes, Slots};

/// So many descriptors stay free for those who want to stop something.
const RESERVE: u64 = 32;

/// What to start.
#[derive(Debug)]
pub struct Order {
    /// Whose run.
    pub id: ServiceId,
    /// Which run.
    pub run: RunId,
    /// Where it is written down.
    pub cell: CellId,
    /// From what.
    pub app: Arc<App>,
    /// A checksum of that.
    pub spec: u32,
    /// In which cgroup.
    pub place: Place,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// Whose run.
    pub id: ServiceId,
    /// Which run.
    pub run: RunId,
    /// Where it is written down.
    pub cell: CellId,
    /// The process, or why there is none.
    pub result: Result<Born, Problem>,
}

/// A process that has exec'd.
#[derive(Debug)]
pub struct Born {
    /// Its pid.
    pub pid: i32,
    /// `None`: it is gone already.
    pub pidfd: Option<OwnedFd>,
    /// The read ends of its standard output and its standard error, where those are pipes of its own.
    pub output: [Option<OwnedFd>; 2],
    /// The write end of its standard input, where it is a pipe.
    pub stdin: Option<OwnedFd>,
    /// Where it is.
    pub place: Place,
}

/// Why there is no process.
#[derive(Debug)]
pub struct Problem {
    /// Whose fault.
    pub fault: SpawnFault,
    /// One sentence.
    pub reason: String,
}

/// What the thread works with.
pub struct Tools {
    /// The keeper.
    pub estate: Estate,
    /// Its pid.
    pub keeper: i32,
    /// The cells.
    pub slots: Arc<Slots>,
    /// The exit records.
    pub exits: Arc<Exits>,
    /// Where cgroups are made.
    pub room: Option<Arc<Room>>,
}

/// A handle to the thread; it ends with the process.
#[derive(Debug)]
pub struct Spawner {
    orders: Sender<Order>,
}

impl Spawner {
    /// Starts the thread. `done` is called once for each order.
    ///
    /// # Errors
    /// No thread to be had.
    pub fn start(tools: Tools, done: impl Fn(Report) + Send + 'static) -> io::Result<Spawner> {
        let (orders, inbox) = channel::<Order>();
        thread::Builder::new()
            .name("spawner".into())
            .stack_size(256 * 1024)
            .spawn(move || {
                // A signal meant for this process must not be handled by a child that still shares
                // its memory.
                let blocked = SigSet::all();
                if nix::sys::signal::pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&blocked), None)
                    .is_err()
                {
                    return;
                }
                for order in inbox {
                    let result = tools.carry_out(&order);
                    let Order { id, run, cell, .. } = order;
                    done(Report {
                        id,
                        run,
                        cell,
                        result,
                    });
                }
            })?;
        Ok(Spawner { orders })
    }

    /// Orders a start.
    pub fn spawn(&self, order: Order) {
        // The thread ends only with the process.
        let _ = self.orders.send(order);
    }
}

/// The value of `SUPERVISOR_RUN`: tells this run's processes from all others of the machine.
pub fn run_token(token: u64, cell: CellId, run: RunId) -> String {
    format!("{token:016x}.{}.{}", cell.0, run.0)
}

/// The tags under which the keeper holds a run's pipes.
pub fn pipe_tags(cell: CellId, run: RunId) -> [Tag; 2] {
    [Kind::STDOUT, Kind::STDERR].map(|kind| Tag {
        slot: cell.0,
        kind,
        generation: run.0,
    })
}

/// The tag under which the keeper holds the write end of a run's standard input.
pub fn stdin_tag(cell: CellId, run: RunId) -> Tag {
    Tag {
        slot: cell.0,
        kind: Kind::STDIN,
        generation: run.0,
    }
}

/// The tag under which the keeper holds a run's pidfd.
pub fn child_tag(cell: CellId, pid: i32) -> Tag {
    Tag {
        slot: cell.0,
        kind: Kind::CHILD,
        generation: pid.cast_unsigned().into(),
    }
}

impl Tools {
    fn carry_out(&self, order: &Order) -> Result<Born, Problem> {
        let identity = identity(&order.app).map_err(broken)?;
        let short = |error: io::Error| problem_of_machine("cannot make its pipes", &error);
        let pipes = Pipes::new(order, identity.as_ref()).map_err(short)?;
        // The keeper takes them while this thread does the rest, so that hardly anybody waits.
        self.estate.ask_to_hold(&pipes.held());
        let prepared = prepare(&order.app, identity).map_err(broken);
        let held = pipes.held();
        let born = self.with_pipes(order, prepared, pipes);
        // What was sent counts from then on, however this process ends. The answer can only be that the
        // keeper had no room, which [`RESERVE`] makes rare: so nobody waits for it before the child runs.
        if let Err(error) = self.estate.surely_held(&held) {
            if let Ok(born) = &born {
                self.undo(order.cell, born);
            }
            return Err(short(error));
        }
        born.inspect_err(|_| {
            held.iter().for_each(|(tag, _)| self.estate.drop_held(*tag));
        })
    }

    /// An app whose pipes nobody but this process holds must not live: its lines would be lost with us.
    fn undo(&self, cell: CellId, born: &Born) {
        if let Some(pidfd) = &born.pidfd {
            // With whomever it has started by now. It fails when the process has exited, which is what is
            // wanted.
            let _ = pidfd::send_group(pidfd, born.pid, Signal::SIGKILL as i32);
            let _ = pidfd::send(pidfd, Signal::SIGKILL);
        }
        self.estate.drop_held(child_tag(cell, born.pid));
    }

    fn with_pipes(
        &self,
        order: &Order,
        prepared: Result<Prepared, Problem>,
        pipes: Pipes,
    ) -> Result<Born, Problem> {
        let prepared = prepared?;
        let (stdin, input) = match pipes.stdin {
            Some(AppPipe { ours, apps }) => (Some(apps), Some(ours)),
            None => (None, None),
        };
        let [stdout, stderr] = pipes.output;
        let mut launch = Launch {
            programs: prepared.programs,
            argv: prepared.argv,
            env: self.environment(order, prepared.env).map_err(broken)?,
            directory: prepared.directory,
            stdin,
            stdout: stdout.apps,
            stderr: stderr.apps,
            identity: prepared.identity,
            umask: prepared.umask,
            nofile: prepared.nofile,
            oom_score_adj: prepared.oom_score_adj,
            nice: prepared.nice,
            keeper: self.keeper,
            no_new_privs: prepared.no_new_privs,
            cgroup: None,
        };
        let start = |launch: &Launch| self.write_down_and_spawn(order, launch);
        let (outcome, place) = self.start_in_place(order, &mut launch, start)?;
        match outcome {
            Outcome::Running { pid, pidfd } => {
                if let Some(pidfd) = &pidfd {
                    self.estate.hold(child_tag(order.cell, pid), pidfd);
                }
                Ok(Born {
                    pid,
                    pidfd,
                    output: [stdout.ours, stderr.ours],
                    stdin: input,
                    place,
                })
            }
            Outcome::Failed { stage, errno, .. } => Err(failed_stage(
                stage,
                errno,
                &launch.programs[0],
                &launch.directory,
                order.app.user.as_deref(),
            )),
            Outcome::NoProcess { errno } => Err(problem_of_machine(
                "no process to be had",
                &io::Error::from(errno),
            )),
        }
    }

    fn write_down_and_spawn(&self, order: &Order, launch: &Launch) -> Outcome {
        let words = self.slots.spawn_cell(order.cell);
        words.pid.store(0, Ordering::Release);
        words.stage.store(Stage::None as u32, Ordering::Release);
        words.errno.store(0, Ordering::Release);
        let head = self.exits.head().and_then(|head| {
            self.exits.clear_cell(order.cell.0)?;
            Ok(head)
        });
        let seen = match head {
            Ok(head) => head,
            Err(error) => {
                let errno = error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
                return Outcome::NoProcess { errno };
            }
        };
        let notes = RunNotes {
            run: order.run,
            seen,
            birth: 0,
            spec: order.spec,
            begun: [None; 2],
        };
        self.slots.note(order.cell, &notes);
        spawn(launch, words)
    }

    fn environment(
        &self,
        order: &Order,
        mut env: BTreeMap<String, String>,
    ) -> Result<Vec<CString>, String> {
        let token = run_token(self.slots.token(), order.cell, order.run);
        env.insert("SUPERVISOR_APP".into(), order.id.app.to_string());
        env.insert("SUPERVISOR_INSTANCE".into(), order.id.instance.to_string());
        env.insert("SUPERVISOR_RUN".into(), token);
        env.into_iter()
            .map(|(key, value)| {
                CString::new(format!("{key}={value}"))
                    .map_err(|_| format!("the value of {key} contains a NUL byte"))
            })
            .collect()
    }
}

/// The pipes of a run.
struct Pipes {
    output: [Output; 2],
    stdin: Option<AppPipe>,
    /// Under which the keeper holds this program's ends, in this order.
    tags: Vec<Tag>,
}

/// What the app writes one of its streams to.
struct Output {
    /// The keeper's and the engine's, where it is a pipe of its own.
    ours: Option<OwnedFd>,
    apps: OwnedFd,
}

impl Output {
    fn new(
        route: Route,
        identity: Option<&Identity>,
        stdout: Option<&Output>,
    ) -> io::Result<Output> {
        let alone = |apps| Output { ours: None, apps };
        match (route, stdout) {
            (Route::Merged, Some(stdout)) => stdout.apps.try_clone().map(alone),
            (Route::Pipe, _) => {
                let AppPipe { ours, apps } = pipe_for_app(identity)?;
                let ours = Some(ours);
                Ok(Output { ours, apps })
            }
            (Route::Null | Route::Merged, _) => {
                let null = File::options().write(true).open("/dev/null")?;
                Ok(alone(null.into()))
            }
        }
    }
}

impl Pipes {
    fn new(order: &Order, identity: Option<&Identity>) -> io::Result<Pipes> {
        let stdin = match order.app.stdin {
            Stdin::Null => None,
            Stdin::Pipe => Some(input_for_app(identity)?),
        };
        let [stdout, stderr] = routes(&order.app.logs);
        let stdout = Output::new(stdout, identity, None)?;
        let stderr = Output::new(stderr, identity, Some(&stdout))?;
        let output = [stdout, stderr];
        let own = pipe_tags(order.cell, order.run).into_iter().zip(&output);
        let own = own.filter(|(_, output)| output.ours.is_some());
        let mut tags: Vec<Tag> = own.map(|(tag, _)| tag).collect();
        tags.extend(stdin.as_ref().map(|_| stdin_tag(order.cell, order.run)));
        let pipes = Pipes {
            output,
            stdin,
            tags,
        };
        let (most, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
        let highest = pipes.held().iter().map(|(_, fd)| fd.cast_unsigned()).max();
        if highest.is_some_and(|fd| u64::from(fd) + RESERVE > most) {
            return Err(Errno::EMFILE.into());
        }
        Ok(pipes)
    }

    fn held(&self) -> Vec<(Tag, RawFd)> {
        let output = self.output.iter().filter_map(|output| output.ours.as_ref());
        let ends = output.chain(self.stdin.as_ref().map(|pipe| &pipe.ours));
        let ends = ends.map(AsRawFd::as_raw_fd);
        self.tags.iter().copied().zip(ends).collect()
    }
}

fn broken(reason: String) -> Problem {
    Problem {
        fault: SpawnFault::Broken,
        reason,
    }
}

/// A failure before or at exec, as one sentence.
pub fn failed_stage(
    stage: Stage,
    errno: Errno,
    program: &CStr,
    directory: &CStr,
    user: Option<&str>,
) -> Problem {
    let fault = match errno {
        Errno::EAGAIN | Errno::ENOMEM | Errno::ENFILE | Errno::EMFILE => SpawnFault::Shortage,
        // The keeper died at that moment: the next one's engine tries again. So does the next one after an
        // engine that died before it could start this one without a cgroup.
        _ if matches!(stage, Stage::Parent | Stage::Cgroup) => SpawnFault::Shortage,
        _ => SpawnFault::Broken,
    };
    let program = Path::new(OsStr::from_bytes(program.to_bytes()));
    let directory = Path::new(OsStr::from_bytes(directory.to_bytes()));
    let as_whom = user.map_or(String::new(), |user| format!(" as user {user}"));
    let reason = match stage {
        Stage::Exec => explain_exec(program, errno) + &as_whom,
        Stage::Directory => {
            format!(
                "directory {}{as_whom}: {}",
                directory.display(),
                errno.desc()
            )
        }
        _ => format!("{stage}{as_whom}: {}", errno.desc()),
    };
    Problem { fault, reason }
}

fn problem_of_machine(what: &str, error: &io::Error) -> Problem {
    Problem {
        fault: SpawnFault::Shortage,
        reason: format!("{what}: {}", super::prepare::plain(error)),
    }
}
