//! Readers for the times at which jobs run.

use std::str::FromStr;

use croner::Cron;
use jiff::tz::{self, TimeZone};

use crate::hints;
use crate::reading::Reading;
use crate::units::{Problem, shown};
use crate::value::{Value, some_text};

/// The fields of a line, with what each takes.
const FIELDS: [(&str, &str); 5] = [
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of the month", "1 to 31"),
    ("month", "1 to 12, or JAN to DEC"),
    ("day of the week", "0 to 7, or SUN to SAT"),
];

const NICKNAMES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

const EXAMPLE: &str = "\"0 3 * * *\" is every day at 3:00, \"*/15 * * * 1-5\" every quarter of an hour from Monday to Friday";

/// More than any line of five fields needs; reading one takes time.
const LONGEST: usize = 200;

/// Five fields, as cron has them.
pub(crate) fn schedule(value: &Value, reading: &mut Reading) -> Option<String> {
    let text = some_text(value, reading)?;
    match bad_schedule(&text) {
        Some(problem) => value.fault(problem, reading),
        None => Some(text),
    }
}

fn bad_schedule(text: &str) -> Option<Problem> {
    let said = |message: String| Some(Problem::new(message).hint(EXAMPLE));
    if let Some((_, line)) = NICKNAMES.iter().find(|(name, _)| *name == text.trim()) {
        let problem = Problem::new(format!("{} is not written in five fields", shown(text)));
        return Some(problem.hint(format!("write \"{line}\"")));
    }
    let fields: Vec<_> = text.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        let names = FIELDS.map(|(name, _)| name).join(", ");
        let count = fields.len();
        return said(format!(
            "a schedule has five fields ({names}), this one has {count}"
        ));
    }
    if text.len() > LONGEST {
        return said(format!("it is longer than {LONGEST} characters"));
    }
    for (index, field) in fields.iter().enumerate() {
        let mut alone = ["*"; FIELDS.len()];
        alone[index] = field;
        if !is_plain(field) || Cron::from_str(&alone.join(" ")).is_err() {
            let (name, takes) = FIELDS[index];
            return said(format!(
                "{} is wrong for the {name}, which is {takes}, * or */5, or a list like 1,3 of those",
                shown(field)
            ));
        }
    }
    let Ok(cron) = Cron::from_str(&fields.join(" ")) else {
        return said(format!("{} is not a schedule", shown(text)));
    };
    // Any start will do: all days that there are come within the years that are searched.
    let start = jiff::Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
    if cron.find_next_occurrence(&start, true).is_err() {
        return said(format!("{} is a day that never comes", shown(text)));
    }
    None
}

fn is_plain(field: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '*' | '/' | ',' | '-' | '#');
    field.chars().all(allowed)
}

/// A name of the machine's time zone database; without one it is known only where it is used.
pub(crate) fn timezone(value: &Value, reading: &mut Reading) -> Option<String> {
    let text = some_text(value, reading)?;
    let database = tz::db();
    if database.get(&text).is_ok() || (database.is_definitively_empty() && is_zone(&text)) {
        return Some(text);
    }
    let problem = Problem::new(format!(
        "there is no time zone {} on this machine",
        shown(&text)
    ));
    let names: Vec<_> = database.available().map(|name| name.to_string()).collect();
    let near = hints::nearest(&text, names.iter().map(String::as_str));
    let hint = match near {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => {
            "write a name like \"Europe/Berlin\" or \"UTC\"; `ls /usr/share/zoneinfo` shows them"
                .to_owned()
        }
    };
    value.fault(problem.hint(hint), reading)
}

fn is_zone(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '+');
    text.chars().all(allowed)
}
