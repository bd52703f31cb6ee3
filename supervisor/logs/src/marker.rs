//! The line in a log that tells of lines that are not in it.

use crate::Losses;

const START: &str = "[supervisor] ";
const WHAT: &str = " dropped here: ";

/// The marker of what the log does not tell of yet, without a newline.
#[must_use]
pub fn marker(losses: &Losses, reason: &str) -> String {
    let (lines, bytes) = (losses.untold_lines, losses.untold_bytes);
    let plural = if lines == 1 { "" } else { "s" };
    format!("{START}{lines} line{plural} ({bytes} bytes){WHAT}{reason}")
}

/// Whether a line, without its newline and without a time before it, is a marker.
#[must_use]
pub fn is_marker(line: &[u8]) -> bool {
    line.starts_with(START.as_bytes()) && memchr::memmem::find(line, WHAT.as_bytes()).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_known_again() {
        let losses = Losses {
            untold_lines: 1234,
            untold_bytes: 56789,
            ..Losses::default()
        };
        let line = marker(&losses, "No space left on device");
        assert_eq!(
            line,
            "[supervisor] 1234 lines (56789 bytes) dropped here: No space left on device"
        );
        assert!(is_marker(line.as_bytes()));
        assert!(!is_marker(b"[supervisor] hello"));
        assert!(!is_marker(b"api: 3 lines (4 bytes) dropped here: no"));
    }
}
