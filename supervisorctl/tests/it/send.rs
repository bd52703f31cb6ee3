//! `send`: lines for an app's standard input.

use std::io::Write as _;
use std::process::Stdio;

use supervisor_protocol::{Act, Done, FailureKind, Reply, Request, State};

use crate::fake::{Fake, answer, outcome, refuse, row};

fn game() -> Fake {
    Fake::new(|_, request| match request {
        Request::Status { .. } => {
            answer([Reply::Services(vec![row(0, "game", 0, State::Running)])])
        }
        Request::Act {
            act: Act::Send(line),
            ..
        } if line == "bad" => refuse(FailureKind::Usage, "its stdin is not \"pipe\""),
        _ => answer([Reply::Outcome(outcome("game", 0, Done::Sent))]),
    })
}

fn sent(fake: &Fake) -> Vec<String> {
    let lines = fake
        .asked()
        .into_iter()
        .filter_map(|request| match request {
            Request::Act {
                act: Act::Send(line),
                ..
            } => Some(line),
            _ => None,
        });
    lines.collect()
}

#[test]
fn one_line_as_it_was_typed() {
    for (words, line) in [
        (&["send", "game", "save all"][..], "save all"),
        (&["send", "game", "-x"], "-x"),
        (&["send", "game", "--", "--json"], "--json"),
        (&["send", "--json", "0", "ünï"], "ünï"),
    ] {
        let fake = game();
        let (code, _, err) = fake.run(words);
        assert_eq!((code, err.as_str()), (0, ""), "{words:?}");
        assert_eq!(sent(&fake), [line]);
    }
    let fake = game();
    assert_eq!(fake.run(&["send", "game", "x"]).1, "game  sent\n");
    let (code, _, err) = fake.run(&["send", "game", "bad"]);
    assert_eq!(
        (code, err.as_str()),
        (2, "error: its stdin is not \"pipe\"\n")
    );
}

#[test]
fn lines_of_standard_input() {
    let fake = game();
    let mut child = fake
        .command(&["send", "game", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"say hi\n\nsave")
        .unwrap();
    let (code, out, err) = fake.told(&child.wait_with_output().unwrap());
    assert_eq!((code, out.lines().count(), err.as_str()), (0, 3, ""));
    assert_eq!(sent(&fake), ["say hi", "", "save"]);
}

#[test]
fn what_is_not_one_line_is_not_sent() {
    let fake = game();
    for line in ["", "a\nb"] {
        let (code, _, err) = fake.run(&["send", "game", line]);
        assert_eq!(code, 2);
        assert!(err.contains("supervisorctl send NAME -"), "{err}");
    }
    assert!(fake.asked().is_empty());
}
