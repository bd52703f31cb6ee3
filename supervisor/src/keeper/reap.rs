//! Reaping: write down, then reap, then wake the engine.
#![expect(
    unsafe_code,
    reason = "waitid with WNOWAIT and resource usage is a raw system call"
)]

use std::mem::zeroed;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

use super::exits::{NO_SLOT, Record};
use super::{Keeper, POKE_EXITS};

/// Deals with every child that has ended.
pub fn all(keeper: &mut Keeper) {
    let mut any = false;
    while let Some(mut record) = look() {
        if keeper.is_own(record.pid) {
            reap(record.pid);
            keeper.own_ended(record.pid, record.status);
            continue;
        }
        if keeper.job_ended(record.pid, record.status) {
            reap(record.pid);
            continue;
        }
        // The pidfd that names this child may still be on its way: it was sent before the exit.
        keeper.read_engine();
        keeper.sequence += 1;
        record.sequence = keeper.sequence;
        record.slot = keeper.held.cell_of(record.pid).unwrap_or(NO_SLOT);
        // Without memory the exit stays unwritten: the engine finds the process gone and says
        // "unknown". Not to reap would keep the pid for ever and help nobody.
        let _ = keeper.exits.write(&record);
        reap(record.pid);
        any = true;
    }
    if any {
        keeper.care.poke(POKE_EXITS);
    }
}

/// The next child that has ended, without reaping it.
fn look() -> Option<Record> {
    // SAFETY: all-zero is a valid value of both plain C structs.
    let (mut info, mut usage): (libc::siginfo_t, libc::rusage) = unsafe { (zeroed(), zeroed()) };
    // SAFETY: the kernel fills the two structs, which live through the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_waitid,
            libc::P_ALL,
            0,
            &raw mut info,
            libc::WEXITED | libc::WNOHANG | libc::WNOWAIT | libc::__WALL,
            &raw mut usage,
        )
    };
    // SAFETY: after a successful waitid these fields are set (pid 0: there is nobody).
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    if result != 0 || pid == 0 {
        return None;
    }
    let status = match info.si_code {
        libc::CLD_EXITED => (status & 0xff) << 8,
        libc::CLD_DUMPED => status | 0x80,
        _ => status,
    };
    let micros = |t: libc::timeval| t.tv_sec as u64 * 1_000_000 + t.tv_usec as u64;
    Some(Record {
        pid,
        status,
        slot: NO_SLOT,
        sequence: 0,
        monotonic_ms: monotonic_ms(),
        wall_ms: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_millis() as u64),
        user_us: micros(usage.ru_utime),
        system_us: micros(usage.ru_stime),
        max_rss_kib: usage.ru_maxrss as u64,
    })
}

fn reap(pid: i32) {
    // SAFETY: no pointers but null are passed.
    unsafe {
        libc::syscall(
            libc::SYS_waitid,
            libc::P_PID,
            pid,
            std::ptr::null_mut::<libc::siginfo_t>(),
            libc::WEXITED | libc::WNOHANG | libc::__WALL,
            std::ptr::null_mut::<libc::rusage>(),
        );
    }
}

fn monotonic_ms() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |t| {
        t.tv_sec() as u64 * 1000 + t.tv_nsec() as u64 / 1_000_000
    })
}
