//! What can be known of the whole fleet without looking at every service.
//!
//! Owns the summaries: whose time comes when, who comes after whom, who is to go down and whom that
//! holds. Promises to agree with the records at any time, because [`Index::seat`] is told of each
//! one that has changed; it decides nothing and never looks at a record by itself.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::mem;

use crate::{Name, ServiceId, Time};

/// What the fleet as a whole has to know of one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub deadline: Option<Time>,
    /// It is alive and should not stay so.
    pub going: bool,
    /// A run of it has not been told to stop.
    pub standing: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    deadlines: BTreeSet<(Time, ServiceId)>,
    dependents: BTreeMap<Name, BTreeSet<ServiceId>>,
    going: usize,
    /// Those that are going and have not been told so.
    untold: BTreeSet<ServiceId>,
    /// How many that are going come after an app; never 0.
    holders: BTreeMap<Name, usize>,
    /// Apps whose last holder has gone.
    freed: Vec<Name>,
}

impl Index {
    /// Moves a service from the place where it was to the one where it is; `None`: not in the fleet.
    pub fn seat(
        &mut self,
        id: &ServiceId,
        after: &[Name],
        was: &mut Option<Place>,
        is: Option<Place>,
    ) {
        let was = mem::replace(was, is);
        if was == is {
            return;
        }
        if let Some(place) = was {
            self.leave(id, after, place);
        }
        if let Some(place) = is {
            self.enter(id, after, place);
        }
    }

    fn enter(&mut self, id: &ServiceId, after: &[Name], place: Place) {
        if let Some(time) = place.deadline {
            self.deadlines.insert((time, id.clone()));
        }
        for app in after {
            let dependents = self.dependents.entry(app.clone()).or_default();
            dependents.insert(id.clone());
        }
        if place.going {
            self.going += 1;
            for app in after {
                *self.holders.entry(app.clone()).or_default() += 1;
            }
        }
        if place.going && place.standing {
            self.untold.insert(id.clone());
        }
    }

    fn leave(&mut self, id: &ServiceId, after: &[Name], place: Place) {
        if let Some(time) = place.deadline {
            self.deadlines.remove(&(time, id.clone()));
        }
        for app in after {
            if let Some(dependents) = self.dependents.get_mut(app) {
                dependents.remove(id);
                if dependents.is_empty() {
                    self.dependents.remove(app);
                }
            }
        }
        if place.going {
            self.going -= 1;
            for app in after {
                self.let_go(app);
            }
        }
        self.untold.remove(id);
    }

    fn let_go(&mut self, app: &Name) {
        if let Some(holders) = self.holders.get_mut(app) {
            *holders -= 1;
            if *holders == 0 {
                self.holders.remove(app);
                self.freed.push(app.clone());
            }
        }
    }

    pub fn next_deadline(&self) -> Option<Time> {
        self.deadlines.first().map(|(time, _)| *time)
    }

    /// Those whose time has come.
    pub fn due(&self, now: Time) -> impl Iterator<Item = &ServiceId> {
        let due = self.deadlines.iter().take_while(move |(at, _)| *at <= now);
        due.map(|(_, id)| id)
    }

    /// Those that come after an app.
    pub fn dependents(&self, app: &Name) -> impl Iterator<Item = &ServiceId> {
        self.dependents.get(app).into_iter().flatten()
    }

    /// The apps that may have become free to go since this was asked last.
    pub fn take_freed(&mut self) -> Vec<Name> {
        mem::take(&mut self.freed)
    }

    /// Whether it is to be told to stop, and none that is going, too, comes after it.
    pub fn is_free(&self, id: &ServiceId) -> bool {
        self.untold.contains(id) && !self.holders.contains_key(&id.app)
    }

    /// Where none is free and none is on its way down, each waits for another one: a circle. The
    /// first by name breaks it.
    pub fn first_of_a_circle(&self) -> Option<&ServiceId> {
        let all_wait = self.untold.len() == self.going;
        self.untold.first().filter(|_| all_wait)
    }
}
