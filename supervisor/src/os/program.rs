//! A program that is to take the place of this one: whether it could, before anything is done.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use nix::unistd::{AccessFlags, access};

/// The length of an ELF file's header, in 64 bits.
const HEADER: usize = 64;
const CLASS_64: u8 = 2;
const KINDS: [u16; 2] = [2, 3];

/// Opens the program at `path` so that it can be executed, whatever happens to the path.
///
/// # Errors
/// One sentence: why it cannot take the place of the program that runs.
pub fn open(path: &Path) -> Result<OwnedFd, String> {
    let shown = path.display();
    let program = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_CLOEXEC)
        .open(path)
        .map_err(|error| format!("{shown} cannot be opened: {error}"))?;
    let found = program
        .metadata()
        .map_err(|error| format!("{shown}: {error}"))?;
    if !found.is_file() {
        return Err(format!("{shown} is not a file"));
    }
    if found.len() == 0 {
        return Err(format!("{shown} is empty"));
    }
    // The file that is open, not what its path leads to by now.
    let same = format!("/proc/self/fd/{}", program.as_raw_fd());
    access(same.as_str(), AccessFlags::X_OK).map_err(|errno| {
        format!("{shown} may not be executed ({}); `chmod +x` it, or look whether its disk is mounted noexec", errno.desc())
    })?;
    let file = File::open(&same).map_err(|error| format!("{shown} cannot be read: {error}"))?;
    let own = File::open("/proc/self/exe").and_then(|own| header(&own));
    let own = own.map_err(|error| format!("the running program cannot be read: {error}"))?;
    let header = header(&file).ok().filter(|header| is_of(header, &own));
    let header = header.ok_or_else(|| format!("{shown} is not a program of this machine (ELF)"))?;
    match length(&file, &header) {
        Ok(length) if length <= found.len() => Ok(program.into()),
        Ok(length) => Err(format!(
            "{shown} is cut short: it has {} of its {length} bytes; copy it again",
            found.len()
        )),
        Err(_) => Err(format!(
            "{shown} is cut short: its own table of contents is not in it; copy it again"
        )),
    }
}

fn header(file: &File) -> io::Result<[u8; HEADER]> {
    let mut bytes = [0; HEADER];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// Whether it is an executable for the machine that `own` is for.
fn is_of(header: &[u8; HEADER], own: &[u8; HEADER]) -> bool {
    header[..6] == own[..6] && header[18..20] == own[18..20] && KINDS.contains(&half(header, 16))
}

/// How long the file must be for all that its header speaks of.
fn length(file: &File, header: &[u8; HEADER]) -> io::Result<u64> {
    if header[4] != CLASS_64 {
        // Others have their fields elsewhere.
        return Ok(0);
    }
    let segments = (long(header, 32), half(header, 54), half(header, 56));
    let sections = (long(header, 40), half(header, 58), half(header, 60));
    let end =
        |(at, size, count): (u64, u16, u16)| at.saturating_add(u64::from(size) * u64::from(count));
    let mut length = end(segments).max(end(sections));
    for number in 0..segments.2 {
        let mut entry = [0; 56];
        let at = u64::from(number) * u64::from(segments.1);
        file.read_exact_at(&mut entry, segments.0.saturating_add(at))?;
        length = length.max(long(&entry, 8).saturating_add(long(&entry, 32)));
    }
    Ok(length)
}

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}

fn long(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_ne_bytes(word)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_a_whole_program_is_taken() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("supervisor");
        let own = fs::read("/proc/self/exe").expect("it is there");
        let write = |bytes: &[u8], mode: u32| {
            // Never the same file: one that is open for writing cannot be executed.
            let _ = fs::remove_file(&path);
            fs::write(&path, bytes).expect("writes");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("own file");
            open(&path)
        };
        assert!(
            open(&path)
                .expect_err("nothing")
                .contains("cannot be opened")
        );
        assert!(write(&own, 0o755).is_ok());
        for (bytes, mode, why) in [
            (&own[..], 0o644, "may not be executed"),
            (b"", 0o755, "is empty"),
            (b"#!/bin/sh\nexit 1\n", 0o755, "is not a program"),
            (&[0; 200], 0o755, "is not a program"),
            (&own[..HEADER - 1], 0o755, "is not a program"),
            (&own[..HEADER], 0o755, "is cut short"),
            (&own[..own.len() / 2], 0o755, "is cut short"),
            (&own[..own.len() - 1], 0o755, "is cut short"),
        ] {
            let said = write(bytes, mode).expect_err(why);
            assert!(said.contains(why), "{said}");
        }
        assert!(
            open(folder.path())
                .expect_err("a folder")
                .contains("is not a file")
        );
    }

    #[test]
    fn lies_in_its_header_are_no_panic() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("supervisor");
        let mut bytes = fs::read("/proc/self/exe").expect("it is there");
        bytes.truncate(4096);
        bytes[32..64].fill(0xff);
        fs::write(&path, &bytes).expect("writes");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("own file");
        assert!(open(&path).expect_err("lies").contains("cut short"));
    }
}
