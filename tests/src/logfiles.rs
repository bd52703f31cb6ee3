//! The files of one stream, as the contract names them: the live one, `.1`, `.2` …, compressed
//! ones with `.zst`, and the time index beside each.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::wait_until;

/// Its files, oldest first; the live one, if it is there, is the last.
#[must_use]
pub fn files(live: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = rotated(live).into_values().rev().collect();
    files.extend(live.exists().then(|| live.to_owned()));
    files
}

/// Its rotated files by number. Where both `.1` and `.1.zst` are there (its compression is just
/// being finished), the compressed one.
#[must_use]
pub fn rotated(live: &Path) -> BTreeMap<u32, PathBuf> {
    let mut found = BTreeMap::new();
    for path in names(live) {
        match part(live, &path) {
            Some(Part::Rotated(number)) => {
                found.entry(number).or_insert(path);
            }
            Some(Part::Compressed(number)) => {
                found.insert(number, path);
            }
            Some(Part::Live | Part::Index | Part::Unfinished) | None => {}
        }
    }
    found
}

/// All that was written, oldest first.
///
/// # Panics
/// When a file cannot be read or decompressed.
#[must_use]
pub fn whole(live: &Path) -> Vec<u8> {
    contents(live)
        .into_iter()
        .flat_map(|(_, content)| content)
        .collect()
}

/// What is in each of its files, decompressed, oldest first. Files may be compressed meanwhile, and
/// now and then rotated.
///
/// # Panics
/// When a file cannot be read or decompressed.
#[must_use]
pub fn contents(live: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    // Another live file is there after a rotation, and all numbers are others.
    let inode = || fs::metadata(live).map(|meta| meta.ino()).ok();
    wait_until(
        "no rotation while files are read",
        Duration::from_secs(30),
        || {
            let before = inode();
            let files = files(live).into_iter();
            let all: Option<Vec<_>> = files
                .map(|file| Some((file.clone(), content(&file)?)))
                .collect();
            all.filter(|_| inode() == before)
        },
    )
}

/// What is in one of them, decompressed, also if it is compressed at this moment; `None` if it is
/// not there any more.
fn content(file: &Path) -> Option<Vec<u8>> {
    let unpacked = |file: &Path| -> io::Result<Vec<u8>> {
        let bytes = fs::read(file)?;
        if file.extension().is_some_and(|ext| ext == "zst") {
            return zstd::decode_all(bytes.as_slice());
        }
        Ok(bytes)
    };
    let is_gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let read = match unpacked(file) {
        Err(error) if is_gone(&error) => unpacked(&suffixed(file, ".zst")),
        read => read,
    };
    match read {
        Ok(bytes) => Some(bytes),
        Err(error) if is_gone(&error) => None,
        Err(error) => panic!("{}: {error}", file.display()),
    }
}

/// Files in its folder that neither belong to it nor to one of `others`.
#[must_use]
pub fn strangers(live: &Path, others: &[PathBuf]) -> Vec<PathBuf> {
    let mut names = names(live);
    names.retain(|path| {
        part(live, path).is_none() && others.iter().all(|live| part(live, path).is_none())
    });
    names
}

/// The index of the live file.
#[must_use]
pub fn index(live: &Path) -> PathBuf {
    suffixed(live, ".idx")
}

/// Which file of a stream a name is.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Live,
    Rotated(u32),
    Compressed(u32),
    Index,
    Unfinished,
}

fn part(live: &Path, path: &Path) -> Option<Part> {
    let base = live.file_name()?.to_str()?;
    let rest = path.file_name()?.to_str()?.strip_prefix(base)?;
    let number = |text: &str| text.parse().ok().filter(|&number: &u32| number > 0);
    match rest {
        "" => return Some(Part::Live),
        ".idx" => return Some(Part::Index),
        ".zst.part" => return Some(Part::Unfinished),
        _ => {}
    }
    let rest = rest.strip_prefix('.')?;
    if let Some(text) = rest.strip_suffix(".zst") {
        return number(text).map(Part::Compressed);
    }
    if let Some(text) = rest.strip_suffix(".idx") {
        return number(text).map(|_| Part::Index);
    }
    number(rest).map(Part::Rotated)
}

fn names(live: &Path) -> Vec<PathBuf> {
    let folder = live.parent().expect("a log is in a folder");
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect()
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_comes_first_and_nothing_twice() {
        let folder = tempfile::tempdir().unwrap();
        let live = folder.path().join("0.out.log");
        let packed = |text: &str| zstd::encode_all(text.as_bytes(), 1).unwrap();
        let put = |suffix: &str, bytes: &[u8]| fs::write(suffixed(&live, suffix), bytes).unwrap();
        put("", b"d");
        put(".1", b"c");
        put(".2", b"being replaced");
        put(".2.zst", &packed("b"));
        put(".10.zst", &packed("a"));
        put(".1.idx", b"index");
        put(".idx", b"index");
        put(".zst.part", b"unfinished");
        assert_eq!(whole(&live), b"abcd");
        assert_eq!(strangers(&live, &[]), Vec::<PathBuf>::new());
        put(".0", b"no such number");
        fs::write(folder.path().join("0.err.log"), "").unwrap();
        assert_eq!(strangers(&live, &[]).len(), 2);
        let others = [folder.path().join("0.err.log")];
        assert_eq!(strangers(&live, &others), [suffixed(&live, ".0")]);
    }
}
