//! The whole state × event table of one service, and what the restart policies make of an exit, as
//! one page to read. A rule that changes shows here as a diff.

mod common;

use std::fmt::Write;

use common::*;
use supervisor_core::*;

const NOW: u64 = 100;

/// A moment, early enough for every deadline in the table to be ahead of `NOW`.
const EARLIER: u64 = 95;

struct Row {
    title: &'static str,
    policy: Policy,
    service: Service,
    /// Somebody comes after it, is to be restarted, too, and is not gone yet.
    held: bool,
}

fn row(title: &'static str, policy: Policy, phase: Phase) -> Row {
    let mut service = Service::new(secs(EARLIER), Want::Up, RunId(1));
    service.phase = phase;
    service.failures = 1;
    Row {
        title,
        policy,
        service,
        held: false,
    }
}

fn rows() -> Vec<Row> {
    let run = RunId(1);
    let later = secs(EARLIER + 10);
    let ladder = |step| Ladder { run, step };
    let stopping = |step, then| Phase::Stopping {
        ladder: ladder(step),
        then,
    };
    let failed = Then::Failed {
        cause: Cause::Unhealthy,
        quick: true,
    };
    let plain = policy;
    let slow = || Policy {
        ready: Some(Span::secs(30)),
        ..policy()
    };
    let job = || Policy {
        scheduled: true,
        ..policy()
    };
    let conditional = || Policy {
        conditional: true,
        ..policy()
    };
    let dependent = || Policy {
        after: vec![name("absent")],
        ..policy()
    };
    let running = Phase::Running {
        run,
        stable_at: Some(later),
    };
    let with = |beside: Beside, mut row: Row| {
        row.service.beside = Some(beside);
        row.service.last_run = RunId(2);
        row
    };
    let second = RunId(2);
    let rising = Beside::Starting {
        run: second,
        since: secs(EARLIER),
        ready_by: later,
    };
    let held = |mut row: Row| {
        row.service.restart = true;
        row.held = true;
        row
    };
    let mut stopped = row("stopped", plain(), Phase::Stopped);
    stopped.service.want = Want::Down;
    vec![
        stopped,
        row(
            "waiting, dependency absent",
            dependent(),
            Phase::Waiting(Wait::Dependencies),
        ),
        row(
            "waiting for conditions",
            conditional(),
            Phase::Waiting(Wait::Conditions { met: false }),
        ),
        row(
            "waiting after a shortage",
            plain(),
            Phase::Waiting(Wait::Shortage { until: later }),
        ),
        row(
            "job, first date ahead",
            job(),
            Phase::Waiting(Wait::Schedule { ran: false }),
        ),
        row(
            "job, has run",
            job(),
            Phase::Waiting(Wait::Schedule { ran: true }),
        ),
        row("job, running", job(), running),
        row("spawning", plain(), Phase::Spawning { run }),
        row("spawning, with readiness", slow(), Phase::Spawning { run }),
        row(
            "starting",
            slow(),
            Phase::Starting {
                run,
                ready_by: later,
            },
        ),
        row("running, not stable yet", plain(), running),
        row(
            "running, stable",
            plain(),
            Phase::Running {
                run,
                stable_at: None,
            },
        ),
        row(
            "stopping, unborn",
            plain(),
            stopping(Step::Unborn, Then::Settle),
        ),
        row(
            "stopping, asked",
            plain(),
            stopping(Step::Asked { until: later }, Then::Settle),
        ),
        row(
            "stopping, asked for a failure",
            plain(),
            stopping(Step::Asked { until: later }, failed),
        ),
        row(
            "stopping, killed",
            plain(),
            stopping(Step::Killed { until: later }, Then::Settle),
        ),
        row("backoff", plain(), Phase::Backoff { until: later }),
        row("errored", plain(), Phase::Errored),
        row("completed", plain(), Phase::Completed { success: true }),
        row("conditional, running", conditional(), running),
        row(
            "conditional, backoff",
            conditional(),
            Phase::Backoff { until: later },
        ),
        with(
            Beside::Spawning { run: second },
            row("reload, next one spawning", slow(), running),
        ),
        with(
            Beside::Spawning { run: second },
            row("the same without readiness", plain(), running),
        ),
        with(rising, row("reload, next one starting", slow(), running)),
        with(
            rising,
            row(
                "the same, old one failed",
                slow(),
                stopping(Step::Asked { until: later }, failed),
            ),
        ),
        with(
            Beside::Falling(Ladder {
                run: second,
                step: Step::Asked { until: later },
            }),
            row("reload, old one falling", slow(), running),
        ),
        held(row(
            "restart held up, spawning",
            plain(),
            Phase::Spawning { run },
        )),
        held(row("restart held up, running", plain(), running)),
        held(with(
            rising,
            row("restart held up, next one starting", slow(), running),
        )),
    ]
}

