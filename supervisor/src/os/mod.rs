//! What the daemon says to the kernel about processes: start one, look at it, signal it, end its whole tree.
//!
//! Owns: the spawn of one process (`spawn`, `child`, `clone`), the pipes it writes to (`pipe`), who it
//! runs as (`users`), who connects (`peer`), signals and exits by pidfd (`pidfd`), what `/proc` tells
//! (`proc`), the tree of a run as `/proc` shows it (`tree`, `orphans`), its cgroup where there are some
//! (`cgroup`), leaving the terminal (`daemon`), and whether a program could take the place of this one
//! (`program`).
//! Promises: raw system calls only between clone and exec; no signal to a process whose identity was not
//! checked after its pidfd was opened; no symbol newer than glibc 2.35.
//! Leaves to others: when to do any of it, reaping (the keeper), and what a reader is told.

pub mod cgroup;
mod child;
mod clone;
pub mod daemon;
pub mod mapping;
mod orphans;
pub mod own;
pub mod peer;
pub mod pidfd;
pub mod pipe;
pub mod proc;
pub mod program;
pub mod spawn;
pub mod tree;
pub mod users;
pub mod watch;

#[cfg(test)]
mod tests;
