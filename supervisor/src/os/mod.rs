//! What the daemon says to the kernel about processes: start one, look at it, signal it, end its whole tree.
//!
//! Owns: the spawn of one process (`spawn`, `child`, `clone`), the pipes it writes to (`pipe`), who it
//! runs as (`users`), signals and exits by pidfd (`pidfd`), what `/proc` tells (`proc`), the tree of a run
//! without a cgroup (`tree`, `orphans`), and leaving the terminal (`daemon`).
//! Promises: raw system calls only between clone and exec; no signal to a process whose identity was not
//! checked after its pidfd was opened; no symbol newer than glibc 2.35.
//! Leaves to others: when to do any of it, reaping (the keeper), cgroups, and what a reader is told.

mod child;
mod clone;
pub mod daemon;
pub mod mapping;
mod orphans;
pub mod own;
pub mod pidfd;
pub mod pipe;
pub mod proc;
pub mod spawn;
pub mod tree;
pub mod users;
pub mod watch;

#[cfg(test)]
mod tests;
