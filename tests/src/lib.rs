//! What the integration tests share: a supervisor of its own for each test ([`Home`]), a look at
//! processes from outside ([`proc`]), conditions with deadlines ([`wait_until`]), apps that
//! write numbered lines ([`writers`]) and the checks of those ([`lines`]) in a stream's files
//! ([`logfiles`]), disks that fill and hang ([`disk`]), what the machine itself takes for
//! output ([`bare`]), terminals ([`pty`]).
//!
//! The tests run the programs as they are shipped (release build); see [`programs`]. Everything
//! a test starts is gone when its [`Home`] is dropped, and a test that leaves a process behind
//! fails.

pub mod bare;
mod config;
pub mod disk;
mod follow;
mod home;
pub mod http;
pub mod lines;
pub mod logfiles;
mod output;
pub mod proc;
pub mod programs;
pub mod pty;
mod rng;
mod wait;
pub mod writers;

pub use config::{app, testapp};
pub use follow::Follow;
pub use home::{Daemon, Home};
pub use output::Output;
pub use rng::Rng;
pub use wait::{monotonic_ns, stamps, wait_until};

/// Whether the tests run as root. Some promises are only about a root daemon.
#[must_use]
pub fn is_root() -> bool {
    nix::unistd::Uid::effective().is_root()
}

/// Whether there is time for the long forms: `SUPERVISOR_STORM=long`.
#[must_use]
pub fn is_long() -> bool {
    std::env::var_os("SUPERVISOR_STORM").is_some_and(|form| form == "long")
}
