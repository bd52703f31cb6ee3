//! `up`.

use std::fs;

use supervisor_protocol::{Change, Done, Effect, KeyChange, Plan, Reply, Request, State};

use crate::fake::{Fake, answer, file, outcome, row};

#[test]
fn up_prints_the_plan_and_then_the_outcomes() {
    let script = |_, request: &Request| match request {
        Request::Status { .. } => answer([Reply::Services(vec![
            row(0, "a", 0, State::Running),
            row(1, "b", 0, State::Running),
            row(2, "b", 1, State::Running),
        ])]),
        Request::Up { file, dry_run, .. } => {
            let mut plan = Plan {
                file: file.clone().unwrap(),
                ..Plan::default()
            };
            plan.create = vec!["a".into(), "b".into()];
            plan.change = vec![Change {
                name: "c".into(),
                effect: Effect::Restarts,
                keys: ["env.PORT", "command"]
                    .map(|key| KeyChange {
                        key: key.into(),
                        old: None,
                        new: None,
                    })
                    .into(),
            }];
            plan.stopped = vec!["f".into()];
            let mut replies = vec![Reply::Plan(plan)];
            if !dry_run {
                replies.push(Reply::Outcome(outcome("a", 0, Done::Started)));
                replies.push(Reply::Outcome(outcome("b", 0, Done::Started)));
                replies.push(Reply::Outcome(outcome("c", 0, Done::Failed)));
            }
            answer(replies)
        }
        _ => answer([]),
    };
    let fake = Fake::new(script);
    file(&fake, "supervisor.toml", "");
    let path = fake.home.path().join("supervisor.toml");
    let (code, out, err) = fake.run(&["up"]);
    insta::assert_snapshot!(format!("exit {code}\n{out}{err}"));
    let up = |dry_run, wait| Request::Up {
        file: Some(path.clone()),
        dry_run,
        wait,
    };
    assert_eq!(fake.asked()[0], up(false, true));

    let (code, out, _) = fake.run(&["apply", "supervisor.toml", "--dry-run", "--no-wait"]);
    assert_eq!((code, out.lines().count()), (0, 4), "{out}");
    assert_eq!(fake.asked().last(), Some(&up(true, false)));

    let (code, json, _) = fake.run(&["up", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (code, json["plans"][0]["create"][1].as_str()),
        (1, Some("b"))
    );
    assert_eq!(json["outcomes"].as_array().unwrap().len(), 3);
}

#[test]
fn up_without_a_file_means_the_configured_ones() {
    let fake = Fake::new(|_, _| answer([]));
    assert_eq!(fake.run(&["up"]).0, 0);
    assert_eq!(
        fake.asked(),
        [Request::Up {
            file: None,
            dry_run: false,
            wait: true
        }]
    );
    let (code, _, err) = fake.run(&["up", "nope.toml"]);
    assert_eq!(code, 1);
    assert!(
        err.contains("HOME/nope.toml cannot be read: No such file"),
        "{err}"
    );
    fs::create_dir(fake.home.path().join("dir")).unwrap();
    file(&fake, "dir/supervisor.toml", "");
    let (code, _, err) = fake.run(&["up", "dir"]);
    assert_eq!(code, 1);
    assert!(
        err.contains("is a folder") && err.contains("HOME/dir/supervisor.toml"),
        "{err}"
    );
}

#[test]
fn daemon_reload_means_the_configured_files_wherever_it_is_typed() {
    let fake = Fake::new(|_, _| answer([]));
    file(&fake, "supervisor.toml", "");
    for (words, dry_run) in [
        (&["daemon", "reload"][..], false),
        (&["reread"], true),
        (&["daemon-reload", "--json"], false),
    ] {
        assert_eq!(fake.run(words).0, 0, "{words:?}");
        let wait = true;
        let file = None;
        let expected = Request::Up {
            file,
            dry_run,
            wait,
        };
        assert_eq!(fake.asked().last(), Some(&expected));
    }
    assert_eq!(
        Fake::absent().run(&["daemon", "reload"]).0,
        5,
        "it starts none"
    );
}
