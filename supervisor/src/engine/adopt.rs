//! Going on where another engine was killed: the slots say what was, the keeper has what lived on, and
//! the exit records say what ended meanwhile.
//!
//! The same way serves a daemon that was killed whole (no descriptors then: processes are told by their
//! start time and environment, and their pipes reopened) and one that starts anew (no slots then).

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use supervisor_config::Stdin;
use supervisor_core::{
    Beside, Command, Event, Exit, Ladder, Phase, Policy, RunId, Service, ServiceId, Step, Want,
};

use super::actions::spec_of;
use super::birth::{Given, keep};
use super::ending::{pipe_key, stream_id};
use super::find::{has_token, until_execed};
use super::record::Record;
use super::spawner::{pipe_tags, run_token, stdin_tag};
use super::{Engine, Instance, Live, now, undertaker};
use crate::keeper::link::{Kind, Tag};
use crate::persist::desired::Wish;
use crate::persist::slots::{CellId, RunNotes, Slots};

impl Engine {
    /// Puts the fleet back, with what happened to it since.
    pub(super) fn adopt(&mut self, mut given: Given) -> io::Result<()> {
        for slot in 0..self.slots.count() {
            self.restore(slot);
        }
        self.complete()?;
        let mut events = Vec::new();
        let mut pipes = take_pipes(&mut given);
        let mut live = Vec::new();
        for slot in 0..self.slots.count() {
            for cell in Slots::cells(slot) {
                let notes = self.slots.notes(cell);
                if notes.run != RunId(0) {
                    let mut found = Found {
                        given: &mut given,
                        pipes: &mut pipes,
                        live: &mut live,
                        events: &mut events,
                    };
                    self.adopt_run(cell, &notes, &mut found);
                }
            }
        }
        self.lost_runs(&mut events);
        self.sweep_groups();
        self.drain_leftovers(pipes);
        for (cell, stream, pipe, fresh) in live {
            self.attach(cell, stream, pipe, fresh);
        }
        for (tag, fd) in given {
            match tag.kind {
                Kind::CHILD => self.end_unknown(tag, &fd),
                // Of a run that is over and was cleared away.
                Kind::STDIN => self.estate.drop_held(tag),
                // Locks, the program, and whatever a later version put there: kept as they are.
                _ => keep(fd),
            }
        }
        let live: Vec<CellId> = self.cells.keys().copied().collect();
        if self.slots.is_stopping() {
            self.shut_down(None);
        }
        for event in events {
            self.tell(event);
        }
        for cell in live {
            self.look_for_exit(cell);
            if self
                .cells
                .get(&cell)
                .is_some_and(|live| live.foreign && live.ending.is_none())
            {
                self.watch(cell);
            }
        }
        self.tell(Event::Resume);
        self.look_at_conditions_of(|_| true);
        self.catch_up();
        Ok(())
    }

    /// Puts one slot's service back into the fleet.
    fn restore(&mut self, slot: u32) {
        let Some(id) = self.slots.owner(slot) else {
            return;
        };
        if self.instances.contains_key(&id) {
            tracing::error!("{id} has two slots; the second one is freed");
            return self.slots.free(slot);
        }
        let record = self
            .slots
            .load(slot)
            .and_then(|bytes| Record::decode(&bytes));
        let wish = self.desired.wish(&id);
        let want = wish.map_or(Want::Down, |wish| wish.want);
        let policy = self
            .desired
            .apps
            .get(&id.app)
            .map_or_else(Policy::default, |e| e.app.policy.clone());
        let highest = Slots::cells(slot).map(|cell| self.slots.notes(cell).run);
        let highest = highest.into_iter().max().unwrap_or_default();
        let (mut service, asked, last_exit) = match record {
            Some(record) => (record.service, record.asked, record.last_exit),
            None => {
                let asked = wish.map_or(0, |wish| wish.asked);
                (Service::new(now(), want, highest), asked, None)
            }
        };
        if let Some(wish) = wish.filter(|wish| !wish.remove && service.remove) {
            // It was defined again while it was on its way out.
            service.remove = false;
            service.want = wish.want;
        }
        let instance = Instance {
            slot,
            asked,
            last_exit,
            tail: Vec::new(),
        };
        self.instances.insert(id.clone(), instance);
        self.fleet.restore(id, policy, service);
    }

    /// Brings in the instances that have no slot yet.
    fn complete(&mut self) -> io::Result<()> {
        let missing: Vec<(ServiceId, Policy, Wish)> = self
            .desired
            .instances()
            .filter(|(id, _, _)| !self.instances.contains_key(id))
            .map(|(id, entry, wish)| (id, entry.app.policy.clone(), wish.clone()))
            .collect();
        for (id, _, wish) in &missing {
            if wish.remove {
                self.mutations.sync();
            } else {
                self.claim_slot(id)?;
            }
        }
        for (id, policy, wish) in missing {
            if !wish.remove {
                let mut service = Service::new(now(), wish.want, RunId(0));
                if let Some(success) = wish.done {
                    service.phase = Phase::Completed { success };
                }
                self.fleet.restore(id.clone(), policy, service);
                self.save_record(&id);
            }
        }
        Ok(())
    }

