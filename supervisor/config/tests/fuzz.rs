//! Any text at all: it is read without panic and in bounded time, its faults lie within it, and what
//! is told is short, moves no cursor and shows no secret.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use supervisor_config::{App, Config, Fault, Origin, cross_check, parse};

/// Far more than any text takes, even where other work slows it down.
const LONGEST: Duration = Duration::from_secs(30);

const SECRET: &str = "hush";

/// Every key in force, and secrets in its environments.
static REFERENCE: LazyLock<String> = LazyLock::new(|| {
    let text = include_str!("../../../examples/reference.toml");
    let lines = text.lines().map(|line| match line.strip_prefix('#') {
        Some(key) if key.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => key,
        _ => line,
    });
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    let secrets = "env = { KEY = \"hush\", PIN = \"it is hush\", ";
    let secret = text.replacen("env = { ", secrets, 1);
    assert_ne!(secret, text);
    secret + "[app.last.env]\nA = 'hush'\nB = \"hush\"\n\"C\" = \"\"\"\nit is\nhush\n\"\"\"\n"
});

fn origin() -> Origin {
    Origin::File {
        path: PathBuf::from("/etc/supervisor.toml"),
        daemons_own: true,
    }
}

/// Pieces of which config files, and what is nearly one, are made.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        "[\\[\\]{}=\"'.,\n\0-9a-z#\\\\]{1,4}",
        "\\PC{0,6}",
        "[0-9*/,LW#?A-Z@-]{1,6} ",
        "[0-9a-z.:/%-]{1,9}",
        prop::sample::select(vec![
            "",
            "\n",
            "[app.a]\n",
            "command = 'x'\n",
            "\"\"\"",
            "'''",
            "[[",
            "]]",
            "= {",
            "}",
            "schedule = '",
            "timezone = '",
            "listen = ['",
            "wait_for = [\"http://",
            "umask = ",
            "ready.log = '",
            "watch.ignore = ['",
            "limits.cpu = ",
            "restart.",
            "after = ['a']\n",
            "\u{202e}",
            "\u{1b}[31m",
            "\r",
            "\t",
            "\u{feff}",
            "\u{7f}",
            "é",
            "🦀",
        ])
        .prop_map(str::to_owned),
    ]
}

