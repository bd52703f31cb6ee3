//! Where the keys of a checked file stand. Kept with the config, for faults that show only when the
//! machine, the other files or the apps that run are looked at.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use supervisor_core::Name;

use crate::source::{Place, Source};
use crate::units::Problem;
use crate::{Fault, trust};

/// The places of one file's keys. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    source: Arc<Source>,
    keys: Arc<Keys>,
}

/// By the key as the table of keys has it; an app's header has the empty one.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    pub(crate) apps: BTreeMap<Name, BTreeMap<String, Place>>,
    pub(crate) defaults: BTreeMap<String, Place>,
    pub(crate) daemon: BTreeMap<String, Place>,
}

/// The header among the keys of an app.
pub(crate) const HEADER: &str = "";

impl Places {
    pub(crate) fn new(source: Source, keys: Keys) -> Places {
        Places {
            source: Arc::new(source),
            keys: Arc::new(keys),
        }
    }

    pub(crate) fn file(&self) -> Option<&Path> {
        self.source.file.as_deref()
    }

    pub(crate) fn fault(&self, app: &Name, key: &str, problem: Problem) -> Fault {
        let own = self.keys.apps.get(app);
        let place = own
            .and_then(|keys| keys.get(key))
            .or_else(|| self.keys.defaults.get(key).filter(|_| own.is_some()))
            .or_else(|| own?.get(HEADER));
        match (place, self.file()) {
            (Some(place), _) => self.source.fault(place, problem),
            (None, Some(file)) => trust::fault(file, problem),
            (None, None) => Fault {
                key: Some(format!("app.{}.{key}", crate::keys::quoted(app.as_str()))),
                message: problem.message,
                hint: problem.hint,
                ..Fault::default()
            },
        }
    }

    pub(crate) fn daemon_fault(&self, key: &str, problem: Problem) -> Fault {
        match (self.keys.daemon.get(key), self.file()) {
            (Some(place), _) => self.source.fault(place, problem),
            (None, file) => trust::fault(file.unwrap_or(Path::new("")), problem),
        }
    }

    /// The same for one text in an array.
    pub(crate) fn item_fault(&self, app: &Name, key: &str, item: &str, problem: Problem) -> Fault {
        let keys = self.keys.apps.get(app);
        let find = |keys: &BTreeMap<String, Place>| {
            let items: Range<String> = format!("{key}[")..format!("{key}]");
            let mut items = keys.range(items);
            let found = items.find(|(_, place)| self.source.says(&place.span, item));
            found.map(|(key, _)| key.clone())
        };
        let own = keys.filter(|keys| keys.contains_key(key));
        let found = own.map_or_else(|| find(&self.keys.defaults), find);
        self.fault(app, found.as_deref().unwrap_or(key), problem)
    }
}
