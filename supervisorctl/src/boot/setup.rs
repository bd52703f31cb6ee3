//! What a daemon that starts at boot is to be like, and the unit that is there already.
//!
//! Owns the questions whose unit a file is, and whether it is for this supervisor: one machine can
//! have several, told apart by `SUPERVISOR_HOME`.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use supervisor_protocol::Paths;

use super::units::{self, MARK};
use super::{DAEMON, Scope, home_in_user_database};
use crate::errors::{CliError, Exit};
use crate::verbs::launch;

/// What the units are made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Whose systemd starts it.
    pub scope: Scope,
    /// The daemon's program.
    pub supervisor: PathBuf,
    /// The command line's.
    pub supervisorctl: PathBuf,
    /// Folders of its state and its logs.
    pub folders: [PathBuf; 2],
    /// What its environment needs, so that it lives where this command would look for it.
    pub variables: Vec<(&'static str, OsString)>,
}

/// The folders that every `PATH` has anyway.
const USUAL: [&str; 9] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
    "/usr/local/games",
    "/usr/games",
    "/snap/bin",
];

impl Setup {
    /// With the programs that are in use now.
    pub fn here(paths: &Paths) -> Result<Setup, CliError> {
        if Scope::own() == Scope::User && *paths == Paths::system() {
            let what = "only root sets up the system's daemon";
            return Err(CliError::new(Exit::Failed, what).hint("the same with sudo"));
        }
        let supervisorctl = env::current_exe().map_err(|error| {
            CliError::of_system("the path of this program cannot be found", &error)
        })?;
        let supervisor = launch::program("this is about the daemon")?;
        Ok(Setup::with(Scope::own(), supervisor, supervisorctl, paths))
    }

    /// With these programs.
    pub fn with(scope: Scope, supervisor: PathBuf, supervisorctl: PathBuf, paths: &Paths) -> Setup {
        Setup {
            scope,
            supervisor,
            supervisorctl,
            folders: [paths.state.clone(), paths.logs.clone()],
            variables: variables(scope, &|name| env::var_os(name)),
        }
    }

    /// Whether a unit is for the same supervisor: lives in the same place, whatever its `PATH`.
    fn is_same(&self, text: &str) -> bool {
        let places = |text: &str| {
            let lines = text.lines().filter(|line| {
                line.starts_with("Environment=") && !line.starts_with("Environment=\"PATH=")
            });
            let mut lines: Vec<_> = lines.map(str::to_owned).collect();
            lines.sort_unstable();
            lines
        };
        units::environment(self).is_ok_and(|wanted| places(&wanted) == places(text))
    }
}

/// What of the caller's environment decides where a supervisor lives and where it finds programs.
fn variables(
    scope: Scope,
    get: &dyn Fn(&str) -> Option<OsString>,
) -> Vec<(&'static str, OsString)> {
    let set = |name| get(name).filter(|value| !value.is_empty());
    let mut found: Vec<(&'static str, OsString)> = Vec::new();
    match (set("SUPERVISOR_HOME"), scope) {
        (Some(home), _) => found.push(("SUPERVISOR_HOME", home)),
        (None, Scope::System) => {}
        (None, Scope::User) => {
            let usual = home_in_user_database();
            let home = set("HOME").filter(|home| Some(Path::new(home)) != usual.as_deref());
            found.extend(home.map(|home| ("HOME", home)));
            for name in ["XDG_CONFIG_HOME", "XDG_STATE_HOME"] {
                let folder = set(name).filter(|folder| Path::new(folder).is_absolute());
                found.extend(folder.map(|folder| (name, folder)));
            }
        }
    }
    // Node often lives in a folder of its own, which systemd's own PATH does not have.
    let path = set("PATH").and_then(|path| {
        let folders = env::split_paths(&path).filter(|folder| folder.is_absolute());
        let mut seen = BTreeSet::new();
        let folders: Vec<PathBuf> = folders
            .filter(|folder| seen.insert(folder.clone()))
            .collect();
        let usual = |folder: &PathBuf| USUAL.iter().any(|usual| folder == Path::new(usual));
        (!folders.iter().all(usual)).then(|| env::join_paths(folders).ok())?
    });
    found.extend(path.map(|path| ("PATH", path)));
    found
}

/// The daemon's unit that systemd would take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// There is none.
    None,
    /// One that was written by us, for this supervisor.
    Ours,
    /// One that was written by us, for another supervisor.
    OfAnother(PathBuf),
    /// Somebody else wrote it.
    Foreign {
        /// Where it stands.
        path: PathBuf,
        /// It starts a daemon of this kind, in the same place.
        starts_ours: bool,
    },
}

/// Looks for the daemon's unit.
pub fn find(setup: &Setup) -> Result<Found, CliError> {
    let folder = setup.scope.folder()?;
    Ok(find_in(setup, &folder, setup.scope.others()))
}

