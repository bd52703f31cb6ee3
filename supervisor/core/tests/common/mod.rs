//! What the tests of the core share: names, policies, and a short way to write down records and actions.
#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "every test program uses a part of this, and each another one"
)]

pub mod history;
pub mod model;
pub mod world;

use std::fmt::Write;

use supervisor_core::*;

pub fn name(app: &str) -> Name {
    Name::new(app).expect("a name")
}

/// Of `app:instance`, or of the first instance of `app`.
pub fn id(text: &str) -> ServiceId {
    let (app, instance) = text.split_once(':').unwrap_or((text, "0"));
    ServiceId {
        app: name(app),
        instance: instance.parse().expect("a number"),
    }
}

pub fn secs(seconds: u64) -> Time {
    Time(seconds * 1000)
}

/// A policy whose times can be told apart: 1 s delay, 10 s stable, 10 s stop.
pub fn policy() -> Policy {
    Policy {
        restart: Restart {
            delay: Span::secs(1),
            ..Restart::default()
        },
        ..Policy::default()
    }
}

/// A fleet that has taken in `events` at the second that stands with each.
pub fn fleet(events: Vec<(u64, Event)>) -> Fleet {
    let mut fleet = Fleet::new();
    for (second, event) in events {
        drop(fleet.handle(secs(second), event));
    }
    fleet
}

pub fn define(app: &str, policy: Policy) -> Event {
    Event::Define {
        id: id(app),
        policy,
        want: Want::Up,
    }
}

pub fn command(app: &str, command: Command) -> Event {
    Event::Command {
        id: id(app),
        command,
    }
}

pub fn spawned(app: &str, run: u64) -> Event {
    Event::Spawned {
        id: id(app),
        run: RunId(run),
    }
}

pub fn ready(app: &str, run: u64) -> Event {
    Event::Ready {
        id: id(app),
        run: RunId(run),
    }
}

pub fn met(app: &str) -> Event {
    Event::Met { id: id(app) }
}

pub fn exited(app: &str, run: u64, exit: Exit) -> Event {
    Event::Exited {
        id: id(app),
        run: RunId(run),
        exit,
    }
}

pub fn failing(app: &str, run: u64, cause: Cause) -> Event {
    Event::Failing {
        id: id(app),
        run: RunId(run),
        cause,
    }
}

/// A record in a few words; deadlines are counted from `now`.
pub fn show(service: &Service, now: Time) -> String {
    let at = |time: Time| format!("+{}ms", time.since(now).0).replace("000ms", "s");
    let step = |step: Step| match step {
        Step::Unborn => "unborn".to_owned(),
        Step::Asked { until } => format!("asked, kill {}", at(until)),
        Step::Killed { until } => format!("killed, again {}", at(until)),
    };
    let then = |then: Then| match then {
        Then::Settle => String::new(),
        Then::Failed { cause, quick } => {
            format!(", {}{cause:?}", if quick { "quick " } else { "" })
        }
    };
    let mut text = match service.phase {
        Phase::Stopped => "stopped".to_owned(),
        Phase::Waiting(Wait::Dependencies) => "waiting for dependencies".to_owned(),
        Phase::Waiting(Wait::Conditions { met: false }) => "waiting for conditions".to_owned(),
        Phase::Waiting(Wait::Conditions { met: true }) => "waiting, conditions met".to_owned(),
        Phase::Waiting(Wait::Shortage { until }) => format!("waiting after shortage {}", at(until)),
        Phase::Waiting(Wait::Schedule { ran: false }) => "waiting for its date".to_owned(),
        Phase::Waiting(Wait::Schedule { ran: true }) => {
            "completed, waiting for its date".to_owned()
        }
        Phase::Spawning { run } => format!("spawning {}", run.0),
        Phase::Starting { run, ready_by } => format!("starting {} (by {})", run.0, at(ready_by)),
        Phase::Running {
            run,
            stable_at: None,
        } => format!("running {} (stable)", run.0),
        Phase::Running {
            run,
            stable_at: Some(t),
        } => format!("running {} (stable {})", run.0, at(t)),
        Phase::Stopping { ladder, then: t } => {
            format!(
                "stopping {} ({}{})",
                ladder.run.0,
                step(ladder.step),
                then(t)
            )
        }
        Phase::Backoff { until } => format!("backoff {}", at(until)),
        Phase::Errored => "errored".to_owned(),
        Phase::Completed { .. } => "completed".to_owned(),
    };
    match service.beside {
        None => {}
        Some(Beside::Spawning { run }) => text += &format!(" | rising {}: spawning", run.0),
        Some(Beside::Starting { run, ready_by, .. }) => {
            text += &format!(" | rising {}: starting (by {})", run.0, at(ready_by));
        }
        Some(Beside::Falling(ladder)) => {
            text += &format!(" | falling {} ({})", ladder.run.0, step(ladder.step));
        }
    }
    let mut note = |yes: bool, what: String| {
        if yes {
            write!(text, "; {what}").expect("a String takes everything");
        }
    };
    note(
        service.want == Want::Down && service.phase != Phase::Stopped,
        "unwanted".to_owned(),
    );
    note(service.remove, "to be removed".to_owned());
    note(service.reload, "reload owed".to_owned());
    note(service.restart, "restart owed".to_owned());
    note(
        service.failures > 0,
        format!("failures {}", service.failures),
    );
    note(
        service.restarts > 0,
        format!("restarts {}", service.restarts),
    );
    text
}

/// Actions in a few words; `Changed` is left out.
pub fn show_actions(actions: &[Action]) -> String {
    let words = actions.iter().filter_map(|action| match action {
        Action::Changed { .. } => None,
        Action::Spawn { run, .. } => Some(format!("spawn {}", run.0)),
        Action::Signal {
            run,
            rung: Rung::Ask,
            ..
        } => Some(format!("ask {}", run.0)),
        Action::Signal {
            run,
            rung: Rung::Kill,
            ..
        } => Some(format!("kill {}", run.0)),
        Action::StartProbes { run, .. } => Some(format!("probe {}", run.0)),
        Action::StopProbes { run, .. } => Some(format!("unprobe {}", run.0)),
        Action::Removed { .. } => Some("removed".to_owned()),
    });
    words.collect::<Vec<_>>().join(", ")
}
