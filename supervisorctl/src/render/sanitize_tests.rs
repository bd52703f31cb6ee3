//! What gets through and what does not.

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
fn what_is_not_seen_passes_only_where_it_is_needed() {
    for text in [
        "👩\u{200d}👩\u{200d}👧",
        "❤\u{fe0f}\u{200d}🔥",
        "1\u{fe0f}\u{20e3}",
        "می\u{200c}خواهم",
        "क्\u{200d}ष",
        "葛\u{fe00}",
    ] {
        assert_eq!(kept(text.as_bytes()), text);
        assert_eq!(cell(text), text);
    }
    for (text, expected) in [
        ("ad\u{200d}min", "ad\\u{200d}min"),
        ("ad\u{fe0f}min", "ad\\u{fe0f}min"),
        ("é\u{200d}", "é\\u{200d}"),
        ("é\u{200d}\u{200d}é", "é\\u{200d}\\u{200d}é"),
        ("1\u{fe0f}2", "1\\u{fe0f}2"),
        ("\u{fe0f}x", "\\u{fe0f}x"),
        ("❤\u{fe0f}\u{fe0f}", "❤\u{fe0f}\\u{fe0f}"),
        (
            "a\u{200b}b\u{feff}c\u{ad}d",
            "a\\u{200b}b\\u{feff}c\\u{ad}d",
        ),
        ("\u{3164}\u{2060}\u{e0041}", "\\u{3164}\\u{2060}\\u{e0041}"),
    ] {
        assert_eq!(kept(text.as_bytes()), expected);
        assert_eq!(cell(text), expected);
    }
}

#[test]
fn only_colours_that_show_what_is_written() {
    for good in [
        "",
        "0",
        "1;31",
        ";;1",
        "38;5;8",
        "38;2;0;8;255",
        "48;5;255;1",
        "107",
    ] {
        let text = format!("\x1b[{good}mx");
        assert_eq!(kept(text.as_bytes()), text + "\x1b[0m");
    }
    let long = "1;".repeat(40);
    for bad in [
        "8",
        "1;8",
        "38;5",
        "38;2;1;2",
        "38;5;999",
        "999",
        "4294967297",
        "38",
        "38;5;;8",
        &long,
    ] {
        let text = format!("\x1b[{bad}mx");
        assert_eq!(kept(text.as_bytes()), format!("\\x1b[{bad}mx"));
    }
}

/// Each way to begin something a terminal obeys, with each way to go on and to end, or none.
#[test]
fn five_hundred_sequences() {
    const BEGINNINGS: [&str; 18] = [
        "\x1b]", "\x1bP", "\x1b_", "\x1b^", "\x1bX", "\x1b[", "\x1b[?", "\x1b[>", "\x1bO", "\x1b(",
        "\x1b#", "\x1b", "\u{9d}", "\u{90}", "\u{9f}", "\u{9e}", "\u{98}", "\u{9b}",
    ];
    const BODIES: [&str; 8] = [
        "8;;http://x",
        "52;c;aGk=",
        "0;title",
        "$q\"p",
        "+q544e",
        "1049h",
        "999999999999;1H",
        "",
    ];
    const ENDINGS: [&str; 6] = ["\x07", "\x1b\\", "\u{9c}", "\x18", "c", ""];
    let mut count = 0;
    for beginning in BEGINNINGS {
        for body in BODIES {
            for ending in ENDINGS {
                let text = format!("a{beginning}{body}{ending}");
                // C1 controls once as UTF-8 and once as single bytes.
                let bytes: Vec<u8> = text.chars().map(|c| u32::from(c) as u8).collect();
                for input in [text.as_bytes(), &bytes] {
                    let shown = kept(input);
                    let is_plain = |c: char| !c.is_control() && !forbidden(c);
                    assert!(shown.chars().all(is_plain), "{input:?} → {shown:?}");
                    assert!(shown.starts_with('a'));
                    count += 1;
                }
            }
        }
    }
    assert!(count >= 500);
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
        | 0x200b | 0x200e..=0x200f | 0x202a..=0x202e | 0x2060..=0x206f | 0xfeff)
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
        "[\u{80}-\u{9f}\u{200b}-\u{200f}\u{202a}-\u{202e}\u{2060}-\u{2069}\u{fe0f}\u{feff}]"
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
