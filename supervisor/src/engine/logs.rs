//! The engine's side of the log pump: what it tells, what holds for it, and for how long the end of a
//! run waits for it.
//!
//! Promises that no disk of a log holds up anything but that log: a run whose pipes the pump does not
//! answer for is over all the same, and its pipes stay with the keeper until it does.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::sys::statvfs::statvfs;
use supervisor_config::Quota;
use supervisor_core::{ServiceId, Span, Time};
use supervisor_logs::{Event, Losses, OnFull, StreamId};

use super::ending::{of_pipe_key, pipe_key, stream_id};
use super::inbox::Message;
use super::spawner::pipe_tags;
use super::{Engine, Live, birth, now};
use crate::persist::desired::Desired;
use crate::persist::slots::CellId;

/// So long the end of a run waits for its last lines to be in the log.
const PATIENCE: Span = Span(2000);
/// So many pipes of runs that are over may wait for a disk before there is no further run: each holds
/// memory of the kernel.
const WAITING: usize = 16;
/// So long an operator is told that lines were dropped.
const RECENT: Span = Span(5 * 60 * 1000);

const SILENT: &str = "the disk of its log does not answer";
const UNWRITTEN: &str = "its log cannot be written";

/// All logs together may take a tenth of their file system, but not less or more than this.
const ROOM: (u64, u64) = (1_000_000_000, 4_000_000_000);

/// A pipe of a run that the pump has.
#[derive(Debug)]
pub struct Pipe {
    key: u64,
    /// The pump has been asked to finish it.
    asked: bool,
}

/// What is the matter with logs.
#[derive(Debug, Default)]
pub struct News {
    /// Streams whose log cannot be written, with the reason.
    troubles: BTreeMap<StreamId, String>,
    /// When the pump last told that it drops bytes of a stream.
    dropped: BTreeMap<StreamId, Time>,
    /// Pipes of runs that are over, which the pump has not answered for.
    late: BTreeMap<u64, StreamId>,
    /// Pipes of runs that are over, whose bytes cannot be written yet.
    kept: BTreeMap<u64, StreamId>,
}

impl News {
    /// Why there must be no further run that writes to these streams; `block`: nothing that it writes
    /// may be dropped.
    fn choke(&self, streams: &[StreamId; 2], block: bool) -> Option<String> {
        let of = |pipes: &BTreeMap<u64, StreamId>| {
            pipes.values().filter(|id| streams.contains(id)).count()
        };
        let why = if of(&self.late) >= WAITING {
            SILENT
        } else if block && of(&self.kept) >= WAITING {
            UNWRITTEN
        } else {
            return None;
        };
        Some(format!(
            "{why}, and what its last runs wrote still waits for that"
        ))
    }
}

impl Engine {
    /// The log pump tells.
    pub(super) fn log_event(&mut self, event: Event) {
        match event {
            Event::Ended { key, tail } => {
                self.note_tail(key, tail);
                self.finish_pipe(key);
                self.pipe_is_done(key);
            }
            Event::Finished { key, kept, tail } => {
                if kept {
                    self.keep_pipe(key);
                } else {
                    self.let_go_of_pipe(key);
                }
                if self.log_news.late.remove(&key).is_some() {
                    tracing::info!("the disk of a log answers again");
                }
                self.note_tail(key, tail);
                self.pipe_is_done(key);
            }
            Event::Released { key } => {
                self.log_news.kept.remove(&key);
                self.let_go_of_pipe(key);
            }
            Event::Trouble { id, error } => {
                tracing::error!("log of {id}: {error}");
                self.log_news.troubles.insert(id, error);
            }
            Event::Recovered { id } => {
                tracing::info!("log of {id}: goes on");
                self.log_news.troubles.remove(&id);
            }
            Event::Notice { id, text } => tracing::warn!("log of {id}: {text}"),
            Event::Dropped { id, losses } => self.dropped(id, &losses),
        }
    }

    fn dropped(&mut self, id: Option<StreamId>, losses: &Losses) {
        let Losses { lines, bytes, .. } = losses;
        match id {
            Some(id) => {
                tracing::error!("log of {id}: {lines} lines ({bytes} bytes) dropped so far");
                self.log_news.dropped.insert(id, now());
            }
            None => tracing::error!("{lines} lines ({bytes} bytes) of a forgotten app dropped"),
        }
    }

