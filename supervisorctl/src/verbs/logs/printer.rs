//! How a line of a log is printed.

use std::io::Write as _;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde_json::Value;
use supervisor_logs::reading::LONGEST;

use super::pretty;
use super::record::Record;
use super::source::{Piece, Source, prefixes};
use crate::errors::CliError;
use crate::output::{Out, Style, tell};
use crate::render::color::{Colour, paint};
use crate::render::sanitize::{self, Sgr};

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The bytes as they are.
    Raw,
    /// A JSON object each.
    Json,
    /// Each with the label of its source, where there is more than one.
    Text {
        /// With the time of each line.
        times: bool,
        /// With the objects of loggers made readable.
        pretty: bool,
    },
}

/// A point in time as it is printed.
const TIME: &str = "%Y-%m-%d %H:%M:%S%.3f";
const TIME_WIDTH: usize = "2026-11-22 14:45:00.072".len();

/// Writes lines.
pub struct Printer<'a> {
    out: &'a mut Out,
    form: Form,
    zone: TimeZone,
    /// What stands before the lines of each source.
    prefixes: Vec<String>,
    /// Some line was printed.
    has_printed: bool,
    /// The last line may go on.
    is_open: bool,
    buffer: Vec<u8>,
}

impl<'a> Printer<'a> {
    /// For no source yet.
    pub fn new(out: &'a mut Out, form: Form) -> Printer<'a> {
        Printer {
            out,
            form,
            zone: TimeZone::system(),
            prefixes: Vec::new(),
            has_printed: false,
            is_open: false,
            buffer: Vec::new(),
        }
    }

    /// From here on, lines come from these.
    pub fn set_sources(&mut self, sources: &[Source]) {
        self.prefixes = match self.form {
            Form::Raw => Vec::new(),
            Form::Json => sources.iter().map(json_source).collect(),
            Form::Text { .. } => prefixes(sources, self.out.style, self.out.width()),
        };
    }

    /// Whether it is to be seen when lines arrived.
    pub fn shows_times(&self) -> bool {
        match self.form {
            Form::Raw => false,
            Form::Json => true,
            Form::Text { times, .. } => times,
        }
    }

    /// Whether a person who looks at an empty screen is to be told why.
    pub fn is_silent(&self) -> bool {
        matches!(self.form, Form::Text { .. }) && !self.has_printed
    }

    /// One line of `source`, or a piece of one.
    pub fn line(&mut self, source: &Source, piece: &Piece<'_>) -> Result<(), CliError> {
        self.buffer.clear();
        self.has_printed = true;
        let style = self.out.style;
        match self.form {
            Form::Raw => {
                if self.is_open && piece.begins {
                    self.buffer.push(b'\n');
                }
                self.buffer.extend_from_slice(piece.text);
                // Whether a piece as long as this ends its line is seen by the next one.
                self.is_open = piece.text.len() == LONGEST;
                if !self.is_open {
                    self.buffer.push(b'\n');
                }
            }
            Form::Json => self.json(&source.unstamped(piece)),
            Form::Text { times, pretty } => {
                let piece = source.unstamped(piece);
                let lines = Lines {
                    prefix: &self.prefixes[piece.source],
                    times,
                    pretty: pretty && piece.begins,
                    style,
                    zone: &self.zone,
                };
                lines.print(&piece, &mut self.buffer);
            }
        }
        self.out.bytes(&self.buffer)
    }

    /// A sentence of our own about a source's lines, where they would stand.
    pub fn notice(&mut self, number: usize, text: &str) -> Result<(), CliError> {
        match self.form {
            // These go on to programs, which take each line for one of the app's.
            Form::Raw | Form::Json => {
                tell(&format!("{}\n", sanitize::cell(text)));
                Ok(())
            }
            Form::Text { .. } => {
                let prefix = &self.prefixes[number];
                let text = sanitize::cell(&format!("[supervisorctl] {text}"));
                let text = paint(self.out.style, Colour::Yellow, &text);
                self.out.bytes(format!("{prefix}{text}\n").as_bytes())
            }
        }
    }

    /// Ends the last line, if that is left to be done.
    pub fn end(&mut self) -> Result<(), CliError> {
        if std::mem::take(&mut self.is_open) {
            self.out.bytes(b"\n")?;
        }
        self.flush()
    }

    /// Makes the lines seen.
    pub fn flush(&mut self) -> Result<(), CliError> {
        self.out.flush()
    }

    fn json(&mut self, piece: &Piece<'_>) {
        let time = local(piece.time, &self.zone).map_or(Value::Null, |time| {
            time.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string().into()
        });
        let text = Value::from(String::from_utf8_lossy(piece.text)).to_string();
        let text = sanitize::json(&text);
        let source = &self.prefixes[piece.source];
        self.buffer.extend_from_slice(
            format!("{{\"time\":{time},{source},\"line\":{text}}}\n").as_bytes(),
        );
    }
}

/// What says in JSON where a line comes from.
fn json_source(source: &Source) -> String {
    let id = &source.id;
    let name = sanitize::json(&Value::from(id.name.as_str()).to_string());
    format!(
        "\"app\":{name},\"name\":{name},\"instance\":{},\"stream\":\"{}\"",
        id.instance,
        super::source::word(id.stream)
    )
}

fn local(time: Option<i64>, zone: &TimeZone) -> Option<Zoned> {
    let time = Timestamp::from_millisecond(time?).ok()?;
    Some(time.to_zoned(zone.clone()))
}

/// How one line becomes text.
struct Lines<'a> {
    prefix: &'a str,
    times: bool,
    pretty: bool,
    style: Style,
    zone: &'a TimeZone,
}

