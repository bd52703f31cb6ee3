//! From the command line to the keeper: folders with their modes, locks, limits, and, where asked
//! for, into the background. Everything that can be wrong with the surroundings is found here, while
//! there is a person to tell.

mod lock;

use std::fmt::Display;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Uid;
use supervisor_protocol::Paths;

use crate::keeper::link::{Kind, Tag};
use crate::keeper::{inherit, systemd};
use crate::os::daemon::{self, Detached};
use crate::os::own;

/// In the environment of the daemon: the limit of open descriptors that apps get back, `soft:hard`.
pub const ORIGINAL_NOFILE: &str = "SUPERVISOR_ORIGINAL_NOFILE";
/// In the environment of the daemon: the oom_score_adj that apps get back.
pub const ORIGINAL_OOM: &str = "SUPERVISOR_ORIGINAL_OOM_SCORE_ADJ";

/// In the environment of the daemon: the path by which it was started, where an upgrade finds the next
/// program.
pub const PROGRAM: &str = "SUPERVISOR_PROGRAM";

/// In the environment of an engine whose keeper is systemd's: it ends with that keeper.
pub const UNDER_SYSTEMD: &str = "SUPERVISOR_UNDER_SYSTEMD";

/// The keeper's oom_score_adj: never killed for memory.
pub const KEEPER_OOM: &str = "-1000";

/// Under systemd, which tries again ten times a second, one that cannot begin waits so long first.
const BEFORE_AGAIN: Duration = Duration::from_secs(2);
/// `--daemonize` waits so long for "ready".
const READY_PATIENCE: Duration = Duration::from_secs(20);

/// Starts the apps it knows and keeps them running.
///
/// Without options it stays in the foreground: Ctrl-C or SIGTERM stops the apps in order and then
/// the daemon. `supervisorctl` is the way to speak to it.
#[derive(Parser)]
#[command(
    name = "supervisor",
    version,
    after_help = "Example:\n  supervisor --daemonize\n  supervisorctl status"
)]
struct Arguments {
    /// Go to the background, and return when ready
    #[arg(long)]
    daemonize: bool,
}

/// Whether this engine's keeper is systemd's.
pub fn is_under_systemd() -> bool {
    std::env::var_os(UNDER_SYSTEMD).is_some()
}

/// Prepares and becomes the keeper; returns only when that fails, or in front of a daemon that
/// went to the background.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match prepare_and_go(&arguments) {
        Ok(code) => code,
        Err(refusal) => {
            eprintln!("supervisor: {}", refusal.message);
            if systemd::is_above() {
                std::thread::sleep(BEFORE_AGAIN);
            }
            refusal.code
        }
    }
}

/// Why it does not begin.
struct Refusal {
    message: String,
    code: ExitCode,
}

impl From<String> for Refusal {
    fn from(message: String) -> Refusal {
        let code = ExitCode::FAILURE;
        Refusal { message, code }
    }
}

