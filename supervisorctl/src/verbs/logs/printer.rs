//! How a line of a log is printed.

use supervisor_protocol::Stream;
use unicode_width::UnicodeWidthStr as _;

use crate::errors::CliError;
use crate::output::{Out, Style};
use crate::render::color::{Colour, paint};
use crate::render::sanitize::{self, Sgr};

/// Writes lines, each with the name of its app where there is more than one file.
pub struct Printer<'a> {
    out: &'a mut Out,
    raw: bool,
    prefixes: Vec<String>,
    sgr: Sgr,
    buffer: Vec<u8>,
}

impl<'a> Printer<'a> {
    /// For files with these names, in their order.
    pub fn new(out: &'a mut Out, raw: bool, labels: &[(String, Stream)]) -> Printer<'a> {
        let sgr = match out.style {
            Style::Coloured => Sgr::Keep,
            Style::Plain => Sgr::Drop,
        };
        let prefixes = prefixes(labels, out.style);
        Printer {
            out,
            raw,
            prefixes,
            sgr,
            buffer: Vec::new(),
        }
    }

    /// One line of the file with that number, without its newline.
    pub fn line(&mut self, number: usize, line: &[u8]) -> Result<(), CliError> {
        self.buffer.clear();
        if self.raw {
            self.buffer.extend_from_slice(line);
        } else {
            self.buffer
                .extend_from_slice(self.prefixes[number].as_bytes());
            sanitize::line(line, self.sgr, &mut self.buffer);
        }
        self.buffer.push(b'\n');
        self.out.bytes(&self.buffer)
    }

    /// Makes the lines seen.
    pub fn flush(&mut self) -> Result<(), CliError> {
        self.out.flush()
    }
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
