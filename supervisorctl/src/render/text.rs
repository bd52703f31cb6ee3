//! Measuring, cutting and wrapping text by the columns in which a terminal shows it.
//!
//! Text must have passed the sanitizer. What a reader sees as one character (an emoji of several
//! parts, a letter with its accents) is never torn apart.

use std::borrow::Cow;

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

/// How many columns `text` takes.
pub fn width(text: &str) -> usize {
    if text.is_ascii() {
        text.len()
    } else {
        text.width()
    }
}

/// `text` in at most `max` columns, with an ellipsis where something is missing.
pub fn cut(text: &str, max: usize) -> Cow<'_, str> {
    if width(text) <= max {
        return text.into();
    }
    match max {
        0 => "".into(),
        _ => format!("{}…", split(text, max - 1).0).into(),
    }
}

/// The longest start of `text` that takes at most `max` columns, and the rest. One character that
/// is wider than that (some are many letters joined) is torn.
pub fn split(text: &str, max: usize) -> (&str, &str) {
    let end = match fits(text.graphemes(true), max) {
        0 => fits(text.split_inclusive(|_| true), max),
        end => end,
    };
    text.split_at(end)
}

/// How many bytes of these pieces take at most `max` columns.
fn fits<'a>(pieces: impl Iterator<Item = &'a str>, max: usize) -> usize {
    let (mut used, mut end) = (0, 0);
    for piece in pieces {
        used += width(piece);
        if used > max {
            break;
        }
        end += piece.len();
    }
    end
}

/// `text` in lines of at most `max` columns, broken after a space or a slash where there is one.
pub fn wrap(text: &str, max: usize) -> Vec<String> {
    // No letter is wider, so that each round gets on.
    let max = max.max(4);
    let mut lines = Vec::new();
    let (mut line, mut used) = (String::new(), 0);
    for mut piece in text.split_inclusive([' ', '/']) {
        let mut end_line = |line: &mut String, used: &mut usize| {
            lines.push(line.trim_end().to_owned());
            line.clear();
            *used = 0;
        };
        if used > 0 && used + width(piece.trim_end()) > max {
            end_line(&mut line, &mut used);
        }
        while width(piece.trim_end()) > max {
            let (start, rest) = split(piece, max);
            line.push_str(start);
            end_line(&mut line, &mut used);
            piece = rest;
        }
        line.push_str(piece);
        used += width(piece);
    }
    lines.push(line.trim_end().to_owned());
    lines
}

/// `text` after a `first` part that stands there already, each further line below where it began.
pub fn hang(indent: usize, text: &str, max: Option<usize>) -> String {
    match max {
        None => text.to_owned(),
        Some(max) => wrap(text, max.saturating_sub(indent)).join(&format!("\n{:indent$}", "")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wide_characters_count_as_the_terminal_shows_them() {
        assert_eq!(cut("日本語の名前", 7), "日本語…");
        assert_eq!(cut("日本語の名前", 6), "日本…");
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("short", 0), "");
        // One family, one letter with its accent.
        assert_eq!(cut("👩‍👩‍👧ab", 3), "👩‍👩‍👧…");
        assert_eq!(cut("e\u{301}xyz", 2), "e\u{301}…");
    }

    #[test]
    fn lines_break_after_spaces_and_slashes() {
        assert_eq!(wrap("a bc def", 4), ["a bc", "def"]);
        assert_eq!(wrap("/srv/shop/current", 10), ["/srv/shop/", "current"]);
        assert_eq!(wrap("abcdefghij k", 4), ["abcd", "efgh", "ij k"]);
        assert_eq!(wrap("日本語", 5), ["日本", "語"]);
        assert_eq!(wrap("", 5), [""]);
        // Letters that are joined to be wider than asked for.
        assert!(wrap(&"क्".repeat(20), 4).len() > 1);
        assert_eq!(hang(2, "a bc def", Some(6)), "a bc\n  def");
        assert_eq!(hang(2, "a bc def", None), "a bc def");
    }

    proptest! {
        #[test]
        fn nothing_is_wider_than_it_may_be_and_nothing_is_lost(text in "\\PC{0,40}", max in 4..30usize) {
            prop_assert!(width(&cut(&text, max)) <= max);
            let lines = wrap(&text, max);
            for line in &lines {
                prop_assert!(width(line) <= max, "{line:?}");
            }
            let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(letters(&lines.concat()), letters(&text));
        }
    }
}