fn prepare_and_go(arguments: &Arguments) -> Result<ExitCode, Refusal> {
    let paths = Paths::from_env().map_err(|error| error.to_string())?;
    if arguments.daemonize {
        // Whoever started it may be a service; then its systemd is not ours.
        systemd::VARIABLES
            .into_iter()
            .for_each(own::remove_environment);
    }
    let under_systemd = systemd::is_above();
    make_folders(&paths)?;
    let passed = systemd::take_passed().map_err(failed("cannot take what systemd has kept"))?;
    let mut locks = lock::take(&paths, under_systemd);
    if let (Err(refusal), false) = (&mut locks, passed.is_empty()) {
        // Whoever systemd has kept descriptors for is what it takes for another one: to be tried again.
        refusal.code = ExitCode::FAILURE;
    }
    let locks = locks?;
    raise_limits();
    note_program();
    let mut table: Vec<(RawFd, Tag)> = locks
        .iter()
        .zip(0..)
        .map(|(file, generation)| {
            (
                file.as_raw_fd(),
                Tag {
                    slot: 0,
                    kind: Kind::LOCK,
                    generation,
                },
            )
        })
        .collect();
    table.extend(passed);
    if !arguments.daemonize {
        let how = match under_systemd {
            true => "is a service of systemd",
            false => "runs in the foreground; Ctrl-C stops its apps, then itself",
        };
        eprintln!(
            "supervisor {} {how}. Its log: {}",
            env!("CARGO_PKG_VERSION"),
            paths.daemon_log().display()
        );
        return Err(become_keeper(&table).to_string().into());
    }
    let (ready, announce) = nix::unistd::pipe().map_err(failed("cannot make a pipe"))?;
    match daemon::fork_detached().map_err(failed("cannot go to the background"))? {
        Detached::Parent { .. } => {
            drop(announce);
            drop(locks);
            Ok(wait_until_ready(ready, &paths)?)
        }
        Detached::Child => {
            drop(ready);
            lock::note_holder(&locks);
            // It shall not keep a file system busy that somebody wants to unmount; the root is there.
            let _ = std::env::set_current_dir("/");
            table.push((announce.as_raw_fd(), Tag::single(Kind::ANNOUNCE)));
            // The parent sees the pipe end and points to the daemon's log.
            Err(become_keeper(&table).to_string().into())
        }
    }
}

fn failed<E: Display>(what: &str) -> impl FnOnce(E) -> String {
    move |error| format!("{what}: {error}")
}

fn make_folders(paths: &Paths) -> Result<(), String> {
    // A daemon that runs may have let groups in to its sockets, and this one may be about to find out
    // that it runs. Where none does, the engine closes what is open and names nobody.
    let has_socket = |path: &Path| {
        let mut folders = paths.sockets.iter().map(|socket| socket.parent());
        folders.any(|folder| folder == Some(path))
    };
    for path in [&paths.run, &paths.state] {
        let most = if has_socket(path) { 0o711 } else { 0o700 };
        make_folder(path, 0o700, most)?;
    }
    make_folder(&paths.logs, 0o750, 0o750)
}

/// Makes a folder with exactly this mode; one that is there already must be ours, and is given that
/// mode where it gives others more than `most`.
fn make_folder(path: &Path, mode: u32, most: u32) -> Result<(), String> {
    let wrong = |why: &str| format!("the folder {} {why}", path.display());
    if let Some(parent) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(parent)
            .map_err(|error| format!("cannot make the folder {}: {error}", parent.display()))?;
    }
    match DirBuilder::new().mode(mode).create(path) {
        // Whatever the mask of whoever starts it is.
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(mode))
            .map_err(|error| wrong(&error.to_string()))?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(wrong(&format!("cannot be made: {error}"))),
    }
    let found = fs::symlink_metadata(path).map_err(|error| wrong(&error.to_string()))?;
    if !found.is_dir() {
        return Err(wrong("is something else than a folder; move it away"));
    }
    if found.uid() != Uid::effective().as_raw() {
        return Err(wrong(&format!(
            "belongs to uid {}, not to this user (uid {}); run as that user, or `chown` it",
            found.uid(),
            Uid::effective()
        )));
    }
    let now = found.mode() & 0o7777;
    if now & !most != 0 || now & 0o700 != 0o700 {
        fs::set_permissions(path, Permissions::from_mode(mode))
            .map_err(|error| wrong(&format!("cannot be given mode {mode:o}: {error}")))?;
    }
    Ok(())
}

/// The daemon needs about nine descriptors for each app, and shall be the last to be killed for
/// memory; apps get both values back as they were.
fn raise_limits() {
    let mut kept = Vec::new();
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        kept.push((ORIGINAL_NOFILE, format!("{soft}:{hard}")));
        // Where it is refused, fewer apps fit; the shortage is told when it comes.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    const OOM: &str = "/proc/self/oom_score_adj";
    if let Ok(score) = fs::read_to_string(OOM)
        && Uid::effective().is_root()
        && fs::write(OOM, KEEPER_OOM).is_ok()
    {
        kept.push((ORIGINAL_OOM, score_of_apps(score.trim()).to_owned()));
    }
    own::set_environment(&kept);
}

