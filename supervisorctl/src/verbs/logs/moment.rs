//! The times that `--since` and `--until` are given.
//!
//! Promises that a time without a date is the last one there was, so that `23:00` asked in the
//! morning is yesterday's, and that what is not understood is answered with what is.

use jiff::civil::{DateTime, Time};
use jiff::fmt::friendly::SpanParser;
use jiff::{Timestamp, ToSpan as _, Zoned};

/// What is understood, for the help and for errors.
pub const ACCEPTED: &str = "10m, 1h30m, \"2h ago\", 10:00, today, yesterday, \"yesterday 18:00\", 2026-11-22, \
                            \"2026-11-22 10:00\", 2026-11-22T10:00:00Z";

/// A point in time as somebody types it, in milliseconds of Unix time. Clap's view of it.
pub fn parse(text: &str) -> Result<i64, String> {
    at(text, &Zoned::now())
        .map(Timestamp::as_millisecond)
        .ok_or_else(|| format!("it is no time; understood are {ACCEPTED}"))
}

/// The same, seen from a given moment and place.
fn at(text: &str, now: &Zoned) -> Option<Timestamp> {
    let text = text.trim();
    let zoned = if let Some(date) = day(text, now) {
        date
    } else if let Ok(timestamp) = text.parse() {
        return Some(timestamp);
    } else if let Ok(time) = text.parse::<Time>()
        && text.contains(':')
    {
        last(time, now)?
    } else if let Ok(local) = text.parse::<DateTime>() {
        local.to_zoned(now.time_zone().clone()).ok()?
    } else {
        let span = SpanParser::new().parse_span(text).ok()?;
        now.checked_sub(span.abs()).ok()?
    };
    Some(zoned.timestamp())
}

/// `now`, `today` and `yesterday`, the days perhaps with a time.
fn day(text: &str, now: &Zoned) -> Option<Zoned> {
    let (word, time) = match text.split_once(' ') {
        Some((word, time)) => (word, time.trim().parse::<Time>().ok()?),
        None => (text, Time::midnight()),
    };
    let date = match word {
        "now" if word == text => return Some(now.clone()),
        "today" => now.date(),
        "yesterday" => now.date().yesterday().ok()?,
        _ => return None,
    };
    date.to_datetime(time)
        .to_zoned(now.time_zone().clone())
        .ok()
}

/// The last time that it was `time`.
fn last(time: Time, now: &Zoned) -> Option<Zoned> {
    let on = |date: jiff::civil::Date| date.to_datetime(time).to_zoned(now.time_zone().clone());
    let today = on(now.date()).ok()?;
    if today <= *now {
        return Some(today);
    }
    on(now.date().checked_sub(1.day()).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    use super::*;

    /// 14:30 in a place where it is one hour later than in UTC.
    fn now() -> Zoned {
        let now: Timestamp = "2026-11-22T13:30:00Z".parse().unwrap();
        now.to_zoned(TimeZone::fixed(jiff::tz::offset(1)))
    }

    #[test]
    fn every_way_to_say_a_time() {
        let cases = [
            ("2026-11-22T10:00:00Z", "2026-11-22T10:00:00Z"),
            ("2026-11-22T10:00:00.250+02:00", "2026-11-22T08:00:00.25Z"),
            ("2026-11-22 10:00:00Z", "2026-11-22T10:00:00Z"),
            ("2026-11-22 10:00", "2026-11-22T09:00:00Z"),
            ("2026-11-22T10:00:07.5", "2026-11-22T09:00:07.5Z"),
            ("2026-11-22", "2026-11-21T23:00:00Z"),
            ("10:00", "2026-11-22T09:00:00Z"),
            (" 10:00:30 ", "2026-11-22T09:00:30Z"),
            ("14:30", "2026-11-22T13:30:00Z"),
            ("23:00", "2026-11-21T22:00:00Z"),
            ("10m", "2026-11-22T13:20:00Z"),
            ("1h30m", "2026-11-22T12:00:00Z"),
            ("90s", "2026-11-22T13:28:30Z"),
            ("500ms", "2026-11-22T13:29:59.5Z"),
            ("2h ago", "2026-11-22T11:30:00Z"),
            ("2 hours ago", "2026-11-22T11:30:00Z"),
            ("10 min", "2026-11-22T13:20:00Z"),
            ("1d", "2026-11-21T13:30:00Z"),
            ("2w", "2026-11-08T13:30:00Z"),
            ("now", "2026-11-22T13:30:00Z"),
            ("today", "2026-11-21T23:00:00Z"),
            ("yesterday", "2026-11-20T23:00:00Z"),
            ("yesterday 18:00", "2026-11-21T17:00:00Z"),
            ("today 09:15", "2026-11-22T08:15:00Z"),
        ];
        for (text, expected) in cases {
            let expected: Timestamp = expected.parse().unwrap();
            assert_eq!(at(text, &now()), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_told_what_is() {
        for text in [
            "",
            "10",
            "tomorrow",
            "25:00",
            "10 apples",
            "2026-13-01",
            "now 10:00",
            "-",
            "yesterday x",
            "99999999999h",
        ] {
            assert_eq!(at(text, &now()), None, "{text}");
            assert!(parse(text).unwrap_err().contains(ACCEPTED));
        }
    }

    #[test]
    fn what_is_promised_is_understood() {
        for text in ACCEPTED.split(", ") {
            assert!(at(text.trim_matches('"'), &now()).is_some(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_typed_breaks_it(text in "\\PC{0,20}|[0-9:hms a-z-]{0,20}") {
            // Whatever it means, it means something or nothing.
            let _anything = at(&text, &now());
        }
    }
}
