//! Standard output and what it can show.
//!
//! Owns the question whether there is a terminal, how wide it is and whether it gets colour.
//! Promises that a reader who goes away (`… | head`) ends the command quietly.

use std::env;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write as _};
use std::os::fd::AsFd as _;
use std::process::{Command, Stdio};

use crate::errors::CliError;

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
        let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || env::var_os("TERM").is_some_and(|value| value == "dumb");
        if stream.is_terminal() && !refused {
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
        if !self.stream.get_ref().is_terminal() {
            return None;
        }
        let columns = env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
        Some(
            columns
                .or_else(|| ask_terminal(self.stream.get_ref()))
                .unwrap_or(80)
                .clamp(60, 250),
        )
    }
}

/// The size is had by an ioctl, which only unsafe code can do; `stty` does it for us, and only
/// where a person is looking.
fn ask_terminal(terminal: &Stdout) -> Option<usize> {
    let terminal = terminal.as_fd().try_clone_to_owned().ok()?;
    let answer = Command::new("stty")
        .arg("size")
        .stdin(Stdio::from(terminal))
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(answer.stdout).ok()?;
    let columns: usize = text.split_whitespace().nth(1)?.parse().ok()?;
    (columns > 0).then_some(columns)
}
