//! Colours: the few that are used, and what they mean.

use supervisor_protocol::State;

use crate::output::Style;

/// A colour of the terminal's own palette, so that light and dark ones both work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// As it should be.
    Green,
    /// On its way, or in trouble that may pass.
    Yellow,
    /// Failed.
    Red,
    /// Over, and well.
    Cyan,
    /// Of less weight.
    Dim,
    /// Of more weight.
    Bold,
    /// One of the colours of apps, which mean nothing but the app.
    App(&'static str),
}

/// The colours of apps: none that says something about a state.
pub const APPS: [Colour; 8] = [
    Colour::App("\x1b[36m"),
    Colour::App("\x1b[35m"),
    Colour::App("\x1b[34m"),
    Colour::App("\x1b[32m"),
    Colour::App("\x1b[96m"),
    Colour::App("\x1b[95m"),
    Colour::App("\x1b[94m"),
    Colour::App("\x1b[92m"),
];

impl Colour {
    fn code(self) -> &'static str {
        match self {
            Colour::Green => "\x1b[32m",
            Colour::Yellow => "\x1b[1;33m",
            Colour::Red => "\x1b[1;31m",
            Colour::Cyan => "\x1b[36m",
            Colour::Dim => "\x1b[2m",
            Colour::Bold => "\x1b[1m",
            Colour::App(code) => code,
        }
    }
}

/// `text` in colour, where there is colour.
pub fn paint(style: Style, colour: Colour, text: &str) -> String {
    let mut out = String::new();
    paint_into(&mut out, style, colour, text);
    out
}

/// The same at the end of `out`.
pub fn paint_into(out: &mut String, style: Style, colour: Colour, text: &str) {
    match style {
        Style::Plain => out.push_str(text),
        Style::Coloured => {
            for part in [colour.code(), text, "\x1b[0m"] {
                out.push_str(part);
            }
        }
    }
}

/// The colour of a state.
pub fn of_state(state: State) -> Colour {
    match state {
        State::Running => Colour::Green,
        State::Starting | State::Stopping | State::Waiting | State::Backoff => Colour::Yellow,
        State::Errored => Colour::Red,
        State::Completed => Colour::Cyan,
        State::Stopped => Colour::Dim,
    }
}
