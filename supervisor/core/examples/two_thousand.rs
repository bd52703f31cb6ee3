//! What an event costs in a fleet of two thousand services: run it with `--release`.
//!
//! Prints the mean time of one event, for a few kinds of fleet, in each part of their life. Every
//! event is followed by `next_deadline`, as the engine does it.

use std::time::Instant;

use supervisor_core::*;

const SERVICES: u32 = 2000;

/// Which services come after which.
#[derive(Clone, Copy, Debug)]
enum Shape {
    /// None after any.
    Free,
    /// All after the first.
    Star,
    /// Each second one after the one before it.
    Pairs,
    /// All instances of one app.
    Instances,
}

struct Bench {
    fleet: Fleet,
    now: Time,
    actions: Vec<Action>,
}

fn id(shape: Shape, n: u32) -> ServiceId {
    let (app, instance) = match shape {
        Shape::Instances => ("app".to_owned(), n),
        Shape::Free | Shape::Star | Shape::Pairs => (format!("app{n:04}"), 0),
    };
    let app = Name::new(&app).expect("a name");
    ServiceId { app, instance }
}

fn define(shape: Shape, n: u32) -> Event {
    let after = match shape {
        Shape::Star if n > 0 => vec![id(shape, 0).app],
        Shape::Pairs if n % 2 == 1 => vec![id(shape, n - 1).app],
        Shape::Free | Shape::Star | Shape::Pairs | Shape::Instances => vec![],
    };
    Event::Define {
        id: id(shape, n),
        policy: Policy {
            after,
            restart: Restart {
                delay: Span::secs(1),
                ..Restart::default()
            },
            ..Policy::default()
        },
        want: Want::Up,
    }
}

impl Bench {
    /// Tells the events one by one and prints what each took, in the mean.
    fn part(&mut self, what: &str, events: Vec<Event>) {
        let (count, start) = (events.len(), Instant::now());
        self.actions.clear();
        for event in events {
            self.actions.extend(self.fleet.handle(self.now, event));
            std::hint::black_box(self.fleet.next_deadline());
        }
        let each = start.elapsed().as_secs_f64() * 1e6 / count.max(1) as f64;
        println!("    {what:<12}{count:>6} events {each:>9.2} µs each");
    }

    /// The world's answers to the actions of the last part.
    fn answers(&self) -> Vec<Event> {
        let answer = |action: &Action| match action {
            Action::Spawn { id, run } => Some(Event::Spawned {
                id: id.clone(),
                run: *run,
            }),
            Action::Signal { id, run, .. } => Some(Event::Exited {
                id: id.clone(),
                run: *run,
                exit: Exit::Code(0),
            }),
            Action::Changed { .. }
            | Action::StartProbes { .. }
            | Action::StopProbes { .. }
            | Action::Removed { .. } => None,
        };
        self.actions.iter().filter_map(answer).collect()
    }

    fn until_quiet(&mut self, what: &str) {
        loop {
            let answers = self.answers();
            if answers.is_empty() {
                break;
            }
            self.part(what, answers);
        }
    }
}

fn main() {
    for shape in [Shape::Free, Shape::Star, Shape::Pairs, Shape::Instances] {
        println!("{shape:?}");
        let (fleet, now, actions) = (Fleet::new(), Time(1000), Vec::new());
        let mut bench = Bench {
            fleet,
            now,
            actions,
        };
        let all = |event: fn(ServiceId) -> Event| -> Vec<Event> {
            (0..SERVICES).map(|n| event(id(shape, n))).collect()
        };
        let defines = (0..SERVICES).map(|n| define(shape, n)).collect();
        bench.part("define", defines);
        bench.until_quiet("spawned");
        let exits = (0..SERVICES).map(|n| Event::Exited {
            id: id(shape, n),
            run: RunId(1),
            exit: Exit::Code(1),
        });
        bench.part("exit", exits.collect());
        bench.now = bench.now.after(Span::secs(1));
        bench.part("tick", vec![Event::Tick]);
        bench.until_quiet("spawned");
        bench.part("idle tick", vec![Event::Tick; 1000]);
        let restart = |id| Event::Command {
            id,
            command: Command::Restart,
        };
        bench.part("restart", all(restart));
        bench.until_quiet("answers");
        bench.part("shut down", vec![Event::ShutDown]);
        bench.until_quiet("exited");
        assert!(bench.fleet.is_down());
    }
}
