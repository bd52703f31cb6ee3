//! Standard output and standard error, and what they can show.
//!
//! Owns the question whether there is a terminal, how wide it is and whether it gets colour.
//! Promises that a reader who goes away (`… | head`) ends the command quietly, and that nothing
//! that cannot be written ends it with a panic.

use std::env;
use std::ffi::OsString;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write as _};
use std::os::fd::AsFd;

use terminal_size::Width;

use crate::errors::CliError;

/// Widths that are laid out for; a terminal that is narrower wraps.
const WIDTHS: std::ops::RangeInclusive<usize> = 60..=250;

/// Whether colour is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// None: a pipe, a file, `NO_COLOR`.
    Plain,
    /// ANSI colours.
    Coloured,
}

impl Style {
    fn of(stream: &impl IsTerminal) -> Style {
        Style::choose(stream.is_terminal(), |name| env::var_os(name))
    }

    /// `NO_COLOR` beats `CLICOLOR_FORCE` and `FORCE_COLOR`, which beat what the stream is.
    fn choose(is_terminal: bool, variable: impl Fn(&str) -> Option<OsString>) -> Style {
        let is = |name, text: &str| variable(name).is_some_and(|value| value == text);
        let is_set = |name| variable(name).is_some_and(|value| !value.is_empty());
        let is_on = |name| is_set(name) && !is(name, "0");
        let is_forced = is_on("CLICOLOR_FORCE") || is_on("FORCE_COLOR");
        let fits = is_terminal && !is("TERM", "dumb") && !is("CLICOLOR", "0");
        if !is_set("NO_COLOR") && (is_forced || fits) {
            Style::Coloured
        } else {
            Style::Plain
        }
    }

    /// For standard error.
    pub fn of_stderr() -> Style {
        Style::of(&io::stderr())
    }
}

/// Columns of the terminal; `None` where output is not to be cut: it goes elsewhere.
fn width_of(stream: &(impl IsTerminal + AsFd)) -> Option<usize> {
    if !stream.is_terminal() {
        return None;
    }
    let told = env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let asked = || terminal_size::terminal_size_of(stream).map(|(Width(width), _)| width.into());
    let width = told.filter(|&width| width > 0).or_else(asked).unwrap_or(80);
    Some(width.clamp(*WIDTHS.start(), *WIDTHS.end()))
}

/// Columns of standard error, where that is a terminal.
pub fn width_of_stderr() -> Option<usize> {
    width_of(&io::stderr())
}

/// Says something on standard error.
pub fn tell(text: &str) {
    // Where standard error cannot be written either, there is nobody left to tell.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Standard output.
pub struct Out {
    stream: BufWriter<Stdout>,
    /// Whether it gets colour.
    pub style: Style,
}

impl Out {
    /// Standard output as it is.
    pub fn new() -> Out {
        let stdout = io::stdout();
        let style = Style::of(&stdout);
        Out {
            stream: BufWriter::new(stdout),
            style,
        }
    }

    /// Writes bytes, at the latest at the next [`flush`](Out::flush).
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        self.stream
            .write_all(bytes)
            .map_err(|e| CliError::from_output(&e))
    }

    /// Writes text so that it is seen now.
    pub fn text(&mut self, text: &str) -> Result<(), CliError> {
        self.bytes(text.as_bytes())?;
        self.flush()
    }

    /// Makes what was written seen.
    pub fn flush(&mut self) -> Result<(), CliError> {
        self.stream.flush().map_err(|e| CliError::from_output(&e))
    }

    /// Columns of the terminal; `None` where output is not to be cut: it goes elsewhere.
    pub fn width(&self) -> Option<usize> {
        width_of(self.stream.get_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn style(is_terminal: bool, variables: &[(&str, &str)]) -> Style {
        Style::choose(is_terminal, |name| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| value.into())
        })
    }

    #[test]
    fn colour_goes_where_it_is_wanted() {
        let coloured: &[(bool, &[(&str, &str)])] = &[
            (true, &[]),
            (true, &[("NO_COLOR", ""), ("TERM", "xterm")]),
            (false, &[("FORCE_COLOR", "1")]),
            (false, &[("CLICOLOR_FORCE", "1"), ("TERM", "dumb")]),
        ];
        for (is_terminal, variables) in coloured {
            assert_eq!(
                style(*is_terminal, variables),
                Style::Coloured,
                "{variables:?}"
            );
        }
        let plain: &[(bool, &[(&str, &str)])] = &[
            (false, &[]),
            (true, &[("NO_COLOR", "1"), ("FORCE_COLOR", "1")]),
            (true, &[("TERM", "dumb")]),
            (true, &[("CLICOLOR", "0")]),
            (false, &[("FORCE_COLOR", "0"), ("CLICOLOR_FORCE", "")]),
        ];
        for (is_terminal, variables) in plain {
            assert_eq!(
                style(*is_terminal, variables),
                Style::Plain,
                "{variables:?}"
            );
        }
    }
}
