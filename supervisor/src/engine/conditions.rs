//! What an app waits for besides other apps: has it looked at while the core says so, and tells of it.

use supervisor_core::{Event, Name, Service, ServiceId};

use super::{Engine, explain, now};
use crate::probes::Met;

impl Engine {
    /// Has the conditions of an instance looked at where it waits for them, and else no more.
    pub(super) fn look_at_conditions(&mut self, id: &ServiceId) {
        let waits = self.fleet.get(id).is_some_and(Service::awaits_conditions);
        let entry = self.desired.apps.get(&id.app);
        match entry.filter(|_| waits) {
            Some(entry) => self.probes.look(id, &entry.app.wait_for),
            None => self.probes.stop(id),
        }
    }

    /// The same for all instances of some apps: their conditions may be others than before.
    pub(super) fn look_at_conditions_of(&mut self, is: impl Fn(&Name) -> bool) {
        let ids = self.fleet.iter().map(|(id, _)| id);
        let ids: Vec<ServiceId> = ids.filter(|id| is(&id.app)).cloned().collect();
        for id in &ids {
            self.look_at_conditions(id);
        }
    }

    /// All is there that an instance has waited for.
    pub(super) fn met(&mut self, met: Met) {
        if self.probes.is_current(&met) {
            self.tell(Event::Met { id: met.id });
        }
    }

    /// `waits for tcp:127.0.0.1:5432 (connection refused, 12 s)`.
    pub(super) fn conditions_note(&self, id: &ServiceId, service: &Service) -> Option<String> {
        let (condition, why) = self.probes.missing(id)?;
        let waited = explain::seconds(now().since(service.since()));
        let all: Vec<String> = why.into_iter().chain([waited]).collect();
        Some(format!("waits for {condition} ({})", all.join(", ")))
    }
}
