//! What `show` prints: one instance, in the order of the questions of somebody who was woken up:
//! how is it and what happens next, how did it end, what runs, where are the logs; then what it
//! is meant to be.

use std::path::Path;

use supervisor_protocol::{Asked, Details, Service};

use super::color::{Colour, of_state, paint};
use super::sanitize;
use super::services::{Names, note, percent, word};
use super::text::hang;
use super::units::{self, Clock};
use crate::output::Style;

/// Titles are padded to this.
const TITLE: usize = 10;

/// All of it, with the times of here.
pub fn render(details: &Details, width: Option<usize>, style: Style) -> String {
    render_at(details, &Clock::local(), width, style)
}

fn render_at(details: &Details, clock: &Clock, width: Option<usize>, style: Style) -> String {
    let service = &details.service;
    let mut page = Page {
        text: String::new(),
        width,
        style,
    };
    page.head(service);
    page.lines(&now(service, clock));
    if let Some(asked) = &details.asked {
        page.lines(&[("asked".to_owned(), who(asked, clock))]);
    }
    if let Some(exit) = &service.last_exit {
        page.title("last exit");
        page.line("  ", &exit.reason, None);
        page.line("  ", &clock.ago(&exit.at), Some(Colour::Dim));
    }
    if !details.stderr_tail.is_empty() {
        page.title("last lines of stderr");
        for line in &details.stderr_tail {
            page.line("  | ", line, None);
        }
    }
    if !details.processes.is_empty() {
        page.title("processes");
        for process in &details.processes {
            let memory = units::bytes(process.memory_bytes);
            let start = format!("  {:>7}  {memory:>8}  ", process.pid);
            page.line(&start, &process.command, None);
        }
    }
    page.section("logs", &logs(service));
    page.section("app", &app(details));
    page.section("policies", &details.policies);
    if !details.env.is_empty() {
        page.title("environment");
        for (name, value) in &details.env {
            let value = value.as_deref().unwrap_or("***");
            page.line("  ", &format!("{name}={value}"), None);
        }
    }
    page.text
}

type Lines = Vec<(String, String)>;

fn lines<const N: usize>(lines: [(&str, Option<String>); N]) -> Lines {
    lines
        .into_iter()
        .filter_map(|(title, text)| Some((title.to_owned(), text?)))
        .collect()
}

fn now(service: &Service, clock: &Clock) -> Lines {
    let ready = |ready| if ready { "yes" } else { "not yet" }.to_owned();
    let in_a_row = match service.failures {
        0 => String::new(),
        1 => "; the last exit was a quick one".to_owned(),
        many => format!("; {many} quick exits in a row"),
    };
    lines([
        (
            "next start",
            service.next_start_at.as_deref().map(|at| clock.at_time(at)),
        ),
        ("pid", service.pid.map(|pid| pid.to_string())),
        ("uptime", service.uptime_ms.map(|ms| clock.since(ms))),
        ("ready", service.ready.map(ready)),
        ("cpu", service.cpu_percent.map(percent)),
        ("memory", service.memory_bytes.map(units::bytes)),
        ("restarts", Some(format!("{}{in_a_row}", service.restarts))),
    ])
}

/// `stopped by alice (uid 1000), 5m ago (12:20:00)`.
fn who(asked: &Asked, clock: &Clock) -> String {
    let user = match &asked.user {
        Some(user) => format!("{user} (uid {})", asked.uid),
        None => format!("uid {}", asked.uid),
    };
    format!("{} by {user}, {}", asked.what, clock.ago(&asked.at))
}

fn app(details: &Details) -> Lines {
    let list = |list: &[String]| (!list.is_empty()).then(|| list.join(", "));
    let namespace = &details.service.namespace;
    let words = details.command.iter().map(String::as_str);
    lines([
        ("id", Some(details.service.id.to_string())),
        (
            "command",
            Some(shlex::try_join(words).unwrap_or_else(|_| details.command.join(" "))),
        ),
        ("directory", Some(details.directory.display().to_string())),
        ("user", details.user.clone()),
        (
            "namespace",
            (!namespace.is_empty()).then(|| namespace.clone()),
        ),
        ("from", Some(details.origin.clone())),
        ("boot", Some(details.boot.clone())),
        ("after", list(&details.after)),
        ("env files", list(&details.env_file)),
    ])
}

