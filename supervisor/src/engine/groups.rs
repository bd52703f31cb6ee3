//! The cgroups of runs, as the engine uses them: which name a run's has, which limits hold, and what is
//! said where there are none.
//!
//! A run's cgroup is named after its instance and its token, so the next engine finds it, and knows which
//! are left over: those with the token of this supervisor that no run has any more. Others' are not touched.

use std::collections::BTreeSet;
use std::sync::Arc;

use supervisor_config::App;
use supervisor_core::{Name, ServiceId};

use super::{Engine, Live};
use crate::os::cgroup::{Controller, FOLDER, Oom, Room};
use crate::persist::slots::CellId;

/// What the engine knows of them.
#[derive(Debug)]
pub struct Groups {
    /// The folder, or why there is none.
    room: Result<Arc<Room>, String>,
    /// Apps whose limits do not hold; that was told.
    told: BTreeSet<Name>,
    /// Those of runs that are over.
    over: Vec<String>,
}

/// Where a run's processes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the cgroup of this name.
    Group(String),
    /// Nothing is delegated to the daemon, or the run began before it was.
    Nowhere,
    /// It could not be given one, and was started without.
    Refused(String),
}

impl Place {
    /// The name of its cgroup.
    pub fn group(&self) -> Option<&str> {
        match self {
            Place::Group(name) => Some(name),
            Place::Nowhere | Place::Refused(_) => None,
        }
    }
}

impl Groups {
    /// Looks for the folder. Where one was named that cannot be used, the log says so.
    pub fn find() -> Groups {
        let room = Room::find().map(Arc::new);
        match &room {
            Ok(room) => tracing::info!("each run gets a cgroup below {}", room.path().display()),
            Err(why) if std::env::var_os(FOLDER).is_some() => {
                tracing::warn!("no cgroups are used: {why}");
            }
            Err(_) => {}
        }
        Groups {
            room,
            told: BTreeSet::new(),
            over: Vec::new(),
        }
    }

    /// The folder.
    pub fn room(&self) -> Option<&Arc<Room>> {
        self.room.as_ref().ok()
    }

    /// Where a run is to be.
    pub fn place(&self, id: &ServiceId, token: &str) -> Place {
        match &self.room {
            Ok(_) => Place::Group(name(id, token)),
            Err(_) => Place::Nowhere,
        }
    }

    /// Where a run is that another engine has started.
    pub fn place_of_old(&self, id: &ServiceId, token: &str) -> Place {
        let name = name(id, token);
        match &self.room {
            Ok(room) if room.has(&name) => Place::Group(name),
            Ok(_) | Err(_) => Place::Nowhere,
        }
    }

    /// Why a controller cannot be used.
    fn why_off(&self, controller: Controller) -> Option<&str> {
        match &self.room {
            Ok(room) => room.why_off(controller),
            Err(why) => Some(why),
        }
    }

    /// Which limits of the app hold for none of its runs here, and why, as one sentence.
    pub fn unkept(&self, app: &App) -> Option<String> {
        let asked = Controller::ALL
            .into_iter()
            .filter(|controller| controller.is_asked_by(&app.ceilings));
        let off: Vec<_> = asked
            .filter_map(|controller| Some((controller.key(), self.why_off(controller)?)))
            .collect();
        let (_, why) = off.first()?;
        let keys: Vec<&str> = off.iter().map(|(key, _)| *key).collect();
        let verb = if keys.len() == 1 { "is" } else { "are" };
        let place = if self.room.is_ok() {
            ""
        } else {
            "no cgroups: "
        };
        Some(format!(
            "{} {verb} not kept here ({place}{why})",
            keys.join(", ")
        ))
    }

    /// Says it in the log, once for each app.
    pub fn tell_unkept(&mut self, app: &App) {
        if let Some(unkept) = self.unkept(app)
            && self.told.insert(app.name.clone())
        {
            tracing::warn!("{}: {unkept}", app.name);
        }
    }

    /// The promises that do not hold here.
    pub fn limits(&self) -> Vec<String> {
        let room = match &self.room {
            Ok(room) => room,
            Err(why) => {
                return vec![format!(
                    "no cgroups are used ({why}): a process that leaves its session, loses its parents and clears its environment is not found when its app is stopped, and limits.memory_hard, limits.cpu and limits.pids are not kept"
                )];
            }
        };
        let all = Controller::ALL.into_iter();
        all.filter_map(|controller| {
            let why = room.why_off(controller)?;
            let path = room.path().display();
            Some(format!("{} is not kept: {path}: {why}", controller.key()))
        })
        .collect()
    }
}

/// What a run's cgroup is called.
fn name(id: &ServiceId, token: &str) -> String {
    format!("{}.{}.{token}", id.app, id.instance)
}

/// Whether a cgroup is of a run of the supervisor whose runs have tokens that begin so.
fn is_ours(name: &str, token: u64) -> bool {
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let mut parts = name.rsplitn(4, '.');
    let (run, cell) = (parts.next(), parts.next());
    run.is_some_and(number)
        && cell.is_some_and(number)
        && parts.next() == Some(&*format!("{token:016x}"))
        && parts.next().is_some()
}