impl Lines<'_> {
    fn print(&self, piece: &Piece<'_>, out: &mut Vec<u8>) {
        let sgr = match self.style {
            Style::Coloured => Sgr::Keep,
            Style::Plain => Sgr::Drop,
        };
        if let Some(record) = self.pretty.then(|| Record::read(piece.text)).flatten() {
            let column = self.times.then(|| self.column(piece.time));
            for line in pretty::lines(&record, column.as_deref(), self.zone) {
                out.extend_from_slice(self.prefix.as_bytes());
                out.extend_from_slice(&line);
                out.push(b'\n');
            }
            return;
        }
        out.extend_from_slice(self.prefix.as_bytes());
        if self.times {
            let column = paint(self.style, Colour::Dim, &self.column(piece.time));
            // Memory takes it.
            let _ = write!(out, "{column} ");
        }
        if supervisor_logs::is_marker(piece.text) {
            let text = sanitize::cell(&String::from_utf8_lossy(piece.text));
            out.extend_from_slice(paint(self.style, Colour::Yellow, &text).as_bytes());
        } else {
            sanitize::line(piece.text, sgr, out);
        }
        out.push(b'\n');
    }

    /// The time, or as much room where it is not known.
    fn column(&self, time: Option<i64>) -> String {
        match local(time, self.zone) {
            Some(time) => time.strftime(TIME).to_string(),
            None => format!("{:TIME_WIDTH$}", "-"),
        }
    }
}

#[cfg(test)]
mod tests {
    use supervisor_protocol::{LogFormat, Stream};

    use super::super::source::tests::{source, whole};
    use super::*;

    const LINES: [&[u8]; 6] = [
        b"plain \x1b[31mred\x1b[2J",
        b"2026-11-22T14:45:00.072Z stamped by the app or by us",
        br#"{"level":30,"time":1795358700072,"pid":7,"hostname":"h","msg":"listening","port":3001}"#,
        br#"{"level":"error","message":"bad","stack":"Error: bad\n    at x (a.js:1)"}"#,
        b"[supervisor] 3 lines (40 bytes) dropped here: No space left on device",
        b"\xff\xc2\x9b\xe2\x80\xae",
    ];

    fn shown(style: Style, format: LogFormat, times: bool, time: Option<i64>) -> String {
        let mut api = source("api", 0, Stream::Out);
        api.format = format;
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        let lines = Lines {
            prefix: "api | ",
            times,
            pretty: style == Style::Coloured,
            style,
            zone: &zone,
        };
        let mut out = Vec::new();
        for line in LINES {
            let piece = Piece {
                time,
                ..whole(0, line)
            };
            lines.print(&api.unstamped(&piece), &mut out);
        }
        // So that a person who reads the snapshot sees the colours.
        String::from_utf8(out).unwrap().replace('\x1b', "␛")
    }

    #[test]
    fn as_text() {
        let at = Some(1_795_358_701_500);
        let mut all = String::new();
        for style in [Style::Plain, Style::Coloured] {
            for (format, times, time) in [
                (LogFormat::Raw, false, at),
                (LogFormat::Raw, true, at),
                (LogFormat::Timestamp, true, None),
            ] {
                all += &format!("— {style:?}, {format:?}, times: {times}\n");
                all += &shown(style, format, times, time);
            }
        }
        insta::assert_snapshot!(all);
    }

    #[test]
    fn as_json() {
        let mut out = Out::new();
        let mut printer = Printer::new(&mut out, Form::Json);
        printer.zone = TimeZone::fixed(jiff::tz::offset(1));
        let mut nasty = source("a\"\u{202e}", 3, Stream::Err);
        nasty.format = LogFormat::Timestamp;
        printer.set_sources(std::slice::from_ref(&nasty));
        let mut all = Vec::new();
        for line in LINES {
            printer.buffer.clear();
            printer.json(&nasty.unstamped(&whole(0, line)));
            all.extend_from_slice(&printer.buffer);
            let value: Value = serde_json::from_slice(&printer.buffer).unwrap();
            assert_eq!(value["app"], "a\"\u{202e}");
        }
        insta::assert_snapshot!(String::from_utf8(all).unwrap());
    }
}
