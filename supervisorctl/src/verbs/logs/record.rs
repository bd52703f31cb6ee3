//! Lines that are JSON objects of a logger: pino, bunyan, winston, and those that write alike.
//!
//! Promises to take a line for one only if it has a level and a message or a time as these loggers
//! write them, and to keep the rest in its order and as it was written. Leaves to others how it is
//! printed.

use std::fmt;

use clap::ValueEnum;
use jiff::Timestamp;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Level {
    /// Every step.
    #[value(aliases = ["silly", "10"])]
    Trace,
    /// For who looks for a fault.
    #[value(aliases = ["verbose", "20"])]
    Debug,
    /// What goes on.
    #[value(aliases = ["notice", "30"])]
    Info,
    /// What may become a fault.
    #[value(aliases = ["warning", "40"])]
    Warn,
    /// Something failed.
    #[value(aliases = ["err", "50"])]
    Error,
    /// The app cannot go on.
    #[value(aliases = ["critical", "crit", "60"])]
    Fatal,
}

impl Level {
    /// As it is printed, always of the same width.
    pub fn label(self) -> &'static str {
        match self {
            Level::Trace => "TRACE",
            Level::Debug => "DEBUG",
            Level::Info => "INFO ",
            Level::Warn => "WARN ",
            Level::Error => "ERROR",
            Level::Fatal => "FATAL",
        }
    }

    /// Pino's and bunyan's: 10, 20, … 60, and what an app put between them.
    fn from_number(number: u64) -> Option<Level> {
        match number {
            10..20 => Some(Level::Trace),
            20..30 => Some(Level::Debug),
            30..40 => Some(Level::Info),
            40..50 => Some(Level::Warn),
            50..60 => Some(Level::Error),
            60..=100 => Some(Level::Fatal),
            _ => None,
        }
    }

    /// Winston's, in both of its sets, and what else is common.
    fn from_name(name: &str) -> Option<Level> {
        let level = match name.to_ascii_lowercase().as_str() {
            "trace" | "silly" => Level::Trace,
            "debug" | "verbose" | "http" => Level::Debug,
            "info" | "information" | "notice" => Level::Info,
            "warn" | "warning" => Level::Warn,
            "error" | "err" => Level::Error,
            "fatal" | "crit" | "critical" | "alert" | "emerg" | "panic" => Level::Fatal,
            _ => return None,
        };
        Some(level)
    }
}

/// When something was logged, as far as it can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// A point in time.
    At(Timestamp),
    /// The text in its place.
    Said(String),
}

/// A line of a logger.
#[derive(Debug)]
pub struct Record<'a> {
    /// Its level.
    pub level: Level,
    /// Its time.
    pub when: Option<When>,
    /// Its message.
    pub message: String,
    /// What else is in it: a key and JSON each.
    pub rest: Vec<(String, &'a str)>,
    /// Where an error came from, in several lines.
    pub stack: Option<String>,
}

