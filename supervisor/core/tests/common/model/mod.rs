//! The same rules, told a second time and in another way.
//!
//! Where the fleet has phases, this has processes: each with what is known of it, and a reason why
//! there is none where there is none. It has no settled order of steps to be clever about and no
//! concern for size or speed; it only has to be obviously right.

mod steps;

use std::collections::BTreeMap;

use supervisor_core::*;

/// What is known of one process.
#[derive(Clone, Debug)]
pub struct Process {
    run: u64,
    exists: bool,
    /// Not ready by then is a failure; `None`: it is ready, or need not be.
    ready_by: Option<Time>,
    stable_at: Option<Time>,
    told: Told,
    /// It was told to stop because it failed; whether that came quickly.
    failed: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Told {
    Nothing,
    /// To stop, once it exists.
    Early,
    /// To stop; killed at that time, and again.
    Stop(Time),
    /// It was killed; killed again at that time.
    Kill(Time),
}

/// Why there is no main process.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Idle {
    Off,
    Gate,
    /// Its conditions are looked at; true: it was just told that they hold.
    Ask(bool),
    Short(Time),
    Date {
        ran: bool,
    },
    Delay(Time),
    GivenUp,
    /// True: as it should.
    Done(bool),
}

#[derive(Clone, Debug)]
pub struct One {
    policy: Policy,
    want: Want,
    leaving: bool,
    reload: bool,
    /// What runs is to be replaced.
    restart: bool,
    main: Option<Process>,
    /// Rises while it was told nothing, else falls.
    other: Option<Process>,
    idle: Idle,
    failures: u32,
    restarts: u64,
    runs: u64,
}

#[derive(Clone, Debug, Default)]
pub struct Model {
    all: BTreeMap<ServiceId, One>,
    closing: bool,
    departed: u64,
    now: Time,
    did: Vec<String>,
}

impl Process {
    fn is_up(&self) -> bool {
        self.exists && self.ready_by.is_none() && self.told == Told::Nothing
    }

    fn becomes_ready(&mut self, now: Time, policy: &Policy) {
        self.ready_by = None;
        self.stable_at = Some(now.after(policy.restart.stable_after));
    }

    fn deadline(&self) -> Option<Time> {
        match self.told {
            Told::Stop(at) | Told::Kill(at) => Some(at),
            Told::Early => None,
            Told::Nothing => self.ready_by.or(self.stable_at),
        }
    }
}

impl One {
    fn up(&self, closing: bool) -> bool {
        self.want == Want::Up && !self.leaving && !closing
    }

    /// What runs of it, if anything, may go on.
    fn stays(&self, closing: bool) -> bool {
        self.up(closing) && !self.restart
    }

    fn alive(&self) -> bool {
        self.main.is_some() || self.other.is_some()
    }

    fn standing(&self) -> bool {
        [&self.main, &self.other]
            .into_iter()
            .flatten()
            .any(|p| p.told == Told::Nothing)
    }

    fn state(&self) -> State {
        match (&self.main, self.idle) {
            (Some(main), _) if main.told != Told::Nothing => State::Stopping,
            (Some(main), _) if main.is_up() => State::Running,
            (Some(_), _) => State::Starting,
            (None, Idle::Off) if self.other.is_some() => State::Stopping,
            (None, Idle::Off) => State::Stopped,
            (None, Idle::Date { ran: true } | Idle::Done(_)) => State::Completed,
            (None, Idle::Gate | Idle::Ask(_) | Idle::Short(_) | Idle::Date { ran: false }) => {
                State::Waiting
            }
            (None, Idle::Delay(_)) => State::Backoff,
            (None, Idle::GivenUp) => State::Errored,
        }
    }

    /// What is compared with the fleet.
    fn summary(&self) -> String {
        let runs: Vec<(u64, Role)> = (self.main.iter().map(|p| (p.run, Role::Main)))
            .chain(self.other.iter().map(|p| {
                (
                    p.run,
                    if p.told == Told::Nothing {
                        Role::Rising
                    } else {
                        Role::Falling
                    },
                )
            }))
            .collect();
        let (failures, restarts, want) = (self.failures, self.restarts, self.want);
        let asks = self.main.is_none() && matches!(self.idle, Idle::Ask(_));
        format!(
            "{} asks {asks} {want:?} {runs:?} failures {failures} restarts {restarts}",
            self.state()
        )
    }
}

/// The same of the fleet.
fn summary(service: &Service) -> String {
    let runs: Vec<(u64, Role)> = service.runs().map(|(run, role)| (run.0, role)).collect();
    let (failures, restarts, want) = (service.failures, service.restarts, service.want);
    let asks = service.awaits_conditions();
    format!(
        "{} asks {asks} {want:?} {runs:?} failures {failures} restarts {restarts}",
        service.state()
    )
}

