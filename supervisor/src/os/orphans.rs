//! The orphans of a run: what lost its parent and came to the keeper.
//!
//! Owns: one quick look at the keeper's children alone, repeated until it is conclusive.
//! Promises: "clear" is certain. A child that is dead has already handed its own children to the keeper;
//! so when every child is somebody else's, or was known to be dead before the list was read, nothing is
//! left. One that vanishes before it was recognised proves nothing, and the look is repeated: a process
//! that forks and exits all the time never passes for an empty tree.
//! Leaves to others: whoever still has a parent in the tree, and the orphans of a keeper before this one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::pidfd;
use super::proc::{self, Variable};
use super::tree::{TOKEN_KEY, Tree};

/// What the keeper's children say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Look {
    /// Certainly none of ours.
    Clear,
    /// Nobody can say yet.
    Unclear,
    /// At least one of ours.
    Ours,
}

/// What has been learned about the children so far.
pub(super) struct Orphans<'a> {
    /// Whose. The main process may die between two looks.
    pub tree: Tree<'a>,
    /// Kill what is ours.
    strike: bool,
    /// Somebody else's.
    strangers: BTreeSet<i32>,
    /// Dead since before the next reading, and not reaped yet.
    dead: BTreeSet<i32>,
    /// Alive, with an empty environment; since when.
    doubtful: BTreeMap<i32, Instant>,
}

impl<'a> Orphans<'a> {
    pub fn new(tree: Tree<'a>, strike: bool) -> Orphans<'a> {
        let (strangers, dead) = (BTreeSet::from([Pid::this().as_raw()]), BTreeSet::new());
        Orphans {
            tree,
            strike,
            strangers,
            dead,
            doubtful: BTreeMap::new(),
        }
    }

    /// Looks until it is clear, or so often. With `strike`, what is ours is killed on the way.
    pub fn look(&mut self, rounds: u32, known: impl Fn(i32) -> bool) -> Look {
        let mut before: Option<BTreeSet<i32>> = None;
        for _ in 0..rounds {
            let Some(children) = proc::children_of_single(self.tree.keeper) else {
                return Look::Unclear;
            };
            let children: BTreeSet<i32> = children.into_iter().collect();
            // Numbers that are gone may come back as somebody else.
            self.strangers.retain(|pid| children.contains(pid));
            self.dead.retain(|pid| children.contains(pid));
            self.doubtful.retain(|pid, _| children.contains(pid));
            let look = self.recognise(&children, &known);
            if look == Look::Ours && !self.strike {
                return look;
            }
            // Only the disappearance of one that was listed can hide another from a reading; so a reading
            // whose members are all there in the next one was complete.
            if look == Look::Clear && before.is_some_and(|before| before.is_subset(&children)) {
                return look;
            }
            before = (look == Look::Clear).then_some(children);
        }
        Look::Unclear
    }

    fn recognise(&mut self, children: &BTreeSet<i32>, known: impl Fn(i32) -> bool) -> Look {
        let mut worst = Look::Clear;
        for &pid in children {
            let main = self.tree.main_alive && pid == self.tree.main;
            if main || self.strangers.contains(&pid) || self.dead.contains(&pid) || known(pid) {
                continue;
            }
            worst = worst.max(self.recognise_one(pid));
        }
        worst
    }

    fn recognise_one(&mut self, pid: i32) -> Look {
        let Ok(held) = pidfd::open(pid) else {
            return Look::Unclear;
        };
        let token = proc::variable(pid, TOKEN_KEY);
        let ours = match &token {
            Variable::Is(token) => token == self.tree.token,
            Variable::Absent | Variable::Empty | Variable::Hidden => self.shares_session(pid),
        };
        // Alive after all that: what we read was about the process that we hold.
        if pidfd::has_exited(&held) {
            self.dead.insert(pid);
            return Look::Unclear;
        }
        if token == Variable::Empty && self.is_doubtful(pid) {
            return Look::Unclear;
        }
        if !ours {
            self.strangers.insert(pid);
            return Look::Clear;
        }
        if self.strike {
            // Gone meanwhile, or not ours to kill: the next reading tells.
            let _ = pidfd::send(&held, Signal::SIGKILL);
        }
        Look::Ours
    }

    /// The session of a dead main process, as long as nobody else has its number.
    fn shares_session(&self, pid: i32) -> bool {
        let main = self.tree.main;
        let shares = proc::stat(pid).is_some_and(|stat| stat.session == main || stat.pgrp == main);
        shares && (self.tree.main_alive || proc::stat(main).is_none_or(|stat| stat.is_dead()))
    }

    /// A process that executes a program shows no environment for a moment; one that still shows none after
    /// this long has none. One that exits shows none either, and may have children that come to the keeper
    /// only when it is dead: that has to be waited for, however long a busy machine takes.
    fn is_doubtful(&mut self, pid: i32) -> bool {
        const MOMENT: Duration = Duration::from_millis(100);
        let exits = proc::stat(pid).is_none_or(|stat| stat.vsize == 0);
        exits
            || self
                .doubtful
                .entry(pid)
                .or_insert_with(Instant::now)
                .elapsed()
                < MOMENT
    }
}
