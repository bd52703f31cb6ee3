//! Durations and sizes as people write them. Owns both directions: what is shown reads back as what
//! it was. A number without a unit is refused, because PM2, systemd and supervisord disagree on it.

use std::fmt;

use supervisor_core::Span;

/// What is wrong with a value by itself, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// The longest duration, so that no sum of a few of them can overflow or mean "for ever".
const LONGEST: u64 = 365 * DAY;
const DAY: u64 = 24 * HOUR;
const HOUR: u64 = 60 * MINUTE;
const MINUTE: u64 = 60 * SECOND;
const SECOND: u64 = 1000;

/// From the largest to the smallest, which is also the order in which they are written.
const TIMES: [(&str, u64); 5] = [
    ("d", DAY),
    ("h", HOUR),
    ("m", MINUTE),
    ("s", SECOND),
    ("ms", 1),
];

const SIZES: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1_000),
    ("B", 1),
];

impl Problem {
    /// What is wrong, in a sentence without the name of the key.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Problem {
        Problem {
            message: message.into(),
            hint: None,
        }
    }

    /// The same with what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Problem {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

/// Reads `"250ms"`, `"10s"`, `"1m30s"`, `"0s"`; at most 365 days.
///
/// # Errors
/// A [`Problem`], with what was probably meant.
pub fn parse_duration(text: &str) -> Result<Span, Problem> {
    if let Ok(bare) = text.trim().parse::<u64>() {
        return Err(bare_duration(bare));
    }
    let malformed = || {
        Problem::new(format!("{} is not a duration", shown(text)))
            .hint("write whole numbers with units, the largest first: \"250ms\", \"10s\", \"1m30s\", \"2h\", \"1d\"")
    };
    let too_long = || {
        Problem::new(format!(
            "{} is longer than 365 days, the longest duration",
            shown(text)
        ))
    };
    let mut units = TIMES.iter();
    let (mut rest, mut total) = (text, 0u64);
    while !rest.is_empty() || text.is_empty() {
        let (digits, after) = split_at_end(rest, |c| c.is_ascii_digit());
        let (unit, after) = split_at_end(after, |c| c.is_ascii_alphabetic());
        // Only what follows in the table may follow in the text: so each unit comes once.
        let (_, factor) = units
            .find(|(name, _)| *name == unit)
            .ok_or_else(malformed)?;
        if digits.is_empty() {
            return Err(malformed());
        }
        let part = digits
            .parse::<u64>()
            .ok()
            .and_then(|count| count.checked_mul(*factor));
        total = part
            .and_then(|part| total.checked_add(part))
            .ok_or_else(too_long)?;
        rest = after;
    }
    if total > LONGEST {
        Err(too_long())
    } else {
        Ok(Span(total))
    }
}

/// What to say of a duration without a unit.
pub(crate) fn bare_duration(number: u64) -> Problem {
    let problem = Problem::new("a duration needs its unit");
    match number {
        0 => problem.hint("write \"0s\""),
        1..1000 => problem.hint(format!(
            "write \"{number}s\" for seconds, \"{number}ms\" for milliseconds"
        )),
        _ => problem.hint(format!(
            "{number} milliseconds, as PM2 counts, are {:?}; seconds would be \"{number}s\"",
            duration_text(Span(number)),
        )),
    }
}

/// Writes a duration so that [`parse_duration`] reads it back: `1m30s`.
#[must_use]
pub fn duration_text(span: Span) -> String {
    let mut rest = span.0;
    let mut text = String::new();
    for (unit, factor) in TIMES {
        if rest >= factor {
            text.push_str(&format!("{}{unit}", rest / factor));
            rest %= factor;
        }
    }
    if text.is_empty() {
        "0s".to_owned()
    } else {
        text
    }
}

/// Reads `"512KB"`, `"50MB"` (10^6) or `"50MiB"` (2^20) as a number of bytes.
///
/// # Errors
/// A [`Problem`], with what was probably meant.
pub fn parse_size(text: &str) -> Result<u64, Problem> {
    let (digits, unit) = split_at_end(text.trim(), |c| c.is_ascii_digit());
    let known = SIZES.iter().find(|(name, _)| *name == unit);
    match (digits.parse::<u64>(), known) {
        (Ok(count), Some((_, factor))) => count
            .checked_mul(*factor)
            .ok_or_else(|| Problem::new(format!("{} is more than any machine has", shown(text)))),
        _ => Err(bad_size(text, digits, unit)),
    }
}

