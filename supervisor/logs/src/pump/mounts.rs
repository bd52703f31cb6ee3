//! Which filesystem a path is on, without touching it: one that hangs would hang us.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// How many links are followed in one path, as the kernel does.
const LINKS: usize = 40;

/// The points where filesystems are mounted.
#[derive(Debug, Clone, Default)]
pub(super) struct Mounts(BTreeSet<PathBuf>);

impl Mounts {
    /// As they are now. Where the system does not tell, everything counts as one filesystem.
    pub(super) fn read() -> Mounts {
        let text = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
        Mounts::parse(&text)
    }

    fn parse(mountinfo: &[u8]) -> Mounts {
        let points = mountinfo.split(|b| *b == b'\n').filter_map(|line| {
            let point = line.split(|b| *b == b' ').nth(4)?;
            Some(PathBuf::from(unescape(point)))
        });
        Mounts(points.collect())
    }

    /// The mount point that `path`, which is absolute, is below. Links on the way are followed as
    /// long as they are on the root filesystem: that one does not hang without all else hanging.
    pub(super) fn of(&self, path: &Path) -> PathBuf {
        self.lexically(&self.resolve(path))
    }

    fn lexically(&self, path: &Path) -> PathBuf {
        let found = path.ancestors().find(|p| self.0.contains(*p));
        found.unwrap_or(Path::new("/")).to_owned()
    }

    fn resolve(&self, path: &Path) -> PathBuf {
        let mut resolved = path.to_owned();
        for _ in 0..LINKS {
            match self.follow_first_link(&resolved) {
                Some(next) => resolved = next,
                None => break,
            }
        }
        resolved
    }

    fn follow_first_link(&self, path: &Path) -> Option<PathBuf> {
        let mut walked = PathBuf::new();
        let mut parts = path.components();
        while let Some(part) = parts.next() {
            let parent = walked.clone();
            walked.push(part);
            if self.lexically(&walked) != Path::new("/") {
                return None;
            }
            if let Ok(target) = std::fs::read_link(&walked) {
                return Some(parent.join(target).join(parts.as_path()));
            }
        }
        None
    }
}

/// Blanks, tabs, newlines and backslashes come as `\040` and so on.
fn unescape(text: &[u8]) -> OsString {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, more)) = rest.split_first() {
        let number = more
            .get(..3)
            .filter(|_| byte == b'\\')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match number {
            Some(number) => {
                bytes.push(number);
                rest = &more[3..];
            }
            None => {
                bytes.push(byte);
                rest = more;
            }
        }
    }
    OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"21 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n\
        22 21 0:20 / /mnt/a\\040b rw - tmpfs none rw\n\
        23 21 0:21 / /mnt rw - nfs server:/x rw\n";

    #[test]
    fn the_longest_point_that_a_path_is_below() {
        let mounts = Mounts::parse(TEXT);
        let of = |path: &str| mounts.of(Path::new(path));
        assert_eq!(of("/mnt/a b/logs/x"), Path::new("/mnt/a b"));
        assert_eq!(of("/mnt/other"), Path::new("/mnt"));
        assert_eq!(of("/mntx"), Path::new("/"));
        assert_eq!(Mounts::default().of(Path::new("/x")), Path::new("/"));
    }

    #[test]
    fn a_link_leads_to_where_it_leads() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        std::os::unix::fs::symlink("/mnt/nfs", dir.join("link")).unwrap();
        std::os::unix::fs::symlink("link", dir.join("again")).unwrap();
        let mounts = Mounts::parse(b"1 1 0:1 / / rw -\n2 1 0:2 / /mnt/nfs rw -\n");
        assert_eq!(
            mounts.of(&dir.join("again/logs/app.log")),
            Path::new("/mnt/nfs")
        );
        // In a circle: somewhere, but at an end.
        std::os::unix::fs::symlink("round", dir.join("round")).unwrap();
        assert_eq!(mounts.of(&dir.join("round/x")), Path::new("/"));
    }
}
