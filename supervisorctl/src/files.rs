//! Putting files in place, for what is installed.
//!
//! Promises that a file is there whole or not at all, also after a power cut, with exactly the mode
//! that was said; and that a program which runs goes on with the file that it was started from.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process;

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It has been like this.
    Unchanged,
    /// It is new, or replaces another one.
    Written,
}

/// Makes the file at `path` so. Its folder is there.
pub fn put(path: &Path, bytes: &[u8], mode: u32) -> io::Result<Put> {
    if is_so(path, bytes, mode) {
        return Ok(Put::Unchanged);
    }
    let (folder, name) = match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) => (folder, name.to_string_lossy()),
        (_, _) => return Err(io::Error::other("this is not the path of a file")),
    };
    let fresh = folder.join(format!(".{name}.{}", process::id()));
    let written = write(&fresh, bytes, mode).and_then(|()| fs::rename(&fresh, path));
    if written.is_err() {
        // It was not made, or is of no use to anybody.
        let _ = fs::remove_file(&fresh);
    }
    written?;
    File::open(folder)?.sync_all()?;
    Ok(Put::Written)
}

/// A link is none of ours, whatever it leads to.
fn is_so(path: &Path, bytes: &[u8], mode: u32) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| {
        found.is_file()
            && found.permissions().mode() & 0o7777 == mode
            && found.len() == bytes.len() as u64
    }) && fs::read(path).is_ok_and(|found| found == bytes)
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()
}

/// Makes a folder, and those above it, readable for everybody; gives the ones that were not there,
/// the outermost first.
pub fn make_folders(path: &Path) -> io::Result<Vec<PathBuf>> {
    if path.is_dir() {
        return Ok(Vec::new());
    }
    let mut made = match path.parent() {
        Some(above) => make_folders(above)?,
        None => Vec::new(),
    };
    DirBuilder::new().mode(0o755).create(path)?;
    // Whatever the mask of whoever installs is.
    fs::set_permissions(path, Permissions::from_mode(0o755))?;
    made.push(path.to_owned());
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_once_with_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        let made = make_folders(&inner).unwrap();
        assert_eq!(made, [folder.path().join("a"), inner.clone()]);
        assert!(make_folders(&inner).unwrap().is_empty());
        let file = inner.join("file");
        assert_eq!(put(&file, b"one", 0o644).unwrap(), Put::Written);
        assert_eq!(put(&file, b"one", 0o644).unwrap(), Put::Unchanged);
        assert_eq!(put(&file, b"one", 0o755).unwrap(), Put::Written);
        assert_eq!(put(&file, b"two", 0o755).unwrap(), Put::Written);
        assert_eq!(fs::read(&file).unwrap(), b"two");
        let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, 0o755);
        assert_eq!(fs::read_dir(&inner).unwrap().count(), 1, "nothing besides");
    }

    #[test]
    fn who_has_the_old_file_open_keeps_it_and_a_link_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        put(&file, b"old", 0o644).unwrap();
        let open = File::open(&file).unwrap();
        put(&file, b"new", 0o644).unwrap();
        assert_eq!(io::read_to_string(open).unwrap(), "old");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(put(&link, b"new", 0o644).unwrap(), Put::Written);
        assert!(fs::symlink_metadata(&link).unwrap().is_file());
    }
}
