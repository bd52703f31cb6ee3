//! The check of numbered lines: everything an app wrote is in its log, once, in order.
//!
//! `testapp lines` writes lines that begin with their number, from 1; at SIGTERM it notes in a
//! file how many it wrote. A second run of the same app begins at 1 again.
//!
//! Where lines were dropped on a full disk, [`account`] adds up what is there and what the markers
//! in the log say.

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

/// The same for runs one after the other, each of which begins at 1.
///
/// # Errors
/// What is wrong, and in which run.
pub fn check_runs(log: &[u8], written: &[u64]) -> Result<(), String> {
    let mut rest = log;
    for (run, &written) in written.iter().enumerate() {
        let bytes = usize::try_from(written).expect("a short test") * LENGTH;
        let (own, later) = rest.split_at(bytes.min(rest.len()));
        check(own, written).map_err(|wrong| format!("run {}: {wrong}", run + 1))?;
        rest = later;
    }
    if rest.is_empty() {
        return Ok(());
    }
    Err(format!("{} bytes more than was written", rest.len()))
}

/// What every line has after its number.
const TEXT: &str = " the quick brown fox jumps over the lazy dog\n";

/// The bytes of a line.
pub const LENGTH: usize = 10 + TEXT.len();

/// The number of a line as `testapp lines` writes it: ten digits, a text of fixed length, a newline.
#[must_use]
pub fn number_of(line: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(line).ok()?;
    let (number, rest) = text.split_at_checked(10)?;
    if rest != TEXT {
        return None;
    }
    number.parse().ok()
}

/// What `format = "timestamp"` puts before a line, with digits as zeros.
const STAMP: &[u8] = b"0000-00-00T00:00:00.000Z ";

/// The time before a line, and what comes after it.
fn split_stamp(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (stamp, text) = line.split_at_checked(STAMP.len())?;
    let digit = |byte: u8| if byte.is_ascii_digit() { b'0' } else { byte };
    let is_one = stamp
        .iter()
        .zip(STAMP)
        .all(|(&byte, &mark)| digit(byte) == mark);
    is_one.then_some((stamp, text))
}

/// A log with `format = "timestamp"` without the times before its lines.
///
/// # Errors
/// Names the first line that has none, or an earlier one than the line before.
pub fn unstamped(log: &[u8]) -> Result<Vec<u8>, String> {
    let mut all = Vec::with_capacity(log.len());
    let mut before: &[u8] = b"";
    for (index, line) in log.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let shown = || format!("line {}: {:?}", index + 1, String::from_utf8_lossy(line));
        let (stamp, text) = split_stamp(line).ok_or_else(|| format!("no time in {}", shown()))?;
        if stamp < before {
            return Err(format!("earlier than the line before is {}", shown()));
        }
        before = stamp;
        all.extend_from_slice(text);
    }
    Ok(all)
}

/// What is in a log in which lines may be missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Whole lines of the app.
    pub lines: u64,
    /// Bytes of the app, those of lines included of which only the beginning is there.
    pub bytes: u64,
    /// Lines that the markers tell of.
    pub dropped_lines: u64,
    /// Bytes that the markers tell of.
    pub dropped_bytes: u64,
    /// The last number.
    pub last: u64,
}

/// Adds up a log with markers; every gap must have a marker in its place with just the number of
/// lines that are missing there.
///
/// # Errors
/// What is wrong, and where.
pub fn account(log: &[u8], is_stamped: bool) -> Result<Account, String> {
    let mut sum = Account::default();
    // Lines that a marker told of since the last whole line.
    let mut told = 0;
    let mut torn = false;
    for (index, line) in log.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let at = || format!("line {}: {:?}", index + 1, String::from_utf8_lossy(line));
        let text = match split_stamp(line) {
            Some((_, text)) if is_stamped => text,
            Some(_) | None => line,
        };
        if let Some((lines, bytes)) = marker(text) {
            sum.dropped_lines += lines;
            sum.dropped_bytes += bytes;
            told += lines;
            torn = false;
            continue;
        }
        if torn {
            return Err(format!("no marker after half a line, but {}", at()));
        }
        let Some(number) = number_of(text) else {
            let half = text.strip_suffix(b"\n").unwrap_or(text);
            // Of a stamped line perhaps not even the whole stamp.
            let own = if is_stamped && split_stamp(line).is_none() {
                0
            } else {
                half.len()
            };
            sum.bytes += own as u64;
            torn = true;
            continue;
        };
        if number != sum.last + 1 + told {
            return Err(format!(
                "{told} lines told to be missing after {}, then {}",
                sum.last,
                at()
            ));
        }
        (sum.last, told) = (number, 0);
        sum.lines += 1;
        sum.bytes += text.len() as u64;
    }
    Ok(sum)
}

