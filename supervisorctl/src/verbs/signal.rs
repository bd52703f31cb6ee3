//! `signal`.

use clap::Args;
use supervisor_config::StopSignal;
use supervisor_protocol::Act;

use super::Context;
use super::act::{self, How};
use crate::cli::{self, Targets, Told};
use crate::errors::{CliError, Exit};

/// Send a signal to apps
#[derive(Debug, Args)]
#[command(after_help = "Example: supervisorctl signal HUP nginx")]
pub struct Signal {
    /// Its name or number: HUP, SIGUSR2, 15, RTMIN+3
    #[arg(value_parser = cli::signal)]
    signal: StopSignal,
    #[command(flatten)]
    on: Targets,
    #[command(flatten)]
    told: Told,
}

impl Signal {
    /// Sends it.
    pub fn run(&self, context: &mut Context) -> Result<Exit, CliError> {
        let how = How::new(&self.told, None);
        let act = Act::Signal(self.signal.name().into_owned());
        act::run(context, act, &self.on.targets, how)
    }
}
