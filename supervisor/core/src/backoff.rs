//! How long to wait before a service is started again.
//!
//! Owns the table: the first quick exit in a row waits `delay`; the n-th (n ≥ 2) waits
//! `max(delay, 100 ms) × 2^(n-2)`, 10 % more or less, at most `max_delay` (or `delay`, where that
//! is longer). Promises to be a function of its arguments alone. Which exits count is left to `machine`.

use crate::{Restart, RunId, ServiceId, Span};

/// What doubling starts from where `delay` is shorter.
const LEAST: Span = Span(100);

/// The wait after `failures` quick exits in a row; 0: the run had been stable.
///
/// The jitter keeps services that fell together from rising together. It is drawn from the name
/// and the run, so that a replay waits exactly as long.
pub(crate) fn wait(restart: &Restart, failures: u32, id: &ServiceId, run: RunId) -> Span {
    let Some(doublings) = failures.checked_sub(2) else {
        return restart.delay;
    };
    let factor = 1_u64.checked_shl(doublings).unwrap_or(u64::MAX);
    let even = u128::from(restart.delay.max(LEAST).0.saturating_mul(factor));
    let permille = 900 + u128::from(hash(id, run) % 201);
    let wait = u64::try_from(even * permille / 1000).unwrap_or(u64::MAX);
    Span(wait).min(restart.max_delay.max(restart.delay))
}

/// FNV-1a: stable across builds and machines, which the standard hashers do not promise.
fn hash(id: &ServiceId, run: RunId) -> u64 {
    let name = id.app.as_str().bytes();
    let numbers = id
        .instance
        .to_le_bytes()
        .into_iter()
        .chain(run.0.to_le_bytes());
    name.chain(numbers)
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
}
