//! Random histories: what an engine, an operator and chance may send, sense and nonsense, and the
//! walk of a fleet through one.

use proptest::prelude::*;
use supervisor_core::*;

use super::id;

/// The services of a history. `b` comes after `a`, `c` after both, `d` is alone.
pub const APPS: [&str; 4] = ["a", "b", "c", "d"];

/// One step of a history, before it is known what the fleet looks like then.
#[derive(Clone, Debug)]
pub struct Op {
    pub app: &'static str,
    pub pause: Pause,
    pub what: What,
}

#[derive(Clone, Debug)]
pub enum Pause {
    None,
    Short(u64),
    /// To the next deadline of the fleet.
    Deadline,
}

#[derive(Clone, Debug)]
pub enum What {
    Define(Policy, Want),
    Command(Command),
    /// News of a run: of the main one, of the one beside it, or of an old one.
    News(Whose, News),
    Met,
    Due,
    ShutDown,
    Resume,
    Tick,
}

#[derive(Clone, Copy, Debug)]
pub enum Whose {
    Main,
    Beside,
    Stale(u64),
}

#[derive(Clone, Copy, Debug)]
pub enum News {
    Spawned,
    SpawnFailed(SpawnFault),
    NeverRan,
    Exited(Exit),
    Ready,
    Failing(Cause),
}

/// What a walk shows after each event.
pub struct Step<'a> {
    pub now: Time,
    pub event: &'a Event,
    pub before: &'a Fleet,
    pub after: &'a Fleet,
    pub actions: &'a [Action],
    /// `ShutDown` has been among the events.
    pub closing: bool,
}

impl Step<'_> {
    /// Whether the service should run, all things considered.
    pub fn up(&self, service: &Service) -> bool {
        service.want == Want::Up && !service.remove && !self.closing
    }

    /// Whether what runs of it should go on.
    pub fn stays(&self, service: &Service) -> bool {
        self.up(service) && !service.restart
    }

    /// Those that come after `id`, are alive and should not stay so.
    pub fn going_dependents(&self, id: &ServiceId) -> Vec<ServiceId> {
        let comes_after = |other: &ServiceId| {
            self.after
                .policy(other)
                .is_some_and(|policy| policy.after.contains(&id.app))
        };
        let going = self
            .after
            .iter()
            .filter(|(_, s)| s.is_alive() && !self.stays(s));
        going
            .filter(|(other, _)| comes_after(other))
            .map(|(other, _)| other.clone())
            .collect()
    }
}