/// The lines and bytes that a line tells of if it is a marker, as in
/// `[supervisor] 1234 lines (56789 bytes) dropped here: No space left on device`.
#[must_use]
pub fn marker(line: &[u8]) -> Option<(u64, u64)> {
    let text = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let (lines, rest) = text.strip_prefix("[supervisor] ")?.split_once(" line")?;
    let rest = rest.strip_prefix('s').unwrap_or(rest);
    let (bytes, rest) = rest.strip_prefix(" (")?.split_once(" byte")?;
    rest.strip_prefix('s')
        .unwrap_or(rest)
        .strip_prefix(") dropped here: ")?;
    Some((lines.parse().ok()?, bytes.parse().ok()?))
}

/// How many lines an app says it wrote; `None` while it runs.
#[must_use]
pub fn written(count_file: &Path) -> Option<u64> {
    fs::read_to_string(count_file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn runs_follow_each_other() {
        let two = [log(&[1, 2]), log(&[1, 2, 3])].concat();
        assert_eq!(check_runs(&two, &[2, 3]), Ok(()));
        assert!(
            check_runs(&two, &[2])
                .unwrap_err()
                .contains("165 bytes more")
        );
        assert!(
            check_runs(&two, &[2, 4])
                .unwrap_err()
                .contains("run 2: 4 to 4")
        );
        assert!(check_runs(&two, &[3, 2]).unwrap_err().contains("run 1"));
    }

    #[test]
    fn times_stand_before_every_line_and_never_go_back() {
        let stamped = b"2026-01-02T03:04:05.678Z a\n2026-01-02T03:04:05.678Z \n";
        assert_eq!(unstamped(stamped).unwrap(), b"a\n\n");
        let back = b"2026-01-02T03:04:05.678Z a\n2026-01-02T03:04:05.677Z b\n";
        assert!(unstamped(back).unwrap_err().contains("earlier"));
        assert!(
            unstamped(b"2026-01-02 03:04:05.678Z a\n")
                .unwrap_err()
                .contains("no time")
        );
    }

    #[test]
    fn what_is_missing_is_told_just_there() {
        let gap = |lines: u64| {
            let bytes = lines * 55 - 7;
            format!("[supervisor] {lines} lines ({bytes} bytes) dropped here: No space left\n")
        };
        let half = b"0000000003 the\n".to_vec();
        let all =
            |gap: String| [log(&[1, 2]), b"0000003\n".to_vec(), gap.into(), log(&[5])].concat();
        let sum = account(&all(gap(2)), false).unwrap();
        assert_eq!((sum.lines, sum.bytes), (3, 3 * 55 + 7));
        assert_eq!(
            (sum.dropped_lines, sum.dropped_bytes, sum.last),
            (2, 103, 5)
        );
        assert!(
            account(&all(gap(1)), false)
                .unwrap_err()
                .contains("1 lines told")
        );
        let untold = [log(&[1, 2]), half, log(&[4])].concat();
        assert!(account(&untold, false).unwrap_err().contains("no marker"));
        assert!(
            account(&log(&[1, 3]), false)
                .unwrap_err()
                .contains("0 lines told")
        );
        let stamped = b"2026-01-02T03:04:05.678Z 000\n2026-01-0\n";
        let sum = account(&stamped[..29], true).unwrap();
        assert_eq!(sum.bytes, 3);
        assert_eq!(account(&stamped[29..], true).unwrap().bytes, 0);
    }
}
