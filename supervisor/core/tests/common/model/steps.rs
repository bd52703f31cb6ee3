//! What news and time make of the model's processes.

use supervisor_core::*;

use super::{Idle, Model, One, Process, Told};

impl Model {
    pub fn news(&mut self, event: &Event, fleet: &Fleet) {
        let now = self.now;
        match event {
            Event::Spawned { id, run } => self.with(id, *run, |me, id, one, main| {
                me.spawned(id, one, main);
            }),
            Event::SpawnFailed { id, run, fault } => self.with(id, *run, |me, _, one, main| {
                let process = take(one, main);
                match (process, fault) {
                    (Some(process), _) if process.exists => put(one, main, process),
                    (Some(_), _) if !main => {}
                    (Some(process), _) if process.told != Told::Nothing => {
                        me.over(id, one, None, fleet);
                    }
                    (Some(_), SpawnFault::Shortage) => {
                        one.idle = Idle::Short(now.after(Span(1000)));
                    }
                    (_, _) => me.over(id, one, Some((false, false, true)), fleet),
                }
            }),
            Event::NeverRan { id, run } => {
                self.with(id, *run, |me, _, one, main| match take(one, main) {
                    Some(process) if process.exists => put(one, main, process),
                    Some(process) if !main => one.reload |= process.told == Told::Nothing,
                    _ => me.over(id, one, None, fleet),
                });
            }
            Event::Exited { id, run, exit } => self.with(id, *run, |me, id, one, main| {
                me.exited(id, one, main, *exit, fleet);
            }),
            Event::Ready { id, run } => self.with(id, *run, |me, id, one, main| {
                let process = if main { &one.main } else { &one.other };
                let waits = |p: &Process| p.ready_by.is_some() && p.told == Told::Nothing;
                if process.as_ref().is_some_and(waits) {
                    me.ready(id, one, main);
                }
            }),
            Event::Failing { id, run, cause } => self.with(id, *run, |me, id, one, main| {
                let process = if main { &mut one.main } else { &mut one.other };
                let Some(process) = process.as_mut().filter(|p| p.told == Told::Nothing) else {
                    return;
                };
                let quick = !process.is_up() || process.stable_at.is_some_and(|at| now < at);
                process.failed = (*cause != Cause::Watch).then_some(quick);
                me.tell(id, process, &one.policy);
            }),
            Event::Define { .. }
            | Event::Command { .. }
            | Event::Met { .. }
            | Event::Due { .. }
            | Event::ShutDown
            | Event::Resume
            | Event::Tick => {}
        }
    }

    fn exited(&mut self, id: &ServiceId, one: &mut One, main: bool, exit: Exit, fleet: &Fleet) {
        let Some(process) = take(one, main) else {
            return;
        };
        if process.exists && process.told == Told::Nothing {
            self.did.push(format!("{id} unprobe {}", process.run));
        }
        let success = one.policy.restart.success.contains(&exit);
        let stable = process.is_up() && process.stable_at.is_none_or(|at| at <= self.now);
        let verdict = match (process.told, process.failed) {
            (Told::Nothing, _) => Some((true, success, !stable)),
            (_, Some(quick)) => Some((true, false, quick)),
            (_, None) => None,
        };
        if main {
            self.over(id, one, verdict, fleet);
        }
    }

    /// Does something with the service that has this run; nothing if it is over.
    fn with(
        &mut self,
        id: &ServiceId,
        run: RunId,
        act: impl FnOnce(&mut Model, &ServiceId, &mut One, bool),
    ) {
        let Some(mut one) = self.all.remove(id) else {
            return;
        };
        let is = |process: &Option<Process>| process.as_ref().is_some_and(|p| p.run == run.0);
        if is(&one.main) || is(&one.other) {
            let main = is(&one.main);
            act(self, id, &mut one, main);
        }
        self.all.insert(id.clone(), one);
    }

    fn spawned(&mut self, id: &ServiceId, one: &mut One, main: bool) {
        let process = if main { &mut one.main } else { &mut one.other };
        let Some(process) = process.as_mut().filter(|p| !p.exists) else {
            return;
        };
        process.exists = true;
        if process.told == Told::Early {
            process.told = Told::Nothing;
            self.tell_quietly(id, process, &one.policy);
            return;
        }
        self.did.push(format!("{id} probe {}", process.run));
        match one.policy.ready {
            Some(span) => process.ready_by = Some(self.now.after(span)),
            None => self.ready(id, one, main),
        }
    }

