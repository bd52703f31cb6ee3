//! `supervisorctl`: the command line of the supervisor.
//!
//! One thread, no runtime: a command is over before it could have paid for either. (Only a person
//! who waits gets a second thread, for the sign that something is still going on.)

mod boot;
mod cli;
mod errors;
mod files;
mod install;
mod output;
mod render;
mod verbs;

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    verbs::completions::answer_shell();
    let words: Vec<OsString> = env::args_os().collect();
    match cli::run(&words) {
        // Nothing is said where nobody reads any more.
        Err(error) if cli::wants_json(&words) && !error.message.is_empty() => {
            output::tell(&error.to_json());
            ExitCode::from(error.exit.code())
        }
        result => errors::finish(result),
    }
}
