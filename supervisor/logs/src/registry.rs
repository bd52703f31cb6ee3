//! Which live files there are, and how large each may grow.
//!
//! Promises that the live files take at most half of what all files may have together, so that
//! there is always an archive to delete before a limit is passed. Leaves to others the deleting,
//! and the moment of a rotation. Pure but for a lock.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{Rules, StreamId, Target};

/// No limit on all files together makes a live file smaller than this: a file for a few lines
/// helps nobody.
const LEAST: u64 = 64 << 10;

/// The live files of all apps, shared by all who write and tidy them.
#[derive(Debug, Default)]
pub struct Registry(Mutex<Live>);

#[derive(Debug, Default)]
struct Live {
    streams: HashMap<StreamId, Stream>,
    /// How many of them each app has.
    apps: HashMap<String, u64>,
    total: Option<u64>,
}

#[derive(Debug)]
struct Stream {
    rules: Arc<Rules>,
    chosen: bool,
}

impl Registry {
    /// The target's live file is written from now on, or has other rules from now on.
    pub fn add(&self, target: &Target) {
        let mut live = self.lock();
        let stream = Stream {
            rules: Arc::clone(&target.rules),
            chosen: target.path.is_some(),
        };
        if live.streams.insert(target.id.clone(), stream).is_none() {
            *live.apps.entry(target.id.app.clone()).or_default() += 1;
        }
    }

    /// The target's live file is not written any more.
    pub fn remove(&self, target: &Target) {
        let mut live = self.lock();
        if live.streams.remove(&target.id).is_none() {
            return;
        }
        if let Some(count) = live.apps.get_mut(&target.id.app) {
            *count -= 1;
            if *count == 0 {
                live.apps.remove(&target.id.app);
            }
        }
    }

    /// How many bytes all apps' files may have together.
    pub fn set_total(&self, total: Option<u64>) {
        self.lock().total = total;
    }

    /// How many bytes all apps' files may have together.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.lock().total
    }

    /// How large the target's live file may grow; `None`: whatever size. Changes when live files
    /// come and go.
    #[must_use]
    pub fn limit(&self, target: &Target) -> Option<u64> {
        self.lock().limit(&target.id.app, &target.rules)
    }

    /// How large a stream's live file may grow, if it is written at present, and at the usual
    /// path or at one that the user chose, as asked for.
    pub(crate) fn growth(&self, id: &StreamId, chosen: bool) -> Option<u64> {
        let live = self.lock();
        let stream = live.streams.get(id).filter(|s| s.chosen == chosen)?;
        live.limit(&id.app, &stream.rules)
    }

    fn lock(&self) -> MutexGuard<'_, Live> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Live {
    fn limit(&self, app: &str, rules: &Rules) -> Option<u64> {
        let of_app = self.apps.get(app).copied().unwrap_or(1);
        let of_all = self.streams.len().max(1) as u64;
        let share = |total: u64, count: u64| (total / (2 * count)).max(LEAST);
        [
            rules.max_size,
            rules.max_total.map(|total| share(total, of_app)),
            self.total.map(|total| share(total, of_all)),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Stream as Output;

    fn target(app: &str, instance: u32, rules: &Rules) -> Target {
        Target {
            id: StreamId {
                app: app.to_owned(),
                instance,
                stream: Output::Out,
            },
            path: None,
            rules: Arc::new(rules.clone()),
        }
    }

    #[test]
    fn the_smallest_share_counts() {
        let registry = Registry::default();
        let rules = Rules {
            max_size: Some(50_000_000),
            max_total: Some(80_000_000),
            ..Rules::default()
        };
        let target_of = |instance| target("shop", instance, &rules);
        registry.add(&target_of(0));
        assert_eq!(registry.limit(&target_of(0)), Some(40_000_000));
        registry.add(&target_of(0));
        assert_eq!(registry.limit(&target_of(0)), Some(40_000_000), "the same");
        registry.add(&target_of(1));
        assert_eq!(registry.limit(&target_of(0)), Some(20_000_000));
        registry.add(&target("other", 0, &rules));
        assert_eq!(registry.limit(&target_of(0)), Some(20_000_000));
        registry.set_total(Some(60_000_000));
        assert_eq!(registry.limit(&target_of(0)), Some(10_000_000));
        registry.remove(&target("other", 0, &rules));
        assert_eq!(registry.limit(&target_of(0)), Some(15_000_000));
        registry.set_total(None);
        registry.remove(&target_of(1));
        registry.remove(&target_of(1));
        assert_eq!(registry.limit(&target_of(0)), Some(40_000_000));
    }

    #[test]
    fn a_share_is_never_tiny_but_a_size_may_be() {
        let registry = Registry::default();
        let mut rules = Rules {
            max_size: None,
            max_total: None,
            ..Rules::default()
        };
        assert_eq!(registry.limit(&target("shop", 0, &rules)), None);
        rules.max_total = Some(1000);
        assert_eq!(registry.limit(&target("shop", 0, &rules)), Some(LEAST));
        rules.max_size = Some(4096);
        assert_eq!(registry.limit(&target("shop", 0, &rules)), Some(4096));
    }

    #[test]
    fn growth_is_that_of_the_file_in_its_place() {
        let registry = Registry::default();
        let target = target("shop", 0, &Rules::default());
        assert_eq!(registry.growth(&target.id, false), None);
        registry.add(&target);
        assert_eq!(registry.growth(&target.id, false), Some(50_000_000));
        assert_eq!(registry.growth(&target.id, true), None);
    }
}
