//! The check of numbered lines: everything an app wrote is in its log, once, in order.
//!
//! `testapp lines` writes lines that begin with their number, from 1; at SIGTERM it notes in a
//! file how many it wrote. A second run of the same app would begin at 1 again.

use std::fs;
use std::path::Path;

/// Compares a log with the numbers 1..=`written`; the error names the first line that is wrong.
///
/// # Errors
/// What is wrong, and where.
pub fn check(log: &[u8], written: u64) -> Result<(), String> {
    let mut expected = 1;
    for (index, line) in log.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let Some(number) = number_of(line) else {
            return Err(format!(
                "line {}: broken: {:?}",
                index + 1,
                String::from_utf8_lossy(line)
            ));
        };
        if number < expected {
            return Err(format!(
                "line {}: {number} again, or a second run",
                index + 1
            ));
        }
        if number > expected {
            return Err(format!(
                "line {}: {expected} to {} are lost",
                index + 1,
                number - 1
            ));
        }
        expected += 1;
    }
    if expected <= written {
        return Err(format!("{expected} to {written} are missing at the end"));
    }
    if expected - 1 > written {
        return Err(format!(
            "{} lines, but the app says it wrote {written}",
            expected - 1
        ));
    }
    Ok(())
}

/// As `testapp lines` writes them: ten digits, a space, a text of fixed length, a newline.
fn number_of(line: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(line).ok()?;
    let (number, rest) = text.split_at_checked(10)?;
    if rest != " the quick brown fox jumps over the lazy dog\n" {
        return None;
    }
    number.parse().ok()
}

/// How many lines an app says it wrote; `None` while it runs.
#[must_use]
pub fn written(count_file: &Path) -> Option<u64> {
    fs::read_to_string(count_file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::check;

    fn log(numbers: &[u64]) -> Vec<u8> {
        let line = |n: &u64| format!("{n:010} the quick brown fox jumps over the lazy dog\n");
        numbers.iter().map(line).collect::<String>().into_bytes()
    }

    #[test]
    fn finds_what_is_lost_doubled_or_broken() {
        assert_eq!(check(&log(&[1, 2, 3]), 3), Ok(()));
        assert_eq!(check(b"", 0), Ok(()));
        assert!(
            check(&log(&[1, 3]), 3)
                .unwrap_err()
                .contains("2 to 2 are lost")
        );
        assert!(
            check(&log(&[1, 2, 2, 3]), 3)
                .unwrap_err()
                .contains("2 again")
        );
        assert!(
            check(&log(&[1, 2]), 3)
                .unwrap_err()
                .contains("missing at the end")
        );
        assert!(check(&log(&[1, 2, 3]), 2).unwrap_err().contains("wrote 2"));
        let mut torn = log(&[1, 2]);
        torn.remove(20);
        assert!(check(&torn, 2).unwrap_err().contains("line 1: broken"));
        torn = log(&[1, 2]);
        torn.truncate(70);
        assert!(check(&torn, 2).unwrap_err().contains("line 2: broken"));
    }
}
