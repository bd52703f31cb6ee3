//! Verbs that look first and then act on what they saw.

use supervisor_protocol::{Act, Done, Reply, Request, Selected, State};

use crate::fake::{Fake, Step, answer, outcome, row};

fn targets(words: &[&str]) -> Request {
    Request::Status {
        targets: words.iter().map(|&word| word.to_owned()).collect(),
        usage: false,
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
        (
            &["sendSignal", "usr2", "api"],
            Act::Signal("SIGUSR2".into()),
        ),
        (
            &["signal", "sigrtmin+3", "api"],
            Act::Signal("SIGRTMIN+3".into()),
        ),
        (&["start", "api"], Act::Start),
        (&["reset", "api"], Act::Reset),
        (&["flush", "api"], Act::Flush),
        (&["clear", "api"], Act::Flush),
        (&["reload", "api"], Act::Restart),
        (&["restart", "api", "--update-env"], Act::Restart),
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

#[test]
fn without_waiting_and_for_scripts() {
    let fake = Fake::new(|_, request| match request {
        Request::Status { .. } => answer([Reply::Services(vec![
            row(0, "api", 0, State::Running),
            row(1, "web", 0, State::Running),
        ])]),
        Request::Act { wait, .. } => {
            assert!(!wait);
            answer([
                Reply::Outcome(outcome("api", 0, Done::Stopped)),
                Reply::Outcome(outcome("web", 0, Done::Failed)),
            ])
        }
        _ => answer([]),
    });
    for verb in ["stop", "restart", "delete", "start"] {
        let (code, out, err) = fake.run(&[verb, "all", "--no-wait", "--json"]);
        let json: Vec<supervisor_protocol::Outcome> = serde_json::from_str(&out).unwrap();
        assert_eq!((code, err.as_str(), json.len()), (1, "", 2), "{verb}");
        assert_eq!(json[0], outcome("api", 0, Done::Stopped));
    }
    let (code, out, _) = fake.run(&["stop", "all", "--no-wait", "-s"]);
    assert_eq!((code, out.as_str()), (1, ""), "silent");
    let nothing = Fake::new(|_, _| answer([Reply::Services(vec![])]));
    assert_eq!(nothing.run(&["reload", "all", "--json"]).1, "[]\n");
}

#[test]
fn flush_without_a_word_means_all() {
    let fake = Fake::new(|_, request| match request {
        Request::Status { .. } => answer([Reply::Services(vec![row(0, "api", 0, State::Running)])]),
        _ => answer([Reply::Outcome(outcome("api", 0, Done::Flushed))]),
    });
    assert_eq!(
        fake.run(&["flush"]),
        (0, "api  flushed\n".into(), String::new())
    );
    assert_eq!(fake.asked()[0], targets(&[]));
}

/// `web` has two instances, and answers for one of them as `second` says.
fn web_and_api(second: Done) -> Fake {
    Fake::new(move |_, request| match request {
        Request::Status { .. } => {
            let mut rows = [
                row(2, "web", 1, State::Running),
                row(1, "web", 0, State::Running),
                row(0, "api", 0, State::Running),
                row(0, "api", 0, State::Running),
            ];
            rows[0].instances = 2;
            rows[1].instances = 2;
            answer([Reply::Services(rows.into())])
        }
        Request::Act { on, .. } => {
            let [one] = on.as_slice() else {
                panic!("{on:?}")
            };
            let done = if (one.name.as_str(), one.instance) == ("web", 0) {
                second
            } else {
                Done::Restarted
            };
            answer([Reply::Outcome(outcome(&one.name, one.instance, done))])
        }
        _ => answer([]),
    })
}

#[test]
fn reload_takes_one_instance_after_the_other() {
    let fake = web_and_api(Done::Restarted);
    let (code, out, err) = fake.run(&["reload", "web", "api"]);
    assert_eq!(
        (code, out.as_str()),
        (
            0,
            "api  restarted  pid 4711 → 4720  12 ms\nweb:0  restarted  pid 4711 → 4720  12 ms\n\
             web:1  restarted  pid 4711 → 4720  12 ms\n"
        )
    );
    assert!(
        err.starts_with("api was restarted with a gap") && err.lines().count() == 1,
        "{err}"
    );
    assert_eq!(fake.asked().len(), 4);
}

#[test]
fn reload_ends_at_the_first_that_fails() {
    let fake = web_and_api(Done::Failed);
    let (code, out, err) = fake.run(&["reload", "web", "api", "--json"]);
    assert_eq!(code, 1);
    assert!(err.contains("web:1 was left alone"), "{err}");
    let json: Vec<supervisor_protocol::Outcome> = serde_json::from_str(&out).unwrap();
    assert_eq!(json.len(), 2, "{out}");
}
