//! The order between services: who may start or stop when.
//!
//! Owns both gates. Looks at those that were touched, those whose time has come, and those whom
//! they let start or stop. Promises that this comes to the same as looking at every service: all
//! others were settled before, and nothing that concerns them has changed since.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::fleet::{Entry, Fleet};
use crate::{Action, Name, ServiceId, Time};

/// One pass is enough: nothing that it starts or stops opens a gate before there is news of it.
impl Fleet {
    pub(crate) fn settle(&mut self, now: Time, out: &mut Vec<Action>) {
        self.unsettled.extend(self.index.due(now).cloned());
        let touched: Vec<ServiceId> = self.unsettled.iter().cloned().collect();
        for id in &touched {
            self.act(now, id, out, |mut turn| turn.ripen());
        }
        for (id, open) in self.startable(&touched) {
            self.act(now, &id, out, |mut turn| turn.gate(open));
        }
        for id in self.stoppable(&touched) {
            self.act(now, &id, out, |mut turn| {
                turn.bring_down();
                // Where the time between the rungs is zero.
                turn.ripen();
            });
        }
    }

    /// Which of those touched, and of those that come after them, are to start, and whether their
    /// dependencies let them.
    fn startable(&self, touched: &[ServiceId]) -> Vec<(ServiceId, bool)> {
        let mut apps: Vec<&Name> = touched.iter().map(|id| &id.app).collect();
        apps.dedup();
        let dependents = apps.into_iter().flat_map(|app| self.index.dependents(app));
        let near: BTreeSet<&ServiceId> = touched.iter().chain(dependents).collect();
        let due = near.into_iter().filter_map(|id| {
            let entry = self.entries.get(id).filter(|entry| entry.is_due())?;
            let open = entry.policy.after.iter().all(|app| self.is_open(app));
            Some((id.clone(), open))
        });
        due.collect()
    }

    fn is_open(&self, app: &Name) -> bool {
        self.missing(app).next().is_none()
    }

    /// What keeps a service that names `app` in its `after` from starting.
    pub(crate) fn missing(&self, app: &Name) -> impl Iterator<Item = ServiceId> {
        let first = ServiceId {
            app: app.clone(),
            instance: 0,
        };
        let staying = self
            .instances(app)
            .filter(|(_, entry)| !entry.service.remove);
        let mut staying = staying.peekable();
        let absent = staying.peek().is_none().then_some(first);
        let missing = staying.filter(|(_, entry)| !entry.is_met(self.shutting_down));
        absent.into_iter().chain(missing.map(|(id, _)| id.clone()))
    }

    fn instances(&self, app: &Name) -> impl Iterator<Item = (&ServiceId, &Entry)> {
        let id = |instance| ServiceId {
            app: app.clone(),
            instance,
        };
        self.entries.range(id(0)..=id(u32::MAX))
    }

    /// Which of those touched, and of those that have become free, are to be told to stop. All
    /// others that were free have been told before.
    fn stoppable(&mut self, touched: &[ServiceId]) -> Vec<ServiceId> {
        let freed = self.index.take_freed();
        let freed = freed.iter().flat_map(|app| self.instances(app));
        let near: BTreeSet<&ServiceId> = touched.iter().chain(freed.map(|(id, _)| id)).collect();
        let free = near.into_iter().filter(|id| self.index.is_free(id));
        let free: Vec<ServiceId> = free.cloned().collect();
        if free.is_empty() {
            return self
                .index
                .first_of_a_circle()
                .into_iter()
                .cloned()
                .collect();
        }
        free
    }
}
