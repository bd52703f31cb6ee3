//! The one way of everything that comes from an app to a terminal.
//!
//! Promises that only printable UTF-8, tab, newline and (in lines of logs) well-formed colour
//! sequences get through. Everything else is shown, not sent: a control character as `\x1b`,
//! an invisible or direction-changing one as `\u{202e}`, what is not UTF-8 as U+FFFD.

use std::fmt::Write as _;

/// What becomes of colour sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sgr {
    /// They pass; a line that has one ends with a reset.
    Keep,
    /// They are left out: colour is not wanted where this goes.
    Drop,
}

/// The longest colour sequence that passes.
const SGR_MAX: usize = 64;
const RESET: &[u8] = b"\x1b[0m";

/// One line of a log, without its newline, appended to `out`.
pub fn line(input: &[u8], sgr: Sgr, out: &mut Vec<u8>) {
    let input = input.strip_suffix(b"\r").unwrap_or(input);
    let mut coloured = false;
    for chunk in input.utf8_chunks() {
        let mut rest = chunk.valid();
        while !rest.is_empty() {
            let plain = rest
                .find(|c| c != '\t' && forbidden(c))
                .unwrap_or(rest.len());
            out.extend_from_slice(&rest.as_bytes()[..plain]);
            rest = &rest[plain..];
            let Some(c) = rest.chars().next() else { break };
            if let Some(length) = colour_sequence(rest.as_bytes()) {
                if sgr == Sgr::Keep {
                    out.extend_from_slice(&rest.as_bytes()[..length]);
                    coloured = true;
                }
                rest = &rest[length..];
            } else {
                out.extend_from_slice(visible(c).as_bytes());
                rest = &rest[c.len_utf8()..];
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    if coloured {
        out.extend_from_slice(RESET);
    }
}

/// Text of several lines, without colour.
pub fn block(text: &str) -> String {
    escape(text, |c| c == '\n' || c == '\t')
}

/// Text for one line of a table or a sentence: without colour, tabs and newlines become spaces.
pub fn cell(text: &str) -> String {
    span(text.trim_end())
}

/// The same for a piece of a line, whose spaces at the end count.
pub fn span(text: &str) -> String {
    // Most cells of a big table are like this.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    escape(&text.replace(['\n', '\t'], " "), |_| false)
}

/// JSON that means the same: what would steer a terminal stands in it as `\u009b`.
pub fn json(text: &str) -> String {
    replace(
        text,
        |c| c != '\n' && forbidden(c),
        |c, out| {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}").expect("a String can always be written");
            }
        },
    )
}

fn escape(text: &str, allowed: impl Fn(char) -> bool) -> String {
    let is_wrong = |c| forbidden(c) && !allowed(c);
    replace(text, is_wrong, |c, out| out.push_str(&visible(c)))
}

/// `text` with what is wrong in it put otherwise.
fn replace(text: &str, is_wrong: impl Fn(char) -> bool, put: impl Fn(char, &mut String)) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((at, c)) = rest.char_indices().find(|&(_, c)| is_wrong(c)) {
        out.push_str(&rest[..at]);
        put(c, &mut out);
        rest = &rest[at + c.len_utf8()..];
    }
    out.push_str(rest);
    out
}

