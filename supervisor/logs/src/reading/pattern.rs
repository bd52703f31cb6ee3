//! What is looked for in lines.

use grep_matcher::{LineMatchKind, Matcher};
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use regex::bytes::Regex;

/// A regular expression for a line by itself: `^` and `$` are its beginning and end.
#[derive(Debug, Clone)]
pub struct Pattern {
    line: Regex,
    /// Finds the lines among many; some patterns mean something else there.
    among: Option<RegexMatcher>,
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
        let among = RegexMatcherBuilder::new()
            .multi_line(true)
            .line_terminator(Some(b'\n'))
            .build(text)
            .ok()
            .filter(|_| means_the_same_among_lines(text));
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
        match among.find_candidate_line(&lines[at..]).ok()?? {
            LineMatchKind::Confirmed(found) => Some(Candidate {
                at: at + found,
                certain: true,
            }),
            LineMatchKind::Candidate(found) => Some(Candidate {
                at: at + found,
                certain: false,
            }),
        }
    }
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
