//! What the daemon's own log says of those who were refused: enough to know of them, and not so much
//! that somebody who asks again and again fills the disk with it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One line for each user in so long.
const QUIET: Duration = Duration::from_secs(60);
/// With more users than these, all are counted anew.
const MOST: usize = 256;

/// When each user's last line was, and how many were left out since.
#[derive(Debug, Default)]
struct Told(BTreeMap<u32, (Instant, u64)>);

static TOLD: Mutex<Told> = Mutex::new(Told(BTreeMap::new()));

/// Notes that this user was refused.
pub fn note(uid: u32, why: &str) {
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    match told.next(uid, Instant::now()) {
        Some(0) => tracing::warn!("uid {uid} was refused: {why}"),
        Some(more) => tracing::warn!("uid {uid} was refused, {more} times more since: {why}"),
        None => {}
    }
}

impl Told {
    /// `Some`: a line is due, and so many were left out before it.
    fn next(&mut self, uid: u32, now: Instant) -> Option<u64> {
        if self.0.len() >= MOST && !self.0.contains_key(&uid) {
            self.0.clear();
        }
        let left_out = match self.0.get_mut(&uid) {
            Some((last, left_out)) if now.duration_since(*last) < QUIET => {
                *left_out += 1;
                return None;
            }
            Some((_, left_out)) => *left_out,
            None => 0,
        };
        self.0.insert(uid, (now, 0));
        Some(left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_for_each_user_and_the_rest_is_counted() {
        let mut told = Told::default();
        let now = Instant::now();
        assert_eq!(told.next(1, now), Some(0));
        assert_eq!([told.next(1, now), told.next(1, now)], [None, None]);
        assert_eq!(told.next(2, now), Some(0));
        assert_eq!(told.next(1, now + QUIET), Some(2));
        assert_eq!(told.next(1, now + 2 * QUIET), Some(0));
        for uid in 0..10_000 {
            told.next(uid, now);
        }
        assert!(told.0.len() <= MOST);
    }
}