    /// Gives an instance its slot.
    pub(super) fn claim_slot(&mut self, id: &ServiceId) -> io::Result<()> {
        if !self.instances.contains_key(id) {
            let slot = self.slots.claim(id)?;
            let instance = Instance {
                slot,
                asked: self.desired.wish(id).map_or(0, |wish| wish.asked),
                last_exit: None,
                tail: Vec::new(),
            };
            self.instances.insert(id.clone(), instance);
        }
        Ok(())
    }

    fn adopt_run(&mut self, cell: CellId, notes: &RunNotes, found: &mut Found) {
        let Found {
            given,
            pipes,
            live,
            events,
        } = found;
        let run = notes.run;
        let pid = self.slots.spawn_cell(cell).pid.load(Ordering::Acquire);
        let token = run_token(self.slots.token(), cell, run);
        let owner = self.slots.owner(cell.slot());
        let service = owner.as_ref().and_then(|id| self.fleet.get(id));
        let known = service.is_some_and(|s| s.runs().any(|(live, _)| live == run));
        let Some(id) = owner.filter(|_| known) else {
            return self.end_stranger(cell, pid, token);
        };
        if pid == 0 {
            self.slots.clear(cell);
            let unborn = self
                .fleet
                .get(&id)
                .is_some_and(|service| is_unborn(service, run));
            if !unborn {
                // The number was damaged; the core hears of it with the other runs that are lost.
                return;
            }
            // The engine died before the process existed.
            for tag in pipe_tags(cell, run) {
                if pipes.remove(&(cell, run, stream_of(tag))).is_some() {
                    self.estate.drop_held(tag);
                }
            }
            return events.push(Event::NeverRan { id, run });
        }
        let (pidfd, foreign) = self.find_process(cell, pid, notes, &token, given);
        let alive = pidfd.is_some();
        let entry = self.desired.apps.get(&id.app);
        let has_input = entry.is_some_and(|e| e.app.stdin == Stdin::Pipe);
        let merged = entry.is_some_and(|e| e.app.logs.merge);
        let stdin = given.remove(&stdin_tag(cell, run)).or_else(|| {
            let there = (alive && has_input).then_some(0)?;
            self.reopen(cell, pid, run, there)
        });
        let place = self.groups.place_of_old(&id, &token);
        match alive {
            true => {
                self.by_pid.insert(pid, cell);
            }
            // The number may be another run's by now, or damaged.
            false => {
                self.by_pid.entry(pid).or_insert(cell);
            }
        }
        self.cells.insert(
            cell,
            Live {
                id: id.clone(),
                run,
                spec: notes.spec,
                pid: Some(pid),
                pidfd,
                token,
                merged,
                foreign,
                place,
                stdin,
                pipes: Vec::new(),
                tail: Vec::new(),
                ending: None,
                cpu: None,
            },
        );
        for stream in [0, 1] {
            let pipe = pipes.remove(&(cell, run, stream));
            let pipe = pipe.or_else(|| {
                alive
                    .then(|| self.reopen(cell, pid, run, stream + 1))
                    .flatten()
            });
            if let Some(pipe) = pipe {
                let fresh = notes.begun[stream as usize].is_none();
                live.push((cell, stream, pipe, fresh));
            }
        }
        if self
            .fleet
            .get(&id)
            .is_some_and(|service| is_unborn(service, run))
        {
            if alive {
                until_execed(pid, &run_token(self.slots.token(), cell, run));
            }
            events.push(Event::Spawned { id, run });
        }
    }

    /// Runs that stand in a record and in no cell: the engine died before the spawner took them in hand.
    fn lost_runs(&self, events: &mut Vec<Event>) {
        for (id, service) in self.fleet.iter() {
            for (run, _) in service.runs() {
                let told = events.iter().any(|event| event.run() == Some((id, run)));
                let found = self.cell_of(id, run).is_some();
                if told || found {
                    continue;
                }
                let id = id.clone();
                events.push(if is_unborn(service, run) {
                    Event::NeverRan { id, run }
                } else {
                    // A cell that was damaged: nothing is known of its process but that it is not ours.
                    Event::Exited {
                        id,
                        run,
                        exit: Exit::Unknown,
                    }
                });
            }
        }
    }

    /// A process that no record knows: its exit was told already, or its record is lost.
    fn end_stranger(&mut self, cell: CellId, pid: i32, token: String) {
        self.slots.clear(cell);
        if pid > 0 && has_token(pid, &token) {
            tracing::warn!("pid {pid} is of a run that is over; ending it");
            self.undertaker.end(undertaker::Order {
                cell,
                main: pid,
                main_alive: false,
                token,
                // The sweep takes it.
                group: None,
            });
        }
    }

