//! Verbs that look first and then act on what they saw.

use supervisor_protocol::{Act, Done, Reply, Request, Selected, State};

use crate::fake::{Fake, Step, answer, outcome, row};

fn targets(words: &[&str]) -> Request {
    Request::Status {
        targets: words.iter().map(|&word| word.to_owned()).collect(),
    }
}

#[test]
fn restart_looks_and_acts_on_what_it_saw() {
    let fake = Fake::new(|_, request| match request {
        Request::Status { .. } => answer([
            Reply::Services(vec![row(0, "api", 0, State::Running)]),
            Reply::Services(vec![
                row(1, "web", 0, State::Running),
                row(2, "web", 1, State::Stopped),
            ]),
        ]),
        _ => {
            let mut failed = outcome("web", 1, Done::Failed);
            failed.message = Some("exit code 1\x1b[2J".into());
            failed.stderr_tail = vec!["Error: \x1b]52;c;aGk=\x07".into(), "  at main".into()];
            answer([
                Reply::Outcome(outcome("api", 0, Done::Restarted)),
                Reply::Outcome(outcome("web", 0, Done::Restarted)),
                Reply::Outcome(failed),
            ])
        }
    });
    let (code, out, err) = fake.run(&["restart", "api", "web"]);
    insta::assert_snapshot!(format!("exit {code}\n{out}{err}"));
    let selected = |name: &str, instance, run| Selected {
        name: name.into(),
        instance,
        run,
    };
    let on = vec![
        selected("api", 0, 7),
        selected("web", 0, 8),
        selected("web", 1, 9),
    ];
    assert_eq!(
        fake.asked(),
        [
            targets(&["api", "web"]),
            Request::Act {
                act: Act::Restart,
                on,
                wait: true
            },
        ]
    );
}

#[test]
fn each_verb_asks_for_its_act() {
    for (words, act) in [
        (&["stop", "api"][..], Act::Stop),
        (&["restart", "api"], Act::Restart),
        (&["delete", "api"], Act::Delete),
        (&["rm", "api"], Act::Delete),
        (&["signal", "usr2", "api"], Act::Signal("SIGUSR2".into())),
        (&["start", "api"], Act::Start),
    ] {
        let fake = Fake::new(|_, request| match request {
            Request::Status { .. } => {
                answer([Reply::Services(vec![row(0, "api", 0, State::Running)])])
            }
            _ => answer([Reply::Outcome(outcome("api", 0, Done::Stopped))]),
        });
        let (code, out, err) = fake.run(words);
        assert_eq!((code, err.as_str()), (0, ""), "{words:?}: {out}");
        let on = vec![Selected {
            name: "api".into(),
            instance: 0,
            run: 7,
        }];
        assert_eq!(
            fake.asked()[1],
            Request::Act {
                act,
                on,
                wait: true
            }
        );
    }
}

#[test]
fn a_broken_connection_repeats_the_request_and_prints_nothing_twice() {
    let fake = Fake::new(|number, request| match (number, request) {
        (0, _) => vec![
            Step::Reply(Reply::Services(vec![row(0, "old", 0, State::Running)])),
            Step::Break,
        ],
        (1, _) => answer([Reply::Services(vec![
            row(0, "api", 0, State::Running),
            row(1, "web", 0, State::Running),
        ])]),
        (2, _) => {
            vec![
                Step::Reply(Reply::Outcome(outcome("api", 0, Done::Restarted))),
                Step::Break,
            ]
        }
        _ => answer([
            Reply::Outcome(outcome("api", 0, Done::Restarted)),
            Reply::Outcome(outcome("web", 0, Done::Restarted)),
        ]),
    });
    let (code, out, err) = fake.run(&["restart", "all"]);
    assert_eq!(
        (code, out.as_str(), err.as_str()),
        (
            0,
            "api  restarted  pid 4711 → 4720  12 ms\nweb  restarted  pid 4711 → 4720  12 ms\n",
            ""
        )
    );
    let asked = fake.asked();
    assert_eq!(asked.len(), 4);
    assert_eq!(asked[0], asked[1]);
    assert_eq!(asked[2], asked[3]);
}

#[test]
fn a_target_without_an_outcome_is_not_taken_for_done() {
    let fake = Fake::new(|_, request| match request {
        Request::Status { .. } => answer([Reply::Services(vec![row(0, "api", 0, State::Running)])]),
        _ => answer([]),
    });
    let (code, _, err) = fake.run(&["stop", "api"]);
    assert_eq!(code, 1);
    assert!(err.contains("did not say what became of api"), "{err}");
}
