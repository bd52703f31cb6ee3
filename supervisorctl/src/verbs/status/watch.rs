//! `status --watch`: the same lines of the terminal, drawn anew.
//!
//! Owns the terminal's modes while it runs, and gives them back however it ends.

use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use supervisor_protocol::client::Session;

use super::super::Context;
use super::Status;
use crate::errors::{CliError, Exit};

const EACH: Duration = Duration::from_secs(1);
/// Where the terminal does not say.
const HEIGHT: usize = 24;
/// Cursor hidden; lines that are too long are cut rather than wrapped, which would make the
/// number of lines to go back wrong.
const BEGIN: &str = "\x1b[?25l\x1b[?7l";
const END: &str = "\x1b[?7h\x1b[?25h";

/// Draws until Ctrl-C, or until the daemon has gone.
pub fn run(
    context: &mut Context,
    session: &mut Session,
    status: &Status,
) -> Result<Exit, CliError> {
    if !io::stdout().is_terminal() {
        let error = CliError::new(Exit::Usage, "--watch draws on a terminal, and this is none");
        return Err(error.hint("`supervisorctl status --json` is for scripts"));
    }
    // As a descriptor, a signal comes between two drawings, and the modes are given back by the
    // ordinary way out.
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        signals.add(signal);
    }
    let ends = signals
        .thread_block()
        .and_then(|()| SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC))
        .map_err(failed)?;
    let mut screen = Screen::begin(context)?;
    loop {
        let rows = status.rows(session)?;
        let table = super::text(screen.context, &rows, &status.of.targets);
        screen.draw(&table)?;
        let mut polled = [PollFd::new(ends.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(EACH).unwrap_or(PollTimeout::MAX);
        match poll(&mut polled, timeout) {
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(Exit::Done),
            Err(errno) => return Err(failed(errno)),
        }
    }
}

fn failed(errno: Errno) -> CliError {
    CliError::new(
        Exit::Failed,
        format!("the terminal cannot be watched: {errno}"),
    )
}

struct Screen<'a> {
    context: &'a mut Context,
    /// Lines of the last drawing.
    lines: usize,
}

impl Screen<'_> {
    fn begin(context: &mut Context) -> Result<Screen<'_>, CliError> {
        context.out.text(BEGIN)?;
        Ok(Screen { context, lines: 0 })
    }

    fn draw(&mut self, table: &str) -> Result<(), CliError> {
        let height = terminal_size::terminal_size().map_or(HEIGHT, |(_, height)| height.0.into());
        let (frame, lines) = frame(table, self.lines, height);
        self.lines = lines;
        self.context.out.text(&frame)
    }
}

impl Drop for Screen<'_> {
    fn drop(&mut self) {
        // Where the terminal has gone, so have its modes.
        let _ = io::stdout().write_all(END.as_bytes());
        let _ = io::stdout().flush();
    }
}

/// What draws `table` over the `before` lines that stand above the cursor, and how many lines
/// there are now. What does not fit is counted: lines that have scrolled out cannot be drawn anew.
fn frame(table: &str, before: usize, height: usize) -> (String, usize) {
    let all = table.lines().count();
    let room = height.saturating_sub(1).max(2);
    let shown = if all > room { room - 1 } else { all };
    let mut text = match before {
        0 => String::new(),
        lines => format!("\x1b[{lines}A"),
    };
    text.push_str("\r\x1b[J");
    for line in table.lines().take(shown) {
        text.push_str(line);
        text.push('\n');
    }
    if shown == all {
        return (text, shown);
    }
    text.push_str(&format!("… and {} more\n", all - shown));
    (text, shown + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_covers_the_one_before_and_fits() {
        assert_eq!(frame("a\nb\n", 0, 24), ("\r\x1b[Ja\nb\n".into(), 2));
        assert_eq!(frame("a\n", 2, 24), ("\x1b[2A\r\x1b[Ja\n".into(), 1));
        let many = "x\n".repeat(30);
        let (text, lines) = frame(&many, 0, 10);
        assert_eq!((lines, text.lines().count()), (9, 9));
        assert!(text.ends_with("… and 22 more\n"), "{text}");
        assert_eq!(frame(&many, 0, 0).1, 2);
    }
}
