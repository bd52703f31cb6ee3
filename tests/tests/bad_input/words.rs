//! Command lines that are refused, with their exit codes and what has to be told of them.

use crate::untouched::untouched;
use crate::{home, judge};

type Case = (Vec<String>, i32, &'static [&'static str]);

/// Command lines, their exit codes, and the words that have to be told.
fn cases() -> Vec<Case> {
    let long = "n".repeat(100_000);
    let start = |options: &[&'static str]| -> Vec<String> {
        let words = [&["start", "sleep", "--name", "x"], options, &["--", "1"]].concat();
        words.into_iter().map(str::to_owned).collect()
    };
    let name = |name: &str| -> Vec<String> {
        let words = ["start", "sleep", "--name", name, "--", "1"];
        words.map(str::to_owned).to_vec()
    };
    let plain = |words: &[&str]| -> Vec<String> { words.iter().map(|&word| word.into()).collect() };
    vec![
        (name("a/b"), 1, &["'/' is not allowed"]),
        (name(".."), 1, &["'.' is not allowed"]),
        (name("a\u{1b}[31m"), 1, &["\\u{1b}"]),
        (name("a\nb"), 1, &["\\n"]),
        (name(""), 1, &["name"]),
        (name("all"), 1, &["'all'"]),
        (name(&long), 1, &["64 characters"]),
        (name("kept"), 1, &["kept", "already"]),
        (start(&["--cwd", "/nowhere"]), 1, &["/nowhere"]),
        (
            start(&["--user", "nobody-of-that-name"]),
            1,
            &["nobody-of-that-name"],
        ),
        (start(&["--env-file", "missing.env"]), 1, &["missing.env"]),
        (start(&["--env", "NOTHING"]), 2, &["KEY=VALUE"]),
        (start(&["--cron", "61 * * * *"]), 1, &["minute"]),
        (
            start(&["--max-memory-restart", "lots"]),
            2,
            &["lots", "300M"],
        ),
        (start(&["--kill-timeout", "soon"]), 2, &["soon"]),
        (start(&["-i", "513"]), 1, &["512"]),
        (start(&["--instnces", "2"]), 2, &["--instnces"]),
        (plain(&["start", "./missing.js"]), 1, &["missing.js"]),
        (plain(&["start"]), 2, &["start"]),
        (plain(&["up", "missing.toml"]), 1, &["missing.toml"]),
        (plain(&["up", "/tmp"]), 1, &["/tmp is a folder"]),
        (plain(&["statsu"]), 2, &["did you mean `status`?"]),
        (plain(&["scale", "kept", "many"]), 2, &["many"]),
        (plain(&["scale", "kept", "513"]), 2, &["512"]),
        (plain(&["signal", "NOTHING", "kept"]), 2, &["NOTHING"]),
        (plain(&["signal", "99", "kept"]), 2, &["99"]),
        (plain(&["stop", "nobody"]), 4, &["no app \"nobody\""]),
        (plain(&["stop", &long]), 4, &["no app"]),
        (plain(&["stop", "\u{1b}[31m"]), 4, &["no app"]),
        (plain(&["stop", "kept:7"]), 4, &["kept:7"]),
        (
            plain(&["logs", "kept", "--no-follow", "-n", "many"]),
            2,
            &["many"],
        ),
        (
            plain(&["logs", "kept", "--no-follow", "--stream", "both"]),
            2,
            &["both"],
        ),
        (plain(&["completions", "cmd.exe"]), 2, &["cmd.exe"]),
    ]
}

#[test]
fn words_that_are_refused() {
    let home = home();
    let before = untouched(&home);
    let mut wrong = Vec::new();
    for (words, code, told) in cases() {
        let output = home.ctl(&words);
        let mut found = judge(&output, code, told);
        if untouched(&home) != before {
            found.push("something was changed".to_owned());
            home.ctl(&["delete", "x"]);
        }
        let input: Vec<String> = words
            .iter()
            .map(|word| word.chars().take(40).collect())
            .collect();
        wrong.extend(found.iter().map(|what| format!("{input:?}: {what}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