/// Whether a character could do something to a terminal, or make text look like other text.
fn forbidden(c: char) -> bool {
    // Controls are C0, DEL and C1; then marks and overrides of direction, separators of lines and
    // paragraphs, annotations, and the invisible tags.
    c.is_control()
        || matches!(
            c,
            '\u{61c}'
                | '\u{200e}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

fn visible(c: char) -> String {
    if c.is_ascii() {
        format!("\\x{:02x}", u32::from(c))
    } else {
        format!("\\u{{{:x}}}", u32::from(c))
    }
}

/// The length of the colour sequence (`ESC [ digits ; … m`) at the start of `bytes`.
fn colour_sequence(bytes: &[u8]) -> Option<usize> {
    let parameters = bytes.strip_prefix(b"\x1b[")?;
    let length = parameters
        .iter()
        .position(|b| !b.is_ascii_digit() && *b != b';')?;
    (parameters[length] == b'm' && length <= SGR_MAX).then_some(length + 3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kept(input: &[u8]) -> String {
        let mut out = Vec::new();
        line(input, Sgr::Keep, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn colours_pass_and_are_reset() {
        assert_eq!(
            kept(b"\x1b[1;31mred\x1b[m text"),
            "\x1b[1;31mred\x1b[m text\x1b[0m"
        );
        let mut out = Vec::new();
        line(b"\x1b[1;31mred\x1b[m text", Sgr::Drop, &mut out);
        assert_eq!(out, b"red text");
    }

    #[test]
    fn everything_else_is_shown_and_not_sent() {
        let cases: &[(&[u8], &str)] = &[
            (b"\x1b]52;c;aGk=\x07", "\\x1b]52;c;aGk=\\x07"),
            (
                b"\x1b]8;;http://x\x1b\\link",
                "\\x1b]8;;http://x\\x1b\\link",
            ),
            (b"\x1b]0;title\x07", "\\x1b]0;title\\x07"),
            (b"\x1bP+q\x1b\\", "\\x1bP+q\\x1b\\"),
            (b"\x1b[2J\x1b[1;1H", "\\x1b[2J\\x1b[1;1H"),
            (
                b"\x1b[?25l\x1b[>4;1m\x1b[38:5:1m",
                "\\x1b[?25l\\x1b[>4;1m\\x1b[38:5:1m",
            ),
            (b"\x1b[31", "\\x1b[31"),
            (b"a\rb\x08\x7f", "a\\x0db\\x08\\x7f"),
            (b"crlf\r", "crlf"),
            (b"\xc2\x9b2J \x9b2J", "\\u{9b}2J \u{fffd}2J"),
            (
                "\u{202e}txt.exe\u{2066}".as_bytes(),
                "\\u{202e}txt.exe\\u{2066}",
            ),
            (b"\xff\xc3(\xe2\x82", "\u{fffd}\u{fffd}(\u{fffd}"),
            (
                "tab\tand größe 日本 👩‍💻".as_bytes(),
                "tab\tand größe 日本 👩‍💻",
            ),
        ];
        for (input, expected) in cases {
            assert_eq!(&kept(input), expected);
        }
    }

    #[test]
    fn a_cell_is_one_line_without_colour() {
        assert_eq!(cell("a\nb\tc\x1b[31m\n"), "a b c\\x1b[31m");
        assert_eq!(block("a\nb\x1b[31m"), "a\nb\\x1b[31m");
    }

    /// Whether a terminal would only show it, perhaps in colour. Written anew from the promise, so
    /// that a fault above cannot hide itself.
    fn is_harmless(text: &str) -> bool {
        let shows = |c: char| {
            !matches!(u32::from(c), 0..=8 | 0xb..=0x1f | 0x7f..=0x9f
            | 0x200e..=0x200f | 0x202a..=0x202e | 0x2066..=0x2069)
        };
        let mut pieces = text.split('\x1b');
        let first = pieces.next().unwrap_or_default();
        first.chars().all(shows)
            && pieces.all(|piece| {
                let is_colour = piece.strip_prefix('[').is_some_and(|rest| {
                    let end = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
                    end.starts_with('m')
                });
                is_colour && piece.chars().all(shows)
            })
    }

    fn nasty() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            any::<Vec<u8>>(),
            any::<char>().prop_map(|c| c.to_string().into_bytes()),
            "\x1b[\\[\\]PX^_][0-9;:?]{0,5}[a-zA-Z\x07]?".prop_map(String::into_bytes),
            "[\u{80}-\u{9f}\u{200e}\u{202a}-\u{202e}\u{2066}-\u{2069}]"
                .prop_map(String::into_bytes),
        ];
        proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn nothing_forbidden_comes_out(input in nasty()) {
            let shown = kept(&input);
            prop_assert!(is_harmless(&shown) && !shown.contains('\n'), "{shown:?}");
            prop_assert!(!shown.contains('\x1b') || shown.ends_with("\x1b[0m"), "{shown:?}");
            let input_lossy = String::from_utf8_lossy(&input);
            let mut dropped = Vec::new();
            line(&input, Sgr::Drop, &mut dropped);
            let dropped = String::from_utf8(dropped).unwrap();
            prop_assert!(!dropped.contains('\x1b'));
            for text in [cell(&input_lossy), block(&input_lossy), dropped] {
                prop_assert!(!text.contains('\x1b') && is_harmless(&text), "{text:?}");
            }
            prop_assert!(!cell(&input_lossy).contains(['\n', '\t']));
        }

        #[test]
        fn json_means_the_same(input in nasty()) {
            let text = String::from_utf8_lossy(&input).into_owned();
            let shown = json(&serde_json::to_string_pretty(&[&text]).unwrap());
            prop_assert!(is_harmless(&shown) && !shown.contains('\x1b'));
            let back: Vec<String> = serde_json::from_str(&shown).unwrap();
            prop_assert_eq!(&back[0], &text);
        }
    }
}
