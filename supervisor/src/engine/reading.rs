//! Reading and checking what somebody wants carried out: files, or one app from the command line.
//! Outside the engine's turn, since a disk takes its time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use supervisor_config::{Config, Configured, DaemonSettings, Fault, Origin, parse};
use supervisor_core::Name;
use supervisor_protocol::{Excerpt, Failure, FailureKind, Paths};

use super::{doors, prepare};

/// What was read.
#[derive(Debug)]
pub struct Read {
    /// The files, or the command line.
    pub configs: Vec<Config>,
    /// What stands in the way of an app's start, looked up beforehand.
    pub obstacles: BTreeMap<Name, Vec<Fault>>,
    /// Where the configured files are, if those were read: all of them.
    pub configured: Option<Configured>,
    /// What the daemon's own file asks of the daemon, if that was read.
    pub daemon: Option<DaemonSettings>,
    /// Only tell the plan.
    pub dry_run: bool,
    /// Answer when all are up.
    pub wait: bool,
}

/// Reads the file, or the configured ones.
///
/// # Errors
/// Every fault of every file.
pub fn read_files(file: Option<&Path>, paths: &Paths) -> Result<Read, Failure> {
    let configured = Configured::new(&paths.config_file, &paths.config_dir);
    let files = match file {
        Some(file) => vec![file.to_owned()],
        None => configured.list(),
    };
    if files.is_empty() {
        let hint = format!(
            "write {} or {}/NAME.toml, or name a file: `supervisorctl up FILE`; apps of files that are gone go by `supervisorctl delete`",
            paths.config_file.display(),
            paths.config_dir.display()
        );
        return Err(Failure::new(FailureKind::Invalid, "there is no config file").hint(hint));
    }
    let (configs, faults) = configured.load(&files);
    if !faults.is_empty() {
        return Err(invalid(&faults));
    }
    let is_own = |config: &&Config| {
        let file = config.file();
        file.is_some_and(|file| configured.is_daemons_own(file))
    };
    let own = configs.iter().find(is_own);
    let faults = own.map(doors::faults).unwrap_or_default();
    if !faults.is_empty() {
        return Err(invalid(&faults));
    }
    Ok(Read {
        obstacles: obstacles(&configs),
        daemon: own.map(|config| config.daemon.clone()),
        configs,
        configured: file.is_none().then_some(configured),
        dry_run: false,
        wait: false,
    })
}

/// Reads the one app of a command line.
///
/// # Errors
/// Every fault.
pub fn read_command(text: &str, directory: PathBuf, path: Option<String>) -> Result<Read, Failure> {
    let origin = Origin::CommandLine { directory, path };
    let config = parse(text, &origin).map_err(|faults| invalid(&faults.list))?;
    let configs = vec![config];
    Ok(Read {
        obstacles: obstacles(&configs),
        configs,
        configured: None,
        daemon: None,
        dry_run: false,
        wait: false,
    })
}

fn obstacles(configs: &[Config]) -> BTreeMap<Name, Vec<Fault>> {
    let mut found = BTreeMap::new();
    for config in configs {
        for app in config.apps.values() {
            let faults: Vec<Fault> = prepare::obstacles(app)
                .into_iter()
                .map(|(key, problem)| config.fault(&app.name, key, problem))
                .collect();
            if !faults.is_empty() {
                found.insert(app.name.clone(), faults);
            }
        }
    }
    found
}

/// The refusal of faulty definitions.
pub fn invalid(faults: &[Fault]) -> Failure {
    let message = match faults {
        [_] => "nothing was changed, because of one fault".to_owned(),
        many => format!("nothing was changed, because of {} faults", many.len()),
    };
    Failure {
        faults: faults.iter().map(on_the_wire).collect(),
        ..Failure::new(FailureKind::Invalid, message)
    }
}

fn on_the_wire(fault: &Fault) -> supervisor_protocol::Fault {
    let excerpt = fault.excerpt.as_ref().map(|excerpt| Excerpt {
        text: excerpt.text.clone(),
        start: excerpt.column as u64 - 1,
        width: excerpt.width as u64,
    });
    supervisor_protocol::Fault {
        file: fault.file.clone(),
        line: fault.line.map(|line| line as u64),
        column: fault.column.map(|column| column as u64),
        key: fault.key.clone(),
        message: fault.message.clone(),
        hint: fault.hint.clone(),
        excerpt,
    }
}
