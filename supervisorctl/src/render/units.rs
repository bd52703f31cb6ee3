//! Times and sizes for people. Times are local: the zone is what `TZ` or the system says.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::sanitize;

/// How long something has lasted: two units at most, as `3m 12s`.
pub fn age(ms: u64) -> String {
    let seconds = ms / 1000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {minutes}m"),
        (_, _, _) => format!("{days}d {hours}h"),
    }
}

/// How long until something: rounded up, because the time has not come yet.
pub fn until(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{} s", ms.div_ceil(1000)),
        _ => age(ms),
    }
}

/// What time it is, and where.
#[derive(Clone, Debug)]
pub struct Clock {
    now: Timestamp,
    zone: TimeZone,
}

impl Clock {
    /// Now and here.
    pub fn local() -> Clock {
        Clock {
            now: Timestamp::now(),
            zone: TimeZone::system(),
        }
    }

    /// A clock that stands still, for tests.
    #[cfg(test)]
    pub fn at(now: &str, zone: TimeZone) -> Clock {
        let now = now.parse().unwrap();
        Clock { now, zone }
    }

    /// `3m 12s ago (14:02:11)`, from what the daemon says in RFC 3339.
    pub fn ago(&self, at: &str) -> String {
        match at.parse() {
            // A clock that was set back must not make this negative.
            Ok(then) => {
                let ms = self.now.duration_since(then).as_millis();
                let ms = u64::try_from(ms).unwrap_or(0);
                format!("{} ago ({})", age(ms), self.local_time(then))
            }
            Err(_) => sanitize::cell(at),
        }
    }

    /// `14:02:23`, from what the daemon says in RFC 3339.
    pub fn at_time(&self, at: &str) -> String {
        match at.parse() {
            Ok(at) => self.local_time(at),
            Err(_) => sanitize::cell(at),
        }
    }

    /// When something began that has lasted so long: `1d 2h, since 2026-11-21 12:02:11`.
    pub fn since(&self, ms: u64) -> String {
        let lasted = i64::try_from(ms).unwrap_or(i64::MAX);
        let began = self.now.as_millisecond().saturating_sub(lasted);
        match Timestamp::from_millisecond(began) {
            Ok(began) => format!("{}, since {}", age(ms), self.local_time(began)),
            Err(_) => age(ms),
        }
    }

    /// The day is said where it is not today.
    fn local_time(&self, at: Timestamp) -> String {
        let local = |at: Timestamp| Zoned::new(at, self.zone.clone());
        let time = local(at);
        let format = if time.date() == local(self.now).date() {
            "%H:%M:%S"
        } else {
            "%Y-%m-%d %H:%M:%S"
        };
        time.strftime(format).to_string()
    }
}

/// How long a command took.
pub fn took(ms: u64) -> String {
    if ms < 10_000 {
        format!("{ms} ms")
    } else {
        format!("{:.1} s", Duration::from_millis(ms).as_secs_f64())
    }
}

/// Bytes, in powers of ten as in the config file.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KB", "MB", "GB", "TB"];
    let (mut amount, mut unit) = (bytes, "B");
    let mut tenths = 0;
    for larger in UNITS {
        if amount < 1000 {
            break;
        }
        tenths = amount % 1000 / 100;
        amount /= 1000;
        unit = larger;
    }
    if unit == "B" {
        format!("{amount} B")
    } else {
        format!("{amount}.{tenths} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scale_reads_well() {
        let ages: Vec<_> = [0, 59_999, 61_000, 3_600_000, 90_061_000].map(age).into();
        assert_eq!(ages, ["0s", "59s", "1m 1s", "1h 0m", "1d 1h"]);
        let untils: Vec<_> = [0, 250, 1_001, 60_000].map(until).into();
        assert_eq!(untils, ["0 ms", "250 ms", "2 s", "1m 0s"]);
        let tooks: Vec<_> = [0, 9_999, 12_345].map(took).into();
        assert_eq!(tooks, ["0 ms", "9999 ms", "12.3 s"]);
        let sizes: Vec<_> = [0, 999, 1_000, 48_250_000, u64::MAX].map(bytes).into();
        assert_eq!(
            sizes,
            ["0 B", "999 B", "1.0 KB", "48.2 MB", "18446744.0 TB"]
        );
    }

    #[test]
    fn times_are_local_and_relative() {
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        let clock = Clock::at("2026-11-22T13:05:00Z", zone);
        let told = [
            clock.ago("2026-11-22T13:01:48.2Z"),
            clock.ago("2026-11-22T07:01:48-05:00"),
            clock.ago("2026-11-20T22:30:00Z"),
            clock.ago("2026-11-22T13:05:01Z"),
            clock.at_time("2026-11-22T13:05:12+00:00"),
            clock.at_time("2026-11-22T23:30:00Z"),
            clock.since(61_000),
            clock.since(93_784_000),
            clock.since(u64::MAX),
            clock.ago("yesterday\x1b[2J"),
        ];
        insta::assert_snapshot!(told.join("\n"), @r"
        3m 11s ago (14:01:48)
        1h 3m ago (13:01:48)
        1d 14h ago (2026-11-20 23:30:00)
        0s ago (14:05:01)
        14:05:12
        2026-11-23 00:30:00
        1m 1s, since 14:03:59
        1d 2h, since 2026-11-21 12:01:56
        213503982334d 14h
        yesterday\x1b[2J
        ");
    }
}