/// What apps get where the daemon was started with `score`. The keeper's own is meant for the daemon (a
/// unit says `OOMScoreAdjust=-1000`): an app that has it is never killed for memory, not even for going
/// over its own limit, and the machine stands still instead.
fn score_of_apps(score: &str) -> &str {
    match score {
        KEEPER_OOM => "0",
        _ => score,
    }
}

/// Notes the path by which this program was started: links in it are followed anew by each upgrade.
fn note_program() {
    let real = std::env::current_exe().ok();
    let first = std::env::args_os().next().map(PathBuf::from);
    let named = first.and_then(|name| match name.components().count() {
        0 => None,
        1 => std::env::split_paths(&std::env::var_os("PATH")?)
            .map(|folder| folder.join(&name))
            .find(|path| is_same(path, real.as_deref())),
        _ => Some(name),
    });
    let named = named.filter(|path| is_same(path, real.as_deref()));
    let path = named
        .and_then(|path| std::path::absolute(path).ok())
        .or(real);
    if let Some(path) = path {
        own::set_environment(&[(PROGRAM, path)]);
    }
}

fn is_same(path: &Path, other: Option<&Path>) -> bool {
    let file = |path: &Path| {
        fs::metadata(path)
            .ok()
            .map(|found| (found.dev(), found.ino()))
    };
    other.is_some_and(|other| file(path).is_some() && file(path) == file(other))
}

/// Replaces this process by the keeper, with the descriptors of `table`.
pub fn become_keeper(table: &[(RawFd, Tag)]) -> io::Error {
    own::inherit_nothing();
    // What another thread has closed at this moment is of a run that is over.
    let open = table
        .iter()
        .copied()
        .filter(|(fd, _)| own::inherit_on_exec(*fd).is_ok());
    match inherit::write(open) {
        Ok(list) => own::exec_self("keeper", list.as_raw_fd().to_string()),
        Err(error) => error,
    }
}

fn wait_until_ready(ready: OwnedFd, paths: &Paths) -> Result<ExitCode, String> {
    let mut said = Vec::new();
    let started = Instant::now();
    let mut file = File::from(ready);
    while started.elapsed() < READY_PATIENCE {
        let mut fds = [nix::poll::PollFd::new(
            std::os::fd::AsFd::as_fd(&file),
            nix::poll::PollFlags::POLLIN,
        )];
        if nix::poll::poll(&mut fds, 100u16) == Ok(0) {
            continue;
        }
        let mut part = [0; 64];
        match file.read(&mut part) {
            Ok(0) | Err(_) => break,
            Ok(n) => said.extend_from_slice(&part[..n]),
        }
        if said.starts_with(b"ready") {
            return Ok(ExitCode::SUCCESS);
        }
    }
    Err(format!(
        "the daemon did not get ready; its own log may say why: {}",
        paths.daemon_log().display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_app_has_the_score_of_the_keeper() {
        assert_eq!(score_of_apps("-1000"), "0");
        for score in ["0", "-999", "500"] {
            assert_eq!(score_of_apps(score), score);
        }
    }

    #[test]
    fn whoever_comes_second_shuts_nobody_out() {
        let home = tempfile::tempdir().expect("a folder");
        let paths = Paths::below(home.path());
        make_folders(&paths).expect("own folders");
        let mode = |path: &Path| fs::metadata(path).expect("it is there").mode() & 0o7777;
        let modes = || [&paths.run, &paths.state, &paths.logs].map(|path| mode(path));
        assert_eq!(modes(), [0o700, 0o700, 0o750]);
        for (set, left) in [
            (0o710, 0o710),
            (0o711, 0o711),
            (0o755, 0o700),
            (0o600, 0o700),
        ] {
            for folder in [&paths.run, &paths.state] {
                fs::set_permissions(folder, Permissions::from_mode(set)).expect("own folder");
            }
            make_folders(&paths).expect("own folders");
            // The state has no socket here.
            assert_eq!(modes(), [left, 0o700, 0o750], "{set:o}");
        }
    }
}
