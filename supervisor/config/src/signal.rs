//! Signals by number and by name. Owns the table of names, so that the config file, the `signal`
//! verb and whoever shows an exit spell them alike. Sends nothing.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::units::shown;

/// Names of the signals 1..=31 in the numbering that all of Linux but MIPS, SPARC and Alpha share.
const NAMES: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

/// Second names that programs and people use for some of them.
const ALIASES: [(&str, u8); 3] = [("IOT", 6), ("CLD", 17), ("POLL", 29)];

/// The first and last real-time signal that the C library leaves to programs.
const REAL_TIME: (u8, u8) = (34, 64);

/// A signal that can be sent: 1..=31, or a real-time one, 34..=64. Written `SIGTERM`, `SIGRTMIN+3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StopSignal(u8);

/// A text or number that is no signal. `Display` is the sentence for the person who wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadSignal(String);

impl StopSignal {
    /// Asks a program to end.
    pub const TERM: StopSignal = StopSignal(15);

    /// The signal with this number, if there is one.
    #[must_use]
    pub fn new(number: u8) -> Option<StopSignal> {
        let known = (1..=31).contains(&number) || (REAL_TIME.0..=REAL_TIME.1).contains(&number);
        known.then_some(StopSignal(number))
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> u8 {
        self.0
    }

    /// Its name: `SIGTERM`, `SIGRTMIN+3`.
    #[must_use]
    pub fn name(self) -> Cow<'static, str> {
        match NAMES.get(usize::from(self.0) - 1) {
            Some(name) => Cow::Borrowed(name),
            None if self.0 == REAL_TIME.0 => Cow::Borrowed("SIGRTMIN"),
            None => Cow::Owned(format!("SIGRTMIN+{}", self.0 - REAL_TIME.0)),
        }
    }

    /// Reads `TERM`, `SIGTERM`, `sigterm`, `15`, `RTMIN+3` or `RTMAX-1`.
    ///
    /// # Errors
    /// [`BadSignal`] when there is no such signal.
    pub fn parse(text: &str) -> Result<StopSignal, BadSignal> {
        let bad = || BadSignal(shown(text));
        if let Ok(number) = text.parse::<u8>() {
            return StopSignal::new(number).ok_or_else(bad);
        }
        let upper = text.to_ascii_uppercase();
        let short = upper.strip_prefix("SIG").unwrap_or(&upper);
        let named = NAMES.iter().position(|name| &name[3..] == short);
        let number = match named {
            Some(index) => u8::try_from(index + 1).ok(),
            None => ALIASES
                .iter()
                .find(|(alias, _)| *alias == short)
                .map(|&(_, number)| number)
                .or_else(|| real_time(short)),
        };
        number.and_then(StopSignal::new).ok_or_else(bad)
    }
}

/// `RTMIN`, `RTMIN+n`, `RTMAX`, `RTMAX-n`, as far as they stay within the real-time signals.
fn real_time(short: &str) -> Option<u8> {
    let offset = |rest: &str, sign: char| match rest {
        "" => Some(0),
        rest => rest.strip_prefix(sign)?.parse::<u8>().ok(),
    };
    let number = if let Some(rest) = short.strip_prefix("RTMIN") {
        REAL_TIME.0.checked_add(offset(rest, '+')?)?
    } else {
        REAL_TIME
            .1
            .checked_sub(offset(short.strip_prefix("RTMAX")?, '-')?)?
    };
    (REAL_TIME.0..=REAL_TIME.1)
        .contains(&number)
        .then_some(number)
}

impl Default for StopSignal {
    fn default() -> StopSignal {
        StopSignal::TERM
    }
}

impl fmt::Display for StopSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl fmt::Display for BadSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "there is no signal {}; signals are written like \"SIGTERM\" or \"TERM\"",
            self.0
        )
    }
}

impl std::error::Error for BadSignal {}

impl FromStr for StopSignal {
    type Err = BadSignal;
    fn from_str(text: &str) -> Result<StopSignal, BadSignal> {
        StopSignal::parse(text)
    }
}

impl TryFrom<String> for StopSignal {
    type Error = BadSignal;
    fn try_from(text: String) -> Result<StopSignal, BadSignal> {
        StopSignal::parse(&text)
    }
}

impl From<StopSignal> for String {
    fn from(signal: StopSignal) -> String {
        signal.name().into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::StopSignal;

    #[test]
    fn every_number_has_a_name_that_reads_back() {
        let all: Vec<_> = (0..=255).filter_map(StopSignal::new).collect();
        assert_eq!(all.len(), 62);
        for signal in all {
            assert_eq!(StopSignal::parse(&signal.name()), Ok(signal));
            assert_eq!(StopSignal::parse(&signal.number().to_string()), Ok(signal));
        }
    }

    #[test]
    fn people_spell_signals_in_many_ways() {
        for text in ["TERM", "SIGTERM", "sigterm", "Term", "15"] {
            assert_eq!(StopSignal::parse(text), Ok(StopSignal::TERM), "{text}");
        }
        assert_eq!(StopSignal::parse("rtmax-1").map(StopSignal::number), Ok(63));
        assert_eq!(
            StopSignal::parse("IOT").map(StopSignal::name),
            Ok("SIGABRT".into())
        );
    }

    #[test]
    fn what_is_no_signal_is_refused() {
        for text in [
            "",
            "SIG",
            "0",
            "32",
            "33",
            "65",
            "256",
            "-9",
            "SIGRTMIN+31",
            "RTMAX-31",
            "RTMIN3",
            "TERM ",
        ] {
            assert!(StopSignal::parse(text).is_err(), "{text:?}");
        }
    }
}
