//! What `install` puts on a machine and `uninstall` takes away: programs, manual pages, completions,
//! units.
//!
//! Owns which files these are and where they go ([`Place`], [`items`]), and who put what there
//! ([`manifest`]). Leaves to the verbs to do it and to say so.

pub mod manifest;
pub mod pages;

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

use crate::boot::{self, Scope};
use crate::errors::{CliError, Exit};
use crate::verbs::{completions, launch};

/// Where things go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Above `bin` and `share`.
    prefix: PathBuf,
    /// In front of every path while a package or an image is made.
    destdir: Option<PathBuf>,
}

/// A file that is put in place.
#[derive(Debug)]
pub struct Item {
    /// Where it is to be found, whatever the `destdir`.
    pub path: PathBuf,
    /// What is in it.
    pub bytes: Vec<u8>,
    /// Its mode.
    pub mode: u32,
}

impl Place {
    /// From what was typed; otherwise where this user's programs usually are.
    pub fn new(prefix: Option<&Path>, destdir: Option<&Path>) -> Result<Place, CliError> {
        let absolute = |path: &Path| {
            std::path::absolute(path)
                .map_err(|error| CliError::of_system(format!("{}", path.display()), &error))
        };
        let prefix = match (prefix, destdir) {
            (Some(prefix), _) => absolute(prefix)?,
            (None, None) if !Uid::effective().is_root() => boot::home()?.join(".local"),
            (None, _) => "/usr/local".into(),
        };
        let place = Place {
            prefix,
            destdir: destdir.map(absolute).transpose()?,
        };
        place.is_plain()?;
        Ok(place)
    }

    /// Where this program was installed, if it was; otherwise as [`Place::new`].
    pub fn of_this_program(
        prefix: Option<&Path>,
        destdir: Option<&Path>,
    ) -> Result<Place, CliError> {
        let exe = env::current_exe().ok();
        let above = exe.as_deref().and_then(|exe| exe.parent()?.parent());
        if let (Some(above), None, None) = (above, prefix, destdir) {
            let place = Place::new(Some(above), None)?;
            if place.real(&place.manifest()).exists() {
                return Ok(place);
            }
        }
        Place::new(prefix, destdir)
    }

    /// The manifest has a line for each path.
    fn is_plain(&self) -> Result<(), CliError> {
        let text = self.prefix.to_str();
        if text.is_some_and(|text| !text.contains(char::is_control)) {
            return Ok(());
        }
        let what = format!("nothing can be installed in {:?}", self.prefix);
        Err(CliError::new(Exit::Failed, what).cause("it is no plain text in one line"))
    }

    /// Whose systemd its units are for.
    pub fn scope(&self) -> Scope {
        match self.destdir {
            Some(_) => Scope::System,
            None => Scope::own(),
        }
    }

    /// Whether what is put there is in use right away.
    pub fn is_live(&self) -> bool {
        self.destdir.is_none()
    }

    /// A path as it is now, while a package is made.
    pub fn real(&self, path: &Path) -> PathBuf {
        match &self.destdir {
            Some(destdir) => destdir.join(path.strip_prefix("/").unwrap_or(path)),
            None => path.to_owned(),
        }
    }

    /// A program.
    pub fn program(&self, name: &str) -> PathBuf {
        self.prefix.join("bin").join(name)
    }

    /// The list of what was put there.
    pub fn manifest(&self) -> PathBuf {
        self.prefix.join("share/supervisor/manifest")
    }

    /// Where its units go: a package's are apart from the administrator's.
    pub fn units(&self) -> Result<PathBuf, CliError> {
        if self.prefix == Path::new("/usr") {
            return Ok("/usr/lib/systemd/system".into());
        }
        self.scope().folder()
    }
}

/// Everything but the units.
pub fn items(place: &Place) -> Result<Vec<Item>, CliError> {
    let own = env::current_exe()
        .map_err(|error| CliError::of_system("the path of this program cannot be found", &error))?;
    let daemon = launch::program("both programs are installed")?;
    let mut items = vec![
        program(place, "supervisor", &daemon)?,
        program(place, "supervisorctl", &own)?,
    ];
    let share = place.prefix.join("share");
    let page = |(name, bytes): (String, Vec<u8>)| {
        // The section is the last letter.
        let section = name.rsplit('.').next().unwrap_or("1");
        let path = share.join(format!("man/man{section}")).join(&name);
        Item {
            path,
            bytes,
            mode: 0o644,
        }
    };
    items.extend(pages::all()?.into_iter().map(page));
    for (shell, file) in completions::FILES {
        let bytes = completions::script(shell)?;
        items.push(Item {
            path: share.join(file),
            bytes,
            mode: 0o644,
        });
    }
    Ok(items)
}

fn program(place: &Place, name: &str, from: &Path) -> Result<Item, CliError> {
    let bytes = fs::read(from)
        .map_err(|error| CliError::of_system(format!("cannot read {}", from.display()), &error))?;
    let path = place.program(name);
    Ok(Item {
        path,
        bytes,
        mode: 0o755,
    })
}

/// Those that run a program of this path, also one that it has been replaced by since; but for the one
/// that only keeps the apps' control group and needs nothing of it.
pub fn running(program: &Path) -> Vec<i32> {
    let replaced = PathBuf::from(format!("{} (deleted)", program.display()));
    let runs = |pid: i32| {
        fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == program || exe == replaced)
    };
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|&pid| runs(pid) && !stays(pid)).collect()
}

fn stays(pid: i32) -> bool {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    words.split(|&byte| byte == 0).nth(1) == Some(b"stay")
}

/// What cannot be done to a file.
pub fn cannot(what: &str, path: &Path, error: &io::Error) -> CliError {
    CliError::of_system(format!("cannot {what} {}", path.display()), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_things_go() {
        let place = |prefix: Option<&str>, destdir: Option<&str>| {
            Place::new(prefix.map(Path::new), destdir.map(Path::new)).unwrap()
        };
        let packaged = place(Some("/usr"), Some("/tmp/pkg"));
        assert_eq!(
            packaged.units().unwrap(),
            Path::new("/usr/lib/systemd/system")
        );
        let real = packaged.real(&packaged.program("supervisor"));
        assert_eq!(real, Path::new("/tmp/pkg/usr/bin/supervisor"));
        let image = place(None, Some("/tmp/pkg"));
        assert_eq!(image.program("x"), Path::new("/usr/local/bin/x"));
        assert_eq!(image.units().unwrap(), Path::new("/etc/systemd/system"));
        assert!(!image.is_live());
        let apart = place(Some("/opt/sv"), None);
        assert_eq!(
            apart.real(&apart.manifest()),
            Path::new("/opt/sv/share/supervisor/manifest")
        );
        assert!(Place::new(Some(Path::new("/opt/a\nb")), None).is_err());
    }

    #[test]
    fn a_program_that_runs_is_found() {
        let me = std::env::current_exe().unwrap();
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(running(&me).contains(&pid));
        assert!(running(Path::new("/nonexistent/program")).is_empty());
    }
}
