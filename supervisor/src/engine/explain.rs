//! Why a run ended, as one sentence for a person.

use std::borrow::Cow;
use std::os::unix::fs::FileExt;

use anstream::adapter::strip_str;
use supervisor_config::StopSignal;
use supervisor_core::{Exit, Phase, ServiceId, Span, Step, Then};
use supervisor_logs::{Folder, Stream, StreamId};

/// No more of a log is read for a sentence.
const MOST: u64 = 16 * 1024;

/// The last lines of standard error since `from` (a length of the file), oldest first.
pub fn stderr_tail(folder: &Folder, id: &ServiceId, from: u64, lines: usize) -> Vec<String> {
    let stream = StreamId {
        app: id.app.to_string(),
        instance: id.instance,
        stream: Stream::Err,
    };
    let Ok(Some(file)) = folder.open_for_reading(&stream) else {
        return Vec::new();
    };
    let length = file.metadata().map_or(0, |found| found.len());
    // Somebody has emptied the file meanwhile: then all of it is new.
    let from = if from > length { 0 } else { from };
    let start = from.max(length.saturating_sub(MOST));
    let mut bytes = vec![0; (length - start) as usize];
    if file.read_exact_at(&mut bytes, start).is_err() {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(&bytes);
    let mut all: Vec<&str> = text.lines().collect();
    if start > from && !all.is_empty() {
        // The first one is cut.
        all.remove(0);
    }
    let first = all.len().saturating_sub(lines);
    all[first..].iter().map(|line| (*line).to_owned()).collect()
}

/// How a signal is called.
pub fn signal_name(number: u8) -> Cow<'static, str> {
    match StopSignal::new(number) {
        Some(signal) => signal.name(),
        None => format!("signal {number}").into(),
    }
}

/// `exited with code 1 after 0.3 s: listen EADDRINUSE …`.
pub fn exit(exit: Exit, uptime: Option<Span>, phase: Option<Phase>, stderr: &[String]) -> String {
    let how = match exit {
        Exit::Code(code) => format!("exited with code {code}"),
        Exit::Signal(signal) => format!("was killed by {}", signal_name(signal)),
        Exit::Unknown => "ended in a way that nobody can say (its keeper had died)".to_owned(),
    };
    match phase {
        Some(Phase::Stopping {
            then: Then::Settle,
            ladder,
        }) if matches!(ladder.step, Step::Killed { .. }) => {
            return "did not stop in time and was killed with its whole tree (SIGKILL)".to_owned();
        }
        Some(
            Phase::Stopping {
                then: Then::Settle, ..
            }
            | Phase::Stopped,
        ) => {
            return format!("{how}, as asked");
        }
        _ => {}
    }
    let after = uptime.map_or(String::new(), |span| format!(" after {}", seconds(span)));
    match (exit, cause(stderr)) {
        (Exit::Code(0), _) | (_, None) => format!("{how}{after}"),
        (_, Some(cause)) => format!("{how}{after}: {cause}"),
    }
}

/// A length of time, as a person says it.
pub fn seconds(span: Span) -> String {
    let ms = span.0;
    match ms {
        1..1000 => format!("{ms} ms"),
        ms if ms < 10_000 && ms % 1000 == 0 => format!("{} s", ms / 1000),
        0..10_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        10_000..120_000 => format!("{} s", ms / 1000),
        120_000..7_200_000 => format!("{} min", ms / 60_000),
        _ => format!("{} h", ms / 3_600_000),
    }
}

/// The line of standard error that tells why, where there is a plain one; without its colours.
fn cause(stderr: &[String]) -> Option<String> {
    let lines: Vec<String> = stderr
        .iter()
        .map(|line| strip_str(line).to_string().trim().to_owned())
        .collect();
    let find = |tells: &dyn Fn(&str) -> bool| lines.iter().find(|line| tells(line)).cloned();
    let taken = [
        "EADDRINUSE",
        "address already in use",
        "Address already in use",
    ];
    if let Some(line) = find(&|line| taken.iter().any(|word| line.contains(word))) {
        return Some(format!("port in use ({line})"));
    }
    // `TypeError: x is not a function`, `Error [ERR_X]: …`: how most languages name an exception.
    let named = |line: &str| {
        let name = line.split([':', ' ']).next().unwrap_or_default();
        name.ends_with("Error") || name.ends_with("Exception")
    };
    let telling = [
        "panicked",
        "fatal",
        "Fatal",
        "FATAL",
        "rror:",
        "cannot",
        "not found",
    ];
    find(&named).or_else(|| find(&|line| telling.iter().any(|word| line.contains(word))))
}

#[cfg(test)]
mod tests {
    use supervisor_core::{RunId, Time};

    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_port_in_use_is_named() {
        let node = "node:events:497\n      throw er; // Unhandled 'error' event\n\nError: listen EADDRINUSE: address already in use 127.0.0.1:3001\n    at Server.setupListenHandle";
        let text = exit(Exit::Code(1), Some(Span(312)), None, &lines(node));
        assert_eq!(
            text,
            "exited with code 1 after 312 ms: port in use (Error: listen EADDRINUSE: address already in use 127.0.0.1:3001)"
        );
    }

    #[test]
    fn the_exception_is_told_and_not_the_line_that_threw_it() {
        let node = "/srv/x.js:3\n  throw new Error('crash on request');\n  ^\n\n\x1b[31mError:\x1b[0m crash on request\n    at y";
        let text = exit(Exit::Code(1), None, None, &lines(node));
        assert_eq!(text, "exited with code 1: Error: crash on request");
    }

    #[test]
    fn plain_ends_are_plain() {
        let running = Phase::Running {
            run: RunId(1),
            stable_at: Some(Time(3)),
        };
        let text = |e, ms| exit(e, Some(Span(ms)), Some(running), &[]);
        assert_eq!(text(Exit::Code(0), 95_000), "exited with code 0 after 95 s");
        assert_eq!(
            text(Exit::Signal(9), 8_000_000),
            "was killed by SIGKILL after 2 h"
        );
        assert!(text(Exit::Unknown, 1).contains("nobody can say"));
    }

    #[test]
    fn what_was_asked_for_is_said_to_be() {
        let text = exit(
            Exit::Signal(15),
            Some(Span(5)),
            Some(Phase::Stopped),
            &lines("Error: x"),
        );
        assert_eq!(text, "was killed by SIGTERM, as asked");
    }
}
