//! Why a run ended, as one sentence for a person.

use std::borrow::Cow;

use anstream::adapter::strip_str;
use supervisor_config::{StopSignal, size_text};
use supervisor_core::{Exit, Phase, Span, Step, Then};
use supervisor_logs::is_marker;

use crate::os::cgroup::Oom;

/// Before a line of a log that has times: `2026-11-22T13:20:00.250Z `.
const STAMP: usize = 25;

/// The kernel's signal when memory runs out.
const KILL: u8 = 9;

/// The last lines of what a run wrote, oldest first, as the app wrote them.
pub fn last_lines(tail: &[u8], lines: usize) -> Vec<String> {
    let text = String::from_utf8_lossy(tail);
    let own = text.lines().map(without_time);
    let all: Vec<&str> = own.filter(|line| !is_marker(line.as_bytes())).collect();
    let first = all.len().saturating_sub(lines);
    all[first..].iter().map(|line| (*line).to_owned()).collect()
}

fn without_time(line: &str) -> &str {
    let bytes = line.as_bytes();
    let is_time = bytes.len() >= STAMP
        && [
            (4, b'-'),
            (7, b'-'),
            (10, b'T'),
            (19, b'.'),
            (23, b'Z'),
            (24, b' '),
        ]
        .into_iter()
        .all(|(at, byte)| bytes[at] == byte)
        && bytes[..4].iter().all(u8::is_ascii_digit);
    let rest = is_time.then(|| line.get(STAMP..)).flatten();
    rest.unwrap_or(line)
}

/// How a signal is called.
pub fn signal_name(number: u8) -> Cow<'static, str> {
    match StopSignal::new(number) {
        Some(signal) => signal.name(),
        None => format!("signal {number}").into(),
    }
}

/// `exited with code 1 after 0.3 s: listen EADDRINUSE …`.
pub fn exit(
    exit: Exit,
    oom: Option<Oom>,
    uptime: Option<Span>,
    phase: Option<Phase>,
    stderr: &[String],
) -> String {
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
    match (exit, oom, cause(stderr)) {
        (Exit::Signal(KILL), Some(oom), _) => format!("was killed {}{after}", out_of_memory(oom)),
        (_, Some(oom), _) => {
            format!(
                "{how}{after}: processes of it were killed {}",
                out_of_memory(oom)
            )
        }
        (Exit::Code(0), None, _) | (_, None, None) => format!("{how}{after}"),
        (_, None, Some(cause)) => format!("{how}{after}: {cause}"),
    }
}

fn out_of_memory(oom: Oom) -> String {
    let at = match oom.at {
        Some(limit) => format!("at its limit of {}", size_text(limit)),
        None => "with the machine's own used up".to_owned(),
    };
    format!("for memory (OOM) {at}")
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
    fn the_last_lines_are_as_the_app_wrote_them() {
        let stamped = b"2026-11-22T13:20:00.250Z Error: no\n2026-11-22T13:20:00.251Z \n  at x\xff";
        assert_eq!(last_lines(stamped, 9), ["Error: no", "", "  at x\u{fffd}"]);
        assert_eq!(last_lines(stamped, 1), ["  at x\u{fffd}"]);
        let lost = supervisor_logs::Losses {
            lines: 1,
            bytes: 2,
            untold_lines: 1,
            untold_bytes: 2,
            ..Default::default()
        };
        let marked = format!("a\n{}\nb\n", supervisor_logs::marker(&lost, "full"));
        assert_eq!(last_lines(marked.as_bytes(), 9), ["a", "b"]);
        let own = "2026-11-22 13:20:00 my own format, longer than a time";
        assert_eq!(last_lines(own.as_bytes(), 9), [own]);
    }

    #[test]
    fn a_port_in_use_is_named() {
        let node = "node:events:497\n      throw er; // Unhandled 'error' event\n\nError: listen EADDRINUSE: address already in use 127.0.0.1:3001\n    at Server.setupListenHandle";
        let text = exit(Exit::Code(1), None, Some(Span(312)), None, &lines(node));
        assert_eq!(
            text,
            "exited with code 1 after 312 ms: port in use (Error: listen EADDRINUSE: address already in use 127.0.0.1:3001)"
        );
    }

    #[test]
    fn the_exception_is_told_and_not_the_line_that_threw_it() {
        let node = "/srv/x.js:3\n  throw new Error('crash on request');\n  ^\n\n\x1b[31mError:\x1b[0m crash on request\n    at y";
        let text = exit(Exit::Code(1), None, None, None, &lines(node));
        assert_eq!(text, "exited with code 1: Error: crash on request");
    }

    #[test]
    fn plain_ends_are_plain() {
        let running = Phase::Running {
            run: RunId(1),
            stable_at: Some(Time(3)),
        };
        let text = |e, ms| exit(e, None, Some(Span(ms)), Some(running), &[]);
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
            None,
            Some(Span(5)),
            Some(Phase::Stopped),
            &lines("Error: x"),
        );
        assert_eq!(text, "was killed by SIGTERM, as asked");
    }

    #[test]
    fn who_was_killed_for_memory_is_told_at_which_limit() {
        let limit = Some(Oom {
            at: Some(512_000_000),
        });
        let machine = Some(Oom { at: None });
        let text = |e, oom| exit(e, oom, Some(Span(3000)), None, &lines("Error: x"));
        assert_eq!(
            text(Exit::Signal(9), limit),
            "was killed for memory (OOM) at its limit of 512MB after 3 s"
        );
        assert_eq!(
            text(Exit::Signal(9), machine),
            "was killed for memory (OOM) with the machine's own used up after 3 s"
        );
        assert_eq!(
            text(Exit::Code(1), limit),
            "exited with code 1 after 3 s: processes of it were killed for memory (OOM) at its limit of 512MB"
        );
        let stopped = exit(Exit::Signal(9), limit, None, Some(Phase::Stopped), &[]);
        assert_eq!(stopped, "was killed by SIGKILL, as asked");
    }
}
