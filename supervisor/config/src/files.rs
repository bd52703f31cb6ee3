//! Which files there are to read, and reading several in one go.

use std::path::{Path, PathBuf};

use crate::{Config, Fault, Origin, Reader, parse, read};

/// Where the configured files are: the daemon's own, and a folder of more, by their real paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configured {
    file: PathBuf,
    folder: PathBuf,
}

impl Configured {
    /// `file` is the daemon's own; `folder` has any number of `*.toml`. Neither has to be there.
    #[must_use]
    pub fn new(file: &Path, folder: &Path) -> Configured {
        Configured {
            file: real(file),
            folder: real(folder),
        }
    }

    /// Whether a file is one of them, or would be if it were still there.
    #[must_use]
    pub fn has(&self, path: &Path) -> bool {
        path == self.file || path.parent() == Some(&self.folder) && is_toml(path)
    }

    /// Those that are there, the daemon's own first, then by name.
    #[must_use]
    pub fn list(&self) -> Vec<PathBuf> {
        let mut more: Vec<PathBuf> = std::fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| is_toml(path))
            .collect();
        more.sort();
        let own = self.file.exists().then(|| self.file.clone());
        own.into_iter().chain(more).collect()
    }

    /// Reads and checks `files`, each by itself; gives those without a fault, and every fault of the
    /// others.
    #[must_use]
    pub fn load(&self, files: &[PathBuf]) -> (Vec<Config>, Vec<Fault>) {
        let (mut configs, mut faults) = (Vec::new(), Vec::new());
        for path in files {
            let path = real(path);
            let daemons_own = self.is_daemons_own(&path);
            let text = read(&path, Reader::this());
            let origin = Origin::File { path, daemons_own };
            match text.and_then(|text| parse(&text, &origin)) {
                Ok(config) => configs.push(config),
                Err(more) => faults.extend(more.list),
            }
        }
        (configs, faults)
    }

    /// Whether `[daemon]` and the like may stand in this file.
    #[must_use]
    pub fn is_daemons_own(&self, path: &Path) -> bool {
        path == self.file
    }
}

/// What a file is called does not depend on how one got there. One that is not there has the real
/// path of its folder.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| {
        let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
        match (folder, path.file_name()) {
            (Some(folder), Some(name)) => folder.join(name),
            _ => path.to_owned(),
        }
    })
}

fn is_toml(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "toml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_daemons_own_file_comes_first_and_a_link_has_its_real_name() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().canonicalize().unwrap();
        let (file, folder) = (root.join("supervisor.toml"), root.join("conf.d"));
        std::fs::create_dir(&folder).unwrap();
        let link = root.join("link");
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        let configured = Configured::new(&file, &link);
        assert!(configured.list().is_empty());
        for path in [
            &file,
            &folder.join("b.toml"),
            &folder.join("a.toml"),
            &folder.join("x.bak"),
        ] {
            std::fs::write(path, "[daemon]\nlog_level = \"warn\"\n").unwrap();
        }
        let expected = [file.clone(), folder.join("a.toml"), folder.join("b.toml")];
        assert_eq!(configured.list(), expected);
        assert!(expected.iter().all(|path| configured.has(path)));
        assert!(
            configured.has(&folder.join("gone.toml")) && !configured.has(&folder.join("x.bak"))
        );
        let (configs, faults) = configured.load(&[link.join("a.toml"), file.clone()]);
        assert_eq!(configs.len(), 1);
        assert_eq!(configs[0].file(), Some(file.as_path()));
        assert_eq!(faults[0].file, Some(folder.join("a.toml")), "{faults:?}");
    }
}
