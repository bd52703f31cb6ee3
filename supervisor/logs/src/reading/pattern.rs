//! What is looked for in lines.

use grep_matcher::{LineMatchKind, Matcher};
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use regex::bytes::Regex;

/// A regular expression for a line by itself: `^` and `$` are its beginning and end.
#[derive(Debug, Clone)]
pub struct Pattern {
    line: Regex,
    among: Option<Among>,
}

/// Finds lines among many; some patterns mean something else there.
#[derive(Debug, Clone)]
struct Among {
    matcher: RegexMatcher,
    /// It looks for only a part of the pattern.
    part: bool,
}

/// The next line that may match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Somewhere in the line.
    pub at: usize,
    /// It does match.
    pub certain: bool,
}

impl Pattern {
    /// A pattern from its text; case does not matter with `(?i)` before it.
    ///
    /// # Errors
    /// When the text is not a regular expression.
    pub fn new(text: &str) -> Result<Pattern, regex::Error> {
        let line = Regex::new(text)?;
        let among = means_the_same_among_lines(text).then(|| {
            let part = after_common_beginning(text).and_then(|rest| Among::new(rest, true));
            part.or_else(|| Among::new(text, false))
        });
        let among = among.flatten();
        Ok(Pattern { line, among })
    }

    /// Whether there is a match in a line.
    #[must_use]
    pub fn is_match(&self, line: &[u8]) -> bool {
        self.line.is_match(line)
    }

    /// Whether [`Pattern::next`] is to be asked.
    pub(super) fn finds_lines(&self) -> bool {
        self.among.is_some()
    }

    /// The next line from `at` on, which is the beginning of one, that may match.
    pub(super) fn next(&self, lines: &[u8], at: usize) -> Option<Candidate> {
        let among = self.among.as_ref()?;
        // Its errors are of a type that has no values.
        match among.matcher.find_candidate_line(&lines[at..]).ok()?? {
            LineMatchKind::Confirmed(found) => Some(Candidate {
                at: at + found,
                certain: !among.part,
            }),
            LineMatchKind::Candidate(found) => Some(Candidate {
                at: at + found,
                certain: false,
            }),
        }
    }
}

impl Among {
    fn new(text: &str, part: bool) -> Option<Among> {
        let matcher = RegexMatcherBuilder::new()
            .multi_line(true)
            .line_terminator(Some(b'\n'))
            .build(text)
            .ok()?;
        Some(Among { matcher, part })
    }
}

/// Of a pattern like `^2026-.*error` the end, if there is a word in it. What a line begins with many
/// others begin with too, a date above all, and a matcher that stops at each of them is slow.
fn after_common_beginning(text: &str) -> Option<&str> {
    let literal = |c: char| c.is_ascii_alphanumeric() || " -:/,_".contains(c);
    let rest = text.strip_prefix('^')?.trim_start_matches(literal);
    // What applies to the literal's last character is no pattern by itself.
    let rest = rest.strip_prefix(".*").unwrap_or(rest);
    let words = rest.split(|c: char| !c.is_ascii_alphanumeric());
    let has_word = words.max_by_key(|word| word.len())?.len() >= 3;
    (has_word && !text.contains('|')).then_some(rest)
}

/// Whether `^` and `$` may be taken for those of each line, and nothing else asks for the beginning
/// or the end of it all. To say no costs only time.
fn means_the_same_among_lines(text: &str) -> bool {
    let mut groups = text
        .match_indices("(?")
        .map(|(at, open)| &text[at + open.len()..]);
    let flags = |group: &str| {
        let mut flags = group
            .chars()
            .take_while(|c| c.is_ascii_alphabetic() || *c == '-');
        flags.any(|flag| matches!(flag, 'm' | 'R'))
    };
    !text.contains(r"\A") && !text.contains(r"\z") && !groups.any(flags)
}
