//! `send`: lines for an app's standard input.

use std::io::{self, BufRead as _, Read as _};

use clap::Args;
use clap_complete::ArgValueCompleter;
use supervisor_protocol::Act;

use super::act::{self, How};
use super::report::Report;
use super::{Context, completions};
use crate::cli::Told;
use crate::errors::{CliError, Exit};
use crate::render::services::Names;

/// The longest line: it must fit into one message to the daemon, where a character may take six.
const LONGEST: usize = 64 << 10;

/// Write a line to an app's standard input
#[derive(Debug, Args)]
#[command(
    after_help = "The app needs `stdin = \"pipe\"`. With `-` as LINE, each line of standard input is sent.\n\n\
                  Example: supervisorctl send game 'save all'"
)]
pub struct Send {
    /// NAME, NAME:INSTANCE or number
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(completions::targets))]
    app: String,
    /// The line, in quotes; `-`: those of standard input
    #[arg(allow_hyphen_values = true)]
    line: String,
    #[command(flatten)]
    told: Told,
}

impl Send {
    /// Sends the line, or one after the other.
    pub fn run(&self, context: &mut Context) -> Result<Exit, CliError> {
        let how = How::new(&self.told, None);
        let targets = std::slice::from_ref(&self.app);
        let typed = match self.line.as_str() {
            "-" => None,
            line => Some(check(line)?),
        };
        let (mut session, rows) = act::look(context, targets)?;
        if rows.is_empty() {
            return act::nothing_to_do(context, how);
        }
        let names = Names::new(&rows, targets);
        let mut send = |context: &mut Context, line: &str| {
            let act = Act::Send(line.to_owned());
            act::once(context, &mut session, act, &rows, &names, how)
        };
        let mut report = Report::default();
        if let Some(line) = typed {
            report.extend(send(context, line)?);
        } else {
            let mut input = io::stdin().lock();
            while let Some(line) = next_line(&mut input)? {
                report.extend(send(context, &line)?);
                if report.exit() != Exit::Done {
                    break;
                }
            }
        }
        report.end(context, how.json)
    }
}

fn check(line: &str) -> Result<&str, CliError> {
    let fault = |message: &str, hint: &str| Err(CliError::new(Exit::Usage, message).hint(hint));
    match line {
        "" => fault(
            "the line is empty",
            "for an empty line: echo | supervisorctl send NAME -",
        ),
        line if line.contains('\n') => fault(
            "this is more than one line",
            "each line by itself: printf '%s\\n' … | supervisorctl send NAME -",
        ),
        line if line.len() > LONGEST => fault(TOO_LONG, "send it in parts"),
        line => Ok(line),
    }
}

const TOO_LONG: &str = "the line has more than 64 KiB, which is the most that is sent at once";

/// The next line of `input` without its end; `None` at the end.
fn next_line(input: &mut impl io::BufRead) -> Result<Option<String>, CliError> {
    let mut bytes = Vec::new();
    let most = LONGEST as u64 + 1;
    input
        .by_ref()
        .take(most)
        .read_until(b'\n', &mut bytes)
        .map_err(|error| {
            CliError::new(
                Exit::Failed,
                format!("standard input cannot be read: {error}"),
            )
        })?;
    if bytes.is_empty() {
        return Ok(None);
    }
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    } else if bytes.len() > LONGEST {
        return Err(CliError::new(Exit::Failed, TOO_LONG));
    }
    String::from_utf8(bytes).map(Some).map_err(|_| {
        CliError::new(
            Exit::Failed,
            "a line of standard input is not UTF-8, and cannot be sent",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_standard_input() {
        let mut input = &b"one\n\nlast"[..];
        let mut next = || next_line(&mut input).unwrap();
        assert_eq!(next(), Some("one".into()));
        assert_eq!(next(), Some(String::new()));
        assert_eq!(next(), Some("last".into()));
        assert_eq!(next(), None);
        let fits = [vec![b'x'; LONGEST], b"\n".to_vec()].concat();
        assert_eq!(
            next_line(&mut fits.as_slice()).unwrap().unwrap().len(),
            LONGEST
        );
        assert!(next_line(&mut vec![b'x'; LONGEST + 1].as_slice()).is_err());
        assert!(next_line(&mut &b"\xff\n"[..]).is_err());
    }

    #[test]
    fn what_is_not_one_line() {
        assert_eq!(check("save all"), Ok("save all"));
        for line in ["", "a\nb", &"x".repeat(LONGEST + 1)] {
            assert_eq!(check(line).unwrap_err().exit, Exit::Usage);
        }
    }
}
