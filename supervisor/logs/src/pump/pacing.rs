//! How long the pump rests, as values: after a round of draining, and before it tries again what
//! failed. No clock is read here.

use std::time::{Duration, Instant};

/// A drain of more than this from one pipe means that its app is writing at full speed.
pub(super) const BUSY: usize = 32 << 10;

/// What comes after a round. Every wake-up costs the same however much it moves, so many lines
/// are left to gather; but an app that fills its pipe faster than it is emptied stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// Nothing was moved: sleep until something comes, and then move it at once.
    Quiet,
    /// Some lines were moved: let more gather, for all pipes together.
    Gather,
    /// An app writes at full speed.
    Busy,
}

impl Pace {
    /// `moved`: in all; `most`: from one pipe.
    pub(super) fn after(moved: usize, most: usize) -> Pace {
        if most > BUSY {
            Pace::Busy
        } else if moved > 0 {
            Pace::Gather
        } else {
            Pace::Quiet
        }
    }

    /// How long to serve orders only, before pipes are looked at again.
    pub(super) fn rest(self) -> Option<Duration> {
        match self {
            Pace::Quiet => None,
            Pace::Gather => Some(Duration::from_millis(20)),
            Pace::Busy => Some(Duration::from_micros(200)),
        }
    }
}

/// When to try again what failed: soon at first, once a second in the end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backoff {
    next: Instant,
    pause: Duration,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(100);
    const LAST: Duration = Duration::from_secs(1);

    pub(super) fn new(now: Instant) -> Backoff {
        Backoff {
            next: now + Backoff::FIRST,
            pause: Backoff::FIRST,
        }
    }

    pub(super) fn failed_again(&mut self, now: Instant) {
        self.pause = (self.pause * 2).min(Backoff::LAST);
        self.next = now + self.pause;
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.next <= now
    }

    pub(super) fn wait(&self, now: Instant) -> Duration {
        self.next.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_sets_the_rest_that_follows() {
        assert_eq!(Pace::after(0, 0).rest(), None);
        assert_eq!(Pace::after(1, 1).rest(), Some(Duration::from_millis(20)));
        assert_eq!(
            Pace::after(BUSY * 9, BUSY).rest(),
            Some(Duration::from_millis(20))
        );
        assert_eq!(
            Pace::after(BUSY + 1, BUSY + 1).rest(),
            Some(Duration::from_micros(200))
        );
    }

    #[test]
    fn tries_become_rarer_up_to_one_a_second() {
        let start = Instant::now();
        let mut backoff = Backoff::new(start);
        assert!(!backoff.is_due(start));
        let mut now = start;
        let mut pauses = Vec::new();
        for _ in 0..6 {
            pauses.push(backoff.wait(now).as_millis());
            now += backoff.wait(now);
            assert!(backoff.is_due(now));
            backoff.failed_again(now);
        }
        assert_eq!(pauses, [100, 200, 400, 800, 1000, 1000]);
    }
}
