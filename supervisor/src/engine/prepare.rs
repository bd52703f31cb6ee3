//! From an app's definition to a request that the spawner can carry out: the program is looked up,
//! the user resolved, the environment composed. The same checks answer, before anything is
//! changed, whether an app could be started at all.

use std::collections::BTreeMap;
use std::env;
use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use nix::unistd::{Uid, User};
use supervisor_config::{App, Faults, Problem, Reader, env_file_problem};

use super::allowed;
use crate::launch::{ORIGINAL_NOFILE, ORIGINAL_OOM};
use crate::os::users::{self, Identity};

/// Apps write files with this mask unless they set their own.
const UMASK: u32 = 0o022;
/// Where programs are looked for when nobody has set a `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What is known of a start before there are pipes and a process.
#[derive(Debug)]
pub struct Prepared {
    /// See [`crate::os::spawn::Launch`].
    pub programs: Vec<CString>,
    /// The arguments.
    pub argv: Vec<CString>,
    /// The environment, without what names the run.
    pub env: BTreeMap<String, String>,
    /// Where it runs.
    pub directory: CString,
    /// Whom it runs as.
    pub identity: Option<Identity>,
    /// Its mask.
    pub umask: u32,
    /// What the app asks for, or what the daemon was started with.
    pub nofile: Option<(u64, u64)>,
    /// The same.
    pub oom_score_adj: Option<i32>,
    /// What the app asks for.
    pub nice: Option<i32>,
    /// The same.
    pub no_new_privs: bool,
}

/// Whom an app runs as; `None`: as the daemon itself.
///
/// # Errors
/// One sentence that says what is wrong and what to do.
pub fn identity(app: &App) -> Result<Option<Identity>, String> {
    users::resolve(app.user.as_deref(), app.group.as_deref()).map_err(|error| error.to_string())
}

/// Why the app could not be started now, each with the key that is at fault; none: nothing is known to
/// be in the way.
pub fn obstacles(app: &App) -> Vec<(&'static str, Problem)> {
    let mut found = Vec::new();
    let identity = match identity(app) {
        Ok(identity) => identity,
        Err(why) => {
            let key = if app.user.is_some() { "user" } else { "group" };
            found.push((key, Problem::new(why)));
            None
        }
    };
    let whose = found.is_empty();
    let directory = is_directory(&app.directory);
    let there = directory.is_ok();
    let told = |key, why: Option<String>| why.map(|why| (key, Problem::new(why)));
    found.extend(told("directory", directory.err()));
    // Whose files they may be depends on the user, and where they are on the directory.
    let env = match environment(app, identity.as_ref()) {
        Ok(env) => env,
        Err(faults) => {
            let faults = faults.list.iter().filter(|_| whose && there);
            found.extend(faults.map(|fault| ("env_file", env_file_problem(fault))));
            // What the files would have added is not known; where programs are, is.
            let named = app.env.get("PATH").cloned();
            BTreeMap::from([("PATH".to_owned(), named.unwrap_or_else(|| given_path(app)))])
        }
    };
    if there {
        let program = find_program(&app.command[0], &app.directory, path_of(&env));
        found.extend(told("command", program.err()));
    }
    found.extend(allowed::obstacles(app));
    found
}

fn path_of(env: &BTreeMap<String, String>) -> &str {
    env.get("PATH").map_or(DEFAULT_PATH, String::as_str)
}

/// Where programs are looked for unless the app says otherwise.
fn given_path(app: &App) -> String {
    let path = app.path.clone().or_else(|| env::var("PATH").ok());
    path.unwrap_or_else(|| DEFAULT_PATH.to_owned())
}

fn is_directory(path: &Path) -> Result<(), String> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(format!("directory {} is not a directory", path.display())),
        Err(error) => Err(format!("directory {}: {}", path.display(), plain(&error))),
    }
}

/// Does all that can be done and known before a process exists.
///
/// # Errors
/// One sentence that says what is missing and what to do.
pub fn prepare(app: &App, identity: Option<Identity>) -> Result<Prepared, String> {
    let directory = &app.directory;
    is_directory(directory)?;
    let env = environment(app, identity.as_ref()).map_err(|faults| faults.to_string())?;
    let program = find_program(&app.command[0], directory, path_of(&env))?;
    let limits = &app.limits;
    let nofile = limits.nofile.map(u64::from);
    Ok(Prepared {
        programs: vec![c_string(program.as_os_str().as_bytes())?],
        argv: app
            .command
            .iter()
            .map(|word| c_string(word.as_bytes()))
            .collect::<Result<_, _>>()?,
        env,
        directory: c_string(directory.as_os_str().as_bytes())?,
        identity,
        umask: limits.umask.map_or(UMASK, |mask| mask.0),
        nofile: nofile.map_or_else(original_nofile, |most| Some((most, most))),
        oom_score_adj: limits.oom_score_adj.or_else(original_oom),
        nice: limits.nice,
        no_new_privs: limits.no_new_privs,
    })
}

fn c_string(bytes: &[u8]) -> Result<CString, String> {
    CString::new(bytes)
        .map_err(|_| format!("{:?} contains a NUL byte", String::from_utf8_lossy(bytes)))
}

