//! What the daemon says of itself, and which promises do not hold here.

use nix::sys::time::TimeValLike;
use supervisor_protocol::{DaemonStatus, Reply};

use super::inbox::Replies;
use super::view::TICKS_PER_SECOND;
use super::{Engine, now};
use crate::os::{pidfd, proc};

impl Engine {
    pub(super) fn answer_daemon_status(&self, replies: &Replies) {
        let keeper_ms = proc::stat(self.keeper).map_or(0, |stat| {
            let ticks = stat.start * 1000 / TICKS_PER_SECOND as u64;
            boot_ms().saturating_sub(ticks)
        });
        replies.send(Reply::Daemon(DaemonStatus {
            keeper_pid: self.keeper,
            engine_pid: std::process::id().cast_signed(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_ms: keeper_ms,
            engine_uptime_ms: now().since(self.born).0,
            engine_restarts: self.slots.engines().saturating_sub(1),
            services: self.fleet.iter().count() as u64,
            log: self.paths.daemon_log(),
            upgrade: self.upgrades.told(),
            limits: limits()
                .into_iter()
                .chain(self.groups.limits())
                .chain(self.doors.troubles())
                .collect(),
        }));
        replies.end();
    }
}

/// Milliseconds since boot, as the kernel counts a process's start.
fn boot_ms() -> u64 {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME)
        .map_or(0, |t| t.num_milliseconds().unsigned_abs())
}

/// The promises that do not hold here.
fn limits() -> Vec<String> {
    let mut limits = Vec::new();
    if !crate::launch::is_under_systemd() {
        limits.push(
            "not under systemd: if keeper and engine are killed in the same instant, nobody starts them again; the next start takes over the apps that live, but one that writes to its log before that is ended by the write, and one with stdin = \"pipe\" reads the end of it".to_owned(),
        );
    }
    if !pidfd::tells_exits() {
        limits.push(
            "this kernel (before 6.15) does not tell how a process ended that is nobody's child: after a keeper's death, exits of the apps that ran then are unknown".to_owned(),
        );
    }
    limits
}