impl Model {
    /// Follows what was told in one breath and tells where the fleet has come to something else.
    pub fn agree(
        &mut self,
        now: Time,
        events: &[Event],
        fleet: &Fleet,
        actions: &[Action],
    ) -> Result<(), String> {
        self.now = now;
        self.did.clear();
        for event in events {
            self.note(event, fleet);
        }
        self.settle();
        let ours: Vec<String> = self
            .all
            .iter()
            .map(|(id, one)| format!("{id} {}", one.summary()))
            .collect();
        let theirs: Vec<String> = fleet
            .iter()
            .map(|(id, s)| format!("{id} {}", summary(s)))
            .collect();
        let mut did: Vec<String> = actions.iter().filter_map(describe).collect();
        did.sort();
        self.did.sort();
        let idle = self.all.values().filter_map(|one| match one.idle {
            Idle::Short(at) | Idle::Delay(at) if one.main.is_none() => Some(at),
            _ => None,
        });
        let live = self
            .all
            .values()
            .flat_map(|one| [&one.main, &one.other])
            .flatten();
        let deadline = idle.chain(live.filter_map(Process::deadline)).min();
        let model = (ours, &self.did, deadline);
        let real = (theirs, &did, fleet.next_deadline());
        if model == real {
            Ok(())
        } else {
            Err(format!("model {model:#?}\nfleet {real:#?}"))
        }
    }

    fn note(&mut self, event: &Event, fleet: &Fleet) {
        let closing = self.closing;
        match event {
            Event::Tick => {}
            Event::ShutDown => self.closing = true,
            Event::Resume => self.resume(),
            Event::Define { id, policy, want } => {
                let runs = self.departed;
                let one = self.all.entry(id.clone()).or_insert_with(|| One {
                    policy: policy.clone(),
                    want: *want,
                    leaving: true,
                    reload: false,
                    restart: false,
                    main: None,
                    other: None,
                    idle: Idle::Off,
                    failures: 0,
                    restarts: 0,
                    runs,
                });
                one.policy = policy.clone();
                if one.leaving {
                    one.want = *want;
                }
                one.leaving = false;
            }
            Event::Command { id, command } => self.command(id, *command),
            Event::Met { id } => {
                if let Some(one) = self.all.get_mut(id)
                    && one.main.is_none()
                    && one.idle == Idle::Ask(false)
                {
                    one.idle = Idle::Ask(true);
                }
            }
            Event::Due { id } => {
                if let Some(one) = self.all.get_mut(id)
                    && one.up(closing)
                    && one.policy.scheduled
                    && one.main.is_none()
                {
                    one.failures = 0;
                    one.idle = Idle::Gate;
                }
            }
            Event::Spawned { .. }
            | Event::SpawnFailed { .. }
            | Event::NeverRan { .. }
            | Event::Exited { .. }
            | Event::Ready { .. }
            | Event::Failing { .. } => self.news(event, fleet),
        }
    }

    fn command(&mut self, id: &ServiceId, command: Command) {
        let closing = self.closing;
        let Some(mut one) = self.all.remove(id) else {
            return;
        };
        let starts = matches!(command, Command::Start | Command::Restart | Command::Reload);
        let running = one.main.as_ref().is_some_and(Process::is_up);
        if starts && (closing || one.leaving) {
            self.all.insert(id.clone(), one);
            return;
        }
        if starts {
            one.want = Want::Up;
            if command != Command::Start
                || one.main.as_ref().is_none_or(|p| p.told != Told::Nothing)
            {
                one.failures = 0;
            }
            if one.main.is_none() {
                one.idle = Idle::Gate;
            }
        }
        match command {
            Command::Reload if running && !one.policy.scheduled => one.reload = true,
            Command::Restart | Command::Reload => one.restart = one.alive(),
            Command::Start => {}
            Command::Stop => {
                one.want = Want::Down;
                (one.reload, one.restart) = (false, false);
                one.idle = Idle::Off;
            }
            Command::Remove => (one.leaving, one.restart) = (true, false),
            Command::Reset => (one.failures, one.restarts) = (0, 0),
        }
        if let Some(main) = &mut one.main
            && (starts || command == Command::Stop)
        {
            main.failed = None;
        }
        self.all.insert(id.clone(), one);
    }
}

fn describe(action: &Action) -> Option<String> {
    match action {
        Action::Changed { .. } => None,
        Action::Spawn { id, run } => Some(format!("{id} spawn {}", run.0)),
        Action::Signal {
            id,
            run,
            rung: Rung::Ask,
        } => Some(format!("{id} ask {}", run.0)),
        Action::Signal {
            id,
            run,
            rung: Rung::Kill,
        } => Some(format!("{id} kill {}", run.0)),
        Action::StartProbes { id, run } => Some(format!("{id} probe {}", run.0)),
        Action::StopProbes { id, run } => Some(format!("{id} unprobe {}", run.0)),
        Action::Removed { id } => Some(format!("{id} removed")),
    }
}