    fn ready(&mut self, id: &ServiceId, one: &mut One, main: bool) {
        if !main {
            std::mem::swap(&mut one.main, &mut one.other);
            if let Some(old) = &mut one.other {
                self.tell(id, old, &one.policy);
            }
        }
        if let Some(process) = &mut one.main {
            process.becomes_ready(self.now, &one.policy);
        }
    }

    /// Tells a process to stop, if it has not been told.
    pub fn tell(&mut self, id: &ServiceId, process: &mut Process, policy: &Policy) {
        if process.told == Told::Nothing && process.exists {
            self.did.push(format!("{id} unprobe {}", process.run));
        }
        self.tell_quietly(id, process, policy);
    }

    fn tell_quietly(&mut self, id: &ServiceId, process: &mut Process, policy: &Policy) {
        if process.told != Told::Nothing {
            return;
        }
        process.told = Told::Early;
        if process.exists {
            self.did.push(format!("{id} ask {}", process.run));
            process.told = Told::Stop(self.now.after(policy.stop.timeout));
        }
    }

    /// The main process is gone. `verdict`: ran, success, quick; `None`: it counts as nothing.
    fn over(
        &mut self,
        id: &ServiceId,
        one: &mut One,
        verdict: Option<(bool, bool, bool)>,
        fleet: &Fleet,
    ) {
        if one.other.as_ref().is_some_and(|p| p.told == Told::Nothing) {
            one.main = one.other.take();
            return;
        }
        let Some((ran, success, quick)) = verdict.filter(|_| one.stays(self.closing)) else {
            one.idle = Idle::Gate;
            return;
        };
        let rules = &one.policy.restart;
        let again = match rules.policy {
            RestartWhen::Always if one.policy.scheduled => false,
            RestartWhen::Always => true,
            RestartWhen::OnFailure => !success,
            RestartWhen::Never => false,
        };
        if quick && (again || !success) {
            one.failures += 1;
        } else {
            one.failures = 0;
        }
        one.idle = if !again {
            match (one.policy.scheduled, success) {
                (true, _) => Idle::Date { ran: true },
                (false, success) if ran => Idle::Done(success),
                (false, _) => Idle::GivenUp,
            }
        } else if rules.max_restarts != 0 && one.failures >= rules.max_restarts {
            Idle::GivenUp
        } else if one.failures < 2 {
            Idle::Delay(self.now.after(rules.delay))
        } else {
            // How long exactly is checked by another test; here it is taken over.
            let real = fleet.get(id).and_then(Service::next_start);
            Idle::Delay(real.unwrap_or(self.now))
        };
    }

    pub fn resume(&mut self) {
        for (id, one) in &self.all {
            for process in [&one.main, &one.other].into_iter().flatten() {
                let run = process.run;
                match process.told {
                    Told::Nothing if process.exists => self.did.push(format!("{id} probe {run}")),
                    Told::Nothing | Told::Early => {}
                    Told::Kill(_) => self.did.push(format!("{id} kill {run}")),
                    Told::Stop(_) => self.did.push(format!("{id} ask {run}")),
                }
            }
        }
    }

    pub fn settle(&mut self) {
        let ids: Vec<ServiceId> = self.all.keys().cloned().collect();
        for id in &ids {
            let Some(mut one) = self.all.remove(id) else {
                continue;
            };
            self.pass_time(id, &mut one);
            self.all.insert(id.clone(), one);
        }
        self.start_and_stop(&ids);
        for id in &ids {
            let Some(mut one) = self.all.remove(id) else {
                continue;
            };
            self.pass_time(id, &mut one);
            if one.leaving && !one.alive() {
                self.did.push(format!("{id} removed"));
                self.departed = self.departed.max(one.runs);
            } else {
                self.all.insert(id.clone(), one);
            }
        }
    }
    fn pass_time(&mut self, id: &ServiceId, one: &mut One) {
        let (now, up) = (self.now, one.up(self.closing));
        let scheduled = one.policy.scheduled;
        if one.main.is_none() {
            let rests = matches!(one.idle, Idle::GivenUp | Idle::Done(_));
            one.idle = match one.idle {
                _ if !up && !rests => Idle::Off,
                Idle::Off if up && scheduled => Idle::Date { ran: false },
                Idle::Off if up => Idle::Gate,
                Idle::Date { .. } if !scheduled => Idle::Gate,
                Idle::Ask(_) if !one.policy.conditional => Idle::Gate,
                Idle::Short(at) if at <= now => Idle::Gate,
                Idle::Delay(at) if at <= now => {
                    one.restarts += 1;
                    Idle::Gate
                }
                idle => idle,
            };
        }
        self.get_ready_or_fail(id, one);
        if let Some(main) = &mut one.main
            && main.is_up()
        {
            if main.stable_at.is_some_and(|at| at <= now) {
                main.stable_at = None;
                one.failures = 0;
            }
            if one.reload && one.stays(self.closing) && one.other.is_none() {
                one.reload = false;
                one.other = Some(self.spawn(id, &mut one.runs));
            }
        }
        for process in [&mut one.main, &mut one.other].into_iter().flatten() {
            if let Told::Stop(at) | Told::Kill(at) = process.told
                && at <= now
            {
                process.told = Told::Kill(now.after(Span(5000)));
                self.did.push(format!("{id} kill {}", process.run));
            }
        }
    }

