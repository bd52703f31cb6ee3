//! Readers for numbers with a form of their own, and for patterns.

use globset::Glob;
use regex_lite::Regex;

use crate::Umask;
use crate::reading::Reading;
use crate::units::{Problem, shown};
use crate::value::{Value, some_text};

/// More CPUs than any machine has.
const MOST_CPUS: f64 = 65_536.0;

/// The bits that a umask has.
const UMASK: u32 = 0o777;

/// Thousandths of a CPU.
pub(crate) fn cpu(value: &Value, reading: &mut Reading) -> Option<u32> {
    let cores = match value.as_text() {
        Some(text) => {
            let percent = text
                .strip_suffix('%')
                .map(|percent| percent.trim().parse::<u32>());
            percent
                .and_then(Result::ok)
                .map(|percent| f64::from(percent) / 100.0)
        }
        None => value.as_float().or_else(|| {
            let whole = u32::try_from(value.as_integer()?);
            Some(f64::from(whole.unwrap_or(0)))
        }),
    };
    let fits = cores.filter(|cores| (0.001..=MOST_CPUS).contains(cores));
    let Some(cores) = fits else {
        let problem = Problem::new("expected a number of CPUs, more than 0");
        return value.fault(
            problem.hint("write for instance 0.5, 2, or \"50%\""),
            reading,
        );
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it was just checked to be within 65,536,000"
    )]
    Some((cores * 1000.0) as u32)
}

/// As `chmod` counts: in octal.
pub(crate) fn umask(value: &Value, reading: &mut Reading) -> Option<Umask> {
    let octal = "it is written in octal: \"022\", or 0o022";
    let mask = match (value.as_text(), value.as_integer(), value.radix()) {
        (Some(text), _, _) => {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            u32::from_str_radix(text, 8).ok().filter(|_| digits)
        }
        (None, Some(number), radix) => {
            if radix != Some(8) && number != 0 {
                let problem = Problem::new(format!("{number} could be meant in octal or not"));
                let hint = format!("write \"{number:03}\" if it is octal");
                return value.fault(problem.hint(hint), reading);
            }
            u32::try_from(number).ok()
        }
        (None, None, _) => {
            return value.expected("octal digits in quotes, like \"022\"", reading);
        }
    };
    let fits = mask.filter(|mask| *mask <= UMASK).map(Umask);
    fits.or_else(|| {
        let problem = Problem::new("it is not a umask, which goes from 000 to 777");
        value.fault(problem.hint(octal), reading)
    })
}

/// A regular expression.
pub(crate) fn regex(value: &Value, reading: &mut Reading) -> Option<String> {
    let text = some_text(value, reading)?;
    match Regex::new(&text) {
        Ok(_) => Some(text),
        Err(error) => {
            let problem = format!("{} is not a regular expression: {error}", shown(&text));
            value.fault(
                Problem::new(problem).hint("a backslash stands for itself between '…'"),
                reading,
            )
        }
    }
}

/// A pattern of file names.
pub(crate) fn glob(value: &Value, reading: &mut Reading) -> Option<String> {
    let text = some_text(value, reading)?;
    match Glob::new(&text) {
        Ok(_) => Some(text),
        Err(error) => {
            let why = error.kind();
            let problem = Problem::new(format!("{} is not a pattern: {why}", shown(&text)));
            value.fault(problem.hint("write for instance \"**/*.log\""), reading)
        }
    }
}