/// Walks a new fleet through a history.
pub fn walk(
    history: &[Op],
    mut see: impl FnMut(&Step<'_>) -> Result<(), TestCaseError>,
) -> Result<Fleet, TestCaseError> {
    let mut fleet = Fleet::new();
    let mut now = Time(1000);
    let mut closing = false;
    for op in history {
        now = match op.pause {
            Pause::None => now,
            Pause::Short(pause) => now.after(Span(pause)),
            Pause::Deadline => fleet.next_deadline().unwrap_or(now).max(now),
        };
        let event = lower(&fleet, op);
        closing |= event == Event::ShutDown;
        let before = fleet.clone();
        let actions = fleet.handle(now, event.clone());
        let (before, after, actions, event) = (&before, &fleet, &actions[..], &event);
        see(&Step {
            now,
            event,
            before,
            after,
            actions,
            closing,
        })?;
    }
    Ok(fleet)
}

/// The event that a step is, now that it is known what the fleet looks like.
pub fn lower(fleet: &Fleet, op: &Op) -> Event {
    let id = id(op.app);
    match op.what.clone() {
        What::Define(policy, want) => Event::Define { id, policy, want },
        What::Command(command) => Event::Command { id, command },
        What::Met => Event::Met { id },
        What::Due => Event::Due { id },
        What::ShutDown => Event::ShutDown,
        What::Resume => Event::Resume,
        What::Tick => Event::Tick,
        What::News(whose, news) => {
            let service = fleet.get(&id);
            let last = service.map_or(RunId(0), |service| service.last_run);
            let run = match whose {
                Whose::Main => service.and_then(Service::run).unwrap_or(last),
                Whose::Beside => service.and_then(|s| s.beside).map_or(last, |b| b.run()),
                Whose::Stale(back) => RunId(last.0.saturating_sub(back)),
            };
            match news {
                News::Spawned => Event::Spawned { id, run },
                News::SpawnFailed(fault) => Event::SpawnFailed { id, run, fault },
                News::NeverRan => Event::NeverRan { id, run },
                News::Exited(exit) => Event::Exited { id, run, exit },
                News::Ready => Event::Ready { id, run },
                News::Failing(cause) => Event::Failing { id, run, cause },
            }
        }
    }
}

/// The apps that `app` comes after.
pub fn after(app: &str, circle: bool) -> Vec<Name> {
    let names: &[&str] = match (app, circle) {
        ("a", true) => &["c"],
        ("b", _) => &["a"],
        ("c", _) => &["a", "b"],
        ("d", true) => &["d", "absent"],
        (_, _) => &[],
    };
    names.iter().map(|name| super::name(name)).collect()
}

prop_compose! {
    fn policies()(
        policy in prop_oneof![
            4 => Just(RestartWhen::Always), 2 => Just(RestartWhen::OnFailure), 1 => Just(RestartWhen::Never)
        ],
        delay in prop_oneof![Just(Span(0)), Just(Span(1000))],
        max_delay in prop_oneof![Just(Span(500)), Just(Span::secs(30))],
        stable_after in prop_oneof![1 => Just(Span(0)), 4 => Just(Span::secs(10))],
        max_restarts in prop_oneof![3 => Just(0), 1 => Just(3), 1 => Just(1)],
        timeout in prop_oneof![1 => Just(Span(0)), 4 => Just(Span::secs(10))],
        ready in prop::option::of(Just(Span::secs(5))),
        conditional in prop::bool::weighted(0.15),
        scheduled in prop::bool::weighted(0.12),
    ) -> Policy {
        let success = Restart::default().success;
        let restart = Restart { policy, delay, max_delay, stable_after, max_restarts, success };
        let (stop, boot) = (Stop { timeout }, Boot::Last);
        Policy { restart, stop, boot, after: Vec::new(), ready, conditional, scheduled }
    }
}

fn defines() -> BoxedStrategy<What> {
    let wants = prop_oneof![5 => Just(Want::Up), 1 => Just(Want::Down)];
    (policies(), wants)
        .prop_map(|(policy, want)| What::Define(policy, want))
        .boxed()
}

fn commands() -> BoxedStrategy<What> {
    prop_oneof![
        4 => Just(Command::Start),
        3 => Just(Command::Stop),
        3 => Just(Command::Restart),
        4 => Just(Command::Reload),
        1 => Just(Command::Remove),
        1 => Just(Command::Reset),
    ]
    .prop_map(What::Command)
    .boxed()
}

fn news() -> BoxedStrategy<What> {
    let whose = prop_oneof![
        6 => Just(Whose::Main), 4 => Just(Whose::Beside), 1 => (0..4_u64).prop_map(Whose::Stale)
    ];
    let fault = prop_oneof![Just(SpawnFault::Shortage), Just(SpawnFault::Broken)];
    let exit = prop_oneof![
        Just(Exit::Code(0)),
        Just(Exit::Code(1)),
        Just(Exit::Signal(9)),
        Just(Exit::Unknown)
    ];
    let cause = prop_oneof![
        Just(Cause::NotReady),
        Just(Cause::Unhealthy),
        Just(Cause::OverMemory),
        Just(Cause::Watch)
    ];
    let news = prop_oneof![
        8 => Just(News::Spawned),
        1 => fault.prop_map(News::SpawnFailed),
        1 => Just(News::NeverRan),
        5 => exit.prop_map(News::Exited),
        5 => Just(News::Ready),
        2 => cause.prop_map(News::Failing),
    ];
    (whose, news)
        .prop_map(|(whose, news)| What::News(whose, news))
        .boxed()
}

// Boxed, here and elsewhere: the plain types nest until they no longer fit on a test's stack.
fn ops(circle: bool) -> BoxedStrategy<Op> {
    let pause = prop_oneof![
        3 => Just(Pause::None),
        3 => (0..3000_u64).prop_map(Pause::Short),
        1 => (0..40_000_u64).prop_map(Pause::Short),
        2 => Just(Pause::Deadline),
    ];
    // What others wait for has to move for them to move.
    let app = prop_oneof![4 => Just("a"), 3 => Just("b"), 2 => Just("c"), 3 => Just("d")];
    let what = prop_oneof![
        1 => defines(),
        8 => commands(),
        24 => news(),
        4 => Just(What::Met),
        3 => Just(What::Due),
        1 => Just(What::Resume),
        4 => Just(What::Tick),
    ];
    (app, pause, what)
        .prop_map(move |(app, pause, what)| op(circle, app, pause, what))
        .boxed()
}

fn op(circle: bool, app: &'static str, pause: Pause, mut what: What) -> Op {
    if let What::Define(policy, _) = &mut what {
        policy.after = after(app, circle);
    }
    Op { app, pause, what }
}

/// One event by chance, or a few in a row that lead somewhere where chance alone hardly gets.
fn passages(circle: bool) -> BoxedStrategy<Vec<Op>> {
    let of = |whose| move |news| What::News(whose, news);
    let (main, beside) = (of(Whose::Main), of(Whose::Beside));
    let start = What::Command(Command::Start);
    let up = vec![
        start.clone(),
        What::Met,
        main(News::Spawned),
        main(News::Ready),
    ];
    let mut swap = vec![What::Command(Command::Reload)];
    swap.extend([News::Spawned, News::Ready].map(beside));
    let end = main(News::Exited(Exit::Code(0)));
    let again = swap
        .iter()
        .cloned()
        .chain([end, start, What::Met, main(News::Spawned)])
        .collect();
    let restart = move |app| op(circle, app, Pause::None, What::Command(Command::Restart));
    let restarts = prop_oneof![Just(vec!["c", "b", "a"]), Just(vec!["b", "a"])]
        .prop_map(move |apps| apps.into_iter().map(restart).collect());
    let led = (
        ops(circle),
        prop_oneof![Just(up), Just(swap), Just(again)],
        1..7_usize,
        news(),
    );
    let led = led.prop_map(|(op, way, far, news)| {
        let whats = way.into_iter().take(far).chain([news]);
        whats
            .map(|what| Op {
                app: op.app,
                pause: Pause::None,
                what,
            })
            .collect()
    });
    prop_oneof![18 => ops(circle).prop_map(|op| vec![op]), 3 => led, 1 => restarts].boxed()
}

/// A history of up to `most` passages after the definitions, with a shutdown somewhere in every third one.
pub fn histories_of(most: usize, circle: bool) -> BoxedStrategy<Vec<Op>> {
    let define = |app| defines().prop_map(move |what| op(circle, app, Pause::None, what));
    let defines = APPS.map(define);
    let end = prop::option::weighted(0.33, any::<prop::sample::Index>());
    let passages = prop::collection::vec(passages(circle), 1..most);
    let whole = (defines, passages, end).prop_map(|(defines, passages, end)| {
        let mut ops = passages.concat();
        if let Some(end) = end {
            let shut = Op {
                app: "a",
                pause: Pause::None,
                what: What::ShutDown,
            };
            ops.insert(end.index(ops.len()), shut);
        }
        defines.into_iter().chain(ops).collect()
    });
    whole.boxed()
}

pub fn histories() -> BoxedStrategy<Vec<Op>> {
    histories_of(80, false)
}
