//! What a process finds at its start: descriptors, ids, masks, environment.

use std::env;
use std::fs;
use std::path::Path;

use nix::sys::resource::{Resource, getrlimit};
use serde_json::{Map, Value, json};

use crate::work;

/// Appends one line of JSON to a file.
pub fn append_to(file: &Path) {
    // First of all, before anything here opens something.
    let descriptors = descriptors();
    let status = fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    let of = |key: &str| -> Value {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.map_or(Value::Null, |line| {
            line.split_whitespace().collect::<Vec<_>>().into()
        })
    };
    let environment: Map<String, Value> = env::vars()
        .map(|(name, value)| (name, value.into()))
        .collect();
    let report = json!({
        "descriptors": descriptors,
        "uid": of("Uid"),
        "gid": of("Gid"),
        "groups": of("Groups"),
        "umask": of("Umask")[0],
        "blocked": of("SigBlk")[0],
        "ignored": of("SigIgn")[0],
        "no_new_privs": of("NoNewPrivs")[0],
        "nice": nice(),
        "nofile": getrlimit(Resource::RLIMIT_NOFILE).expect("a limit"),
        "oom_score_adj": fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default().trim(),
        "session": nix::unistd::getsid(None).expect("own session").as_raw(),
        "pid": std::process::id(),
        "directory": env::current_dir().unwrap_or_default(),
        "arguments": env::args().collect::<Vec<_>>(),
        "environment": environment,
    });
    work::append(file, &format!("{report}\n"));
}

/// Field 19 of proc(5); what is before the name's end can hold spaces.
fn nice() -> Option<i32> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19 - 3)?.parse().ok()
}

/// The open descriptors with what they lead to, without the one that reads the folder.
fn descriptors() -> Vec<(u32, String)> {
    let folder = fs::read_dir("/proc/self/fd").expect("/proc is mounted");
    let mut found: Vec<(u32, String)> = folder
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let to = fs::read_link(entry.path())
                .ok()?
                .to_string_lossy()
                .into_owned();
            let number = entry.file_name().to_str()?.parse().ok()?;
            (!to.ends_with("/fd")).then_some((number, to))
        })
        .collect();
    found.sort_unstable();
    found
}