fn live(path: Option<&Path>) -> String {
    path.map_or_else(|| "not kept".to_owned(), |path| path.display().to_string())
}

fn logs(service: &Service) -> Lines {
    let logs = &service.logs;
    let dropped = (logs.dropped_lines > 0 || logs.dropped_bytes > 0).then(|| {
        format!(
            "{} lines, {}",
            logs.dropped_lines,
            units::bytes(logs.dropped_bytes)
        )
    });
    lines([
        ("stdout", Some(live(logs.stdout.as_deref()))),
        ("stderr", Some(live(logs.stderr.as_deref()))),
        ("dropped", dropped),
    ])
}

struct Page {
    text: String,
    width: Option<usize>,
    style: Style,
}

impl Page {
    /// The name as it is typed: without an instance where there is only one.
    fn head(&mut self, service: &Service) {
        let names = Names::new(std::slice::from_ref(service), &[]);
        let name = names.of(&service.name, service.instance);
        let name = paint(self.style, Colour::Bold, &hang(0, &name, self.width));
        let state = paint(self.style, of_state(service.state), word(service.state));
        self.text.push_str(&format!("{name}  {state}\n"));
        let note = note(service);
        let text = note.text();
        if !text.is_empty() {
            self.line("  ", &text, note.colour);
        }
    }

    fn title(&mut self, title: &str) {
        let title = paint(self.style, Colour::Bold, title);
        self.text.push_str(&format!("\n{title}\n"));
    }

    fn section(&mut self, title: &str, lines: &[(String, String)]) {
        if !lines.is_empty() {
            self.title(title);
            self.lines(lines);
        }
    }

    fn lines(&mut self, lines: &[(String, String)]) {
        for (title, text) in lines {
            let title = format!("  {:TITLE$}  ", sanitize::cell(title));
            self.line(&title, text, None);
        }
    }

    /// `start` and the text after it; further lines stand below the text.
    fn line(&mut self, start: &str, text: &str, colour: Option<Colour>) {
        let text = hang(super::text::width(start), &sanitize::cell(text), self.width);
        let text = match colour {
            Some(colour) => paint(self.style, colour, &text),
            None => text,
        };
        let start = paint(self.style, Colour::Dim, start);
        self.text.push_str(&format!("{start}{text}\n"));
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::{TimeZone, offset};
    use supervisor_protocol::State;

    use super::*;
    use crate::render::fixtures::{details, down};
    use crate::render::text;

    fn page(details: &Details, width: Option<usize>, style: Style) -> String {
        let clock = Clock::at("2026-11-22T12:25:00Z", TimeZone::fixed(offset(1)));
        render_at(details, &clock, width, style)
    }

    #[test]
    fn all_sections() {
        for width in [Some(60), Some(120), None] {
            let name = width.map_or("pipe".into(), |width| format!("width_{width}"));
            insta::assert_snapshot!(name, page(&details(), width, Style::Plain));
        }
        let coloured = page(&details(), Some(80), Style::Coloured).replace('\x1b', "ESC");
        insta::assert_snapshot!("coloured", coloured);
    }

    #[test]
    fn a_crash_loop_comes_with_its_evidence() {
        let service = Service {
            failures: 5,
            restarts: 5,
            next_start_in_ms: Some(11_500),
            next_start_at: Some("2026-11-22T13:25:11.5+01:00".into()),
            ..down(3, "api", State::Backoff, "exit code 1")
        };
        let details = Details {
            service,
            processes: Vec::new(),
            ..details()
        };
        insta::assert_snapshot!("crash_loop", page(&details, Some(60), Style::Plain));
    }

    #[test]
    fn no_line_is_too_wide() {
        let mut details = details();
        details.command.push("日本語".repeat(40));
        details.directory = "/very-long/folder".repeat(20).into();
        details.stderr_tail.push("x".repeat(300));
        for width in [60, 61, 80, 250] {
            for line in page(&details, Some(width), Style::Plain).lines() {
                assert!(text::width(line) <= width, "{line}");
            }
        }
    }
}
