//! How long the pump rests, as values: after a round of draining, and before it tries again what
//! failed. No clock is read here.

use std::time::{Duration, Instant};

/// A move of no more than this is taken for all there was.
pub(super) const FEW: usize = 32 << 10;

/// The longest rest: what the order of two pipes' lines is known to.
pub(super) const TICK: Duration = Duration::from_millis(20);

/// Waking up from a sleep of less takes longer than the sleep.
const SHORTEST: Duration = Duration::from_micros(100);

/// How long a pipe that woke the thread is taken to have been filling.
const WOKEN: Duration = Duration::from_millis(1);

/// What comes after a round. Every wake-up costs the same however much it moves, so lines are left
/// to gather; but an app whose pipe is full stands still.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Pace {
    /// Nothing was moved: sleep until something comes, and then move it at once.
    Quiet,
    /// Something was moved: rest as long as the pipe that fills fastest needs for a part of it.
    Rest(Duration),
}

/// What is learned from one round for the next.
#[derive(Debug)]
pub(super) struct Pacer {
    /// The part of a pipe that is left to fill. On a busy machine a sleep takes longer than it
    /// should: where pipes are found full, less is left to chance.
    part: f64,
    /// The pipes had been asleep before this round.
    woken: bool,
    full: bool,
    rest: Option<Duration>,
}

const MOST: f64 = 0.5;
const LEAST: f64 = MOST / 16.0;

impl Pacer {
    pub(super) fn new() -> Pacer {
        Pacer {
            part: MOST,
            woken: false,
            full: false,
            rest: None,
        }
    }

    /// A round begins, after this pace.
    pub(super) fn begin(&mut self, pace: Pace) {
        self.woken = pace == Pace::Quiet;
        self.full = false;
        self.rest = None;
    }

    /// From a pipe of this capacity so much was moved; the last time was so long ago.
    pub(super) fn moved(&mut self, bytes: usize, capacity: usize, ago: Duration) {
        let filling = if self.woken { ago.min(WOKEN) } else { ago };
        if bytes * 4 >= capacity * 3 {
            // Full, or nearly: its app may be waiting.
            self.full = true;
            self.limit(Duration::ZERO);
        } else {
            let whole = filling.as_secs_f64() * capacity as f64 / bytes.max(1) as f64;
            let rest = (whole * self.part).min(TICK.as_secs_f64());
            self.limit(Duration::from_secs_f64(rest));
        }
    }

    /// Something is left on purpose.
    pub(super) fn deferred(&mut self) {
        self.limit(TICK);
    }

    fn limit(&mut self, rest: Duration) {
        self.rest = Some(self.rest.map_or(rest, |other| other.min(rest)));
    }

    /// The round is over.
    pub(super) fn pace(&mut self) -> Pace {
        self.part = if self.full {
            (self.part / 2.0).max(LEAST)
        } else {
            (self.part * 1.02).min(MOST)
        };
        match self.rest {
            None => Pace::Quiet,
            Some(rest) if rest < SHORTEST => Pace::Rest(Duration::ZERO),
            Some(rest) => Pace::Rest(rest),
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

    const PIPE: usize = 256 << 10;

    fn pace(before: Pace, turns: &[(usize, Duration)]) -> Pace {
        let mut pacer = Pacer::new();
        pacer.begin(before);
        for (bytes, ago) in turns {
            pacer.moved(*bytes, PIPE, *ago);
        }
        pacer.pace()
    }

    #[test]
    fn a_round_sets_the_rest_that_follows() {
        let resting = Pace::Rest(TICK);
        let ms = Duration::from_millis;
        assert_eq!(pace(resting, &[]), Pace::Quiet);
        // A few lines, whether they woke the thread or not.
        assert_eq!(pace(Pace::Quiet, &[(100, ms(5000))]), Pace::Rest(TICK));
        assert_eq!(pace(resting, &[(4096, ms(20))]), Pace::Rest(TICK));
        // A full pipe: no rest, whatever the others say.
        let full = (PIPE, ms(20));
        assert_eq!(
            pace(resting, &[(100, ms(20)), full]),
            Pace::Rest(Duration::ZERO)
        );
        // 64 KiB in 2 ms: 8 ms to fill, half of that.
        assert_eq!(pace(resting, &[(64 << 10, ms(2))]), Pace::Rest(ms(4)));
        // The beginning of a burst after a long silence.
        assert_eq!(
            pace(Pace::Quiet, &[(64 << 10, ms(60_000))]),
            Pace::Rest(ms(2))
        );
        // As fast as it can: no time to rest.
        let fast = (32 << 10, Duration::from_micros(20));
        assert_eq!(pace(resting, &[fast]), Pace::Rest(Duration::ZERO));
    }

    #[test]
    fn pipes_that_are_found_full_are_looked_at_more_often() {
        let mut pacer = Pacer::new();
        let mut round = |bytes: usize| {
            pacer.begin(Pace::Rest(TICK));
            pacer.moved(bytes, PIPE, Duration::from_millis(2));
            pacer.pace()
        };
        let ms = |n: f64| Pace::Rest(Duration::from_secs_f64(n / 1000.0));
        assert_eq!(round(64 << 10), ms(4.0));
        assert_eq!(round(PIPE), ms(0.0));
        assert_eq!(round(64 << 10), ms(2.0));
        (0..9).for_each(|_| assert_eq!(round(PIPE), ms(0.0)));
        assert_eq!(round(64 << 10), ms(0.25));
        for _ in 0..500 {
            round(64 << 10);
        }
        assert_eq!(round(64 << 10), ms(4.0));
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