impl Engine {
    /// Ends and removes what is left over of runs that nobody knows any more.
    pub(super) fn sweep_groups(&mut self) {
        let Some(room) = self.groups.room().cloned() else {
            return;
        };
        let used: BTreeSet<&str> = self
            .cells
            .values()
            .filter_map(|live| live.place.group())
            .collect();
        let names = room.names().into_iter();
        let left = names.filter(|name| is_ours(name, self.slots.token()));
        for name in left.filter(|name| !used.contains(&**name)) {
            tracing::info!("the cgroup {name} is of a run that is over; ending it");
            if !room.clear(&name) {
                self.undertaker.clear(name);
            }
        }
    }

    /// The run is over, and so is its cgroup, when nobody is being started.
    pub(super) fn group_is_over(&mut self, live: &Live) {
        if let Place::Group(name) = &live.place {
            self.groups.over.push(name.clone());
        }
    }

    /// Has those removed that are over. Apart from their end, so that it is in no start's way.
    pub(super) fn clear_groups(&mut self) {
        for name in self.groups.over.drain(..) {
            self.undertaker.clear(name);
        }
    }

    /// The last of all: nothing of ours stays behind, as far as that is in our power.
    pub(super) fn leave_groups(&mut self) {
        let Some(room) = self.groups.room() else {
            return;
        };
        for _ in 0..20 {
            let names = room.names().into_iter();
            let left = names.filter(|name| is_ours(name, self.slots.token()));
            if left.filter(|name| !room.clear(name)).count() == 0 {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// Whether its processes were killed because memory ran out.
    pub(super) fn oom(&self, cell: CellId) -> Option<Oom> {
        let name = self.cells.get(&cell)?.place.group()?;
        self.groups.room()?.oom(name)
    }

    /// What is not as its definition says it, for a person who looks at it.
    pub(super) fn group_note(&self, id: &ServiceId) -> Option<String> {
        let entry = self.desired.apps.get(&id.app)?;
        self.groups.unkept(&entry.app)
    }

    /// How the processes of an instance are found when they are to be ended, and what they are kept to.
    pub(super) fn group_policies(&self, id: &ServiceId) -> Vec<(String, String)> {
        let place = self.live_of(id).map(|live| &live.place);
        let without = "by session, parents and environment";
        let tree = match (place, &self.groups.room) {
            (Some(Place::Group(name)), _) => format!("by its cgroup {name}"),
            (Some(Place::Refused(why)), _) => format!("{without}; no cgroup: {why}"),
            (Some(Place::Nowhere), Ok(_)) => {
                format!("{without}; it was started before there were cgroups")
            }
            (None, Ok(_)) => "by its cgroup".to_owned(),
            (Some(Place::Nowhere) | None, Err(_)) => without.to_owned(),
        };
        let mut told = vec![("processes".to_owned(), format!("told {tree}"))];
        if let Some(entry) = self.desired.apps.get(&id.app) {
            let ceilings = entry.app.ceilings.told().into_iter();
            let ceilings: Vec<String> = ceilings
                .map(|(key, value)| format!("{key} {value}"))
                .collect();
            if !ceilings.is_empty() {
                let unkept = self.groups.unkept(&entry.app);
                let unkept = unkept.map_or(String::new(), |unkept| format!("; {unkept}"));
                told.push((
                    "ceilings".to_owned(),
                    format!("{}{unkept}", ceilings.join(", ")),
                ));
            }
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use supervisor_config::{Ceilings, Tasks};

    use super::*;

    #[test]
    fn only_names_with_our_token_are_ours() {
        let id = ServiceId {
            app: Name::new("a.1.x").expect("a name"),
            instance: 3,
        };
        let token = 0xabc;
        let own = name(&id, "0000000000000abc.7.12");
        assert_eq!(own, "a.1.x.3.0000000000000abc.7.12");
        assert!(is_ours(&own, token) && !is_ours(&own, token + 1));
        for other in [
            "",
            "api",
            "0000000000000abc.7.12",
            "a.0.0000000000000abc.7.x",
            "a.0.abc.7.12",
            "_probe.12",
            "system.slice",
        ] {
            assert!(!is_ours(other, token), "{other}");
        }
    }

    #[test]
    fn limits_that_do_not_hold_are_told_with_the_reason() {
        let groups = Groups {
            room: Err("not run by systemd".to_owned()),
            told: BTreeSet::new(),
            over: Vec::new(),
        };
        let app = serde_json::json!({ "name": "a", "command": ["x"], "directory": "/" });
        let mut app: App = serde_json::from_value(app).expect("an app");
        assert_eq!(groups.unkept(&app), None);
        app.ceilings = Ceilings {
            pids: Some(Tasks(3)),
            ..Ceilings::default()
        };
        assert_eq!(
            groups.unkept(&app).as_deref(),
            Some("limits.pids is not kept here (no cgroups: not run by systemd)")
        );
        assert!(groups.limits()[0].starts_with("no cgroups are used (not run by systemd): "));
    }
}
