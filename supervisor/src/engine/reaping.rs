//! Learning that a process has ended, and how: from the keeper's records, or, for a process that is not
//! the keeper's child, from its pidfd.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use supervisor_core::{Exit, RunId, Time};

use super::ending::wall_ms;
use super::inbox::Message;
use super::{Engine, now};
use crate::keeper::exits::{RING, Record};
use crate::os::{pidfd, proc, watch};
use crate::persist::slots::CellId;

impl Engine {
    /// Reads what the keeper has written down since the last time.
    pub(super) fn read_exits(&mut self) {
        let Ok(head) = self.exits.head() else { return };
        let first = self.seen + 1;
        self.seen = head;
        // A head before what was seen: one of the two was damaged.
        let mut missed = head + 1 < first || head.saturating_sub(first) >= RING;
        for sequence in first.max(head.saturating_sub(RING) + 1)..=head {
            // Overwritten meanwhile, or an orphan, or a child whose report is not here yet: then
            // that looks for it.
            match self.exits.record(sequence) {
                Some(record) => {
                    if let Some(&cell) = self.by_pid.get(&record.pid) {
                        self.ended(cell, &record);
                    }
                }
                None => missed = true,
            }
        }
        if missed {
            tracing::warn!("more than {RING} exits at once; asking each cell");
            let cells: Vec<CellId> = self.by_pid.values().copied().collect();
            for cell in cells {
                self.look_for_exit(cell);
            }
        }
    }

    /// Whether this run's process has ended already: asks the keeper's records, then the process.
    pub(super) fn look_for_exit(&mut self, cell: CellId) {
        let Some(live) = self.cells.get(&cell) else {
            return;
        };
        let Some(pid) = live.pid else { return };
        if let Some(record) = self.exit_record(cell, pid) {
            return self.ended(cell, &record);
        }
        let dead = live.pidfd.as_ref().is_none_or(pidfd::has_exited);
        // A child of this keeper that is dead and not written down yet will be in a moment. Any other
        // process that has its number now is a stranger.
        let birth = self.slots.notes(cell).birth;
        let pending = proc::stat(pid)
            .is_some_and(|stat| stat.ppid == self.keeper && (birth == 0 || stat.start == birth));
        if dead && !live.foreign && !pending {
            match self.exit_record(cell, pid) {
                Some(record) => self.ended(cell, &record),
                None => self.gone(cell, self.slots.notes(cell).run, None),
            }
        }
    }

    fn exit_record(&self, cell: CellId, pid: i32) -> Option<Record> {
        let seen = self.slots.notes(cell).seen;
        let ours = |record: &Record| record.pid == pid && record.sequence > seen;
        self.exits.cell(cell.0).filter(ours).or_else(|| {
            let head = self.exits.head().ok()?;
            let first = (seen + 1).max(head.saturating_sub(RING) + 1);
            (first..=head)
                .filter_map(|sequence| self.exits.record(sequence))
                .find(ours)
        })
    }

    fn ended(&mut self, cell: CellId, record: &Record) {
        let exit = pidfd::from_status(record.status);
        let seen = self.slots.notes(cell).seen;
        if record.sequence > seen {
            self.begin_ending(cell, exit, record.wall_ms, Time(record.monotonic_ms));
        }
    }

    /// A process that is not the keeper's child has ended.
    pub(super) fn gone(&mut self, cell: CellId, run: RunId, exit: Option<Exit>) {
        if self.cells.get(&cell).is_some_and(|live| live.run == run) {
            self.begin_ending(cell, exit.unwrap_or(Exit::Unknown), wall_ms(), now());
        }
    }

    /// Watches a process whose parent is not the keeper: by its pidfd alone.
    pub(super) fn watch(&self, cell: CellId) {
        let Some(live) = self.cells.get(&cell) else {
            return;
        };
        let Some(pidfd) = live.pidfd.clone() else {
            return;
        };
        let (run, inbox) = (live.run, self.inbox.clone());
        tokio::spawn(async move {
            let exit = exit_by_pidfd(&pidfd).await;
            // The engine ends only with the process.
            let _ = inbox.send(Message::Gone { cell, run, exit }).await;
        });
    }
}

/// Waits until the process is dead, and a little longer for how it died: whoever its parent is has
/// to reap it first.
async fn exit_by_pidfd(pidfd: &Arc<OwnedFd>) -> Option<Exit> {
    if let Ok(watched) = watch::readable(Arc::clone(pidfd)) {
        // An error would mean that it cannot be watched; then it is looked at below.
        let _ = watched.readable().await;
    }
    if !pidfd::tells_exits() {
        return None;
    }
    // Where that is a real init, at once; so long are others waited for, since a code that is not
    // known counts as a failure.
    for _ in 0..150 {
        if let Some(exit) = pidfd::exit_of(pidfd) {
            return Some(exit);
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    None
}
