//! Which lines are shown: by level, and by pattern.
//!
//! Looks at each stream's lines in their order, because the lines of a stack trace belong to the one
//! before them.

use supervisor_logs::reading::Pattern;
use supervisor_protocol::Stream;

use super::record::{Level, Record};
use super::source::{Piece, Source};

/// What a line must be to be shown.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Its least level.
    pub least: Option<Level>,
    /// What must be in it.
    pub pattern: Option<Pattern>,
    /// Of each source: whether the lines that go on from the last one pass.
    passing: Vec<Option<bool>>,
}

impl Filter {
    /// One that has seen nothing yet.
    pub fn new(least: Option<Level>, pattern: Option<Pattern>) -> Filter {
        Filter {
            least,
            pattern,
            passing: Vec::new(),
        }
    }

    /// The sources are others from here on.
    pub fn begin_anew(&mut self) {
        self.passing.clear();
    }

    /// Whether a piece of `source` is shown.
    pub fn admits(&mut self, source: &Source, piece: &Piece<'_>) -> bool {
        self.is_heavy_enough(source, piece)
            && self
                .pattern
                .as_ref()
                .is_none_or(|pattern| pattern.is_match(piece.text))
    }

    fn is_heavy_enough(&mut self, source: &Source, piece: &Piece<'_>) -> bool {
        let Some(least) = self.least else { return true };
        let Piece { text, .. } = source.unstamped(piece);
        // What is missing is told whatever is asked for.
        if supervisor_logs::is_marker(text) {
            return true;
        }
        if self.passing.len() <= piece.source {
            self.passing.resize(piece.source + 1, None);
        }
        let passing = &mut self.passing[piece.source];
        let goes_on = !piece.begins || text.starts_with(b" ") || text.starts_with(b"\t");
        match *passing {
            Some(passes) if goes_on => passes,
            Some(_) | None => {
                let without = match source.id.stream {
                    Stream::Out => Level::Info,
                    Stream::Err => Level::Error,
                };
                let level = Record::read(text).map_or(without, |record| record.level);
                *passing.insert(level >= least)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::source::tests::{source, whole};
    use super::*;

    #[test]
    fn lines_pass_by_their_level_with_what_belongs_to_them() {
        let sources = [source("api", 0, Stream::Out), source("api", 0, Stream::Err)];
        let lines: &[(usize, &str)] = &[
            (0, "    at first.js:1"),
            (0, r#"{"level":50,"msg":"bad","time":1}"#),
            (0, "    at x.js:1"),
            (1, r#"{"level":"debug","message":"found"}"#),
            (1, "\tof the other stream"),
            (0, "\tat y.js:2"),
            (0, "plain"),
            (0, "    of plain"),
            (
                0,
                "[supervisor] 3 lines (40 bytes) dropped here: No space left on device",
            ),
            (0, "    of plain, too"),
            (1, "no level"),
            (1, " belongs to it"),
        ];
        let shown = |least, pattern: Option<&str>| {
            let mut filter = Filter::new(Some(least), pattern.map(|p| Pattern::new(p).unwrap()));
            lines
                .iter()
                .filter(|(of, text)| filter.admits(&sources[*of], &whole(*of, text.as_bytes())))
                .map(|(_, text)| text.trim())
                .collect::<Vec<_>>()
        };
        assert_eq!(shown(Level::Trace, None).len(), lines.len());
        assert_eq!(
            shown(Level::Warn, None),
            [
                r#"{"level":50,"msg":"bad","time":1}"#,
                "at x.js:1",
                "at y.js:2",
                "[supervisor] 3 lines (40 bytes) dropped here: No space left on device",
                "no level",
                "belongs to it",
            ]
        );
        assert_eq!(shown(Level::Warn, Some("js")), ["at x.js:1", "at y.js:2"]);
    }

    #[test]
    fn the_rest_of_a_very_long_line_goes_with_its_beginning() {
        let api = source("api", 0, Stream::Out);
        let mut filter = Filter::new(Some(Level::Warn), None);
        let mut piece = whole(0, b"long");
        assert!(!filter.admits(&api, &piece));
        piece.begins = false;
        piece.text = br#"{"level":60,"msg":"x"}"#;
        assert!(!filter.admits(&api, &piece));
        piece.begins = true;
        assert!(filter.admits(&api, &piece));
    }
}