/// The reference with a piece of it replaced by another.
fn mutated() -> impl Strategy<Value = String> {
    let length = REFERENCE.len();
    (0..length, 0..40usize, piece()).prop_map(|(at, length, piece)| {
        let mut bytes = REFERENCE.as_bytes().to_vec();
        let end = (at + length).min(bytes.len());
        bytes.splice(at..end, piece.into_bytes());
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

proptest! {
    #[test]
    fn any_text_is_read(text in "(\\PC|[\n\\[\\]={}\"'.#]){0,80}") {
        check(&text)?;
    }

    #[test]
    fn anything_like_a_config_file_is_read(pieces in prop::collection::vec(piece(), 0..30)) {
        check(&pieces.concat())?;
        check(&format!("[app.a]\ncommand = 'x'\n{}", pieces.concat()))?;
    }

    #[test]
    fn any_change_of_the_reference_is_read_and_shows_no_secret(text in mutated()) {
        let faults = check(&text)?;
        for fault in faults {
            let excerpt = fault.excerpt.as_ref().map_or("", |excerpt| &excerpt.text);
            let said = format!("{fault}{excerpt}");
            prop_assert!(!said.contains(SECRET), "{}", said);
        }
    }

    #[test]
    fn any_value_of_any_key_is_read(
        key in prop::sample::select(vec![
            "schedule", "timezone", "ready.http", "ready.tcp", "ready.log", "limits.umask",
            "limits.cpu", "stop.signal", "restart.delay", "logs.max_size", "logs.max_age", "logs.stdout",
            "command", "user",
        ]),
        value in "(\\PC|[0-9*/,:.@LW#?()\\[\\]-]){0,40}",
    ) {
        check(&format!("[app.a]\n{key} = {value:?}\n"))?;
        check(&format!("[app.a]\n{key} = '''{value}'''\n"))?;
    }
}

/// Sound apps keep what the model promises; faults have a place within the text.
fn check(text: &str) -> Result<Vec<Fault>, TestCaseError> {
    match parse(text, &origin()) {
        Ok(config) => {
            config.apps.values().try_for_each(sound)?;
            between(config)?;
            Ok(Vec::new())
        }
        Err(faults) => {
            prop_assert!(!faults.list.is_empty() && faults.list.len() <= 201);
            let text = text.strip_prefix('\u{feff}').unwrap_or(text);
            faults.list.iter().try_for_each(|fault| told(fault, text))?;
            Ok(faults.list)
        }
    }
}

fn sound(app: &App) -> Result<(), TestCaseError> {
    prop_assert!(!app.command.is_empty());
    prop_assert!(app.directory.is_absolute());
    prop_assert!(app.env_file.iter().all(|file| file.path.is_absolute()));
    let mut logs = app.log_files();
    prop_assert!(logs.all(|(_, path)| path.is_absolute() && path.file_name().is_some()));
    prop_assert!((1..=App::MAX_INSTANCES).contains(&app.instances));
    let words = app.command.iter().chain(app.env.values());
    prop_assert!(words.into_iter().all(|word| !word.contains('\0')));
    Ok(())
}

fn between(config: Config) -> Result<(), TestCaseError> {
    let faults = cross_check(
        &[config.clone(), config],
        &std::collections::BTreeMap::new(),
    );
    prop_assert!(faults.iter().all(|fault| fault.line.is_some()));
    Ok(())
}

fn told(fault: &Fault, text: &str) -> Result<(), TestCaseError> {
    let said = fault.to_string();
    prop_assert!(
        said.len() < 1000 && !said.contains(char::is_control),
        "{:?}",
        said
    );
    let (Some(line), Some(column)) = (fault.line, fault.column) else {
        prop_assert!(fault.excerpt.is_none());
        return Ok(());
    };
    let there = text.split('\n').nth(line - 1);
    prop_assert!(there.is_some_and(|line| (1..=line.chars().count() + 1).contains(&column)));
    if let Some(excerpt) = &fault.excerpt {
        let length = excerpt.text.chars().count();
        prop_assert!(length <= 300 && !excerpt.text.contains(char::is_control));
        prop_assert!((1..=length + 1).contains(&excerpt.column));
        let end = excerpt.column + excerpt.width - 1;
        prop_assert!(excerpt.width >= 1 && end <= length + 1, "{:?}", excerpt);
    }
    Ok(())
}

#[test]
fn the_largest_texts_are_read_in_time() {
    const SIZE: usize = 1 << 20;
    let many = |line: &dyn Fn(usize) -> String| -> String {
        let mut text = String::new();
        for number in 0.. {
            let line = line(number);
            if text.len() + line.len() > SIZE {
                break;
            }
            text += &line;
        }
        text
    };
    let texts = [
        ("brackets", "[".repeat(SIZE)),
        ("an array", format!("a = {}", "[".repeat(SIZE - 4))),
        (
            "tables in tables",
            format!("a = {}", "{a=".repeat(SIZE / 3 - 2)),
        ),
        (
            "tables in lines",
            format!("a = {}", "{\na=".repeat(SIZE / 4 - 2)),
        ),
        ("dots", "a.".repeat(SIZE / 2)),
        (
            "dots in a header",
            format!("[{}a]", "a.".repeat(SIZE / 2 - 2)),
        ),
        ("quotes", "\"".repeat(SIZE)),
        ("control characters", "\u{1}".repeat(SIZE)),
        ("words", "a ".repeat(SIZE / 2)),
        ("a long name", format!("[app.{}]", "a".repeat(SIZE - 6))),
        (
            "a long line",
            format!("[app.a]\nschedule = '{}'", "* ".repeat(SIZE / 2 - 20)),
        ),
        (
            "a long pattern",
            format!("[app.a]\nready.log = '{}'", "(".repeat(SIZE - 40)),
        ),
        (
            "a long glob",
            format!(
                "[app.a]\nwatch.ignore = ['{}']",
                "{a,".repeat(SIZE / 3 - 40)
            ),
        ),
        ("unknown keys", many(&|n| format!("k{n}=1\n"))),
        (
            "variables",
            "[app.a]\ncommand='x'\n".to_owned() + &many(&|n| format!("env.A{n}='1'\n")),
        ),
        ("apps", many(&|n| format!("[app.a{n}]\ncommand='x'\n"))),
        (
            "apps in one line",
            format!("app={{{}", many(&|n| format!("a{n}={{command=1}},"))),
        ),
        ("the same app", "[app.a]\ncommand='x'\n".repeat(SIZE / 20)),
        (
            "a circle",
            many(&|n| format!("[app.a{n}]\ncommand='x'\nafter=['a{}']\n", n + 1))
                + "[app.z]\ncommand='x'\nafter=['a0']\n",
        ),
        (
            "circles",
            many(&|n| format!("[app.a{n}]\ncommand='x'\nafter=['a{}']\n", n ^ 1)),
        ),
        (
            "crowds",
            many(&|n| format!("after=['a']\n[app.a{n}]\nafter=['a','b','c']\n")),
        ),
    ];
    for (what, text) in texts {
        let start = Instant::now();
        check(&text).unwrap_or_else(|error| panic!("{what}: {error}"));
        let took = start.elapsed();
        assert!(took < LONGEST, "{what} took {took:?}");
        println!("{what}: {took:?}");
    }
}
