//! What the integration tests share: a supervisor of its own for each test ([`Home`]), a look at
//! processes from outside ([`proc`]), conditions with deadlines ([`wait_until`]), and the checks
//! of numbered log lines ([`lines`]).
//!
//! The tests run the programs as they are shipped (release build); see [`programs`]. Everything
//! a test starts is gone when its [`Home`] is dropped, and a test that leaves a process behind
//! fails.

mod config;
mod home;
pub mod http;
pub mod lines;
mod output;
pub mod proc;
pub mod programs;
mod rng;
mod wait;

pub use config::{app, testapp};
pub use home::{Daemon, Home};
pub use output::Output;
pub use rng::Rng;
pub use wait::{monotonic_ns, stamps, wait_until};

/// Whether the tests run as root. Some promises are only about a root daemon.
#[must_use]
pub fn is_root() -> bool {
    nix::unistd::Uid::effective().is_root()
}
