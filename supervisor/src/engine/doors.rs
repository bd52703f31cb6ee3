//! Whom the control sockets let in: their folders, owners and modes, and the groups that
//! [`Rights`] judges by, as the `[daemon]` settings say at this moment.
//!
//! The modes only keep out who may do nothing at all; what a connection may ask is judged by the
//! kernel's word on who made it. A group that cannot be let in is told, and is not let in.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use nix::unistd::{Gid, Uid, getgroups};
use supervisor_config::{Config, DaemonSettings, Fault, Problem};
use supervisor_protocol::Paths;

use crate::control::rights::{Groups, Rights};
use crate::os::users;

/// So long a name service is given, once for each group.
const PATIENCE: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug, Default)]
pub struct Doors {
    rights: Rights,
    troubles: Vec<String>,
}

/// What a folder and the socket in it are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Modes {
    folder: u32,
    socket: u32,
}

impl Doors {
    /// What every connection asks.
    pub fn rights(&self) -> &Rights {
        &self.rights
    }

    /// Whom the settings name and who cannot be let in, one sentence each.
    pub fn troubles(&self) -> Vec<String> {
        self.troubles.clone()
    }

    /// Opens and closes, as the settings say.
    pub fn set(&mut self, paths: &Paths, settings: &DaemonSettings) {
        self.troubles.clear();
        let mut groups = Groups {
            control: self.find("group", settings.group.as_deref(), control),
            viewers: self.find("viewers", settings.viewers.as_deref(), users_group),
        };
        let modes = modes(groups);
        for socket in &paths.sockets {
            let folder = socket.parent().unwrap_or(Path::new("/"));
            let opened = set_one(folder, modes.folder, groups.control)
                .and_then(|()| set_one(socket, modes.socket, groups.control));
            if let Err(error) = opened {
                let socket = socket.display();
                self.trouble(format!("nobody else is let in at {socket}: {error}"));
                groups = Groups::default();
            }
        }
        self.rights.set(groups);
    }

    fn find(
        &mut self,
        key: &str,
        name: Option<&str>,
        find: fn(&str) -> Result<u32, String>,
    ) -> Option<u32> {
        let name = name?.to_owned();
        match in_time(PATIENCE, move || find(&name)) {
            Ok(number) => Some(number),
            Err(why) => {
                self.trouble(format!("`{key}` of [daemon] lets nobody in: {why}"));
                None
            }
        }
    }

    fn trouble(&mut self, why: String) {
        tracing::error!("{why}");
        self.troubles.push(why);
    }
}

/// What is wrong with the groups that a file names.
pub fn faults(config: &Config) -> Vec<Fault> {
    let fault = |key, name: Option<&str>, find: fn(&str) -> Result<u32, String>| {
        let why = find(name?).err()?;
        Some(config.daemon_fault(key, Problem::new(why)))
    };
    let DaemonSettings { group, viewers, .. } = &config.daemon;
    let found = [
        fault("daemon.group", group.as_deref(), control),
        fault("daemon.viewers", viewers.as_deref(), users_group),
    ];
    found.into_iter().flatten().collect()
}

/// The socket is given to this group, which only root can do with any.
fn control(name: &str) -> Result<u32, String> {
    let number = users_group(name)?;
    let group = Gid::from_raw(number);
    let own = group == Gid::effective() || getgroups().unwrap_or_default().contains(&group);
    match own || Uid::effective().is_root() {
        true => Ok(number),
        false => Err(format!(
            "this daemon's user is not in the group \"{name}\", and only root may give a socket to a group it is not in"
        )),
    }
}

/// What a name service says, which may be far away and take for ever: it is asked on a thread of its
/// own, since the engine waits, and one that waits for long is taken for hung and killed.
fn in_time(
    patience: Duration,
    find: impl FnOnce() -> Result<u32, String> + Send + 'static,
) -> Result<u32, String> {
    let (tell, found) = sync_channel(1);
    let asked = thread::Builder::new().spawn(move || {
        // Nobody waits any more.
        let _ = tell.send(find());
    });
    asked.map_err(|error| format!("no thread to be had: {error}"))?;
    found.recv_timeout(patience).unwrap_or_else(|_| {
        Err(
            "the user database does not answer; `supervisorctl daemon reload` tries again"
                .to_owned(),
        )
    })
}

