//! The list of what was put in place, which is what is taken away again.
//!
//! Promises that a file which somebody else has put there since is told apart: by its length and the
//! second of its last change.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// A line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    /// A file, as it was left.
    File { stamp: Stamp, path: PathBuf },
    /// A folder that was made.
    Folder(PathBuf),
}

/// What tells a file from another one in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    length: u64,
    seconds: i64,
}

impl Stamp {
    /// That of the file at a path.
    pub fn of(path: &Path) -> io::Result<Stamp> {
        let found = fs::symlink_metadata(path)?;
        Ok(Stamp {
            length: found.len(),
            seconds: found.mtime(),
        })
    }
}

/// What was put in place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    entries: Vec<Entry>,
}

const HEAD: &str =
    "# What `supervisorctl install` put in place; `supervisorctl uninstall` takes it away.\n";

impl Manifest {
    /// Reads one; none is an empty one.
    pub fn read(path: &Path) -> io::Result<Manifest> {
        match fs::read_to_string(path) {
            Ok(text) => Manifest::parse(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Manifest::default()),
            Err(error) => Err(error),
        }
    }

    fn parse(text: &str) -> io::Result<Manifest> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let entries = lines.map(|line| {
            entry(line).ok_or_else(|| io::Error::other(format!("what is the line {line:?}?")))
        });
        let entries = entries.collect::<io::Result<_>>()?;
        Ok(Manifest { entries })
    }

    /// The text of its file.
    pub fn text(&self) -> String {
        let mut text = HEAD.to_owned();
        for entry in &self.entries {
            text += &match entry {
                Entry::File { stamp, path } => {
                    format!(
                        "file {} {} {}\n",
                        stamp.length,
                        stamp.seconds,
                        path.display()
                    )
                }
                Entry::Folder(path) => format!("folder {}\n", path.display()),
            };
        }
        text
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The files, and how each was left.
    pub fn files(&self) -> impl Iterator<Item = (&Path, Stamp)> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::File { stamp, path } => Some((path.as_path(), *stamp)),
            Entry::Folder(_) => None,
        })
    }

    /// The folders that were made, the innermost first.
    pub fn folders(&self) -> impl Iterator<Item = &Path> {
        self.entries.iter().rev().filter_map(|entry| match entry {
            Entry::Folder(path) => Some(path.as_path()),
            Entry::File { .. } => None,
        })
    }

    /// Whether a file was put there by us.
    pub fn has(&self, path: &Path) -> bool {
        self.files().any(|(file, _)| file == path)
    }

    /// A file is in place.
    pub fn put(&mut self, path: PathBuf, stamp: Stamp) {
        self.forget(&path);
        self.entries.push(Entry::File { stamp, path });
    }

    /// A folder was made.
    pub fn made(&mut self, path: PathBuf) {
        self.forget(&path);
        self.entries.push(Entry::Folder(path));
    }

    /// It is gone, or somebody else's.
    pub fn forget(&mut self, gone: &Path) {
        self.entries.retain(|entry| match entry {
            Entry::File { path, .. } | Entry::Folder(path) => path != gone,
        });
    }
}

fn entry(line: &str) -> Option<Entry> {
    match line.split_once(' ')? {
        ("folder", path) => Some(Entry::Folder(path.into())),
        ("file", rest) => {
            let mut parts = rest.splitn(3, ' ');
            let length = parts.next()?.parse().ok()?;
            let seconds = parts.next()?.parse().ok()?;
            Some(Entry::File {
                stamp: Stamp { length, seconds },
                path: parts.next()?.into(),
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_was_written() {
        let mut manifest = Manifest::default();
        let stamp = Stamp {
            length: 3,
            seconds: -5,
        };
        manifest.made("/opt/a b".into());
        manifest.made("/opt/a b/bin".into());
        manifest.put("/opt/a b/bin/x y".into(), stamp);
        assert_eq!(Manifest::parse(&manifest.text()).unwrap(), manifest);
        assert!(manifest.has(Path::new("/opt/a b/bin/x y")));
        let folders: Vec<_> = manifest.folders().collect();
        assert_eq!(folders, [Path::new("/opt/a b/bin"), Path::new("/opt/a b")]);
        manifest.put("/opt/a b/bin/x y".into(), Stamp { length: 4, ..stamp });
        assert_eq!(manifest.files().count(), 1, "once");
        for bad in ["file 1 2", "file x 1 /a", "thing /a", "folder"] {
            assert!(Manifest::parse(bad).is_err(), "{bad}");
        }
    }
}
