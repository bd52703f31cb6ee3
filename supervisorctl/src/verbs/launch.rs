//! Starting the daemon where a verb needs one and none runs.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use supervisor_protocol::Paths;
use supervisor_protocol::client::{ConnectError, Session};

use super::Context;
use crate::boot::{DAEMON, systemctl};
use crate::errors::{CliError, Exit};

const PROGRAM: &str = "supervisor";

/// A connection, to a daemon that was started for it if need be.
pub fn ensure(context: &Context) -> Result<Session, CliError> {
    match Session::open(&context.paths) {
        Ok(session) => return Ok(session),
        Err(ConnectError::NoDaemon { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    if let Some(error) = not_own(context) {
        return Err(error);
    }
    let started = match systemctl::in_charge(&context.paths)? {
        Some(systemctl) => systemctl.run(&["start", DAEMON]).map(|_| ()),
        None => daemonize(&program("no daemon is running")?),
    };
    // Tried in any case: another command may have started one at the same moment, which makes
    // ours fail.
    match (Session::open(&context.paths), started) {
        (Ok(session), _) => Ok(session),
        (Err(_), Err(error)) => Err(error),
        (Err(error), Ok(())) => Err(CliError::new(
            Exit::NoDaemon,
            "the daemon was started, and does not answer",
        )
        .cause(error.to_string())
        .hint(format!(
            "its own log may say why: {}",
            context.paths.daemon_log().display()
        ))),
    }
}

/// What is said where the daemon that does not run is the system's and not the user's own.
pub fn not_own(context: &Context) -> Option<CliError> {
    let own = Paths::from_env().is_ok_and(|own| own == context.paths);
    let message = "the system's daemon does not run, and only root can start it";
    let hint = "sudo systemctl start supervisor, or where there is no systemd: sudo supervisor --daemonize";
    (!own).then(|| CliError::new(Exit::NoDaemon, message).hint(hint))
}

/// The daemon's program: beside this one, else in `PATH`.
pub fn find_program() -> Option<PathBuf> {
    let beside = env::current_exe()
        .ok()
        .map(|exe| exe.with_file_name(PROGRAM));
    beside
        .filter(|path| is_executable(path))
        .or_else(|| find_in_path(PROGRAM, env::var_os("PATH").as_deref()))
}

/// The same where there has to be one; `needed`: what for.
pub fn program(needed: &str) -> Result<PathBuf, CliError> {
    find_program().ok_or_else(|| {
        CliError::new(
            Exit::Failed,
            format!("{needed}, and its program cannot be found"),
        )
        .cause("`supervisor` is neither beside supervisorctl nor in PATH")
        .hint("install `supervisor` beside supervisorctl")
    })
}

/// It returns when the daemon answers, and has said itself what went wrong otherwise.
fn daemonize(program: &Path) -> Result<(), CliError> {
    let status = Command::new(program)
        .arg("--daemonize")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status();
    let why = match status {
        Ok(status) if status.success() => return Ok(()),
        Ok(status) => format!("`{} --daemonize` ended with {status}", program.display()),
        Err(error) => format!("{} cannot be run: {error}", program.display()),
    };
    Err(CliError::new(Exit::Failed, "the daemon could not be started").cause(why))
}

/// The first program of that name in the folders of `path`.
pub fn find_in_path(name: &str, path: Option<&OsStr>) -> Option<PathBuf> {
    env::split_paths(path?)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|candidate| is_executable(candidate))
}

/// Whether it is a file that may be run by somebody.
pub fn is_executable(path: &Path) -> bool {
    let mode: io::Result<u32> = path.metadata().map(|meta| {
        if meta.is_file() {
            meta.permissions().mode()
        } else {
            0
        }
    });
    mode.is_ok_and(|mode| mode & 0o111 != 0)
}