    /// Gives a pipe to the log pump.
    pub(super) fn attach(&mut self, cell: CellId, stream: u32, pipe: OwnedFd, fresh: bool) {
        let Some(live) = self.cells.get_mut(&cell) else {
            return;
        };
        let key = pipe_key(cell, live.run, stream);
        live.pipes.push(Pipe { key, asked: false });
        let target = self.streams.target_or_usual(&stream_id(&live.id, stream));
        self.pump.attach(key, target, pipe, fresh);
    }

    /// Asks for what is still in the pipes of a run; when that has to be there. `None`: there are
    /// none.
    pub(super) fn finish_pipes(&mut self, cell: CellId) -> Option<Time> {
        let live = self.cells.get(&cell)?;
        let keys: Vec<u64> = live.pipes.iter().map(|pipe| pipe.key).collect();
        for key in &keys {
            self.finish_pipe(*key);
        }
        (!keys.is_empty()).then(|| now().after(PATIENCE))
    }

    /// Once for each pipe: only the first answer says whether bytes are left.
    fn finish_pipe(&mut self, key: u64) {
        let live = self.cells.get_mut(&of_pipe_key(key).0);
        let mut pipes = live.into_iter().flat_map(|live| &mut live.pipes);
        if let Some(pipe) = pipes.find(|pipe| pipe.key == key && !pipe.asked) {
            pipe.asked = true;
            self.pump.finish(key);
        }
    }

    /// Keeps the last lines of a run, if its standard error goes through this pipe.
    fn note_tail(&mut self, key: u64, tail: Vec<u8>) {
        let (cell, run, stream) = of_pipe_key(key);
        let live = self.cells.get_mut(&cell).filter(|live| live.run == run);
        if let Some(live) = live.filter(|live| stream == 1 || live.merged) {
            live.tail = tail;
        }
    }

    /// All of a pipe is in the log, or on its way there in its order.
    fn pipe_is_done(&mut self, key: u64) {
        let (cell, run, _) = of_pipe_key(key);
        let Some(live) = self.cells.get_mut(&cell).filter(|live| live.run == run) else {
            return;
        };
        live.pipes.retain(|pipe| pipe.key != key);
        if live.pipes.is_empty() && live.is_cleared() {
            self.over(cell);
        }
    }

    fn keep_pipe(&mut self, key: u64) {
        let (cell, _, stream) = of_pipe_key(key);
        if let Some(id) = self.slots.owner(cell.slot()) {
            self.log_news.kept.insert(key, stream_id(&id, stream));
        }
    }

    fn let_go_of_pipe(&self, key: u64) {
        let (cell, run, stream) = of_pipe_key(key);
        self.estate.drop_held(pipe_tags(cell, run)[stream as usize]);
    }

    /// When the end of a run waits no longer for its last lines.
    pub(super) fn next_log_deadline(&self) -> Option<Time> {
        self.cells.values().filter_map(Live::logs_by).min()
    }

    /// Ends the runs that have waited for long enough. Their pipes stay held until the pump answers.
    pub(super) fn give_up_on_logs(&mut self) {
        let now = now();
        let late = self.cells.iter();
        let late = late.filter(|(_, live)| live.logs_by().is_some_and(|by| by <= now));
        for cell in late.map(|(cell, _)| *cell).collect::<Vec<_>>() {
            let Some(live) = self.cells.get_mut(&cell) else {
                continue;
            };
            tracing::error!("{}: {SILENT}; its end does not wait for it", live.id);
            for Pipe { key, .. } in std::mem::take(&mut live.pipes) {
                let id = stream_id(&live.id, of_pipe_key(key).2);
                self.log_news.late.insert(key, id);
            }
            self.over(cell);
        }
    }

    /// Why no further run of an instance may begin, on account of its logs.
    pub(super) fn is_choked(&self, id: &ServiceId) -> Option<String> {
        let streams = [0, 1].map(|stream| stream_id(id, stream));
        let rules = self.streams.target_or_usual(&streams[0]).rules;
        self.log_news
            .choke(&streams, rules.on_full == OnFull::Block)
    }

    /// What could not be kept of both streams of an instance.
    pub(super) fn losses(&self, id: &ServiceId) -> Losses {
        let Some(instance) = self.instances.get(id) else {
            return Losses::default();
        };
        let [out, err] = [0, 1].map(|stream| self.slots.losses(instance.slot, stream));
        Losses {
            lines: out.lines + err.lines,
            bytes: out.bytes + err.bytes,
            ..Losses::default()
        }
    }

