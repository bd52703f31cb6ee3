//! The other daemon: `sudo supervisorctl` and plain `supervisorctl` speak to two.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use nix::unistd::{Uid, User};
use supervisor_protocol::client::Session;
use supervisor_protocol::{Paths, PathsError, Request};

use super::Context;

/// Set to anything but 0: as if `--system` were typed.
const SYSTEM: &str = "SUPERVISOR_SYSTEM";

/// Where the daemon is that is meant. Someone who names a folder means that one.
pub fn paths(system: bool) -> Result<Paths, PathsError> {
    let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
    let always = set(SYSTEM) && env::var_os(SYSTEM).is_none_or(|value| value != "0");
    match system || always && !set("SUPERVISOR_HOME") {
        true => Ok(Paths::system()),
        false => Paths::from_env(),
    }
}

/// The system's daemon, for somebody who never had one of their own and whom it lets in. Whoever has
/// one and finds it stopped must not stop the apps of all by the same words.
pub fn instead(context: &mut Context) -> Option<Session> {
    let own = &context.paths;
    let named = env::var_os("SUPERVISOR_HOME").is_some();
    if named || Uid::effective().is_root() || has_been_used(own) {
        return None;
    }
    let system = Paths::system();
    let mut session = Session::open(&system).ok()?;
    // A socket that everybody may connect to does not mean that everybody may ask.
    super::collect(&mut session, &Request::DaemonStatus, |_| vec![()]).ok()?;
    context.paths = system;
    Some(session)
}

/// Whether a daemon has ever kept its state there.
fn has_been_used(paths: &Paths) -> bool {
    fs::symlink_metadata(&paths.state).is_ok()
}

/// One sentence about the daemon that the user may have meant, if one runs.
pub fn sentence() -> Option<String> {
    // Someone who names a folder means that one.
    if env::var_os("SUPERVISOR_HOME").is_some() {
        return None;
    }
    if Uid::effective().is_root() {
        let uid = env::var("SUDO_UID")
            .ok()?
            .parse()
            .ok()
            .filter(|&uid| uid != 0)?;
        let user = User::from_uid(Uid::from_raw(uid)).ok().flatten()?;
        let answers = sockets_of(&user).iter().any(|socket| is_there(socket));
        answers.then(|| {
            format!(
                "{} has a daemon of their own: `supervisorctl status` without sudo",
                user.name
            )
        })
    } else {
        let sockets = Paths::system().sockets;
        if sockets.iter().any(|path| UnixStream::connect(path).is_ok()) {
            return Some("the system's runs: `supervisorctl --system status`".to_owned());
        }
        let answers = sockets.iter().any(|socket| is_there(socket));
        answers.then(|| "root may have a daemon of its own: `sudo supervisorctl status`".to_owned())
    }
}

/// Where a user's daemon listens, as far as another user's environment can tell.
fn sockets_of(user: &User) -> [PathBuf; 3] {
    let runtime = Path::new("/run/user").join(user.uid.to_string());
    let state = user.dir.join(".local/state/supervisor");
    [runtime.join("supervisor"), state.clone(), state.join("run")]
        .map(|folder| folder.join("supervisor.sock"))
}

/// A denied one counts: `/run` is empty after a boot, so that a daemon has made that folder since.
fn is_there(socket: &Path) -> bool {
    match UnixStream::connect(socket) {
        Ok(_) => true,
        Err(error) => error.kind() == io::ErrorKind::PermissionDenied,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_daemon_is_there_when_it_answers() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("supervisor.sock");
        assert!(!is_there(&socket));
        let listener = UnixListener::bind(&socket).unwrap();
        assert!(is_there(&socket));
        drop(listener);
        assert!(!is_there(&socket), "a socket left behind");
    }

    #[test]
    fn a_state_folder_says_that_somebody_has_had_a_daemon() {
        let home = tempfile::tempdir().unwrap();
        let paths = Paths::below(home.path());
        assert!(!has_been_used(&paths));
        fs::create_dir(&paths.state).unwrap();
        assert!(has_been_used(&paths));
    }

    #[test]
    fn a_user_has_sockets_below_the_runtime_and_the_state_folder() {
        let user = User::from_uid(Uid::from_raw(0)).unwrap().unwrap();
        let home = user.dir.display().to_string();
        assert_eq!(
            sockets_of(&user).map(|path| path.display().to_string()),
            [
                "/run/user/0/supervisor/supervisor.sock".to_owned(),
                format!("{home}/.local/state/supervisor/supervisor.sock"),
                format!("{home}/.local/state/supervisor/run/supervisor.sock"),
            ]
        );
    }
}