fn users_group(name: &str) -> Result<u32, String> {
    users::group(name).map_err(|error| error.to_string())
}

/// Whoever may look may connect, and then so may everybody: who may do what is told by the kernel.
fn modes(groups: Groups) -> Modes {
    match (groups.control, groups.viewers) {
        (_, Some(_)) => Modes {
            folder: 0o711,
            socket: 0o666,
        },
        (Some(_), None) => Modes {
            folder: 0o710,
            socket: 0o660,
        },
        (None, None) => Modes {
            folder: 0o700,
            socket: 0o600,
        },
    }
}

/// Gives it the mode and the group; what is so already is not touched.
fn set_one(path: &Path, mode: u32, group: Option<u32>) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    if found.is_symlink() {
        return Err(io::Error::other("it is a symbolic link"));
    }
    let group = group.unwrap_or_else(|| Gid::effective().as_raw());
    let closed = Permissions::from_mode(if found.is_dir() { 0o700 } else { 0o600 });
    // Closed before anything else, so that the old mode never lets the new group in, nor the other
    // way round.
    if found.mode() & 0o7777 != mode || found.gid() != group {
        fs::set_permissions(path, closed)?;
        lchown(path, None, Some(group))?;
        fs::set_permissions(path, Permissions::from_mode(mode))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).expect("it is there").mode() & 0o7777
    }

    #[test]
    fn modes_follow_the_settings_both_ways() {
        let home = tempfile::tempdir().expect("a folder");
        let paths = Paths::below(home.path());
        fs::create_dir(&paths.run).expect("a folder");
        let socket = &paths.sockets[0];
        let _listener = UnixListener::bind(socket).expect("a socket");
        let own = Gid::effective().to_string();
        let mut doors = Doors::default();
        let mut set = |group: bool, viewers: bool| {
            let settings = DaemonSettings {
                group: group.then(|| own.clone()),
                viewers: viewers.then(|| own.clone()),
                ..DaemonSettings::default()
            };
            doors.set(&paths, &settings);
            assert_eq!(doors.troubles(), [""; 0]);
            (mode(&paths.run), mode(socket))
        };
        assert_eq!(set(true, false), (0o710, 0o660));
        assert_eq!(set(true, true), (0o711, 0o666));
        assert_eq!(set(false, true), (0o711, 0o666));
        assert_eq!(set(false, false), (0o700, 0o600));
    }

    #[test]
    fn a_name_service_that_hangs_holds_nobody_up() {
        let (open, shut) = sync_channel::<()>(0);
        let since = std::time::Instant::now();
        let hung = in_time(Duration::from_millis(20), move || {
            // Until this test is over.
            let _ = shut.recv();
            Ok(7)
        });
        assert!(hung.expect_err("no answer").contains("does not answer"));
        assert!(since.elapsed() < Duration::from_secs(20));
        drop(open);
        assert_eq!(in_time(Duration::from_secs(20), || Ok(7)), Ok(7));
    }

    #[test]
    fn a_group_that_is_not_there_lets_nobody_in_and_is_told() {
        let home = tempfile::tempdir().expect("a folder");
        let paths = Paths::below(home.path());
        fs::create_dir(&paths.run).expect("a folder");
        let _listener = UnixListener::bind(&paths.sockets[0]).expect("a socket");
        let mut doors = Doors::default();
        let settings = DaemonSettings {
            group: Some("no-such-group-here".to_owned()),
            ..DaemonSettings::default()
        };
        doors.set(&paths, &settings);
        assert!(doors.troubles()[0].contains("no-such-group-here"));
        assert_eq!(mode(&paths.sockets[0]), 0o600);
    }
}