fn find_in(setup: &Setup, folder: &Path, others: &[&str]) -> Found {
    let others = others.iter().map(Path::new);
    for folder in std::iter::once(folder).chain(others) {
        let path = folder.join(DAEMON);
        if fs::symlink_metadata(&path).is_err() {
            continue;
        }
        // What cannot be read is not ours.
        let text = fs::read(&path).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        return match (text.starts_with(MARK), setup.is_same(&text)) {
            (true, true) => Found::Ours,
            (true, false) => Found::OfAnother(path),
            (false, same) => Found::Foreign {
                path,
                starts_ours: same && starts_a_supervisor(&text),
            },
        };
    }
    Found::None
}

/// Also one that was written by hand.
fn starts_a_supervisor(text: &str) -> bool {
    let mut starts = text
        .lines()
        .filter_map(|line| line.strip_prefix("ExecStart="));
    starts.any(|command| {
        let program = command.trim_start_matches(['-', '@', ':', '+', '!', '"']);
        let program = program.split(['"', ' ']).next().unwrap_or_default();
        Path::new(program)
            .file_name()
            .is_some_and(|name| name == "supervisor")
    })
}

/// One for tests.
#[cfg(test)]
pub fn fixture(scope: Scope) -> Setup {
    Setup {
        scope,
        supervisor: "/usr/local/bin/supervisor".into(),
        supervisorctl: "/usr/local/bin/supervisorctl".into(),
        folders: ["/var/lib/supervisor".into(), "/var/log/supervisor".into()],
        variables: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(scope: Scope, set: &[(&str, &str)]) -> Vec<String> {
        let found = variables(scope, &|name| {
            let found = set.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| value.into())
        });
        let text = |(name, value): (&str, OsString)| format!("{name}={}", value.display());
        found.into_iter().map(text).collect()
    }

    #[test]
    fn what_decides_where_it_lives_goes_along() {
        let nothing: [&str; 0] = [];
        assert_eq!(told(Scope::System, &[]), nothing);
        assert_eq!(told(Scope::System, &[("XDG_STATE_HOME", "/s")]), nothing);
        let home = ("SUPERVISOR_HOME", "/srv/x");
        assert_eq!(
            told(Scope::User, &[home, ("XDG_STATE_HOME", "/s")]),
            ["SUPERVISOR_HOME=/srv/x"]
        );
        assert_eq!(
            told(
                Scope::User,
                &[
                    ("XDG_STATE_HOME", "/s"),
                    ("XDG_CONFIG_HOME", "relative"),
                    ("HOME", "/nobodys")
                ]
            ),
            ["HOME=/nobodys", "XDG_STATE_HOME=/s"]
        );
    }

    #[test]
    fn a_path_goes_along_where_it_is_not_the_usual_one() {
        let nothing: [&str; 0] = [];
        assert_eq!(
            told(Scope::System, &[("PATH", "/usr/bin:/bin:.:")]),
            nothing
        );
        assert_eq!(
            told(Scope::System, &[("PATH", "/root/.nvm/bin:.:/usr/bin")]),
            ["PATH=/root/.nvm/bin:/usr/bin"]
        );
    }

    #[test]
    fn whose_unit_it_is() {
        let [first, second] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let mut setup = fixture(Scope::System);
        let find = |setup: &Setup| {
            let others = [second.path().to_str().unwrap()];
            find_in(setup, first.path(), &others)
        };
        assert_eq!(find(&setup), Found::None);
        // supervisord's, as Debian has it.
        let theirs = second.path().join(DAEMON);
        fs::write(
            &theirs,
            "[Service]\nExecStart=/usr/bin/supervisord -n -c /etc/x\n",
        )
        .unwrap();
        let foreign = |path: &Path, starts_ours| Found::Foreign {
            path: path.to_owned(),
            starts_ours,
        };
        assert_eq!(find(&setup), foreign(&theirs, false));
        fs::write(&theirs, "[Service]\nExecStart=-/opt/x/supervisor\n").unwrap();
        assert_eq!(find(&setup), foreign(&theirs, true));

        let own = first.path().join(DAEMON);
        fs::write(&own, &units::of(&setup).unwrap()[1].text).unwrap();
        assert_eq!(find(&setup), Found::Ours);
        setup.variables = vec![("PATH", "/x".into())];
        assert_eq!(find(&setup), Found::Ours, "whatever its PATH");
        setup.variables = vec![("SUPERVISOR_HOME", "/srv".into())];
        assert_eq!(find(&setup), Found::OfAnother(own.clone()));
        fs::remove_file(&own).unwrap();
        std::os::unix::fs::symlink("/dev/null", &own).unwrap();
        assert_eq!(find(&setup), foreign(&own, false), "masked");
    }
}
