//! Times and sizes for people.

use std::time::Duration;

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
}
