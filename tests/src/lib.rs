//! What the integration tests share: a supervisor of its own for each test ([`Home`]), a look at
//! processes from outside ([`proc`]), conditions with deadlines ([`wait_until`]), apps that
//! write numbered lines ([`writers`]) and the checks of those ([`lines`]) in a stream's files
//! ([`logfiles`]), disks that fill and hang ([`disk`]), what the machine itself takes for
//! output ([`bare`]), terminals ([`pty`]), a systemd for one service ([`fake_systemd`]), a folder of
//! cgroups ([`Cgroups`]), machines with a real systemd ([`boot`]) or another kernel ([`vm`]).
//!
//! The tests run the programs as they are shipped (release build); see [`programs`]. Everything
//! a test starts is gone when its [`Home`] is dropped, and a test that leaves a process behind
//! fails.

pub mod bare;
pub mod boot;
mod cgroups;
mod config;
pub mod disk;
pub mod fake_systemd;
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
pub mod vm;
mod wait;
pub mod writers;

pub use cgroups::Cgroups;
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

/// Whether this kernel tells how a process ended that is not our child (6.15 and later).
///
/// # Panics
/// Without `/proc`.
#[must_use]
pub fn kernel_tells_exits() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("/proc");
    let mut numbers = release
        .split('.')
        .map_while(|number| number.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(15))
}
