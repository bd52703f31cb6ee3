//! Carrying out what the core says.

use std::sync::Arc;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use supervisor_config::App;
use supervisor_core::{Action, Event, Phase, RunId, Rung, Service, ServiceId, SpawnFault};

use super::ending::wall_ms;
use super::record::{LastExit, Record};
use super::spawner::{self, run_token};
use super::{Engine, Live, now, undertaker};
use crate::os::pidfd;
use crate::persist::slots::Slots;

/// A checksum of what a process depends on: two definitions with the same need no restart.
pub fn spec_of(app: &App) -> u32 {
    // Policies act on a running process without touching it.
    let mut app = app.clone();
    app.policy = supervisor_core::Policy::default();
    app.stop_signal = supervisor_config::StopSignal::default();
    app.wait_for.clear();
    app.namespace.clear();
    app.instances = 1;
    app.logs = app.logs.of_process();
    let fields = serde_json::to_value(&app).unwrap_or_default();
    crc32fast::hash(&serde_json::to_vec(&without_defaults(fields)).unwrap_or_default())
}

/// A field that a later version adds, at its default, must not restart everything when the engine is
/// upgraded: so only what a definition says counts.
fn without_defaults(mut fields: Value) -> Value {
    let blank = json!({ "name": "blank", "command": [], "directory": "" });
    let blank = serde_json::from_value::<App>(blank).and_then(serde_json::to_value);
    take_out(&mut fields, &blank.unwrap_or_default());
    fields
}

fn take_out(value: &mut Value, defaults: &Value) {
    if let (Value::Object(fields), Value::Object(defaults)) = (value, defaults) {
        fields.retain(|field, value| {
            let default = defaults.get(field);
            take_out(value, default.unwrap_or(&Value::Null));
            default.is_none_or(|default| default != value && *value != json!({}))
        });
    }
}

/// What outlives the engine's memory of a service that its policy does not start again: whether it
/// ended as it should.
pub fn done(service: &Service) -> Option<bool> {
    match service.phase {
        Phase::Completed { success } => Some(success),
        _ => None,
    }
}

impl Engine {
    /// Tells the core what happened and carries out what it says.
    pub(super) fn tell(&mut self, event: Event) {
        self.tell_and([event], |_| {});
    }

    /// Tells it several things in one breath.
    pub(super) fn tell_all(&mut self, events: Vec<Event>) {
        self.tell_and(events, |_| {});
    }

