//! Opens the files that decide what runs, and says whether their owner and mode let them.
//! Everything is checked on the open descriptor, so that nobody can put another file in the place of
//! the one that was checked.
//!
//! Who may change such a file can run anything as the daemon: so nobody but the daemon's own user and
//! root may.

use std::borrow::Cow;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;

use crate::units::Problem;
use crate::{Fault, Faults};

/// The largest file that is read.
const LARGEST: u64 = 1 << 20;

const OTHERS_WRITE: u32 = 0o002;
const GROUP_WRITES: u32 = 0o020;
const OTHERS_READ: u32 = 0o004;

/// On whose behalf a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reader {
    /// The effective user of the daemon that will act on what the file says.
    pub euid: u32,
    /// The app's user, where the file is for one app only: that user may own it.
    pub app_uid: Option<u32>,
}

impl Reader {
    /// This process.
    #[must_use]
    pub fn this() -> Reader {
        Reader {
            euid: nix::unistd::geteuid().as_raw(),
            app_uid: None,
        }
    }

    /// The same, for files of an app that runs as user `uid`.
    #[must_use]
    pub fn for_app(self, uid: u32) -> Reader {
        Reader {
            app_uid: Some(uid),
            ..self
        }
    }
}

/// Reads a config file.
///
/// # Errors
/// One [`Fault`] that says why it cannot be read or trusted, and what to do.
pub fn read(path: &Path, reader: Reader) -> Result<String, Faults> {
    let missing = || Problem::new("there is no such file");
    let text = read_if_there(path, reader).and_then(|text| text.ok_or_else(missing));
    text.map_err(|problem| fault(path, problem).into())
}

/// A fault of a file as a whole.
pub(crate) fn fault(path: &Path, problem: Problem) -> Fault {
    Fault {
        file: Some(path.to_owned()),
        message: problem.message,
        hint: problem.hint,
        ..Fault::default()
    }
}

/// The text of the file at `path`; `None` where there is none.
pub(crate) fn read_if_there(path: &Path, reader: Reader) -> Result<Option<String>, Problem> {
    // Without O_NONBLOCK a FIFO in the place of the file would hold the daemon for ever.
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path);
    let mut file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(Problem::new(format!(
                "it cannot be opened: {}",
                reason(&error)
            )));
        }
    };
    let metadata = file.metadata().map_err(|error| unreadable(&error))?;
    if !metadata.is_file() {
        let what = if metadata.is_dir() {
            "it is a directory"
        } else {
            "it is not a regular file"
        };
        return Err(Problem::new(what));
    }
    trusted(path, &file, &metadata, reader)?;
    contents(&mut file).map(Some)
}

fn contents(file: &mut File) -> Result<String, Problem> {
    let mut bytes = Vec::new();
    file.take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(&error))?;
    if bytes.len() as u64 > LARGEST {
        return Err(Problem::new("it is larger than 1 MiB"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        Problem::new(format!("line {line} is not valid UTF-8")).hint("save it as UTF-8")
    })
}

/// Whether owner and mode are such that the file may decide what `reader` runs.
fn trusted(path: &Path, file: &File, metadata: &Metadata, reader: Reader) -> Result<(), Problem> {
    let (owner, mode) = (metadata.uid(), metadata.mode());
    let root = reader.euid == 0;
    let own = [Some(0), Some(reader.euid), reader.app_uid].contains(&Some(owner));
    let too_open = mode
        & if root {
            GROUP_WRITES | OTHERS_WRITE
        } else {
            OTHERS_WRITE
        };
    let quoted = quoted(path);
    let (mut wrong, mut repair) = (Vec::new(), Vec::new());
    if !own {
        wrong.push(format!(
            "it belongs to user {owner}, who could change what the supervisor runs"
        ));
        repair.push(match (root, reader.app_uid) {
            (true, None | Some(0)) => format!("chown root {quoted}"),
            (true, Some(uid)) => format!("chown root {quoted} (or chown {uid}, the app's user)"),
            (false, _) => format!("sudo chown {} {quoted}", reader.euid),
        });
    }
    if too_open != 0 {
        let who = match (too_open & GROUP_WRITES != 0, too_open & OTHERS_WRITE != 0) {
            (true, true) => "its group and everybody else",
            (true, false) => "its group",
            (false, _) => "everybody",
        };
        wrong.push(format!(
            "{who} may write to it (mode {:04o})",
            mode & 0o7777
        ));
        repair.push(format!(
            "chmod {} {quoted}",
            if root { "go-w" } else { "o-w" }
        ));
    }
    if !wrong.is_empty() {
        return Err(Problem::new(wrong.join(", and ")).hint(repair.join(" && ")));
    }
    lent(path, file, metadata, reader)
}

/// The app's user chooses what stands at the path of its env file, and root reads it: a link there
/// must not show the app a file of root's that it could not read by itself.
fn lent(path: &Path, file: &File, metadata: &Metadata, reader: Reader) -> Result<(), Problem> {
    let foreign = reader
        .app_uid
        .is_some_and(|uid| uid != 0 && uid != metadata.uid());
    let secret = metadata.mode() & OTHERS_READ == 0;
    if reader.euid != 0 || !foreign || !secret {
        return Ok(());
    }
    let real = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let at_home = real.as_deref().is_ok_and(|real| real == path) && metadata.nlink() == 1;
    if at_home {
        return Ok(());
    }
    let problem = Problem::new("it is a secret file of root's, reached through a link");
    let real = real.unwrap_or_else(|_| path.to_owned());
    Err(problem.hint(format!(
        "name it by its real path, {}, or have the app's user own it",
        quoted(&real)
    )))
}

fn unreadable(error: &io::Error) -> Problem {
    Problem::new(format!("it cannot be read: {}", reason(error)))
}

/// The words of the system, without the number.
fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => Errno::from_raw(number).desc().to_owned(),
        None => error.to_string(),
    }
}

/// As a word of a shell, so that the command in the hint can be copied.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    shlex::try_quote(&text).map(Cow::into_owned).unwrap_or(text)
}
