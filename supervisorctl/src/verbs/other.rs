//! The other daemon: `sudo supervisorctl` and plain `supervisorctl` speak to two.

use std::env;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};
use supervisor_protocol::Paths;

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
        let answers = Paths::system()
            .sockets
            .iter()
            .any(|socket| is_there(socket));
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
