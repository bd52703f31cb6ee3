//! What becomes of what an app writes: the values of `logs`, which file each stream goes to, and when
//! two streams would go to one.
//!
//! Leaves to the daemon where the usual files are, and what is in the way of a file.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use supervisor_core::{Name, Span};

use crate::App;
use crate::units::{Problem, shown};
use crate::value::Word;

/// What holds for the logs of an app. Part of the saved state, as [`App`] is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Logs {
    /// A file of this size is rotated; `None`: of no size. At least [`Logs::SMALLEST`].
    pub max_size: Option<u64>,
    /// A file of this age is rotated; 0: of no age.
    pub max_age: Span,
    /// Rotated files that are kept of each stream.
    pub keep: u32,
    /// Bytes that all files of the app may have together; `None`: any number. Where less than two
    /// files of `max_size` fit, they are rotated earlier.
    pub max_total: Option<u64>,
    /// Whether rotated files are compressed.
    pub compress: bool,
    /// Both streams through one pipe into the file of standard output.
    pub merge: bool,
    /// What stands in the files.
    pub format: LogFormat,
    /// What becomes of lines when the disk is full.
    pub on_full: OnFull,
    /// Where standard output goes.
    pub stdout: Output,
    /// Where standard error goes; the usual file where `merge` is set, which has no use for it.
    pub stderr: Output,
}

/// Where a stream goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Output {
    /// To the file that the supervisor chooses.
    #[default]
    Usual,
    /// Nowhere.
    Null,
    /// To a file: absolute, without `.` and `..`, and with `{app}` and `{instance}` where those
    /// belong into its name.
    File(PathBuf),
}

/// What stands in a log file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// Byte for byte what the app wrote.
    #[default]
    Raw,
    /// The same with the time before each line.
    Timestamp,
}

/// What becomes of lines when the disk is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFull {
    /// They are dropped and counted.
    #[default]
    Drop,
    /// The app waits, and nothing is lost.
    Block,
}

/// How much the logs of all apps may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quota {
    /// As much as there is.
    Unlimited,
    /// So many bytes.
    Bytes(u64),
}

impl Word for LogFormat {
    const WORDS: &'static [(&'static str, LogFormat)] =
        &[("raw", LogFormat::Raw), ("timestamp", LogFormat::Timestamp)];
}

impl Word for OnFull {
    const WORDS: &'static [(&'static str, OnFull)] =
        &[("drop", OnFull::Drop), ("block", OnFull::Block)];
}

impl Default for Logs {
    fn default() -> Logs {
        Logs {
            max_size: Some(50_000_000),
            max_age: Span(0),
            keep: 10,
            max_total: Some(1_000_000_000),
            compress: true,
            merge: false,
            format: LogFormat::default(),
            on_full: OnFull::default(),
            stdout: Output::default(),
            stderr: Output::default(),
        }
    }
}

impl Logs {
    /// The smallest `max_size`.
    pub const SMALLEST: u64 = 64 << 10;

    /// The same logs with all rules at their defaults: what a change of costs new processes.
    #[must_use]
    pub fn of_process(&self) -> Logs {
        Logs {
            merge: self.merge,
            stdout: self.stdout.clone(),
            stderr: self.stderr.clone(),
            ..Logs::default()
        }
    }
}

/// Stands for the app's name and for the instance's number in a file's name.
const PLACES: [&str; 2] = ["{app}", "{instance}"];

/// The longest name of a file: the numbers of rotated files come behind it.
const LONGEST: usize = 230;

impl Output {
    /// The file of one instance; `None`: the usual one, or none at all.
    #[must_use]
    pub fn file(&self, app: &Name, instance: u32) -> Option<PathBuf> {
        let Output::File(path) = self else {
            return None;
        };
        let instance = instance.to_string();
        let [app_place, instance_place] = PLACES;
        // Paths come from TOML and are text.
        let text = path.to_string_lossy();
        let text = text.replace(app_place, app.as_str());
        Some(text.replace(instance_place, &instance).into())
    }

    /// As it was written, made absolute.
    ///
    /// # Errors
    /// It cannot be the path of a log file.
    pub(crate) fn absolute(&self, app: &Name, directory: &Path) -> Result<Output, Problem> {
        let Output::File(path) = self else {
            return Ok(self.clone());
        };
        let path = plain(&directory.join(path));
        let file = Output::File(path);
        let longest = file.file(app, App::MAX_INSTANCES - 1).unwrap_or_default();
        match longest.file_name() {
            None => Err(Problem::new("this is a folder").hint("add the name of a file")),
            Some(name) if name.len() > LONGEST => Err(Problem::new(format!(
                "the name of the file is longer than {LONGEST} bytes"
            ))),
            Some(_) if longest.starts_with("/dev") => {
                Err(Problem::new("a device cannot be rotated")
                    .hint("write \"null\" for no log at all, or the path of a file"))
            }
            Some(_) => Ok(file),
        }
    }

    /// The file that all instances would write to.
    fn for_all_instances(&self) -> Option<&Path> {
        match self {
            Output::File(path) if !path.to_string_lossy().contains(PLACES[1]) => Some(path),
            Output::File(_) | Output::Usual | Output::Null => None,
        }
    }
}

/// Without `.` and `..`: the daemon opens exactly the path that is checked here.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                // Above the root there is the root.
                plain.pop();
            }
            Component::CurDir => {}
            Component::RootDir | Component::Normal(_) | Component::Prefix(_) => {
                plain.push(component);
            }
        }
    }
    plain
}

