//! Faults of files, as a compiler tells them: what, where, the line with the place marked, and
//! what to do. One form for what the daemon refused and for what is checked without one.

use std::collections::BTreeSet;

use supervisor_protocol::{Excerpt, Fault};

use super::color::{Colour, paint};
use super::sanitize;
use super::text::{cut, hang, split, width};
use crate::output::Style;

/// In front of a message, and as wide as that the indent of what follows it.
const ERROR: &str = "error:";

/// Each fault, with an empty line between two.
pub fn render(faults: &[Fault], style: Style, max: Option<usize>) -> String {
    let blocks: Vec<_> = faults
        .iter()
        .map(|fault| block(fault, style, max))
        .collect();
    blocks.join("\n")
}

/// `2 faults in supervisor.toml`.
pub fn summary(faults: &[Fault]) -> String {
    let files: BTreeSet<_> = faults.iter().filter_map(|f| f.file.as_ref()).collect();
    let files: Vec<_> = files.into_iter().collect();
    let place = match files.as_slice() {
        [] => String::new(),
        [file] => format!(" in {}", sanitize::cell(&file.display().to_string())),
        many => format!(" in {} files", many.len()),
    };
    match faults.len() {
        1 => format!("1 fault{place}"),
        many => format!("{many} faults{place}"),
    }
}

fn block(fault: &Fault, style: Style, max: Option<usize>) -> String {
    let dim = |text: &str| paint(style, Colour::Dim, text);
    let message = hang(ERROR.len() + 1, &sanitize::cell(&fault.message), max);
    let mut text = format!("{} {message}\n", paint(style, Colour::Red, ERROR));
    let number = fault.line.map(|line| line.to_string()).unwrap_or_default();
    let gutter = " ".repeat(number.len().max(1));
    if let Some(place) = place(fault) {
        let place = hang(gutter.len() + 4, &place, max);
        text.push_str(&format!("{gutter}{} {place}\n", dim("-->")));
    }
    if let Some(excerpt) = &fault.excerpt {
        let room = max.map_or(usize::MAX, |max| max.saturating_sub(gutter.len() + 3));
        let [line, marks] = marked(excerpt, room);
        let marks = paint(style, Colour::Red, marks.trim_end());
        let bar = dim(&format!("{gutter} |"));
        let number = dim(&format!("{number:>0$} |", gutter.len()));
        text.push_str(&format!("{bar}\n{number} {line}\n{bar} {marks}\n"));
    }
    let is_option = fault.key.as_ref().is_some_and(|key| key.starts_with("--"));
    let key = if is_option { "option" } else { "key" };
    for (title, said) in [(key, &fault.key), ("help", &fault.hint)] {
        if let Some(said) = said {
            let indent = gutter.len() + " = : ".len() + title.len();
            let said = hang(indent, &sanitize::cell(said), max);
            text.push_str(&format!(
                "{gutter} {} {said}\n",
                dim(&format!("= {title}:"))
            ));
        }
    }
    text
}

/// `file:line:column`, as far as it is known.
fn place(fault: &Fault) -> Option<String> {
    let file = fault.file.as_ref()?;
    let mut place = sanitize::cell(&file.display().to_string());
    for number in [fault.line, fault.column].into_iter().map_while(|n| n) {
        place.push_str(&format!(":{number}"));
    }
    Some(place)
}

/// The line, and marks below the part that is meant. Of a line that is too long, what is around
/// that part.
fn marked(excerpt: &Excerpt, room: usize) -> [String; 2] {
    let start = byte_of(&excerpt.text, excerpt.start);
    let (before, rest) = excerpt.text.split_at(start);
    let (part, after) = rest.split_at(byte_of(rest, excerpt.width));
    let [before, part, after] = [before, part, after.trim_end()].map(sanitize::span);
    let part = cut(&part, room.saturating_sub(room.min(20) / 2));
    let room = room.saturating_sub(width(&part).max(1));
    // A third of the room at most goes to what stands after it, unless there is more.
    let before = cut_start(&before, room - width(&after).min(room / 3));
    let after = cut(&after, room.saturating_sub(width(&before)));
    let marks = "^".repeat(width(&part).max(1));
    let indent = " ".repeat(width(&before));
    [
        format!("{before}{part}{after}").trim_end().to_owned(),
        format!("{indent}{marks}"),
    ]
}

/// Where the character with this number begins.
fn byte_of(text: &str, character: u64) -> usize {
    usize::try_from(character)
        .ok()
        .and_then(|number| text.char_indices().nth(number))
        .map_or(text.len(), |(byte, _)| byte)
}

/// The end of `text` in at most `max` columns, with an ellipsis where something is missing.
fn cut_start(text: &str, max: usize) -> String {
    let over = width(text).saturating_sub(max);
    if over == 0 {
        return text.to_owned();
    }
    // A wide character may stand astride the place: then it goes too.
    let ends = [over + 1, over + 2].map(|gone| split(text, gone).1);
    let end = ends.into_iter().find(|end| width(end) < max);
    end.map_or_else(String::new, |end| format!("…{end}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fault(text: &str, start: u64, width: u64) -> Fault {
        Fault {
            file: Some("/srv/shop/supervisor.toml".into()),
            line: Some(12),
            column: Some(start + 1),
            key: Some("app.api.restart.polcy".into()),
            message: "there is no key `polcy`".into(),
            hint: Some("did you mean `policy`?".into()),
            excerpt: Some(Excerpt {
                text: text.into(),
                start,
                width,
            }),
        }
    }

    fn faults() -> Vec<Fault> {
        let long = format!("command = [{}\"x\"", "\"日本\", ".repeat(30));
        vec![
            fault("polcy = \"always\"", 0, 5),
            fault("\tpol\x1b[2Jcy = 1", 1, 8),
            fault(&long, 100, 6),
            fault("[app", 4, 1),
            Fault {
                message: "apps wait for each other: api, web, api".into(),
                file: Some("/srv/other.toml".into()),
                ..Fault::default()
            },
            Fault {
                key: Some("--cwd".into()),
                message: "there is no folder /nope\x1b]0;x\x07".into(),
                ..Fault::default()
            },
        ]
    }

    #[test]
    fn each_kind_of_fault() {
        for width in [Some(60), Some(120), None] {
            let text = render(&faults(), Style::Plain, width);
            let name = width.map_or("pipe".into(), |width| format!("width_{width}"));
            insta::assert_snapshot!(name, text + "\n" + &summary(&faults()));
        }
        let text = render(&faults()[..1], Style::Coloured, Some(80)).replace('\x1b', "ESC");
        insta::assert_snapshot!("coloured", text + &summary(&faults()[..1]));
    }

    proptest! {
        #[test]
        fn any_excerpt_fits_and_is_harmless(
            text in "\\PC{0,120}|[\x00-\x7f]{0,120}", start in 0..130u64, part in 1..40u64, max in 60..250usize,
        ) {
            let text = render(&[fault(&text, start, part)], Style::Plain, Some(max));
            for line in text.lines() {
                prop_assert!(width(line) <= max, "{line:?}");
                prop_assert!(!line.contains(char::is_control), "{line:?}");
            }
            prop_assert!(text.contains('^'));
        }
    }
}
