//! What is typed from habit is answered.

use std::collections::BTreeSet;

use clap::Parser as _;

use super::*;
use crate::output::Style;

fn line(words: &[&str]) -> Vec<OsString> {
    let words = words.iter().map(OsString::from);
    std::iter::once("supervisorctl".into())
        .chain(words)
        .collect()
}

fn answer(words: &[&str]) -> Option<Instead> {
    let line = line(words);
    instead(&Cli::try_parse_from(&line).unwrap_err(), &line)
}

/// What a person sees.
fn told(words: &[&str]) -> String {
    let text = match answer(words) {
        Some(Instead::Words(words)) => {
            let words: Vec<_> = words.iter().map(|word| word.to_str().unwrap()).collect();
            format!("→ {}\n", words.join(" "))
        }
        Some(Instead::Nothing(why)) => format!("{why}\n"),
        Some(Instead::Refused(error)) => {
            assert_eq!(error.exit, Exit::Usage);
            error.render(Style::Plain)
        }
        None => "(clap explains)\n".to_owned(),
    };
    format!("$ supervisorctl {}\n{text}", words.join(" "))
}

#[test]
fn every_word_is_answered_and_none_is_ours() {
    let mut command = Cli::command();
    command.build();
    let ours: BTreeSet<_> = command
        .get_subcommands()
        .flat_map(|verb| verb.get_all_aliases().chain([verb.get_name()]))
        .map(str::to_owned)
        .collect();
    let mut seen = BTreeSet::new();
    let mut text = String::new();
    for (names, answer) in words::WORDS {
        for &name in *names {
            assert!(seen.insert(name), "{name} twice");
            assert!(!ours.contains(name), "{name} is a verb");
        }
        if let Answer::Is(words) = answer {
            assert!(ours.contains(words[0]), "{words:?}");
        }
        text.push_str(&told(&names[..1]));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn every_option_is_refused_with_its_sentence() {
    let mut seen = BTreeSet::new();
    let mut text = String::new();
    for (names, _) in options::REFUSED {
        assert!(names.iter().all(|name| seen.insert(*name)), "{names:?}");
        let verb = if seen.contains("--highlight") {
            "logs"
        } else {
            "restart"
        };
        text.push_str(&told(&[verb, "api", names[names.len() - 1]]));
        assert!(
            told(&["start", "a.js", &format!("{}=1", names[names.len() - 1])])
                .contains("not an option here")
        );
    }
    insta::assert_snapshot!(text);
}

#[test]
fn words_that_mean_ours_keep_what_follows() {
    assert_eq!(
        told(&["-s", "sendSignal", "USR2", "api"]),
        "$ supervisorctl -s sendSignal USR2 api\n→ supervisorctl -s signal USR2 api\n"
    );
    assert_eq!(
        told(&["upgrade", "--keeper"]),
        "$ supervisorctl upgrade --keeper\n→ supervisorctl daemon upgrade --keeper\n"
    );
}

#[test]
fn typos_and_options_of_another_verb() {
    let commands: [&[&str]; 13] = [
        &["statsu"],
        &["index.js"],
        &["daemon", "stat"],
        &["daemon", "logs"],
        &["daemon", "shutdown"],
        &["daemon", "jlist"],
        &["daemon", "reopen-logs"],
        &["logs", "api", "-20"],
        &["logs", "api", "-e"],
        &["restart", "api", "--watch"],
        &["stop", "api", "-i", "4"],
        &["daemon", "upgrade", "--json"],
        &["start", "a.js", "--prot", "1"],
    ];
    let text: String = commands.iter().map(|words| told(words)).collect();
    insta::assert_snapshot!(text);
}