    fn get_ready_or_fail(&mut self, id: &ServiceId, one: &mut One) {
        for main in [true, false] {
            let process = if main { &mut one.main } else { &mut one.other };
            let Some(process) = process.as_mut().filter(|p| p.told == Told::Nothing) else {
                continue;
            };
            let Some(ready_by) = process.ready_by else {
                continue;
            };
            if one.policy.ready.is_none() {
                self.ready(id, one, main);
            } else if ready_by <= self.now {
                process.failed = Some(true);
                self.tell(id, process, &one.policy);
            }
        }
    }

    fn spawn(&mut self, id: &ServiceId, runs: &mut u64) -> Process {
        *runs += 1;
        self.did.push(format!("{id} spawn {runs}"));
        let told = Told::Nothing;
        let (run, exists) = (*runs, false);
        Process {
            run,
            exists,
            ready_by: None,
            stable_at: None,
            told,
            failed: None,
        }
    }

    fn start_and_stop(&mut self, ids: &[ServiceId]) {
        let closing = self.closing;
        let fulfilled = |app: &Name| {
            let mut instances = self
                .all
                .iter()
                .filter(|(id, one)| id.app == *app && !one.leaving);
            instances.clone().next().is_some()
                && instances.all(|(_, one)| match one.state() {
                    State::Running => one.stays(closing),
                    state => state == State::Completed && one.idle != Idle::Done(false),
                })
        };
        let holds = |id: &ServiceId| {
            self.all.values().any(|other| {
                other.alive() && !other.stays(closing) && other.policy.after.contains(&id.app)
            })
        };
        let at_the_gate = |id: &&ServiceId| {
            let one = &self.all[*id];
            one.main.is_none() && matches!(one.idle, Idle::Gate | Idle::Ask(_))
        };
        let (open, shut): (Vec<&ServiceId>, Vec<&ServiceId>) = ids
            .iter()
            .filter(at_the_gate)
            .partition(|id| self.all[*id].policy.after.iter().all(fulfilled));
        let stop: Vec<&ServiceId> = ids
            .iter()
            .filter(|id| {
                let one = &self.all[*id];
                one.standing() && !one.stays(closing) && !holds(id)
            })
            .collect();
        for id in shut {
            self.all
                .entry(id.clone())
                .and_modify(|one| one.idle = Idle::Gate);
        }
        for id in open {
            let Some(mut one) = self.all.remove(id) else {
                continue;
            };
            if one.policy.conditional && one.idle != Idle::Ask(true) {
                one.idle = Idle::Ask(false);
                self.all.insert(id.clone(), one);
                continue;
            }
            (one.reload, one.restart) = (false, false);
            one.main = Some(self.spawn(id, &mut one.runs));
            self.all.insert(id.clone(), one);
        }
        for id in stop {
            let Some(mut one) = self.all.remove(id) else {
                continue;
            };
            for process in [&mut one.main, &mut one.other].into_iter().flatten() {
                self.tell(id, process, &one.policy);
            }
            self.all.insert(id.clone(), one);
        }
    }
}

fn take(one: &mut One, main: bool) -> Option<Process> {
    if main {
        one.main.take()
    } else {
        one.other.take()
    }
}

fn put(one: &mut One, main: bool, process: Process) {
    *(if main { &mut one.main } else { &mut one.other }) = Some(process);
}
