//! What `up` is going to do, or did.

use supervisor_protocol::{Change, Effect, KeyChange, Plan};

use super::color::{Colour, paint};
use super::sanitize;
use super::text::{hang, width};
use crate::output::Style;

/// What is done stands in a column of this width.
const WORD: usize = "keeps running".len();

/// The file, a line for each thing that is done, and how many are left alone. Where there is
/// nothing to do, one line says so.
pub fn render(plan: &Plan, max: Option<usize>, style: Style) -> String {
    let mut page = Page {
        text: String::new(),
        max,
        style,
    };
    let file = sanitize::cell(&plan.file.display().to_string());
    if plan.create.is_empty() && plan.change.is_empty() && plan.remove.is_empty() {
        let nothing = match plan.untouched.len() + plan.stopped.len() {
            0 => "no apps".to_owned(),
            _ => "nothing to change".to_owned(),
        };
        let rest = rest(plan)
            .map(|rest| format!("; {rest}"))
            .unwrap_or_default();
        return hang(2, &format!("{file}: {nothing}{rest}"), max) + "\n";
    }
    page.text = paint(style, Colour::Bold, &hang(2, &file, max)) + "\n";
    page.names("create", Colour::Green, &plan.create);
    // What touches processes most comes first.
    for effect in [Effect::Restarts, Effect::Scales, Effect::Keeps] {
        let changes = plan.change.iter().filter(|change| change.effect == effect);
        changes.for_each(|change| page.change(change));
    }
    page.names("remove", Colour::Red, &plan.remove);
    if let Some(rest) = rest(plan) {
        let rest = hang(2, &rest, max);
        page.text.push_str(&format!("  {rest}\n"));
    }
    page.text
}

/// `3 untouched; stopped by the operator, and stays so: f`.
fn rest(plan: &Plan) -> Option<String> {
    let mut parts = Vec::new();
    if !plan.untouched.is_empty() {
        parts.push(format!("{} untouched", plan.untouched.len()));
    }
    if !plan.stopped.is_empty() {
        let names = plan.stopped.join(", ");
        let verb = if plan.stopped.len() == 1 {
            "stays"
        } else {
            "stay"
        };
        parts.push(format!("stopped by the operator and {verb} so: {names}"));
    }
    (!parts.is_empty()).then(|| sanitize::cell(&parts.join("; ")))
}

struct Page {
    text: String,
    max: Option<usize>,
    style: Style,
}

impl Page {
    fn names(&mut self, word: &str, colour: Colour, names: &[String]) {
        if !names.is_empty() {
            self.line(word, colour, &names.join(", "));
        }
    }

    fn line(&mut self, word: &str, colour: Colour, text: &str) {
        let word = paint(self.style, colour, &format!("{word:WORD$}"));
        let text = hang(WORD + 4, &sanitize::cell(text), self.max);
        self.text.push_str(&format!("  {word}  {text}\n"));
    }

    /// On one line where that has room, otherwise with a line for each key.
    fn change(&mut self, change: &Change) {
        let (word, colour) = match change.effect {
            Effect::Keeps => ("keeps running", Colour::Cyan),
            Effect::Scales => ("scale", Colour::Cyan),
            Effect::Restarts => ("restart", Colour::Yellow),
        };
        let keys: Vec<_> = change.keys.iter().map(key).collect();
        let line = format!("{}: {}", change.name, keys.join("; "));
        let room = self.max.unwrap_or(usize::MAX);
        if WORD + 4 + width(&sanitize::cell(&line)) <= room {
            return self.line(word, colour, &line);
        }
        self.line(word, colour, &change.name);
        for key in keys {
            let key = hang(WORD + 8, &sanitize::cell(&key), self.max);
            let indent = " ".repeat(WORD + 6);
            self.text.push_str(&format!("{indent}{key}\n"));
        }
    }
}

/// `instances 2 → 4`; values that may be secrets are not told, and so not shown.
fn key(change: &KeyChange) -> String {
    let key = &change.key;
    match (&change.old, &change.new) {
        (None, None) => key.clone(),
        (Some(old), Some(new)) => format!("{key} {old} → {new}"),
        (Some(old), None) => format!("{key} {old} → not set"),
        (None, Some(new)) => format!("{key} not set → {new}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(name: &str, effect: Effect, keys: &[(&str, Option<&str>, Option<&str>)]) -> Change {
        let keys = keys.iter().map(|(key, old, new)| KeyChange {
            key: (*key).into(),
            old: old.map(str::to_owned),
            new: new.map(str::to_owned),
        });
        Change {
            name: name.into(),
            effect,
            keys: keys.collect(),
        }
    }

    fn plan() -> Plan {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let command =
            "[\"node\", \"--max-old-space-size=4096\", \"/srv/shop/current/dist/index.js\"]";
        Plan {
            file: "/srv/supervisor.toml".into(),
            create: names(&[
                "api",
                "web",
                "smd-store-image-resizer",
                "worker-of-the-night",
            ]),
            change: vec![
                change(
                    "quiet",
                    Effect::Keeps,
                    &[("logs.keep", Some("10"), Some("20"))],
                ),
                change(
                    "shop",
                    Effect::Restarts,
                    &[
                        ("command", Some("[\"npm\", \"start\"]"), Some(command)),
                        ("env.TOKEN", None, None),
                        ("user", None, Some("www-data")),
                    ],
                ),
                change("mail", Effect::Restarts, &[("env.PORT\x1b[2J", None, None)]),
                change(
                    "pool",
                    Effect::Scales,
                    &[("instances", Some("2"), Some("4"))],
                ),
            ],
            remove: names(&["old"]),
            untouched: names(&["x", "y", "z"]),
            stopped: names(&["halted"]),
        }
    }

    #[test]
    fn all_parts_and_none() {
        for width in [Some(60), Some(120), None] {
            let name = width.map_or("pipe".into(), |width| format!("width_{width}"));
            insta::assert_snapshot!(name, render(&plan(), width, Style::Plain));
        }
        let text = render(&plan(), Some(80), Style::Coloured).replace('\x1b', "ESC");
        insta::assert_snapshot!("coloured", text);
        let quiet = Plan {
            create: Vec::new(),
            change: Vec::new(),
            remove: Vec::new(),
            ..plan()
        };
        let nothing = Plan {
            file: "/x".into(),
            ..Plan::default()
        };
        let both = [quiet, nothing].map(|plan| render(&plan, Some(80), Style::Plain));
        insta::assert_snapshot!(both.concat(), @r"
        /srv/supervisor.toml: nothing to change; 3 untouched; stopped by the operator
          and stays so: halted
        /x: no apps
        ");
    }
}
