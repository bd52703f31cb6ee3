//! Each error with its exit code, its words, and its JSON.

use std::time::Duration;

use supervisor_protocol::{Excerpt, VERSION};

use super::*;

#[test]
fn every_kind_has_its_code_and_its_words() {
    let failure = |kind| {
        Failure::new(kind, "it failed\x1b[2J")
            .cause("first")
            .cause("line 1\nline 2")
    };
    let mut errors: Vec<CliError> = [
        FailureKind::Usage,
        FailureKind::NoSuchApp,
        FailureKind::Invalid,
        FailureKind::Denied,
        FailureKind::Conflict,
        FailureKind::Version,
        FailureKind::Failed,
        FailureKind::ShuttingDown,
    ]
    .map(|kind| failure(kind).into())
    .into();
    errors.push(Failure::other_version(VERSION + 1).into());
    let path = || "/run/supervisor/supervisor.sock".into();
    errors.push(ConnectError::NoDaemon { tried: path() }.into());
    errors.push(ConnectError::Denied { path: path() }.into());
    errors.push(ConnectError::TooLong { path: path() }.into());
    let wait = Duration::from_secs(10);
    errors.push(CallError::Receive(ReceiveError::Silent(wait)).into());
    errors.push(
        CallError::KeepsBreaking {
            times: 3,
            after: wait,
        }
        .into(),
    );
    errors.push(CallError::Receive(ReceiveError::LostDescriptors).into());
    for errno in [Errno::ENOSPC, Errno::EACCES, Errno::EMFILE, Errno::EBADF] {
        let error = io::Error::from(errno);
        errors.push(CliError::of_system("/srv/x cannot be read", &error));
        let source = error;
        errors.push(
            ConnectError::Io {
                path: path(),
                source,
            }
            .into(),
        );
    }
    let text: String = errors
        .iter()
        .map(|error| format!("exit {}\n{}", error.exit.code(), error.render(Style::Plain)))
        .collect();
    insta::assert_snapshot!(text);
}

#[test]
fn a_reader_who_left_is_no_fault() {
    let error = CliError::from_output(&io::ErrorKind::BrokenPipe.into());
    assert_eq!(
        (error.exit.code(), error.render(Style::Plain)),
        (0, String::new())
    );
    assert_eq!(
        CliError::from_output(&io::ErrorKind::StorageFull.into())
            .exit
            .code(),
        1
    );
}

fn refusal() -> CliError {
    let mut failure = Failure::new(FailureKind::Invalid, "2 faults").cause("told as faults");
    for line in [3, 14] {
        failure.faults.push(Fault {
            file: Some("/srv/supervisor.toml".into()),
            line: Some(line),
            column: Some(1),
            key: Some("app.api.polcy".into()),
            message: "there is no key `polcy`\u{9b}2J".into(),
            hint: Some("did you mean `policy`?".into()),
            excerpt: Some(Excerpt {
                text: "polcy = 1".into(),
                start: 0,
                width: 5,
            }),
        });
    }
    failure.into()
}

#[test]
fn faults_are_told_one_by_one() {
    let error = refusal();
    insta::assert_snapshot!("faults", error.render_within(Style::Plain, Some(60)));
    assert!(
        render_faults(&error.faults, Style::Plain, None)
            .ends_with("\n\n2 faults in /srv/supervisor.toml\n")
    );
}

#[test]
fn json_has_all_of_it() {
    insta::assert_snapshot!("json", refusal().to_json());
    let error = CliError::from(ConnectError::NoDaemon { tried: "/x".into() });
    let json: serde_json::Value = serde_json::from_str(&error.to_json()).unwrap();
    assert_eq!(json["error"]["kind"], "no_daemon");
    assert_eq!(json["error"]["exit"], 5);
}

#[test]
fn long_sentences_fit_the_terminal() {
    let error = CliError::new(Exit::Failed, "word ".repeat(40))
        .cause("cause ".repeat(40))
        .hint("hint ".repeat(40));
    for width in [60, 80, 120] {
        for line in error.render_within(Style::Plain, Some(width)).lines() {
            assert!(line.len() <= width, "{line}");
        }
    }
}
