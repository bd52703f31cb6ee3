//! How a line of a log is printed.

use serde_json::Value;
use supervisor_protocol::{LogFile, Stream};
use unicode_width::UnicodeWidthStr as _;

use crate::errors::CliError;
use crate::output::{Out, Style};
use crate::render::color::{Colour, paint};
use crate::render::sanitize::{self, Sgr};

/// How lines look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// The bytes as they are.
    Raw,
    /// A JSON object each.
    Json,
    /// Each with the label of its file, where there is more than one.
    Labelled(Vec<(String, Stream)>),
}

/// Writes lines.
pub struct Printer<'a> {
    out: &'a mut Out,
    form: Form,
    /// What stands before the lines of each file.
    prefixes: Vec<String>,
    sgr: Sgr,
    buffer: Vec<u8>,
}

impl<'a> Printer<'a> {
    /// For these files, in their order.
    pub fn new(out: &'a mut Out, form: Form, files: &[LogFile]) -> Printer<'a> {
        let sgr = match out.style {
            Style::Coloured => Sgr::Keep,
            Style::Plain => Sgr::Drop,
        };
        let prefixes = match &form {
            Form::Raw => Vec::new(),
            Form::Json => files.iter().map(json_start).collect(),
            Form::Labelled(labels) => prefixes(labels, out.style),
        };
        Printer {
            out,
            form,
            prefixes,
            sgr,
            buffer: Vec::new(),
        }
    }

    /// One line of the file with that number, without its newline.
    pub fn line(&mut self, number: usize, line: &[u8]) -> Result<(), CliError> {
        self.buffer.clear();
        match &self.form {
            Form::Raw => self.buffer.extend_from_slice(line),
            Form::Json => {
                let text = Value::from(String::from_utf8_lossy(line)).to_string();
                let text = sanitize::json(&text);
                let parts = [self.prefixes[number].as_bytes(), text.as_bytes(), b"}"];
                self.buffer.extend(parts.concat());
            }
            Form::Labelled(_) => {
                self.buffer
                    .extend_from_slice(self.prefixes[number].as_bytes());
                sanitize::line(line, self.sgr, &mut self.buffer);
            }
        }
        self.buffer.push(b'\n');
        self.out.bytes(&self.buffer)
    }

    /// Makes the lines seen.
    pub fn flush(&mut self) -> Result<(), CliError> {
        self.out.flush()
    }
}

/// The object up to the value of its last key, `line`.
fn json_start(file: &LogFile) -> String {
    let stream = match file.stream {
        Stream::Out => "out",
        Stream::Err => "err",
    };
    let name = sanitize::json(&Value::from(file.name.as_str()).to_string());
    let instance = file.instance;
    format!("{{\"name\":{name},\"instance\":{instance},\"stream\":\"{stream}\",\"line\":")
}

/// `name | ` for standard output, `name ! ` for standard error; nothing for a single file.
fn prefixes(labels: &[(String, Stream)], style: Style) -> Vec<String> {
    if let [_] = labels {
        return vec![String::new()];
    }
    let labels: Vec<_> = labels
        .iter()
        .map(|(label, stream)| (sanitize::cell(label), *stream))
        .collect();
    let width = labels
        .iter()
        .map(|(label, _)| label.width())
        .max()
        .unwrap_or(0);
    labels
        .iter()
        .map(|(label, stream)| {
            let (mark, colour) = match stream {
                Stream::Out => ("|", Colour::Cyan),
                Stream::Err => ("!", Colour::Red),
            };
            let padding = " ".repeat(width - label.width());
            format!(
                "{} ",
                paint(style, colour, &format!("{label}{padding} {mark}"))
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_aligned_and_streams_told_apart() {
        let labels = [
            ("api:0".to_owned(), Stream::Out),
            ("worker".to_owned(), Stream::Err),
        ];
        assert_eq!(prefixes(&labels, Style::Plain), ["api:0  | ", "worker ! "]);
        assert_eq!(prefixes(&labels[..1], Style::Plain), [""]);
        assert_eq!(
            prefixes(&labels, Style::Coloured)[1],
            "\x1b[1;31mworker !\x1b[0m "
        );
    }
}
