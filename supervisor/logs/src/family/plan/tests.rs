//! Plans carried out on a folder that is only a map, and cut off after each step.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// The files, each with the number of what is in it: logs are numbered as they are begun, and an
/// index has its log's number.
#[derive(Debug, Clone, Default)]
struct World {
    files: BTreeMap<Name, u32>,
    next: u32,
    /// Logs that must be there.
    wanted: BTreeSet<u32>,
    /// Logs that may be there: a kill left them while they were being removed.
    doomed: BTreeSet<u32>,
    /// Logs that were begun with an index.
    indexed: BTreeSet<u32>,
    /// What is in the unfinished file will be whole.
    compressing: bool,
}

#[derive(Debug, Clone)]
enum Deed {
    Begin { index: bool },
    Rotate { keep: u32 },
    StartCompressing { which: usize },
    Commit,
    Remove { which: usize },
    Heal,
}

impl World {
    fn with_logs(count: u32) -> World {
        let mut world = World::default();
        for _ in 0..count {
            world.act(&Deed::Rotate { keep: u32::MAX }, None);
            world.act(&Deed::Begin { index: true }, None);
        }
        world
    }

    fn plan(&self, fill: impl FnOnce(&mut Plan)) -> Vec<Step> {
        let mut plan = Plan::over(self.files.keys().copied());
        fill(&mut plan);
        plan.steps
    }

    /// What readers see, oldest first: number and content.
    fn logs(&self) -> Vec<(u32, u32)> {
        let mut logs = BTreeMap::new();
        for (name, content) in &self.files {
            match name {
                // Compressed names come after the others and win.
                Name::Log(number) | Name::Compressed(number) => {
                    logs.insert(*number, *content);
                }
                Name::Index(_) | Name::Unfinished => {}
            }
        }
        logs.into_iter().rev().collect()
    }

    fn rotated(&self, which: usize, plain: bool) -> Option<(u32, u32)> {
        let mut logs = self.logs();
        logs.retain(|(number, _)| {
            *number > 0 && !(plain && self.files.contains_key(&Name::Compressed(*number)))
        });
        (!logs.is_empty()).then(|| logs[which % logs.len()])
    }

    /// Does it, or only its first `kill` steps; true if it was cut off.
    fn act(&mut self, deed: &Deed, kill: Option<usize>) -> bool {
        let before: BTreeSet<u32> = self.logs().into_iter().map(|(_, log)| log).collect();
        let steps = match deed {
            Deed::Begin { index } => {
                if !self.files.contains_key(&Name::Log(0)) {
                    self.files.insert(Name::Log(0), self.next);
                    self.wanted.insert(self.next);
                    self.next += 1;
                }
                if *index {
                    let log = self.files[&Name::Log(0)];
                    self.files.insert(Name::Index(0), log);
                    self.indexed.insert(log);
                }
                return false;
            }
            Deed::StartCompressing { which } => {
                if let Some((_, log)) = self.rotated(*which, true) {
                    self.files.insert(Name::Unfinished, log);
                    self.compressing = true;
                }
                return false;
            }
            Deed::Rotate { keep } => {
                self.wanted = survivors(&self.logs(), *keep);
                self.plan(|plan| {
                    plan.mend();
                    plan.rotate(*keep);
                })
            }
            Deed::Commit => {
                let log = self.files.get(&Name::Unfinished).copied();
                let found = self.files.iter().find(|(name, content)| {
                    matches!(name, Name::Log(1..)) && log == Some(**content)
                });
                let Some((Name::Log(number), _)) = found else {
                    return false;
                };
                if !self.compressing {
                    return false;
                }
                self.plan(|plan| plan.commit(*number))
            }
            Deed::Remove { which } => {
                let Some((number, log)) = self.rotated(*which, false) else {
                    return false;
                };
                self.wanted.remove(&log);
                self.plan(|plan| plan.discard(number))
            }
            Deed::Heal => {
                self.compressing = false;
                self.plan(|plan| {
                    plan.mend();
                    plan.clean();
                })
            }
        };
        let cut = kill.filter(|kill| *kill < steps.len());
        for step in &steps[..cut.unwrap_or(steps.len())] {
            match step {
                Step::Rename(from, to) => {
                    let content = self.files.remove(from).expect("what is renamed is there");
                    self.files.insert(*to, content);
                }
                Step::Remove(name) => {
                    self.files.remove(name).expect("what is removed is there");
                }
            }
        }
        self.doomed = before.difference(&self.wanted).copied().collect();
        if cut.is_some() {
            self.compressing = false;
        } else {
            self.doomed.retain(|_| false);
        }
        cut.is_some()
    }

