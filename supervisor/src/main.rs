//! The daemon of the supervisor: one program in three roles.
//!
//! `supervisor` ([`launch`]) prepares folders and locks and becomes the **keeper** ([`keeper`]) in
//! place, which starts the **engine** ([`engine`]). The keeper is executed afresh, rather than
//! called, so that none of what the preparation touched stays in its memory.

mod control;
mod engine;
mod keeper;
mod launch;
mod os;
mod persist;
mod probes;

use std::os::fd::RawFd;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let role = arguments.next();
    match role.as_ref().and_then(|role| role.to_str()) {
        Some("keeper") => {
            let table = arguments
                .next()
                .and_then(|fd| fd.to_str()?.parse::<RawFd>().ok());
            keep(table)
        }
        Some("engine") => engine::main(),
        _ => launch::main(),
    }
}

fn keep(table: Option<RawFd>) -> ExitCode {
    let result = match table {
        Some(fd) => os::own::claim(fd).and_then(keeper::run),
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
