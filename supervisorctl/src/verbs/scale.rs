//! `scale`: more or fewer instances of an app.

use clap::Args;
use clap_complete::ArgValueCompleter;
use supervisor_protocol::Request;

use super::act::{self, How};
use super::report::{Named, Telling, carry_out};
use super::{Context, completions};
use crate::cli::{Told, Waits};
use crate::errors::{CliError, Exit};
use crate::render::sanitize;
use crate::render::services::Names;

/// Give an app more or fewer instances
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  supervisorctl scale api 4\n  supervisorctl scale api +2\n  \
                        supervisorctl scale api -1"
)]
pub struct Scale {
    /// The app
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(completions::targets))]
    app: String,
    /// So many, so many more, or so many fewer
    #[arg(value_name = "N|+N|-N", value_parser = number, allow_negative_numbers = true)]
    number: Number,
    #[command(flatten)]
    waits: Waits,
    #[command(flatten)]
    told: Told,
}

/// How many instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// In all.
    To(u32),
    /// More than now.
    More(u32),
    /// Fewer than now.
    Fewer(u32),
}

impl Number {
    /// How many that is where there are `now`; `None`: fewer than none, or more than can be counted.
    fn of(self, now: u32) -> Option<u32> {
        match self {
            Number::To(count) => Some(count),
            Number::More(more) => now.checked_add(more),
            Number::Fewer(fewer) => now.checked_sub(fewer),
        }
    }
}

fn number(text: &str) -> Result<Number, String> {
    let (kind, digits): (fn(u32) -> Number, _) = match text.split_at_checked(1) {
        Some(("+", more)) => (Number::More, more),
        Some(("-", fewer)) => (Number::Fewer, fewer),
        Some(_) | None => (Number::To, text),
    };
    match digits.parse() {
        // A second sign would be read as one.
        Ok(count) if digits.starts_with(|c: char| c.is_ascii_digit()) => Ok(kind(count)),
        Ok(_) | Err(_) => Err("a number of instances, or +N or -N".into()),
    }
}

impl Scale {
    /// Looks how many there are, works out how many there shall be, and asks for that.
    pub fn run(&self, context: &mut Context) -> Result<Exit, CliError> {
        let how = How::new(&self.told, Some(&self.waits));
        let targets = std::slice::from_ref(&self.app);
        let (mut session, rows) = act::look(context, targets)?;
        let Some(first) = rows.first() else {
            return act::nothing_to_do(context, how);
        };
        let name = &first.name;
        if let Some(other) = rows.iter().find(|row| row.name != *name) {
            let message = format!(
                "`{}` means several apps ({name}, {}, …); one at a time is scaled",
                self.app, other.name
            );
            return Err(CliError::new(Exit::Usage, message));
        }
        let seen = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        let now = first.instances.max(seen);
        let Some(instances @ 1..) = self.number.of(now) else {
            return Err(too_few(name, now, self.number));
        };
        if instances == now {
            let text = if how.json {
                "[]\n".to_owned()
            } else {
                format!("{} has {} already\n", sanitize::cell(name), many(now))
            };
            context.out.text(&text)?;
            return Ok(Exit::Done);
        }
        let request = Request::Scale {
            name: name.clone(),
            instances,
            wait: how.wait,
        };
        let names = Names::several(name);
        let (fewest, most) = (now.min(instances), now.max(instances));
        let telling = Telling {
            // A number that is far too large is for the daemon to refuse.
            awaited: (fewest..most)
                .take(16)
                .map(|at| names.of(name, at))
                .collect(),
            names: Named::As(names),
            json: how.json,
        };
        carry_out(context, &mut session, &request, telling)?.end(context, how.json)
    }
}

fn many(count: u32) -> String {
    match count {
        1 => "1 instance".into(),
        more => format!("{more} instances"),
    }
}

fn too_few(name: &str, now: u32, number: Number) -> CliError {
    let message = match number {
        Number::To(_) | Number::Fewer(_) => {
            format!("an app has at least 1 instance; {name} has {now} now")
        }
        Number::More(_) => format!("so many instances cannot be counted; {name} has {now} now"),
    };
    CliError::new(Exit::Usage, message).hint(format!("to stop it: supervisorctl stop {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(number("4"), Ok(Number::To(4)));
        assert_eq!(number("+4"), Ok(Number::More(4)));
        assert_eq!(number("-4"), Ok(Number::Fewer(4)));
        for text in [
            "",
            "+",
            "-",
            "++1",
            "+-1",
            "--1",
            "1.5",
            "max",
            "99999999999",
            "é",
        ] {
            assert!(number(text).is_err(), "{text}");
        }
        assert_eq!(Number::Fewer(3).of(2), None);
        assert_eq!(Number::Fewer(3).of(3), Some(0));
        assert_eq!(Number::More(u32::MAX).of(1), None);
    }
}