    /// What was to be removed when the kill came, and is there after the healing, stays; its index
    /// may have gone.
    fn spare(&mut self) {
        self.wanted = self.logs().into_iter().map(|(_, log)| log).collect();
        let (files, indexed) = (&self.files, &mut self.indexed);
        let there = |log: &u32| {
            let of_log =
                |(name, content): (&Name, &u32)| matches!(name, Name::Index(_)) && content == log;
            files.iter().any(of_log)
        };
        indexed.retain(there);
    }

    /// All contents are there, in order, each once.
    fn check_logs(&self) {
        let logs: Vec<u32> = self.logs().into_iter().map(|(_, log)| log).collect();
        assert!(logs.is_sorted_by(|a, b| a < b), "out of order: {self:?}");
        let there: BTreeSet<u32> = logs.into_iter().collect();
        assert!(there.is_superset(&self.wanted), "lost: {self:?}");
        let may: BTreeSet<u32> = self.wanted.union(&self.doomed).copied().collect();
        assert!(there.is_subset(&may), "left over: {self:?}");
    }

    /// Each index is beside its log, once things are mended.
    fn check_indexes(&self) {
        for (number, log) in self.logs() {
            let index = self.files.get(&Name::Index(number));
            assert!(index.is_none_or(|i| *i == log), "another's: {self:?}");
            let has_one = self.indexed.contains(&log) && self.wanted.contains(&log);
            assert!(index.is_some() || !has_one, "lost index: {self:?}");
        }
        for name in self.files.keys() {
            if let Name::Index(number) = name {
                let log = [Name::Log(*number), Name::Compressed(*number)];
                let there = log.iter().any(|name| self.files.contains_key(name));
                assert!(there || *number == 0, "orphan: {self:?}");
            }
        }
    }
}

/// The logs that a rotation leaves: those that come to stand at no number above `keep`.
fn survivors(logs: &[(u32, u32)], keep: u32) -> BTreeSet<u32> {
    let live = logs.iter().any(|(number, _)| *number == 0);
    let free = (1..)
        .find(|free| logs.iter().all(|(number, _)| number != free))
        .expect("few logs");
    logs.iter()
        .filter(|(number, _)| number + u32::from(live && *number < free) <= keep)
        .map(|(_, log)| *log)
        .collect()
}

/// Does `deed` up to each of its steps, mends up to each of its steps, mends, goes on.
fn torture(world: &World, deed: &Deed) {
    for kill in 0.. {
        let mut cut = world.clone();
        let was_cut = cut.act(deed, Some(kill));
        cut.check_logs();
        for again in 0.. {
            let mut healed = cut.clone();
            let doomed = healed.doomed.clone();
            let heal_was_cut = healed.act(&Deed::Heal, Some(again));
            healed.doomed = doomed.clone();
            healed.check_logs();
            healed.act(&Deed::Heal, None);
            healed.doomed = doomed;
            healed.check_logs();
            healed.check_indexes();
            assert!(!healed.files.contains_key(&Name::Unfinished));
            let before = healed.files.clone();
            healed.spare();
            healed.act(&Deed::Heal, None);
            assert_eq!(
                healed.files, before,
                "healing what is whole changes nothing"
            );
            healed.act(&Deed::Rotate { keep: 3 }, None);
            healed.act(&Deed::Begin { index: true }, None);
            healed.check_logs();
            healed.check_indexes();
            if !heal_was_cut {
                break;
            }
        }
        if !was_cut {
            break;
        }
    }
}