impl<'a> Record<'a> {
    /// The line without its newline; `None`: it is no logger's.
    pub fn read(line: &'a [u8]) -> Option<Record<'a>> {
        let line = line.trim_ascii();
        if line.first() != Some(&b'{') || line.last() != Some(&b'}') {
            return None;
        }
        // Most objects that are none say so here, without being parsed.
        let text = std::str::from_utf8(line).ok()?;
        if !text.contains("\"level\"") {
            return None;
        }
        let Fields(mut fields) = serde_json::from_str(text).ok()?;
        let mut take = |names: &[&str]| {
            let at = fields
                .iter()
                .position(|(key, _)| names.contains(&key.as_str()))?;
            Some(fields.remove(at).1)
        };
        let level = take(&["level"])?;
        let numbered = level.parse().ok().and_then(Level::from_number);
        let level = numbered.or_else(|| Level::from_name(&string(level)?))?;
        let message = take(&["msg", "message"]);
        let when = take(&["time", "timestamp"]).map(when);
        if message.is_none() && when.is_none() {
            return None;
        }
        let stack = take_stack(&mut fields);
        // In every line of these two, and always the same.
        if numbered.is_some() {
            fields.retain(|(key, _)| !matches!(key.as_str(), "pid" | "hostname" | "v"));
        }
        Some(Record {
            level,
            when,
            message: message.map(plain).unwrap_or_default(),
            rest: fields,
            stack,
        })
    }
}

/// Takes out the stack of an error: pino's and bunyan's stands in `err`, winston's by itself.
fn take_stack(fields: &mut Vec<(String, &str)>) -> Option<String> {
    let at = fields
        .iter()
        .position(|(key, _)| matches!(key.as_str(), "err" | "error" | "stack"))?;
    let (key, value) = &fields[at];
    if key == "stack" {
        let stack = string(value)?;
        fields.remove(at);
        return Some(stack);
    }
    let Fields(error) = serde_json::from_str(value).ok()?;
    let stack = string(error.iter().find(|(key, _)| key == "stack")?.1)?;
    // What the stack begins with need not be said twice; the rest (a code, a status) stays.
    let key = key.clone();
    let more = error
        .into_iter()
        .filter(|(key, _)| !matches!(key.as_str(), "stack" | "type" | "name" | "message"))
        .map(|(inner, value)| (format!("{key}.{inner}"), value));
    fields.splice(at..=at, more);
    Some(stack)
}

/// A JSON string's text.
fn string(json: &str) -> Option<String> {
    serde_json::from_str(json).ok()
}

/// A string's text, anything else as JSON.
pub fn plain(json: &str) -> String {
    string(json).unwrap_or_else(|| json.to_owned())
}

/// Milliseconds since 1970 or RFC 3339.
fn when(json: &str) -> When {
    // Some write fractions of a millisecond.
    let whole = json.split('.').next().unwrap_or(json);
    let number = whole
        .parse()
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let text = plain(json);
    number
        .or_else(|| text.parse().ok())
        .map_or(When::Said(text), When::At)
}

/// A JSON object, in its order.
struct Fields<'a>(Vec<(String, &'a str)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Vec<(String, &'de str)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
                    fields.push((key, value.get()));
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Object).map(Fields)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_level_is_typed_as_lines_have_it() {
        for level in Level::value_variants() {
            let typed = level.to_possible_value().unwrap();
            for name in typed.get_name_and_aliases() {
                let in_lines =
                    Level::from_name(name).or_else(|| Level::from_number(name.parse().ok()?));
                assert_eq!(in_lines, Some(*level), "{name}");
            }
        }
    }

    #[test]
    fn pino_bunyan_and_winston() {
        let lines = [
            r#"{"level":40,"time":1795350300072,"pid":7,"hostname":"h","msg":"slow","ms":1.50,"z":{"b":1,"a":[2]}}"#,
            r#"{"name":"shop","hostname":"h","pid":7,"level":50,"err":{"message":"no","name":"Error","stack":"Error: no\n    at x (a.js:1)","code":"E1"},"msg":"no","time":"2026-11-22T14:45:00.072Z","v":0}"#,
            r#"{"level":"info","message":"up","timestamp":"2026-11-22 14:45:00","port":3001}"#,
            r#"{"message":"bad","level":"ERROR","stack":"Error: bad\n    at y (b.js:2)","pid":7}"#,
            r#"  {"time":"2026-11-22T14:45:00.072Z","level":"info","msg":"listening"}  "#,
            r#"{"level":30,"time":1795350300072.25}"#,
        ];
        let records: Vec<_> = lines
            .iter()
            .map(|line| format!("{:#?}", Record::read(line.as_bytes()).unwrap()))
            .collect();
        insta::assert_snapshot!(records.join("\n"));
    }

    #[test]
    fn other_lines_are_left_alone() {
        let lines: &[&[u8]] = &[
            b"",
            b"{",
            b"{}",
            b"level 30",
            b"[{\"level\":30,\"msg\":\"x\"}]",
            b"{\"level\":30}",
            b"{\"level\":3,\"msg\":\"of a game\"}",
            b"{\"level\":\"boss\",\"msg\":\"of a game\"}",
            b"{\"level\":null,\"msg\":\"x\"}",
            b"{\"level\":30,\"msg\":\"\xff\"}",
            b"{\"level\":30,\"msg\":\"cut}",
            b"{\"log\":{\"level\":30},\"msg\":\"x\"}",
        ];
        for line in lines {
            assert!(
                Record::read(line).is_none(),
                "{:?}",
                String::from_utf8_lossy(line)
            );
        }
    }

    #[test]
    fn every_level_has_its_place() {
        let levels = Level::value_variants();
        for (index, level) in levels.iter().enumerate() {
            let number = 10 * (index as u64 + 1);
            assert_eq!(Level::from_number(number), Some(*level));
            assert_eq!(Level::from_number(number + 9), Some(*level));
            assert_eq!(Level::from_name(level.label().trim()), Some(*level));
        }
        assert!(levels.is_sorted());
        assert_eq!(Level::from_number(9), None);
        assert_eq!(Level::from_name("verbose"), Some(Level::Debug));
        assert_eq!(Level::from_name("Critical"), Some(Level::Fatal));
    }

    proptest! {
        #[test]
        fn nothing_breaks_it(line in "\\{\"level\":(30|\"warn\"),\"(msg|err|stack)\":[\\PC\"\\\\{}:,]{0,30}\\}") {
            // Whatever it is, it is a record or none.
            let _anything = Record::read(line.as_bytes());
        }
    }
}