/// What to say of a text that is no size.
fn bad_size(text: &str, digits: &str, unit: &str) -> Problem {
    let letter = unit.chars().next().map_or('M', |c| c.to_ascii_uppercase());
    let digits = if digits.is_empty() || digits.len() > 9 {
        "50"
    } else {
        digits
    };
    if unit.is_empty() && digits == text.trim() {
        return Problem::new("a size needs its unit").hint(format!(
            "write \"{digits}KB\", \"{digits}MB\" or \"{digits}MiB\""
        ));
    }
    let letter = if "KMGT".contains(letter) { letter } else { 'M' };
    let problem = Problem::new(format!("{} is not a size", shown(text)));
    if unit.starts_with('.') {
        return problem
            .hint("write a whole number of a smaller unit: \"1500MB\" rather than \"1.5GB\"");
    }
    problem.hint(format!(
        "write \"{digits}{letter}B\" (powers of 1000) or \"{digits}{letter}iB\" (powers of 1024)"
    ))
}

/// Writes a size so that [`parse_size`] reads it back: `50MB`, `64KiB`.
#[must_use]
pub fn size_text(bytes: u64) -> String {
    let exact = SIZES
        .iter()
        .filter(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor));
    match exact.min_by_key(|(_, factor)| bytes / factor) {
        Some((unit, factor)) => format!("{}{unit}", bytes / factor),
        None => "0B".to_owned(),
    }
}

/// A text in quotes for a message; of a long one the beginning.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// Somebody else's message, as one line that is not too long.
pub(crate) fn plain_text(text: &str) -> String {
    const LONGEST: usize = 200;
    let mut line: String = text.chars().take(LONGEST + 1).collect();
    if let Some((end, _)) = line.char_indices().nth(LONGEST) {
        line.replace_range(end.., "…");
    }
    line.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// `text` up to the first character that is not `inside`, and the rest.
fn split_at_end(text: &str, inside: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !inside(c)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_sums_of_units() {
        let read = |text| parse_duration(text).map(|span| span.0);
        assert_eq!(read("250ms"), Ok(250));
        assert_eq!(read("10s"), Ok(10_000));
        assert_eq!(read("1m30s"), Ok(90_000));
        assert_eq!(read("1d2h3m4s5ms"), Ok(93_784_005));
        assert_eq!(read("0s"), Ok(0));
        assert_eq!(read("365d"), Ok(LONGEST));
    }

    #[test]
    fn sizes_count_in_thousands_or_in_1024s() {
        assert_eq!(parse_size("512KB"), Ok(512_000));
        assert_eq!(parse_size("50MB"), Ok(50_000_000));
        assert_eq!(parse_size("50MiB"), Ok(52_428_800));
        assert_eq!(parse_size("1GiB"), Ok(1 << 30));
        assert_eq!(parse_size("7B"), Ok(7));
    }

    #[test]
    fn what_is_wrong_with_a_unit() {
        let durations = [
            "",
            " ",
            "5000",
            "10",
            "0",
            "s",
            "10 s",
            "1s1m",
            "1s1s",
            "1.5s",
            "-1s",
            "10x",
            "1m30",
            "366d",
            "99999999999999999999d",
            "18446744073709551615ms",
            "10S",
        ];
        let sizes = [
            "",
            "50",
            "0",
            "50M",
            "50mb",
            "MB",
            "1.5GB",
            "-1MB",
            "99999999999GiB",
            "50 MB",
            "unlimited",
        ];
        let mut said = String::new();
        for text in durations {
            let problem = parse_duration(text).expect_err(text);
            said.push_str(&format!("duration {text:?}: {problem}\n"));
        }
        for text in sizes {
            let problem = parse_size(text).expect_err(text);
            said.push_str(&format!("size {text:?}: {problem}\n"));
        }
        insta::assert_snapshot!(said);
    }

    proptest! {
        #[test]
        fn a_duration_reads_back(ms in 0..=LONGEST) {
            prop_assert_eq!(parse_duration(&duration_text(Span(ms))), Ok(Span(ms)));
        }

        #[test]
        fn a_size_reads_back(bytes in prop_oneof![any::<u64>(), 0..10_000u64, (0..40u32, 0..1000u64).prop_map(|(shift, n)| n << shift)]) {
            prop_assert_eq!(parse_size(&size_text(bytes)), Ok(bytes));
        }

        #[test]
        fn units_never_panic(text in "\\PC{0,20}|[0-9]{0,25}[a-zA-Z.]{0,4}[0-9]{0,3}[a-z]{0,2}") {
            // Only that it returns is asked here.
            drop((parse_duration(&text), parse_size(&text)));
        }
    }
}
