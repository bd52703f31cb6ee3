//! `scale`: what is typed becomes a number that is asked for.

use supervisor_protocol::{Done, FailureKind, Outcome, Reply, Request, State};

use crate::fake::{Fake, answer, outcome, refuse, row};

/// `api` has three instances.
fn three() -> Fake {
    Fake::new(|_, request| match request {
        Request::Status { targets, .. } if targets[0] == "nope" => {
            refuse(FailureKind::NoSuchApp, "no")
        }
        Request::Status { targets, .. } => {
            let mut rows: Vec<_> = (0..3)
                .map(|at| row(at.into(), "api", at, State::Running))
                .collect();
            for row in &mut rows {
                row.instances = 3;
            }
            match targets[0].as_str() {
                "1" => rows.truncate(1),
                "all" => rows.push(row(9, "web", 0, State::Running)),
                _ => {}
            }
            answer([Reply::Services(rows)])
        }
        Request::Scale { instances, .. } => {
            let came = (3..*instances).map(|at| outcome("api", at, Done::Started));
            let went = (*instances..3).map(|at| outcome("api", at, Done::Deleted));
            answer(came.chain(went).map(Reply::Outcome))
        }
        _ => answer([]),
    })
}

#[test]
fn each_number_becomes_how_many_there_shall_be() {
    for (words, expected, wait) in [
        (&["scale", "api", "5"][..], 5, true),
        (&["scale", "api", "+1"], 4, true),
        (&["scale", "api", "-1"], 2, true),
        (&["scale", "1", "-2", "--no-wait"], 1, false),
        (&["scale", "--json", "api", "4"], 4, true),
    ] {
        let fake = three();
        let (code, _, err) = fake.run(words);
        assert_eq!((code, err.as_str()), (0, ""), "{words:?}");
        let request = Request::Scale {
            name: "api".into(),
            instances: expected,
            wait,
        };
        assert_eq!(fake.asked()[1..], [request], "{words:?}");
    }
}

#[test]
fn a_line_for_each_that_came_or_went() {
    let fake = three();
    assert_eq!(
        fake.run(&["scale", "api", "+2"]).1,
        "api:3  started  pid 4720  12 ms\napi:4  started  pid 4720  12 ms\n"
    );
    assert_eq!(
        fake.run(&["scale", "api", "2"]).1,
        "api:2  deleted  12 ms\n"
    );
    let json = fake.run(&["scale", "api", "2", "--json"]).1;
    let outcomes: Vec<Outcome> = serde_json::from_str(&json).unwrap();
    assert_eq!(outcomes, [outcome("api", 2, Done::Deleted)]);
}

#[test]
fn what_changes_nothing_or_cannot_be() {
    let fake = three();
    assert_eq!(
        fake.run(&["scale", "api", "3"]),
        (0, "api has 3 instances already\n".into(), String::new())
    );
    assert_eq!(fake.run(&["scale", "api", "+0", "--json"]).1, "[]\n");
    for number in ["0", "-3", "-4"] {
        let (code, _, err) = fake.run(&["scale", "api", number]);
        assert_eq!(code, 2, "{err}");
        assert!(err.contains("to stop it: supervisorctl stop api"), "{err}");
    }
    let (code, _, err) = fake.run(&["scale", "all", "2"]);
    assert_eq!(code, 2);
    assert!(err.contains("several apps (api, web, …)"), "{err}");
    assert_eq!(fake.run(&["scale", "nope", "2"]).0, 4);
    assert_eq!(fake.run(&["scale", "api", "two"]).0, 2);
    let asked = fake.asked();
    assert!(!asked.iter().any(|r| matches!(r, Request::Scale { .. })));
}
