//! Where everything lives: as root, as a user, or below `SUPERVISOR_HOME`.

use std::env;
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};

/// The places of one supervisor. Both programs derive them in the same way from their environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// `supervisor.toml`.
    pub config_file: PathBuf,
    /// Folder of more config files.
    pub config_dir: PathBuf,
    /// Socket and runtime state.
    pub run: PathBuf,
    /// Desired state, lock.
    pub state: PathBuf,
    /// The apps' logs, and the daemon's own.
    pub logs: PathBuf,
    /// Where the control socket is bound, the first one that a client tries first. More than one
    /// where the first may be swept away at a logout while the daemon lives on.
    pub sockets: Vec<PathBuf>,
}

/// Why there is no place to live.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathsError {
    /// `SUPERVISOR_HOME` is relative.
    #[error("SUPERVISOR_HOME must be an absolute path, not {0:?}")]
    RelativeHome(PathBuf),
    /// Neither `HOME` nor the user database knows a home.
    #[error("no home folder: set HOME, or SUPERVISOR_HOME to a folder of your choice")]
    NoHome,
    /// A Unix socket's path has 107 bytes.
    #[error(
        "the socket's path has {length} bytes, and a Unix socket's path has at most {max}: {path}; set SUPERVISOR_HOME to a shorter path",
        max = Paths::SOCKET_MAX
    )]
    SocketTooLong {
        /// The path.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
    },
}

impl Paths {
    /// The longest path of a Unix socket, in bytes.
    pub const SOCKET_MAX: usize = 107;
    const SOCKET: &str = "supervisor.sock";

    /// From this process's environment and user.
    ///
    /// # Errors
    /// See [`PathsError`].
    pub fn from_env() -> Result<Paths, PathsError> {
        let paths = if let Some(home) = env::var_os("SUPERVISOR_HOME").filter(|h| !h.is_empty()) {
            let home = PathBuf::from(home);
            if !home.is_absolute() {
                return Err(PathsError::RelativeHome(home));
            }
            Paths::below(&home)
        } else if Uid::effective().is_root() {
            Paths::system()
        } else {
            Paths::user()?
        };
        paths.check()
    }

    /// All of it below one folder: `SUPERVISOR_HOME`.
    #[must_use]
    pub fn below(home: &Path) -> Paths {
        Paths {
            config_file: home.join("supervisor.toml"),
            config_dir: home.join("conf.d"),
            run: home.join("run"),
            state: home.join("state"),
            logs: home.join("logs"),
            sockets: vec![home.join("run").join(Paths::SOCKET)],
        }
    }

    /// The places of a root daemon.
    #[must_use]
    pub fn system() -> Paths {
        Paths {
            config_file: "/etc/supervisor/supervisor.toml".into(),
            config_dir: "/etc/supervisor/conf.d".into(),
            run: "/run/supervisor".into(),
            state: "/var/lib/supervisor".into(),
            logs: "/var/log/supervisor".into(),
            sockets: vec![Path::new("/run/supervisor").join(Paths::SOCKET)],
        }
    }

    fn user() -> Result<Paths, PathsError> {
        let home = env::var_os("HOME")
            .filter(|h| !h.is_empty())
            .map(PathBuf::from)
            .or_else(|| {
                User::from_uid(Uid::effective())
                    .ok()
                    .flatten()
                    .map(|u| u.dir)
            })
            .ok_or(PathsError::NoHome)?;
        let folder = |variable: &str, default: &str| {
            env::var_os(variable)
                .map(PathBuf::from)
                .filter(|p| p.is_absolute())
                .unwrap_or_else(|| home.join(default))
                .join("supervisor")
        };
        let config = folder("XDG_CONFIG_HOME", ".config");
        let state = folder("XDG_STATE_HOME", ".local/state");
        let runtime = env::var_os("XDG_RUNTIME_DIR")
            .map(PathBuf::from)
            .filter(|p| p.is_absolute());
        let run = match &runtime {
            Some(dir) => dir.join("supervisor"),
            None => state.join("run"),
        };
        // The runtime folder is deleted at the last logout, and those who come by cron or `su` are not
        // told of it: the state folder is where everybody looks, whichever way they came.
        let sockets = vec![run.join(Paths::SOCKET), state.join(Paths::SOCKET)];
        Ok(Paths {
            config_file: config.join("supervisor.toml"),
            config_dir: config.join("conf.d"),
            logs: state.join("logs"),
            run,
            state,
            sockets,
        })
    }

    fn check(self) -> Result<Paths, PathsError> {
        for path in &self.sockets {
            let length = path.as_os_str().len();
            if length > Paths::SOCKET_MAX {
                return Err(PathsError::SocketTooLong {
                    path: path.clone(),
                    length,
                });
            }
        }
        Ok(self)
    }

    /// The daemon's own log.
    #[must_use]
    pub fn daemon_log(&self) -> PathBuf {
        self.logs.join("supervisor.log")
    }
}