/// Checks the text of an `stdout` or `stderr`.
pub(crate) fn output(text: &str) -> Result<Output, Problem> {
    if text == "null" {
        return Ok(Output::Null);
    }
    let rest = PLACES
        .iter()
        .fold(text.to_owned(), |rest, place| rest.replace(place, ""));
    if rest.contains(['{', '}']) {
        let problem = Problem::new(format!("{} has braces", shown(text)));
        return Err(problem.hint("only {app} and {instance} stand for something"));
    }
    if text.ends_with('/') {
        return Err(Problem::new("this is a folder").hint("add the name of a file"));
    }
    Ok(Output::File(text.into()))
}

impl App {
    /// Whether each of so many instances has a file of its own; otherwise the key that is at fault.
    ///
    /// # Errors
    /// They would write to one.
    pub fn logs_fit(&self, instances: u32) -> Result<(), (&'static str, Problem)> {
        let keys = ["logs.stdout", "logs.stderr"];
        let outputs = [&self.logs.stdout, &self.logs.stderr];
        let shared = outputs.map(Output::for_all_instances);
        let found = keys.into_iter().zip(shared);
        let mut found = found.filter_map(|(key, path)| Some((key, path?)));
        let Some((key, path)) = found.next().filter(|_| instances > 1) else {
            return Ok(());
        };
        let problem = Problem::new(format!("{instances} instances cannot write to one file"));
        let hint = format!("give each its own: \"{}\"", with_instance(path).display());
        Err((key, problem.hint(hint)))
    }

    /// The files that are not the usual ones, with the key that names each.
    pub fn log_files(&self) -> impl Iterator<Item = (&'static str, PathBuf)> + '_ {
        let outputs = [
            ("logs.stdout", &self.logs.stdout),
            ("logs.stderr", &self.logs.stderr),
        ];
        outputs.into_iter().flat_map(move |(key, output)| {
            let files = (0..self.instances).map_while(|n| output.file(&self.name, n));
            files.map(move |path| (key, path))
        })
    }
}

/// `web.log` → `web-{instance}.log`.
fn with_instance(path: &Path) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let end = path
        .extension()
        .map_or(String::new(), |end| format!(".{}", end.to_string_lossy()));
    path.with_file_name(format!("{stem}-{{instance}}{end}"))
}

/// Which files are taken, and by whom.
#[derive(Debug, Default)]
pub(crate) struct Files {
    /// By the live file.
    taken: BTreeMap<PathBuf, Name>,
    /// By what a live file's path begins with, where it could be another one's rotated file.
    bases: BTreeMap<PathBuf, Name>,
}

impl Files {
    /// Takes a file for an app; the app that has it, or has files of that name beside its own.
    pub(crate) fn take(&mut self, path: &Path, app: &Name) -> Result<(), Name> {
        let bases = bases(path);
        let own = std::iter::once(path).chain(bases.iter().map(PathBuf::as_path));
        let mut clash = own.filter_map(|path| self.taken.get(path));
        if let Some(whose) = clash.next().or_else(|| self.bases.get(path)) {
            return Err(whose.clone());
        }
        self.taken.insert(path.to_owned(), app.clone());
        for base in bases {
            self.bases.insert(base, app.clone());
        }
        Ok(())
    }
}

/// The live files that this one would be a rotated file, an index or the like of.
fn bases(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut rest = path.to_owned();
    while let Some(end) = rest.extension().and_then(|end| end.to_str()) {
        let number = end.bytes().all(|byte| byte.is_ascii_digit());
        if !number && !["idx", "zst", "part"].contains(&end) {
            break;
        }
        rest.set_extension("");
        found.push(rest.clone());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).expect("a name")
    }

    #[test]
    fn a_file_is_made_absolute_and_plain() {
        let of = |text: &str| {
            let output = output(text).expect("sound");
            output.absolute(&name("web"), Path::new("/srv/web"))
        };
        let file = |text: &str| Ok(Output::File(text.into()));
        assert_eq!(of("null"), Ok(Output::Null));
        assert_eq!(of("./null"), file("/srv/web/null"));
        assert_eq!(of("../logs/./a.log"), file("/srv/logs/a.log"));
        assert_eq!(of("/../../a"), file("/a"));
        for bad in ["/..", "/dev/stdout", "../../dev/null", &"x".repeat(300)] {
            assert!(of(bad).is_err(), "{bad}");
        }
        assert!(of(&format!("{}{{app}}", "x".repeat(226))).is_ok());
        assert!(of(&format!("{}{{instance}}", "x".repeat(228))).is_err());
        for bad in ["/", "a/", "{instnce}.log", "{"] {
            assert!(output(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn each_instance_has_its_file() {
        let output = output("/l/{app}/{instance}.log").expect("sound");
        assert_eq!(output.file(&name("web"), 3), Some("/l/web/3.log".into()));
        assert_eq!(Output::Null.file(&name("web"), 3), None);
        assert_eq!(
            with_instance(Path::new("/l/web.log")),
            Path::new("/l/web-{instance}.log")
        );
        assert_eq!(
            with_instance(Path::new("/l/w")),
            Path::new("/l/w-{instance}")
        );
    }

    #[test]
    fn a_rotated_files_name_is_taken_too() {
        let mut files = Files::default();
        let mut take = |path: &str, app: &str| files.take(Path::new(path), &name(app));
        assert_eq!(take("/l/a.log", "a"), Ok(()));
        for path in ["/l/a.log", "/l/a.log.1", "/l/a.log.12.zst", "/l/a.log.idx"] {
            assert_eq!(take(path, "b"), Err(name("a")), "{path}");
        }
        assert_eq!(take("/l/b.log.3.idx", "b"), Ok(()));
        assert_eq!(take("/l/b.log", "c"), Err(name("b")));
        assert_eq!(take("/l/a.log.old", "c"), Ok(()));
        assert_eq!(take("/l/a", "c"), Ok(()));
    }
}
