//! The daemon of the supervisor: one program in several roles.
//!
//! `supervisor` ([`launch`]) prepares folders and locks and becomes the **keeper** ([`keeper`]) in
//! place, which starts the **engine** ([`engine`]) and, under systemd, helpers ([`keeper::job`], [`keeper::stay`]). The keeper is executed afresh, rather than
//! called, so that none of what the preparation touched stays in its memory.

mod control;
mod engine;
mod keeper;
mod launch;
mod os;
mod persist;
mod probes;

use std::ffi::OsString;
use std::os::fd::RawFd;
use std::process::ExitCode;

use os::own;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let role = arguments.next();
    match role.as_ref().and_then(|role| role.to_str()) {
        Some("keeper") => keep(arguments),
        Some("engine") => engine::main(),
        Some("job") => keeper::job::main(),
        Some("stay") => keeper::stay::main(),
        _ => launch::main(),
    }
}

fn keep(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let first = arguments.next();
    let rehearses = first.as_ref().is_some_and(|word| word == "--rehearse");
    let table = if rehearses { arguments.next() } else { first };
    let table = table.and_then(|fd| fd.to_str()?.parse::<RawFd>().ok());
    let result = match table {
        Some(fd) => own::claim(fd).and_then(match rehearses {
            true => keeper::rehearse,
            false => keeper::run,
        }),
        None => Err(std::io::Error::other(
            "it is started by `supervisor` itself",
        )),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("supervisor: the keeper cannot go on: {error}");
            ExitCode::FAILURE
        }
    }
}
