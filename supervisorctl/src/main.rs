//! `supervisorctl`: the command line of the supervisor.
//!
//! One thread, no runtime: a command is over before it could have paid for either.

mod cli;
mod errors;
mod output;
mod render;
mod verbs;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    errors::finish(verbs::run(cli::Cli::parse().verb))
}
