//! The one way of everything that comes from an app to a terminal.
//!
//! Promises that only printable UTF-8, tab, newline and (in lines of logs) well-formed colour
//! sequences get through. Everything else is shown, not sent: a control character as `\x1b`,
//! an invisible or direction-changing one as `\u{202e}`, what is not UTF-8 as U+FFFD. Colours that
//! hide what is written are no colours.

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
            let plain = first_wrong(rest, |c| c != '\t').map_or(rest.len(), |(at, _)| at);
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
        |c| c != '\n',
        |c, out| {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}").expect("a String can always be written");
            }
        },
    )
}

fn escape(text: &str, allowed: impl Fn(char) -> bool) -> String {
    replace(text, |c| !allowed(c), |c, out| out.push_str(&visible(c)))
}

/// `text` with what is wrong in it put otherwise; only what `minded` says can be wrong.
fn replace(text: &str, minded: impl Fn(char) -> bool, put: impl Fn(char, &mut String)) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((at, c)) = first_wrong(rest, &minded) {
        out.push_str(&rest[..at]);
        put(c, &mut out);
        rest = &rest[at + c.len_utf8()..];
    }
    out.push_str(rest);
    out
}

/// The first character that may not pass, and where it is.
fn first_wrong(text: &str, minded: impl Fn(char) -> bool) -> Option<(usize, char)> {
    let mut before = None;
    let mut all = text.char_indices().peekable();
    while let Some((at, c)) = all.next() {
        // Most of what is ever printed.
        if !matches!(c, ' '..='~') {
            let after = all.peek().map(|&(_, c)| c);
            if minded(c) && (forbidden(c) || (unseen(c) && !changes(c, before, after))) {
                return Some((at, c));
            }
        }
        before = Some(c);
    }
    None
}

/// Whether a character could do something to a terminal, or make text look like other text.
fn forbidden(c: char) -> bool {
    // Controls are C0, DEL and C1; then marks and overrides of direction, separators of lines and
    // paragraphs, annotations, the invisible tags, and letters and signs that take no room or are
    // drawn as nothing.
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180e}'
                | '\u{200b}'
                | '\u{200e}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// Characters that are not seen themselves but change how others look: joiners and selectors of
/// variants, which emoji and some scripts need.
fn unseen(c: char) -> bool {
    is_joiner(c) || matches!(c, '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{fe00}'..='\u{fe0f}')
}

fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}'..='\u{200d}')
}

/// Whether an unseen character has something to change where it stands. Elsewhere it only makes two
/// words that look alike differ.
fn changes(c: char, before: Option<char>, after: Option<char>) -> bool {
    let is_seen = |c: char| !c.is_ascii() && !forbidden(c) && !is_joiner(c);
    if is_joiner(c) {
        before.is_some_and(is_seen) && after.is_some_and(|after| is_seen(after) && !unseen(after))
    } else {
        // A digit with a selector and U+20E3 is a key.
        let is_key = |c: char| c.is_ascii_digit() || c == '#' || c == '*';
        before.is_some_and(|c| is_seen(c) && !unseen(c) || is_key(c) && after == Some('\u{20e3}'))
    }
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
        .take(SGR_MAX)
        .position(|b| !b.is_ascii_digit() && *b != b';')?;
    (parameters[length] == b'm' && are_colours(&parameters[..length])).then_some(length + 3)
}

/// Whether these parameters are known and leave the text to be seen.
fn are_colours(parameters: &[u8]) -> bool {
    let number = |part: &[u8]| match part {
        [] => Some(0),
        part => std::str::from_utf8(part).ok()?.parse::<u8>().ok(),
    };
    let mut numbers = parameters.split(|&b| b == b';').map(number);
    while let Some(next) = numbers.next() {
        let follow = match next {
            // 8 conceals.
            Some(0..=7 | 9..=29 | 30..=37 | 39..=47 | 49..=57 | 59..=65 | 73..=75 | 90..=107) => 0,
            Some(38 | 48 | 58) => match numbers.next() {
                Some(Some(5)) => 1,
                Some(Some(2)) => 3,
                _ => return false,
            },
            Some(_) | None => return false,
        };
        if (0..follow).any(|_| numbers.next().flatten().is_none()) {
            return false;
        }
    }
    true
}

#[cfg(test)]
#[path = "sanitize_tests.rs"]
mod tests;
