//! `logs` with real files, real inotify descriptors, and a daemon that may go away.

mod follow;
mod reading;
pub mod shelf;
