//! Files that are refused, with the number of their faults and what has to be told of them.

use std::fs;

use crate::untouched::untouched;
use crate::{home, judge};

/// With the words of one app beside its command.
fn with(words: &str) -> Vec<u8> {
    format!("[app.x]\ncommand = \"sleep 1\"\n{words}\n").into_bytes()
}

/// With a name as TOML writes it.
fn named(name: &str) -> Vec<u8> {
    format!("[app.{name}]\ncommand = \"sleep 1\"\n").into_bytes()
}

type Case = (Vec<u8>, usize, &'static [&'static str]);

/// Files, the number of their faults, and the words that have to be told.
fn files() -> Vec<Case> {
    let long = "n".repeat(1_000_000);
    let circle = "[app.a]\ncommand = \"a\"\nafter = [\"b\"]\n[app.b]\ncommand = \"b\"\nafter = [\"c\"]\n\
                  [app.c]\ncommand = \"c\"\nafter = [\"a\"]\n";
    vec![
        (
            b"[app.x\ncommand = 1\n".to_vec(),
            1,
            &["TOML", "bad.toml:1:7"],
        ),
        (
            b"[app.x]\ncommand = \n".to_vec(),
            1,
            &["TOML", "bad.toml:2"],
        ),
        (with("a\u{1b}[31m = 1"), 1, &["TOML", "bad.toml:3"]),
        (
            b"[app.x]\ncommand = \"sl\xff\xfeep\"\n".to_vec(),
            1,
            &["UTF-8", "line 2", "bad.toml"],
        ),
        (
            b"[app.x]\ncommand = \"sleep 1\0\"\n".to_vec(),
            1,
            &["bad.toml:2"],
        ),
        (b"[app.x]\n".to_vec(), 1, &["command", "bad.toml:1"]),
        (
            with("comand = \"x\"\nrestart.delay = \"soon\""),
            2,
            &["comand", "bad.toml:3", "bad.toml:4"],
        ),
        (with("nonsense = 1"), 1, &["no such key", "app.x.nonsense"]),
        (
            with("instancs = 2"),
            1,
            &["did you mean `instances`?", "bad.toml:3:1"],
        ),
        (with("restart.max_restart = 2"), 1, &["max_restarts"]),
        (b"[apps.x]\ncommand = \"sleep 1\"\n".to_vec(), 1, &["app"]),
        (with("instances = \"many\""), 1, &["app.x.instances"]),
        (with("instances = 513"), 1, &["512"]),
        (with("env = { PORT = [] }"), 1, &["app.x.env.PORT"]),
        (with("env = { \"A=B\" = \"1\" }"), 1, &["bad.toml:3"]),
        (
            with("restart.delay = \"3 fortnights\""),
            1,
            &["\"3 fortnights\" is not a duration", "250ms"],
        ),
        (with("restart.delay = \"-1s\""), 1, &["duration"]),
        (
            with("stop.timeout = \"99999999999999999999s\""),
            1,
            &["app.x.stop.timeout"],
        ),
        (
            with("logs.max_size = \"50XB\""),
            1,
            &["\"50XB\" is not a size", "50MiB"],
        ),
        (
            with("stop.signal = \"SIGNOTHING\""),
            1,
            &["no signal \"SIGNOTHING\""],
        ),
        (with("schedule = \"61 * * * *\""), 1, &["\"61\"", "minute"]),
        (with("schedule = \"* * *\""), 1, &["app.x.schedule"]),
        (
            with("schedule = \"0 3 * * *\"\ntimezone = \"Mars/Olympus\""),
            2,
            &["Mars/Olympus"],
        ),
        (named("\"a/b\""), 1, &["'/' is not allowed"]),
        (named("\"..\""), 1, &["'.' is not allowed"]),
        (named("\"../../etc\""), 1, &["is not allowed"]),
        (named("\"a\\u001b[31m\""), 1, &["\\u{1b}"]),
        (named("\"a\\nb\""), 1, &["\\n"]),
        (named("\"\""), 1, &["name"]),
        (named("all"), 1, &["'all'"]),
        (named(&long), 1, &["64 characters"]),
        (with(&format!("nonsense = \"{long}\"")), 1, &["no such key"]),
        (with(&format!("after = [\"{long}\"]")), 1, &["app.x.after"]),
        (vec![b'#'; 2 << 20], 1, &["1 MiB"]),
        (circle.into(), 1, &["a → b → c → a"]),
        (with("after = [\"x\"]"), 1, &["x"]),
        (
            with("after = [\"kepd\"]"),
            1,
            &["no app kepd", "did you mean \"kept\"?"],
        ),
        (
            with("env_file = [\"missing.env\"]"),
            1,
            &["missing.env", "bad.toml:3", "no such file"],
        ),
        (named("kept"), 1, &["kept", "kept.toml"]),
        (
            with("user = 0\ngroup = []"),
            2,
            &["app.x.user", "app.x.group"],
        ),
    ]
}

#[test]
fn files_that_are_refused() {
    let home = home();
    let before = untouched(&home);
    let mut wrong = Vec::new();
    for (bytes, faults, words) in files() {
        let file = home.file("bad.toml");
        fs::write(&file, &bytes).expect("the work folder can be written");
        let output = home.ctl(&["up", file.to_str().expect("plain names")]);
        let words = [words, &["nothing was changed", "bad.toml"]].concat();
        let mut found = judge(&output, 1, &words);
        // Each fault, and how many they are.
        let told = output.text().matches("error: ").count();
        if told != faults + 1 {
            found.push(format!(
                "{faults} faults should be told: {:.600}",
                output.text()
            ));
        }
        if untouched(&home) != before {
            found.push("something was changed".to_owned());
            home.ctl(&["delete", "x"]);
        }
        let input = String::from_utf8_lossy(&bytes[..bytes.len().min(100)]).into_owned();
        wrong.extend(found.iter().map(|what| format!("{input:?}: {what}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