    /// What an operator must know of an instance's logs.
    pub(super) fn log_note(&self, id: &ServiceId) -> Option<String> {
        let streams = [0, 1].map(|stream| stream_id(id, stream));
        let news = &self.log_news;
        let trouble = streams.iter().find_map(|id| news.troubles.get(id));
        let trouble = trouble.map(|error| format!("its log cannot be written: {error}"));
        let is_late = || news.late.values().any(|id| streams.contains(id));
        let trouble = trouble.or_else(|| is_late().then(|| SILENT.to_owned()));
        let recent = |at: &Time| now().since(*at) < RECENT;
        let dropped = streams.iter().filter_map(|id| news.dropped.get(id));
        let dropped = dropped.filter(|at| recent(at)).count() > 0;
        let dropped = dropped.then(|| {
            let Losses { lines, bytes, .. } = self.losses(id);
            format!("{lines} lines ({bytes} bytes) of its logs were dropped")
        });
        let all: Vec<String> = trouble.into_iter().chain(dropped).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// An instance is gone, and so is what was the matter with its logs.
    pub(super) fn forget_log_news(&mut self, id: &ServiceId) {
        for stream in [0, 1] {
            let id = stream_id(id, stream);
            self.log_news.troubles.remove(&id);
            self.log_news.dropped.remove(&id);
        }
    }

    /// Has the definitions hold that are on disk by now.
    pub(super) fn apply_log_rules(&self, before: &Desired) {
        for (app, rules) in self.streams.update(&self.desired) {
            tracing::info!("{app}: other rules hold for its logs");
            self.pump.set_rules(&app, &rules);
        }
        if self.desired.daemon.logs_max_total != before.daemon.logs_max_total {
            self.set_log_total();
        }
    }

    /// Tells the pump what all logs together may take. How much room there is takes a look at their
    /// disk, which may not answer.
    pub(super) fn set_log_total(&self) {
        match self.desired.daemon.logs_max_total {
            Some(Quota::Unlimited) => self.pump.set_total(None),
            Some(Quota::Bytes(bytes)) => self.pump.set_total(Some(bytes)),
            None => {
                let (logs, tell) = (self.paths.logs.clone(), birth::teller(&self.inbox));
                let look = move || tell(Message::LogRoom(room(&logs)));
                if let Err(error) = std::thread::Builder::new().spawn(look) {
                    tracing::error!("the logs' total is not limited: no thread to be had: {error}");
                }
            }
        }
    }

    /// It has answered.
    pub(super) fn log_room(&self, room: u64) {
        if self.desired.daemon.logs_max_total.is_none() {
            self.pump.set_total(Some(room));
        }
    }
}

/// What all logs together may take where nobody has said so.
fn room(logs: &Path) -> u64 {
    let (least, most) = ROOM;
    let size = statvfs(logs).map_or(0, |found| found.blocks() * found.fragment_size());
    (size / 10).clamp(least, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_whose_output_waits_are_followed_by_no_more_than_a_few() {
        let stream = |app: &str, stream| {
            let app = supervisor_core::Name::new(app).expect("a name");
            stream_id(&ServiceId { app, instance: 0 }, stream)
        };
        let [web, other] = ["web", "other"].map(|app| [0, 1].map(|number| stream(app, number)));
        let mut news = News::default();
        for key in 0..WAITING as u64 {
            assert_eq!(news.choke(&web, true), None);
            news.kept.insert(key, web[key as usize % 2].clone());
        }
        let why = news.choke(&web, true).expect("too many");
        assert!(why.starts_with("its log cannot be written"), "{why}");
        assert_eq!(news.choke(&web, false), None, "the oldest is dropped");
        assert_eq!(news.choke(&other, true), None);
        news.late = std::mem::take(&mut news.kept);
        let why = news.choke(&web, false).expect("too many");
        assert!(why.starts_with("the disk"), "{why}");
    }

    #[test]
    fn the_room_for_logs_is_within_its_bounds() {
        let (least, most) = ROOM;
        assert!((least..=most).contains(&room(Path::new("/"))));
        assert_eq!(room(Path::new("/not/here")), least);
    }
}
