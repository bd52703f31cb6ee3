//! One line for each target that is done, and what it said last where it failed.

use supervisor_protocol::{Done, Outcome};

use super::color::{Colour, paint};
use super::services::Names;
use super::text::{hang, width};
use super::{sanitize, units};
use crate::output::Style;

/// What is said of an outcome beyond its first line stands below the name.
const INDENT: usize = 4;

/// The line, and indented below it the last lines of standard error of one that failed. A message
/// that does not fit into `max` columns any more stands below the name, too.
pub fn render(outcome: &Outcome, names: &Names, style: Style, max: Option<usize>) -> String {
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
    let name = names.of(&outcome.name, outcome.instance);
    let word = word(outcome.done);
    let after = [pids(outcome), took_time.then(|| units::took(outcome.ms))];
    let after: String = after
        .iter()
        .flatten()
        .map(|part| format!("  {part}"))
        .collect();
    let mut text = format!("{name}  {}{after}", paint(style, colour, word));
    if let Some(message) = outcome.message.as_deref().map(sanitize::cell) {
        let taken = [&name, "  ", word, &after, "  "]
            .map(width)
            .iter()
            .sum::<usize>();
        if max.is_none_or(|max| taken + width(&message) <= max) {
            text.push_str(&format!("  {message}"));
        } else {
            text.push_str(&format!("\n{:INDENT$}{}", "", hang(INDENT, &message, max)));
        }
    }
    text.push('\n');
    for line in &outcome.stderr_tail {
        let bar = paint(style, Colour::Dim, "|");
        let line = hang(INDENT + "| ".len(), &sanitize::cell(line), max);
        text.push_str(&format!("{:INDENT$}{bar} {line}\n", ""));
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
                .map(|o| render(o, names, style, None))
                .collect::<String>()
        };
        insta::assert_snapshot!("plain", print(&Names::default(), Style::Plain));
        let several = Names::several("smd-backend");
        let coloured = print(&several, Style::Coloured);
        insta::assert_snapshot!("coloured", coloured.replace('\x1b', "ESC"));
    }
    #[test]
    fn what_is_too_long_stands_below_the_name() {
        let failed = Outcome {
            name: "api".into(),
            instance: 0,
            ok: false,
            done: Done::Failed,
            old_pid: None,
            new_pid: None,
            ms: 279,
            message: Some(
                "exited with code 1 after 0.2 s: port in use (Error: listen EADDRINUSE: address already in \
                 use 127.0.0.1:3901)"
                    .into(),
            ),
            stderr_tail: vec![
                "    at process.processTicksAndRejections (node:internal/process/task_queues:82:21)".into(),
            ],
        };
        let print = |max| render(&failed, &Names::default(), Style::Plain, Some(max));
        for max in [60, 80] {
            assert!(print(max).lines().all(|line| width(line) <= max));
        }
        insta::assert_snapshot!("width_60", print(60));
        assert_eq!(print(200).lines().count(), 2, "it fits");
    }
}
