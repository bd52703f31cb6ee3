//! A logger's JSON object as a person reads it: time, level, message, and the rest as `key=value`;
//! what has several lines goes on below, indented.

use jiff::tz::TimeZone;

use super::record::{Level, Record, When, plain};
use crate::output::Style;
use crate::render::color::{Colour, paint};
use crate::render::sanitize::{self, Sgr};

/// In front of the further lines of a message and of a stack.
const INDENT: &[u8] = b"    ";

/// The lines of a record, in colour. `column`: its time, where all lines have theirs printed; the
/// record's own is the better one.
pub fn lines(record: &Record<'_>, column: Option<&str>, zone: &TimeZone) -> Vec<Vec<u8>> {
    let format = match column {
        Some(_) => "%Y-%m-%d %H:%M:%S%.3f",
        None => "%H:%M:%S%.3f",
    };
    let time = match &record.when {
        Some(When::At(time)) => Some(time.to_zoned(zone.clone()).strftime(format).to_string()),
        Some(When::Said(text)) => Some(sanitize::cell(text)),
        None => column.map(str::to_owned),
    };
    let mut message = record.message.trim_end().lines();
    let mut first = Vec::new();
    if let Some(time) = time {
        first.extend_from_slice(paint(Style::Coloured, Colour::Dim, &time).as_bytes());
        first.push(b' ');
    }
    let level = paint(Style::Coloured, colour(record.level), record.level.label());
    first.extend_from_slice(level.as_bytes());
    if let Some(text) = message.next() {
        first.push(b' ');
        sanitize::line(text.as_bytes(), Sgr::Keep, &mut first);
    }
    for (key, value) in &record.rest {
        let key = format!(" {}=", sanitize::cell(key));
        first.extend_from_slice(paint(Style::Coloured, Colour::Dim, &key).as_bytes());
        first.extend_from_slice(of_value(value).as_bytes());
    }
    let mut lines = vec![first];
    let stack = record.stack.as_deref().unwrap_or_default().lines();
    for text in message.chain(stack) {
        let mut line = INDENT.to_vec();
        sanitize::line(text.as_bytes(), Sgr::Keep, &mut line);
        lines.push(line);
    }
    lines
}

/// A string without its quotes where nobody could misread it; anything else as JSON.
fn of_value(json: &str) -> String {
    let text = plain(json);
    let is_word =
        !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || "\"=".contains(c));
    if json.starts_with('"') && is_word {
        sanitize::cell(&text)
    } else {
        sanitize::json(json)
    }
}

fn colour(level: Level) -> Colour {
    match level {
        Level::Trace | Level::Debug => Colour::Dim,
        Level::Info => Colour::Green,
        Level::Warn => Colour::Yellow,
        Level::Error | Level::Fatal => Colour::Red,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(line: &str, column: Option<&str>) -> String {
        let record = Record::read(line.as_bytes()).unwrap();
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        let mut text = lines(&record, column, &zone).join(&b'\n');
        text.push(b'\n');
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn of_each_logger() {
        let column = "2026-11-22 15:45:01.500";
        let lines = [
            r#"{"level":40,"time":1795358700072,"pid":7,"hostname":"h","msg":"slow","ms":1.50,"path":"/a b","who":"x=y","to":"me","z":{"b":1,"a":[2]}}"#,
            r#"{"name":"shop","hostname":"h","pid":7,"level":50,"err":{"message":"no","name":"Error","stack":"Error: no\n    at x (a.js:1)","code":"E1"},"msg":"no","time":"2026-11-22T14:45:00.072Z","v":0}"#,
            r#"{"level":"silly","message":"two\nlines","timestamp":"just now"}"#,
            r#"{"level":"info","message":"","nothing":null,"empty":""}"#,
            r#"{"level":"fatal","message":"\u001b[31mred\u001b]0;title\u0007","a\u202e":"\u009b2J"}"#,
        ];
        let text: String = lines
            .iter()
            .map(|line| shown(line, None) + &shown(line, Some(column)))
            .collect();
        insta::assert_snapshot!(text.replace('\x1b', "␛"));
    }

    proptest! {
        #[test]
        fn only_colours_get_out(key in any::<String>(), value in any::<String>(), message in any::<String>()) {
            let object = serde_json::json!({"level": 30, "msg": message, key: value, "stack": message});
            let line = object.to_string();
            let Some(record) = Record::read(line.as_bytes()) else { return Ok(()) };
            let zone = TimeZone::UTC;
            for line in lines(&record, None, &zone) {
                let text = String::from_utf8(line).unwrap();
                for part in text.split('\x1b').skip(1) {
                    prop_assert!(part.trim_start_matches(|c: char| "[;".contains(c) || c.is_ascii_digit()).starts_with('m'));
                }
                prop_assert!(!text.contains(|c: char| c.is_control() && c != '\x1b' && c != '\t'), "{:?}", text);
            }
        }
    }
}