#[test]
fn a_rotation_can_be_cut_off_anywhere() {
    for logs in 1..6 {
        for keep in 0..6 {
            torture(&World::with_logs(logs), &Deed::Rotate { keep });
        }
    }
}

#[test]
fn a_commit_can_be_cut_off_anywhere() {
    for which in 0..3 {
        let mut world = World::with_logs(4);
        world.act(&Deed::StartCompressing { which }, None);
        torture(&world, &Deed::Commit);
        // A rotation while it is being compressed.
        world.act(&Deed::Rotate { keep: 3 }, None);
        world.act(&Deed::Begin { index: true }, None);
        torture(&world, &Deed::Commit);
    }
}

#[test]
fn a_removal_can_be_cut_off_anywhere() {
    for which in 0..3 {
        torture(&World::with_logs(4), &Deed::Remove { which });
    }
}

#[test]
fn numbers_above_a_hole_stay_what_they_are() {
    let mut world = World::with_logs(5);
    world.act(&Deed::Remove { which: 1 }, None);
    assert_eq!(world.logs(), [(4, 0), (2, 2), (1, 3), (0, 4)]);
    world.act(&Deed::Rotate { keep: 10 }, None);
    assert_eq!(world.logs(), [(4, 0), (3, 2), (2, 3), (1, 4)]);
}

#[test]
fn a_smaller_keep_takes_effect_at_the_next_rotation() {
    let mut world = World::with_logs(6);
    world.act(&Deed::Rotate { keep: 2 }, None);
    assert_eq!(world.logs(), [(2, 4), (1, 5)]);
}

#[test]
fn a_rotation_without_a_live_file_moves_nothing() {
    let mut world = World::with_logs(3);
    world.act(&Deed::Rotate { keep: 9 }, None);
    let before = world.files.clone();
    world.act(&Deed::Rotate { keep: 9 }, None);
    assert_eq!(world.files, before);
}

#[test]
fn an_index_whose_log_was_deleted_goes_with_it() {
    let mut world = World::with_logs(3);
    world.files.remove(&Name::Log(1));
    world.wanted.remove(&1);
    world.act(&Deed::Heal, None);
    world.check_indexes();
}

fn deeds() -> impl Strategy<Value = Vec<(Deed, Option<usize>)>> {
    let deed = prop_oneof![
        3 => any::<bool>().prop_map(|index| Deed::Begin { index }),
        4 => (0u32..6).prop_map(|keep| Deed::Rotate { keep }),
        2 => any::<usize>().prop_map(|which| Deed::StartCompressing { which }),
        3 => Just(Deed::Commit),
        1 => any::<usize>().prop_map(|which| Deed::Remove { which }),
        1 => Just(Deed::Heal),
    ];
    let kill = prop_oneof![2 => Just(None), 1 => (0usize..12).prop_map(Some)];
    prop::collection::vec((deed, kill), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_with_kills_keeps_all_in_order(deeds in deeds()) {
        let mut world = World::default();
        for (deed, kill) in deeds {
            let killed = world.act(&deed, kill);
            world.check_logs();
            if killed {
                // Whoever comes next heals before he does anything else, and may be killed, too.
                let doomed = world.doomed.clone();
                world.act(&Deed::Heal, kill.map(|kill| kill / 2));
                world.doomed.clone_from(&doomed);
                world.check_logs();
                world.act(&Deed::Heal, None);
                world.doomed = doomed;
                world.check_logs();
                world.check_indexes();
                world.spare();
            }
        }
        world.act(&Deed::Heal, None);
        world.check_indexes();
    }
}
