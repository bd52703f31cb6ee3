//! Whatever is typed ends in a known way: nothing panics, and what is written to the daemon says
//! the same words back.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use clap::{CommandFactory as _, Parser as _};
use proptest::prelude::*;
use toml::{Table, Value};

use super::foreign::{self, Instead};
use super::{Verb, start};
use crate::cli::Cli;
use crate::errors::Exit;
use crate::output::Style;

/// Every verb and option there is, so that random lines come near what is meant.
fn vocabulary() -> Vec<String> {
    let mut words = Vec::new();
    let mut queue = vec![Cli::command()];
    while let Some(command) = queue.pop() {
        for arg in command.get_arguments() {
            words.extend(arg.get_long().map(|long| format!("--{long}")));
            words.extend(arg.get_short().map(|short| format!("-{short}")));
        }
        words.push(command.get_name().to_owned());
        queue.extend(command.get_subcommands().cloned());
    }
    let more = [
        "save",
        "kill",
        "why",
        "statsu",
        "-",
        "--",
        "--json=1",
        "api",
        "api:0",
        "a.js",
        "-1",
        "+2",
        "KEY=VALUE",
        "ns/",
        "",
        "=",
        "--pid=x",
        "\u{202e}",
        "é",
    ];
    words.extend(more.map(str::to_owned));
    words
}

fn any_word() -> impl Strategy<Value = OsString> {
    prop_oneof![
        6 => prop::sample::select(vocabulary()).prop_map(OsString::from),
        2 => any::<String>().prop_map(OsString::from),
        1 => "-{0,2}[a-z=-]{0,8}".prop_map(OsString::from),
        1 => prop::collection::vec(1u8.., 0..12).prop_map(OsString::from_vec),
    ]
}

/// A text as it can stand in a command line: without NUL.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => any::<String>(),
        2 => "[\"'\\\\\n\t#=\\[\\]{}a.é\u{7f}\u{1}]{0,12}",
    ]
    .prop_map(|text| text.replace('\0', ""))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_line_is_a_verb_or_an_answer(words in prop::collection::vec(any_word(), 1..8)) {
        let line: Vec<_> = [OsString::from("supervisorctl")].into_iter().chain(words).collect();
        match Cli::try_parse_from(&line) {
            Ok(cli) => if let Verb::Start(start) = cli.verb {
                // It may be right or refused, but it is one of both.
                if let Err(error) = start.text_in(std::env::temp_dir(), std::env::var_os("PATH")) {
                    prop_assert_ne!(error.exit, Exit::Done);
                }
            },
            Err(error) => {
                prop_assert!(matches!(error.exit_code(), 0 | 2));
                match foreign::instead(&error, &line) {
                    Some(Instead::Refused(error)) => {
                        prop_assert_eq!(error.exit, Exit::Usage);
                        let text = error.render(Style::Plain);
                        prop_assert!(!text.contains('\x1b') && !text.contains('\u{202e}'), "{:?}", text);
                        let json: serde_json::Value = serde_json::from_str(&error.to_json()).unwrap();
                        prop_assert_eq!(&json["error"]["exit"], 2);
                    }
                    Some(Instead::Words(words)) => {
                        // Ours at once: the same word is not asked for again.
                        prop_assert_ne!(words, line);
                    }
                    Some(Instead::Nothing(_)) | None => {}
                }
            }
        }
    }

    #[test]
    fn a_definition_says_the_same_words_back(
        name in any_text(),
        args in prop::collection::vec(any_text(), 0..4),
        env in prop::collection::vec(("[A-Za-z_]{1,8}", any_text()), 0..4),
        texts in prop::collection::vec(any_text(), 8),
        codes in prop::collection::vec(any::<u8>(), 0..3),
    ) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.sh"), "").unwrap();
        let mut line: Vec<String> = ["supervisorctl", "start", "a.sh", "--interpreter", "sh"].map(str::to_owned).into();
        let options = ["user", "group", "namespace", "cron", "ignore-watch", "watch", "after", "env-file"];
        line.push(format!("--name={name}"));
        line.extend(options.iter().zip(&texts).map(|(key, text)| format!("--{key}={text}")));
        line.extend(env.iter().map(|(key, value)| format!("--env={key}={value}")));
        line.extend(codes.iter().map(|code| format!("--stop-exit-codes={code}")));
        line.push("--".to_owned());
        line.extend(args.iter().cloned());
        // What clap refuses (an empty value, say) does not get so far.
        let Ok(cli) = Cli::try_parse_from(&line) else { return Ok(()) };
        let Verb::Start(start) = cli.verb else { panic!("{line:?}") };
        let text = start.text_in(folder.path().to_owned(), std::env::var_os("PATH")).unwrap();
        let table: Table = toml::from_str(&text).unwrap();
        let app = &table["app"][name.as_str()];
        let words: Vec<_> = app["command"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        prop_assert_eq!(&words[2..], args.iter().map(String::as_str).collect::<Vec<_>>());
        for (key, text) in ["user", "group", "namespace", "schedule"].iter().zip(&texts) {
            prop_assert_eq!(app[*key].as_str(), Some(text.as_str()));
        }
        prop_assert_eq!(app["watch"]["ignore"][0].as_str(), Some(texts[4].as_str()));
        prop_assert_eq!(app["watch"]["paths"][0].as_str(), Some(texts[5].as_str()));
        prop_assert_eq!(app["after"][0].as_str(), Some(texts[6].as_str()));
        for (key, _) in &env {
            let last = env.iter().rev().find(|(other, _)| other == key).unwrap();
            prop_assert_eq!(app["env"][key.as_str()].as_str(), Some(last.1.as_str()));
        }
        let said: Vec<u8> = match app.get("restart") {
            Some(restart) => restart["success"].as_array().unwrap().iter()
                .map(|code| u8::try_from(code.as_integer().unwrap()).unwrap()).collect(),
            None => Vec::new(),
        };
        prop_assert_eq!(said, codes);
    }

    #[test]
    fn a_name_is_made_of_any_file(bytes in prop::collection::vec(1u8.., 0..80)) {
        let name = start::name_of(&PathBuf::from(OsString::from_vec(bytes)));
        prop_assert!(is_a_name(&name), "{}", name);
    }
}

fn is_a_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=64).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(allowed)
        && !name.contains("..")
        && name != "all"
}