fn news(title: &str, run: RunId) -> Vec<(String, Event)> {
    let id = id("app");
    let fault = |fault| Event::SpawnFailed {
        id: id.clone(),
        run,
        fault,
    };
    let exit = |exit| Event::Exited {
        id: id.clone(),
        run,
        exit,
    };
    let cause = |cause| Event::Failing {
        id: id.clone(),
        run,
        cause,
    };
    let list = [
        (
            "spawned",
            Event::Spawned {
                id: id.clone(),
                run,
            },
        ),
        ("spawn failed, shortage", fault(SpawnFault::Shortage)),
        ("spawn failed, broken", fault(SpawnFault::Broken)),
        (
            "never ran",
            Event::NeverRan {
                id: id.clone(),
                run,
            },
        ),
        ("exited 0", exit(Exit::Code(0))),
        ("exited 1", exit(Exit::Code(1))),
        ("exit unknown", exit(Exit::Unknown)),
        (
            "ready",
            Event::Ready {
                id: id.clone(),
                run,
            },
        ),
        ("unhealthy", cause(Cause::Unhealthy)),
        ("over memory", cause(Cause::OverMemory)),
        ("watch", cause(Cause::Watch)),
    ];
    list.into_iter()
        .map(|(word, event)| (format!("{title}{word}"), event))
        .collect()
}

fn events(row: &Row) -> Vec<(String, Event)> {
    let wish = |word: &str, wish| (word.to_owned(), command("app", wish));
    let mut events = vec![
        (
            "defined again".to_owned(),
            define("app", row.policy.clone()),
        ),
        wish("start", Command::Start),
        wish("stop", Command::Stop),
        wish("restart", Command::Restart),
        wish("reload", Command::Reload),
        wish("remove", Command::Remove),
        wish("reset", Command::Reset),
        ("met".to_owned(), met("app")),
        ("due".to_owned(), Event::Due { id: id("app") }),
        ("shut down".to_owned(), Event::ShutDown),
        ("resume".to_owned(), Event::Resume),
        ("tick".to_owned(), Event::Tick),
    ];
    events.extend(news("", RunId(1)));
    if let Some(beside) = row.service.beside {
        events.extend(news("2nd ", beside.run()));
    }
    events
}

/// It comes after the app and stays as it is, whatever happens to that.
fn holder() -> (Policy, Service) {
    let ladder = Ladder {
        run: RunId(1),
        step: Step::Unborn,
    };
    let after = Policy {
        after: vec![name("app")],
        ..policy()
    };
    let mut service = Service::new(secs(EARLIER), Want::Up, RunId(1));
    service.phase = Phase::Stopping {
        ladder,
        then: Then::Settle,
    };
    service.restart = true;
    (after, service)
}

/// What one event makes of a row; `None`: nothing.
fn outcome(row: &Row, now: Time, event: Event) -> Option<String> {
    let mut fleet = Fleet::new();
    fleet.restore(id("app"), row.policy.clone(), row.service);
    if row.held {
        let (policy, holder) = holder();
        fleet.restore(id("holder"), policy, holder);
    }
    let actions = fleet.handle(now, event);
    let after = fleet.get(&id("app"));
    if actions.is_empty() && after == Some(&row.service) {
        return None;
    }
    let after = after.map_or_else(|| "gone".to_owned(), |service| show(service, now));
    let actions = show_actions(&actions);
    Some(if actions.is_empty() {
        after
    } else {
        format!("{after}  [{actions}]")
    })
}

#[test]
fn state_event_table() {
    let mut page = String::new();
    for row in rows() {
        writeln!(page, "\n{}: {}", row.title, show(&row.service, secs(NOW))).expect("a String");
        let mut nothing = Vec::new();
        for (word, event) in events(&row) {
            match outcome(&row, secs(NOW), event) {
                Some(text) => writeln!(page, "    {word:<28}{text}").expect("a String"),
                None => nothing.push(word),
            }
        }
        if let Some(deadline) = row.service.deadline() {
            let text = outcome(&row, deadline, Event::Tick).expect("a deadline does something");
            writeln!(page, "    {:<28}{text}", "tick at the deadline").expect("a String");
        }
        writeln!(page, "    nothing: {}", nothing.join(", ")).expect("a String");
    }
    insta::assert_snapshot!(page);
}

#[test]
fn restart_policy_table() {
    let mut page = String::new();
    let exits = [Exit::Code(0), Exit::Code(1), Exit::Signal(9), Exit::Unknown];
    for when in [
        RestartWhen::Always,
        RestartWhen::OnFailure,
        RestartWhen::Never,
    ] {
        for scheduled in [false, true] {
            for max_restarts in [0, 2] {
                let restart = Restart {
                    policy: when,
                    max_restarts,
                    ..policy().restart
                };
                let policy = Policy {
                    restart,
                    scheduled,
                    ..policy()
                };
                let kind = if scheduled { "job" } else { "service" };
                writeln!(page, "\n{when:?}, {kind}, max_restarts {max_restarts}")
                    .expect("a String");
                for (word, stable_at) in [("quick", Some(secs(NOW + 5))), ("stable", None)] {
                    let row = row(
                        "",
                        policy.clone(),
                        Phase::Running {
                            run: RunId(1),
                            stable_at,
                        },
                    );
                    for exit in exits {
                        let event = exited("app", 1, exit);
                        let text = outcome(&row, secs(NOW), event).expect("an exit does something");
                        let exit = format!("{word}, {exit:?}");
                        writeln!(page, "    {exit:<28}{text}").expect("a String");
                    }
                }
            }
        }
    }
    insta::assert_snapshot!(page);
}
