//! Which names change, step by step. Pure.
//!
//! Promises that being killed between any two steps loses and reorders nothing, if whoever comes
//! next mends what he finds before he changes more. A step is one system call that is done or not.

use std::collections::BTreeSet;

use super::names::Name;

/// One change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Give a file another name, and so remove what had it.
    Rename(Name, Name),
    /// Remove a file.
    Remove(Name),
}

/// Changes to a folder with these names in it.
#[derive(Debug)]
pub(super) struct Plan {
    names: BTreeSet<Name>,
    /// What is to be done, in this order.
    pub(super) steps: Vec<Step>,
}

impl Plan {
    /// Nothing yet.
    pub(super) fn over(names: impl IntoIterator<Item = Name>) -> Plan {
        Plan {
            names: names.into_iter().collect(),
            steps: Vec::new(),
        }
    }

    /// Finishes or undoes what a kill interrupted.
    pub(super) fn mend(&mut self) {
        let found: Vec<Name> = self.names.iter().copied().collect();
        // In order: all logs before all indexes.
        for name in found {
            match name {
                // The compressed file got its name when it was whole.
                Name::Log(number) if self.has(Name::Compressed(number)) => self.remove(name),
                // The index went ahead of its log, or its log was deleted by somebody.
                Name::Index(number) if number > 0 && !self.has_log(number) => {
                    let below = number - 1;
                    if self.has_log(below) && !self.has(Name::Index(below)) {
                        self.rename(name, Name::Index(below));
                    } else {
                        self.remove(name);
                    }
                }
                Name::Log(_) | Name::Compressed(_) | Name::Index(_) | Name::Unfinished => {}
            }
        }
    }

    /// The live file becomes number 1 and so on, up to the first number that is free; what would
    /// come after number `keep` goes.
    pub(super) fn rotate(&mut self, keep: u32) {
        let free = (1..).find(|number| !self.has_log(*number)).unwrap_or(1);
        let moved = if self.has_log(0) { free } else { 0 };
        // From the top: a kill leaves no hole.
        for number in self.numbers().into_iter().rev() {
            if number + u32::from(number < moved) > keep {
                self.discard(number);
            }
        }
        for number in (0..moved).rev().filter(|number| *number < keep) {
            self.move_up(number);
        }
    }

    /// All rotated files go.
    pub(super) fn discard_rotated(&mut self) {
        for number in self.numbers().into_iter().rev().filter(|n| *n > 0) {
            self.discard(number);
        }
    }

    /// A log goes, its index first: an index without its log could be taken for another's.
    pub(super) fn discard(&mut self, number: u32) {
        for name in [
            Name::Index(number),
            Name::Compressed(number),
            Name::Log(number),
        ] {
            if self.has(name) {
                self.remove(name);
            }
        }
    }

    /// The finished compressed file takes the place of `BASE.number`.
    pub(super) fn commit(&mut self, number: u32) {
        self.rename(Name::Unfinished, Name::Compressed(number));
        self.remove(Name::Log(number));
    }

    /// What a compression left that did not end.
    pub(super) fn clean(&mut self) {
        if self.has(Name::Unfinished) {
            self.remove(Name::Unfinished);
        }
    }

    fn move_up(&mut self, number: u32) {
        let above = number + 1;
        for (from, to) in [
            (Name::Index(number), Name::Index(above)),
            (Name::Compressed(number), Name::Compressed(above)),
            (Name::Log(number), Name::Log(above)),
        ] {
            if self.has(from) {
                self.rename(from, to);
            }
        }
    }

    fn has(&self, name: Name) -> bool {
        self.names.contains(&name)
    }

    fn has_log(&self, number: u32) -> bool {
        self.has(Name::Log(number)) || self.has(Name::Compressed(number))
    }

    /// The numbers that have a log, ascending.
    fn numbers(&self) -> Vec<u32> {
        let numbers: BTreeSet<u32> = self
            .names
            .iter()
            .filter_map(|name| match name {
                Name::Log(number) | Name::Compressed(number) => Some(*number),
                Name::Index(_) | Name::Unfinished => None,
            })
            .collect();
        numbers.into_iter().collect()
    }

    fn rename(&mut self, from: Name, to: Name) {
        self.names.remove(&from);
        self.names.insert(to);
        self.steps.push(Step::Rename(from, to));
    }

    fn remove(&mut self, name: Name) {
        self.names.remove(&name);
        self.steps.push(Step::Remove(name));
    }
}

#[cfg(test)]
mod tests;
