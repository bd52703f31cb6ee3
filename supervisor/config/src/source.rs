//! A text that faults are located in: from a range of bytes to line, column and the line itself.
//! Promises that no secret is in what it shows: values that may be variables of an environment are
//! masked wherever they stand on the line.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use crate::fault::{Excerpt, Fault};
use crate::units::Problem;

/// So much of a line is shown, in characters, and so much of that before the place.
const LONGEST: usize = 300;
const BEFORE: usize = 100;

/// Where something stands, and what it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Dotted, as the file writes it; empty: the text itself.
    pub(crate) key: String,
    /// Bytes of the text.
    pub(crate) span: Range<usize>,
}

/// The text of one file, or of the options of a command, which have no places to show.
#[derive(Default)]
pub(crate) struct Source {
    pub(crate) file: Option<PathBuf>,
    text: String,
    line_starts: Vec<usize>,
    /// In order.
    secrets: Vec<Range<usize>>,
}

impl Source {
    pub(crate) fn new(text: &str, file: Option<PathBuf>) -> Source {
        let line_ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Source {
            file,
            text: text.to_owned(),
            line_starts: std::iter::once(0)
                .chain(line_ends.map(|(at, _)| at + 1))
                .collect(),
            secrets: Vec::new(),
        }
    }

    /// Says what is never to be shown.
    pub(crate) fn hide(&mut self, mut secrets: Vec<Range<usize>>) {
        secrets.sort_by_key(|span| (span.start, span.end));
        self.secrets = secrets;
    }

    /// Whether what stands there is this text, in quotes or without.
    pub(crate) fn says(&self, span: &Range<usize>, text: &str) -> bool {
        let written = self.text.get(span.clone());
        written.is_some_and(|written| written.trim_matches(['"', '\'']) == text)
    }

    /// The line of a byte, from 1.
    pub(crate) fn line(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset)
    }

    /// Where the line of a byte starts.
    pub(crate) fn line_start(&self, offset: usize) -> usize {
        self.line_starts[self.line(offset) - 1]
    }

    /// What is wrong with the value at `place`.
    pub(crate) fn fault(&self, place: &Place, problem: Problem) -> Fault {
        let shown = !in_environment(&place.key) && !place.key.is_empty();
        let excerpt = |(): ()| self.excerpt(&place.span, &self.secrets);
        self.located(place, problem, shown.then_some(()).and_then(excerpt))
    }

    /// What is wrong with the text itself, so that nobody can say what is a secret and what is not.
    pub(crate) fn broken(&self, span: &Range<usize>, problem: Problem) -> Fault {
        let place = Place {
            key: String::new(),
            span: span.clone(),
        };
        let excerpt = self
            .structure(span.start)
            .and_then(|hidden| self.excerpt(span, &hidden));
        self.located(&place, problem, excerpt)
    }

    fn located(&self, place: &Place, problem: Problem, excerpt: Option<Excerpt>) -> Fault {
        let located = self.file.is_some();
        let start = self.line_start(place.span.start);
        let before = self.text.get(start..place.span.start).unwrap_or("");
        Fault {
            file: self.file.clone(),
            line: located.then(|| self.line(place.span.start)),
            column: located.then(|| before.chars().count() + 1),
            key: (!place.key.is_empty()).then(|| place.key.clone()),
            message: problem.message,
            hint: problem.hint,
            excerpt: excerpt.filter(|_| located),
        }
    }

    /// The line around `span`, with `…` for what is hidden.
    fn excerpt(&self, span: &Range<usize>, hidden: &[Range<usize>]) -> Option<Excerpt> {
        let start = self.line_start(span.start);
        let before = self.text.get(start..span.start)?;
        let from = before.char_indices().rev().nth(BEFORE - 1);
        let from = start + from.map_or(0, |(at, _)| at);
        let rest = self.text.get(from..)?;
        let rest = rest.split_once('\n').map_or(rest, |(line, _)| line);
        let rest = rest.trim_end_matches('\r');
        let mut text = String::from(if from > start { "…" } else { "" });
        let (mut length, mut column, mut width) = (usize::from(from > start), None, 0);
        let mut last_hidden = None;
        for (at, c) in rest.char_indices() {
            let at = from + at;
            if at >= span.start && column.is_none() {
                column = Some(length + 1);
            }
            let index = hidden.partition_point(|range| range.end <= at);
            let secret = hidden.get(index).filter(|range| range.start <= at);
            if secret.is_none() || last_hidden != Some(index) {
                if length == LONGEST - 1 {
                    text.push('…');
                    length += 1;
                    break;
                }
                text.push(if secret.is_some() { '…' } else { plain(c) });
                length += 1;
                width += usize::from(span.contains(&at));
            }
            last_hidden = secret.map(|_| index);
        }
        (!text.trim().is_empty()).then(|| Excerpt {
            column: column.unwrap_or(length + 1),
            width: width.max(1),
            text,
        })
    }

    /// What must not be shown of a line that is not TOML: all but the key before the first `=` and
    /// the signs that give it its structure. `None` where the line may be the inside of a text.
    fn structure(&self, offset: usize) -> Option<Vec<Range<usize>>> {
        let start = self.line_start(offset);
        let above = self.text.get(..start)?;
        if ["\"\"\"", "'''"].iter().any(|mark| above.contains(mark)) {
            return None;
        }
        let rest = self.text.get(start..)?;
        let line = rest.split_once('\n').map_or(rest, |(line, _)| line);
        let key = match line.split_once('=') {
            // What is in quotes before the sign may be a value too.
            Some((key, _)) if key.chars().all(|c| is_bare(c) || c == ' ') => key.len(),
            _ if line.starts_with('[') && line.chars().all(|c| is_bare(c) || "[] ".contains(c)) => {
                line.len()
            }
            _ => 0,
        };
        let mut hidden: Vec<Range<usize>> = Vec::new();
        for (at, c) in line.char_indices().skip_while(|(at, _)| *at < key) {
            let (from, to) = (start + at, start + at + c.len_utf8());
            match hidden.last_mut() {
                _ if "[]{}=,# \t\r".contains(c) => {}
                Some(range) if range.end == from => range.end = to,
                _ => hidden.push(from..to),
            }
        }
        Some(hidden)
    }
}

fn is_bare(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

/// Whether a dotted key is `env` or stands below it.
fn in_environment(key: &str) -> bool {
    let mut ends = key.match_indices(".env").map(|(at, word)| at + word.len());
    ends.any(|end| key[end..].is_empty() || key[end..].starts_with(['.', '[']))
}

/// A character that takes one place on a terminal and does nothing else to it.
fn plain(c: char) -> char {
    match c {
        '\t' => ' ',
        '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}'
        | '\u{feff}' => char::REPLACEMENT_CHARACTER,
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

/// The text has secrets in it.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}