    /// The same; `saved` is called when the records are in their slots and nothing else has begun.
    pub(super) fn tell_and(
        &mut self,
        events: impl IntoIterator<Item = Event>,
        saved: impl FnOnce(&mut Engine),
    ) {
        let actions = self.fleet.handle_all(now(), events);
        let is_save = |action: &Action| matches!(action, Action::Changed { .. });
        let first = actions.iter().take_while(|action| is_save(action)).count();
        let mut actions = actions.into_iter();
        for action in actions.by_ref().take(first) {
            self.carry_out(action);
        }
        saved(self);
        for action in actions {
            self.carry_out(action);
        }
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Changed { id } => self.changed(&id),
            Action::Spawn { id, run } => self.spawn(id, run),
            Action::Signal { id, run, rung } => self.signal(&id, run, rung),
            // Nothing feeds readiness and health yet: `ready` is refused by the config.
            Action::StartProbes { .. } | Action::StopProbes { .. } => {}
            Action::Removed { id } => self.removed(&id),
        }
    }

    fn changed(&mut self, id: &ServiceId) {
        let Some(service) = self.fleet.get(id) else {
            return;
        };
        let wish = self.desired.wish(id);
        if wish.is_some_and(|wish| !wish.remove && wish.done != done(service)) {
            self.mutations.sync();
        }
        self.save_record(id);
        self.look_at_conditions(id);
        self.waiters.touch();
    }

    /// Saves what is known of an instance in its slot.
    pub(super) fn save_record(&self, id: &ServiceId) {
        let (Some(service), Some(instance)) = (self.fleet.get(id), self.instances.get(id)) else {
            return;
        };
        let record = Record {
            service: *service,
            asked: instance.asked,
            last_exit: instance.last_exit.clone(),
        };
        self.slots.save(instance.slot, &record.encode());
    }

    fn spawn(&mut self, id: ServiceId, run: RunId) {
        let slot = self.instances.get(&id).map(|instance| instance.slot);
        let cell = slot.and_then(|slot| {
            Slots::cells(slot)
                .into_iter()
                .find(|cell| !self.cells.contains_key(cell))
        });
        let entry = self.desired.apps.get(&id.app);
        let (Some(cell), Some(entry)) = (cell, entry) else {
            // Not to be expected; the core tries again, and the log has it.
            tracing::error!("{id}: no cell or definition for run {}", run.0);
            let fault = SpawnFault::Shortage;
            return self.tell(Event::SpawnFailed { id, run, fault });
        };
        if let Some(why) = self.is_choked(&id) {
            let exit = LastExit::new(run, None, &why, wall_ms());
            self.set_last_exit(&id, exit, Vec::new());
            let fault = SpawnFault::Shortage;
            return self.tell(Event::SpawnFailed { id, run, fault });
        }
        self.groups.tell_unkept(&entry.app);
        let spec = spec_of(&entry.app);
        let token = run_token(self.slots.token(), cell, run);
        let place = self.groups.place(&id, &token);
        let live = Live {
            id: id.clone(),
            run,
            spec,
            pid: None,
            pidfd: None,
            token,
            merged: entry.app.logs.merge,
            foreign: false,
            place: place.clone(),
            stdin: None,
            pipes: Vec::new(),
            tail: Vec::new(),
            ending: None,
            cpu: None,
        };
        self.cells.insert(cell, live);
        let app = Arc::new(entry.app.clone());
        self.spawner.spawn(spawner::Order {
            id,
            run,
            cell,
            app,
            spec,
            place,
        });
    }

    fn signal(&mut self, id: &ServiceId, run: RunId, rung: Rung) {
        let Some(cell) = self.cell_of(id, run) else {
            return;
        };
        let live = &self.cells[&cell];
        let (Some(pid), Some(pidfd), None) = (live.pid, &live.pidfd, &live.ending) else {
            return;
        };
        let signal = match rung {
            Rung::Ask => {
                let entry = self.desired.apps.get(&id.app);
                let signal = entry.map(|entry| entry.app.stop_signal).unwrap_or_default();
                i32::from(signal.number())
            }
            Rung::Kill => Signal::SIGKILL as i32,
        };
        // A process that has gone meanwhile is what was wanted.
        let _ = pidfd::send_group(pidfd, pid, signal);
        if rung == Rung::Kill {
            tracing::warn!("{id}: did not stop in time; killing it and its whole tree");
            let token = live.token.clone();
            let group = live.place.group().map(str::to_owned);
            self.undertaker.end(undertaker::Order {
                cell,
                main: pid,
                main_alive: true,
                token,
                group,
            });
        }
    }

    fn removed(&mut self, id: &ServiceId) {
        self.forget_log_news(id);
        self.probes.stop(id);
        if let Some(instance) = self.instances.remove(id) {
            self.slots.free(instance.slot);
        }
        if !self.instances.keys().any(|other| other.app == id.app) {
            self.pump.forget(id.app.as_str());
        }
        self.mutations.sync();
        self.waiters.touch();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_is_of_what_is_said_and_of_nothing_else() {
        let said = json!({ "name": "api", "command": ["node"], "directory": "/srv" });
        let app: App = serde_json::from_value(said.clone()).unwrap();
        let fields = serde_json::to_value(&app).unwrap();
        assert_eq!(without_defaults(fields), said);
        let mut other = app.clone();
        other.env.insert("PORT".into(), "1".into());
        assert_ne!(spec_of(&app), spec_of(&other));
        other = app.clone();
        other.instances = 4;
        other.policy.stop.timeout = supervisor_core::Span(1);
        other.wait_for = vec![supervisor_config::WaitFor::File("/f".into())];
        other.policy.conditional = true;
        other.logs.keep = 0;
        other.logs.max_size = None;
        assert_eq!(spec_of(&app), spec_of(&other));
        other.logs.merge = true;
        assert_ne!(spec_of(&app), spec_of(&other));
        let fields = serde_json::to_value(&other).unwrap();
        let logs = json!({ "keep": 0, "max_size": null, "merge": true });
        assert_eq!(without_defaults(fields)["logs"], logs);
    }
}
