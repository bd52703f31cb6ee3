//! One line for each target that is done, and what it said last where it failed.

use supervisor_protocol::{Done, Outcome};

use super::color::{Colour, paint};
use super::services::Names;
use super::{sanitize, units};
use crate::output::Style;

/// The line, and indented below it the last lines of standard error of one that failed.
pub fn render(outcome: &Outcome, names: &Names, style: Style) -> String {
    let colour = match outcome.done {
        Done::Failed => Colour::Red,
        _ if !outcome.ok => Colour::Red,
        Done::Waiting => Colour::Yellow,
        Done::Started | Done::Restarted => Colour::Green,
        Done::AlreadyRunning
        | Done::Stopped
        | Done::AlreadyStopped
        | Done::Deleted
        | Done::Signalled
        | Done::Sent
        | Done::Reset
        | Done::Flushed => Colour::Bold,
    };
    let mut parts = vec![
        names.of(&outcome.name, outcome.instance),
        paint(style, colour, word(outcome.done)),
    ];
    parts.extend(pids(outcome));
    let took_time = match outcome.done {
        Done::AlreadyRunning
        | Done::AlreadyStopped
        | Done::Waiting
        | Done::Signalled
        | Done::Sent
        | Done::Reset
        | Done::Flushed => false,
        Done::Started | Done::Stopped | Done::Restarted | Done::Deleted | Done::Failed => true,
    };
    if took_time {
        parts.push(units::took(outcome.ms));
    }
    parts.extend(outcome.message.as_deref().map(sanitize::cell));
    let mut text = parts.join("  ");
    text.push('\n');
    for line in &outcome.stderr_tail {
        let bar = paint(style, Colour::Dim, "|");
        text.push_str(&format!("    {bar} {}\n", sanitize::cell(line)));
    }
    text
}

fn word(done: Done) -> &'static str {
    match done {
        Done::Started => "started",
        Done::AlreadyRunning => "already running",
        Done::Stopped => "stopped",
        Done::AlreadyStopped => "already stopped",
        Done::Restarted => "restarted",
        Done::Deleted => "deleted",
        Done::Signalled => "signalled",
        Done::Sent => "sent",
        Done::Reset => "reset",
        Done::Flushed => "flushed",
        Done::Waiting => "waiting",
        Done::Failed => "failed",
    }
}

fn pids(outcome: &Outcome) -> Option<String> {
    match (outcome.old_pid, outcome.new_pid) {
        (Some(old), Some(new)) if old != new => Some(format!("pid {old} → {new}")),
        (_, Some(pid)) | (Some(pid), None) => Some(format!("pid {pid}")),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_line() {
        let outcome = |done, old_pid, new_pid, message: &str, tail: &[&str]| Outcome {
            name: "smd-backend".into(),
            instance: 0,
            ok: done != Done::Failed,
            done,
            old_pid,
            new_pid,
            ms: 12,
            message: (!message.is_empty()).then(|| message.to_owned()),
            stderr_tail: tail.iter().map(|&line| line.to_owned()).collect(),
        };
        let outcomes = [
            outcome(Done::Started, None, Some(4711), "", &[]),
            outcome(Done::AlreadyRunning, None, Some(4711), "", &[]),
            outcome(Done::Stopped, Some(4711), None, "killed after 10 s", &[]),
            outcome(Done::AlreadyStopped, None, None, "", &[]),
            outcome(Done::Restarted, Some(4711), Some(4720), "", &[]),
            outcome(Done::Deleted, Some(4711), None, "", &[]),
            outcome(Done::Signalled, Some(4711), None, "", &[]),
            outcome(Done::Waiting, None, None, "for postgres", &[]),
            outcome(
                Done::Failed,
                None,
                None,
                "exit code 1",
                &["Error:\x1b]0;x\x07", "  at main"],
            ),
        ];
        let print = |names: &Names, style| {
            outcomes
                .iter()
                .map(|o| render(o, names, style))
                .collect::<String>()
        };
        insta::assert_snapshot!("plain", print(&Names::default(), Style::Plain));
        let several = Names::several("smd-backend");
        let coloured = print(&several, Style::Coloured);
        insta::assert_snapshot!("coloured", coloured.replace('\x1b', "ESC"));
    }
}
