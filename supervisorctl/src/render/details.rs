//! What `show` prints: one instance, section by section.

use supervisor_protocol::{Details, Service};

use super::color::{Colour, of_state, paint};
use super::services::{note, percent, word};
use super::{sanitize, units};
use crate::output::Style;

/// Titles are padded to this.
const TITLE: usize = 12;

/// All of it.
pub fn render(details: &Details, style: Style) -> String {
    let service = &details.service;
    let mut page = Page {
        text: String::new(),
        style,
    };
    page.head(service);
    page.section("process", &process(service));
    page.section("app", &app(details));
    page.section("policies", &details.policies);
    page.section("environment", &environment(details));
    page.section("logs", &logs(service));
    page.block(
        "last lines of stderr",
        details.stderr_tail.iter().map(|line| sanitize::cell(line)),
    );
    let tree = details.processes.iter().map(|process| {
        let (pid, memory) = (process.pid, units::bytes(process.memory_bytes));
        format!(
            "{pid:>8}  {memory:>9}  {}",
            sanitize::cell(&process.command)
        )
    });
    page.block("processes", tree);
    page.text
}

type Lines = Vec<(String, String)>;

fn lines<const N: usize>(lines: [(&str, Option<String>); N]) -> Lines {
    lines
        .into_iter()
        .filter_map(|(title, text)| Some((title.to_owned(), text?)))
        .collect()
}

fn process(service: &Service) -> Lines {
    let last_exit = service.last_exit.as_ref();
    lines([
        ("pid", service.pid.map(|pid| pid.to_string())),
        ("uptime", service.uptime_ms.map(units::age)),
        (
            "ready",
            service
                .ready
                .map(|ready| if ready { "yes" } else { "not yet" }.to_owned()),
        ),
        ("cpu", service.cpu_percent.map(percent)),
        ("memory", service.memory_bytes.map(units::bytes)),
        ("restarts", Some(service.restarts.to_string())),
        (
            "failures",
            Some(format!("{} quick exits in a row", service.failures)),
        ),
        (
            "last exit",
            last_exit.map(|exit| format!("{} ({})", exit.reason, exit.at)),
        ),
        ("next start", service.next_start_at.clone()),
    ])
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

fn environment(details: &Details) -> Lines {
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "***".into());
    details
        .env
        .iter()
        .map(|(name, text)| (name.clone(), value(text)))
        .collect()
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
        ("stdout", Some(logs.stdout.display().to_string())),
        ("stderr", Some(logs.stderr.display().to_string())),
        ("dropped", dropped),
    ])
}

struct Page {
    text: String,
    style: Style,
}

impl Page {
    fn head(&mut self, service: &Service) {
        let name = sanitize::cell(&format!("{}:{}", service.name, service.instance));
        let state = paint(self.style, of_state(service.state), word(service.state));
        self.text.push_str(&format!(
            "{}  {state}\n",
            paint(self.style, Colour::Bold, &name)
        ));
        let note = note(service);
        if !note.text.is_empty() || !note.tail.is_empty() {
            self.text
                .push_str(&format!("  {}{}\n", note.text, note.tail));
        }
    }

    fn title(&mut self, title: &str) {
        self.text
            .push_str(&format!("\n{}\n", paint(self.style, Colour::Bold, title)));
    }

    fn section(&mut self, title: &str, lines: &[(String, String)]) {
        if lines.is_empty() {
            return;
        }
        self.title(title);
        for (name, text) in lines {
            let name = format!("{:TITLE$}", sanitize::cell(name));
            let name = paint(self.style, Colour::Dim, &name);
            self.text
                .push_str(&format!("  {name}  {}\n", sanitize::cell(text)));
        }
    }

    fn block(&mut self, title: &str, lines: impl ExactSizeIterator<Item = String>) {
        if lines.len() == 0 {
            return;
        }
        self.title(title);
        for line in lines {
            self.text.push_str(&format!("  {line}\n"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixtures::details;

    #[test]
    fn all_sections() {
        insta::assert_snapshot!(render(&details(), Style::Plain));
    }
}