    /// Pipes of runs that are over, whose bytes could not be written before: they come first.
    fn drain_leftovers(&mut self, pipes: Pipes) {
        let mut pipes: Vec<_> = pipes.into_iter().collect();
        // An instance has two cells, and its runs come in turn.
        pipes.sort_by_key(|((_, run, _), _)| *run);
        for ((cell, run, stream), fd) in pipes {
            match self.slots.owner(cell.slot()) {
                Some(id) => {
                    let key = pipe_key(cell, run, stream);
                    let target = self.streams.target_or_usual(&stream_id(&id, stream));
                    self.pump.attach(key, target, fd, false);
                    self.pump.finish(key);
                }
                None => self.estate.drop_held(pipe_tags(cell, run)[stream as usize]),
            }
        }
    }

    /// What was asked for and acknowledged, but not begun when the engine died.
    fn catch_up(&mut self) {
        // What is completed since may not be on disk yet.
        self.mutations.sync();
        if self.stopping.is_some() {
            return;
        }
        let mut commands = Vec::new();
        for (id, service) in self.fleet.iter() {
            let heard = self.instances.get(id).map(|instance| instance.asked);
            let command = match self.desired.wish(id) {
                None => Some(Command::Remove),
                Some(wish) if wish.remove => (!service.remove).then_some(Command::Remove),
                Some(wish) if heard != Some(wish.asked) => Some(match wish.want {
                    Want::Up => Command::Start,
                    Want::Down => Command::Stop,
                }),
                Some(_) => self.outdated(id).then_some(Command::Restart),
            };
            commands.extend(command.map(|command| (id.clone(), command)));
        }
        for (id, command) in &commands {
            tracing::info!("{id}: catching up: {command:?}");
        }
        self.obey(commands);
    }

    /// Carries out commands; from now on the instances have heard all that the operator wants of them.
    pub(super) fn obey(&mut self, commands: Vec<(ServiceId, Command)>) {
        let ids: Vec<ServiceId> = commands.iter().map(|(id, _)| id.clone()).collect();
        for id in &ids {
            let asked = self.desired.wish(id).map(|wish| wish.asked);
            if let (Some(instance), Some(asked)) = (self.instances.get_mut(id), asked) {
                instance.asked = asked;
            }
        }
        let events = commands.into_iter();
        self.tell_all(
            events
                .map(|(id, command)| Event::Command { id, command })
                .collect(),
        );
        for id in &ids {
            self.save_record(id);
        }
    }

    /// Whether an instance runs from another definition than the one that is wanted.
    pub(super) fn outdated(&self, id: &ServiceId) -> bool {
        let (Some(service), Some(entry)) = (self.fleet.get(id), self.desired.apps.get(&id.app))
        else {
            return false;
        };
        let Some(run) = service.run().filter(|_| service.want == Want::Up) else {
            return false;
        };
        // Also of a run that still waits for the spawner, with the definition it was ordered from.
        self.cell_of(id, run)
            .is_some_and(|cell| self.cells[&cell].spec != spec_of(&entry.app))
    }
}

/// Whether the core has not heard yet that this run has a process.
pub(super) fn is_unborn(service: &Service, run: RunId) -> bool {
    let on_ladder = |ladder: &Ladder| ladder.run == run && ladder.step == Step::Unborn;
    let main = match &service.phase {
        Phase::Spawning { run: spawning } => *spawning == run,
        Phase::Stopping { ladder, .. } => on_ladder(ladder),
        Phase::Starting { .. }
        | Phase::Running { .. }
        | Phase::Stopped
        | Phase::Waiting(_)
        | Phase::Backoff { .. }
        | Phase::Errored
        | Phase::Completed { .. } => false,
    };
    let beside = match &service.beside {
        Some(Beside::Spawning { run: spawning }) => *spawning == run,
        Some(Beside::Falling(ladder)) => on_ladder(ladder),
        Some(Beside::Starting { .. }) | None => false,
    };
    main || beside
}

/// What is distributed among the runs, and what comes of that.
struct Found<'a> {
    given: &'a mut Given,
    pipes: &'a mut Pipes,
    /// Pipes of runs that go on, for the log pump.
    live: &'a mut Vec<(CellId, u32, OwnedFd, bool)>,
    events: &'a mut Vec<Event>,
}

type Pipes = BTreeMap<(CellId, RunId, u32), OwnedFd>;

fn stream_of(tag: Tag) -> u32 {
    u32::from(tag.kind == Kind::STDERR)
}

/// Takes the pipes out of what was given, in the order of cells and runs.
fn take_pipes(given: &mut Given) -> Pipes {
    let is_pipe = |tag: &Tag| [Kind::STDOUT, Kind::STDERR].contains(&tag.kind);
    let tags: Vec<Tag> = given.keys().copied().filter(is_pipe).collect();
    let mut pipes = Pipes::new();
    for tag in tags {
        if let Some(fd) = given.remove(&tag) {
            pipes.insert(
                (CellId(tag.slot), RunId(tag.generation), stream_of(tag)),
                fd,
            );
        }
    }
    pipes
}