/// The reason without "(os error 2)".
pub fn plain(error: &std::io::Error) -> String {
    error.raw_os_error().map_or_else(
        || error.to_string(),
        |number| nix::errno::Errno::from_raw(number).desc().to_owned(),
    )
}

/// Finds the file that `word` means, as a shell would, seen from the app's directory.
fn find_program(word: &str, directory: &Path, path: &str) -> Result<PathBuf, String> {
    if word.contains('/') {
        let program = directory.join(word);
        return match executable(&program) {
            Ok(()) => Ok(program),
            Err(why) => Err(format!("command {}: {why}", program.display())),
        };
    }
    let mut refused = None;
    for folder in path.split(':').filter(|folder| !folder.is_empty()) {
        let program = directory.join(folder).join(word);
        match executable(&program) {
            Ok(()) => return Ok(program),
            Err(why) if program.exists() => {
                refused.get_or_insert(format!("command {}: {why}", program.display()));
            }
            Err(_) => {}
        }
    }
    Err(refused.unwrap_or_else(|| format!("command {word:?} is not found in PATH={path}")))
}

fn executable(program: &Path) -> Result<(), String> {
    let found = fs::metadata(program).map_err(|error| plain(&error))?;
    if found.is_dir() {
        return Err("is a directory".to_owned());
    }
    if found.permissions().mode() & 0o111 == 0 {
        return Err(format!(
            "is not executable (`chmod +x {}`, or name its interpreter first)",
            program.display()
        ));
    }
    Ok(())
}

/// What the contract names, and nothing else of the daemon's own.
fn environment(app: &App, identity: Option<&Identity>) -> Result<BTreeMap<String, String>, Faults> {
    let mut env = BTreeMap::new();
    for (name, value) in env::vars_os() {
        let (Ok(name), Ok(value)) = (name.into_string(), value.into_string()) else {
            continue;
        };
        if name == "LANG" || name == "TZ" || name.starts_with("LC_") {
            env.insert(name, value);
        }
    }
    env.insert("PATH".into(), given_path(app));
    let (name, home, shell) = match identity {
        Some(identity) => (
            identity.name.clone(),
            identity.home.clone(),
            identity.shell.clone(),
        ),
        None => own_user(),
    };
    for (key, value) in [("USER", name.clone()), ("LOGNAME", name)] {
        env.insert(key.into(), value);
    }
    for (key, value) in [("HOME", home), ("SHELL", shell)] {
        env.insert(key.into(), value.to_string_lossy().into_owned());
    }
    if let Some(home) = env::var_os("SUPERVISOR_HOME") {
        env.insert(
            "SUPERVISOR_HOME".into(),
            home.to_string_lossy().into_owned(),
        );
    }
    let reader = Reader {
        euid: Uid::effective().as_raw(),
        app_uid: identity.map(|identity| identity.uid),
    };
    env.extend(supervisor_config::environment(app, reader)?);
    Ok(env)
}

/// The daemon's own user, looked up once: it does not change while it runs.
fn own_user() -> (String, PathBuf, PathBuf) {
    static OWN: OnceLock<(String, PathBuf, PathBuf)> = OnceLock::new();
    OWN.get_or_init(look_up_own_user).clone()
}

fn look_up_own_user() -> (String, PathBuf, PathBuf) {
    match User::from_uid(Uid::effective()) {
        Ok(Some(user)) => (user.name, user.dir, user.shell),
        Ok(None) | Err(_) => (
            Uid::effective().to_string(),
            env::var_os("HOME").map_or_else(|| "/".into(), PathBuf::from),
            "/bin/sh".into(),
        ),
    }
}

/// The OOM score that the daemon was started with, where it has another one now.
pub fn original_oom() -> Option<i32> {
    env::var(ORIGINAL_OOM).ok()?.parse().ok()
}

/// The limit of open files that the daemon was started with, soft and hard.
pub fn original_nofile() -> Option<(u64, u64)> {
    let text = env::var(ORIGINAL_NOFILE).ok()?;
    let (soft, hard) = text.split_once(':')?;
    Some((soft.parse().ok()?, hard.parse().ok()?))
}

/// Why a program that is there could not be executed: the interpreter of a script, above all.
pub fn explain_exec(program: &Path, errno: nix::errno::Errno) -> String {
    use nix::errno::Errno;
    let shown = program.display();
    match errno {
        Errno::ENOENT if program.exists() => match interpreter(program) {
            Some(interpreter) => format!(
                "command {shown}: its interpreter {interpreter} (the `#!` line) is not there"
            ),
            None => format!("command {shown}: its loader is not there (built for another system?)"),
        },
        Errno::ENOEXEC => format!(
            "command {shown} is not a program of this machine; a script needs a `#!` line, or its interpreter named first"
        ),
        Errno::EACCES => format!(
            "command {shown}: permission denied (for its user, on a folder above it, or the file system is mounted noexec)"
        ),
        _ => format!("command {shown}: {}", errno.desc()),
    }
}

fn interpreter(program: &Path) -> Option<String> {
    let text = fs::read(program).ok()?;
    let line = text.strip_prefix(b"#!")?.split(|&b| b == b'\n').next()?;
    let line = String::from_utf8_lossy(line);
    line.split_whitespace().next().map(str::to_owned)
}
