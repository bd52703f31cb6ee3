//! What the pump's tests share: a log folder, a staging pipe, and a pump on them that can be
//! replaced by another one as a killed engine is.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use supervisor_logs::{
    Event, Folder, Ledger, Losses, OnFull, Pump, Rules, Step, Stream, StreamId, Target,
};
use tempfile::TempDir;

/// How long a condition may take to come true.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The ledger in plain memory, with the `begun` keys in the order they came.
#[derive(Clone, Default)]
pub struct Record(Arc<Mutex<Notes>>);

#[derive(Default)]
struct Notes {
    owner: Option<StreamId>,
    step: Step,
    begun: Vec<(u64, u64)>,
    losses: BTreeMap<StreamId, Losses>,
    /// Staging pipes made by the pump, as the keeper holds them.
    stages: Vec<(u32, OwnedFd, OwnedFd)>,
}

impl Record {
    pub fn begun_keys(&self) -> Vec<u64> {
        let notes = self.0.lock().unwrap();
        notes.begun.iter().map(|(key, _)| *key).collect()
    }

    pub fn own(&self, owner: &StreamId) {
        self.0.lock().unwrap().owner = Some(owner.clone());
    }
}

impl Ledger for Record {
    fn hold_stage(&self, stage: u32, read: &OwnedFd, write: &OwnedFd) {
        let ends = (read.try_clone().unwrap(), write.try_clone().unwrap());
        self.0.lock().unwrap().stages.push((stage, ends.0, ends.1));
    }

    fn owner(&self, _: u32) -> Option<StreamId> {
        self.0.lock().unwrap().owner.clone()
    }

    fn set_owner(&self, _: u32, owner: &StreamId) {
        self.own(owner);
    }

    fn step(&self, _: u32) -> Step {
        self.0.lock().unwrap().step
    }

    fn set_step(&self, _: u32, step: &Step) {
        self.0.lock().unwrap().step = *step;
    }

    fn begun(&self, key: u64, position: u64) {
        self.0.lock().unwrap().begun.push((key, position));
    }

    fn begun_at(&self, key: u64) -> Option<u64> {
        let notes = self.0.lock().unwrap();
        let found = notes.begun.iter().find(|(other, _)| *other == key);
        found.map(|(_, position)| *position)
    }

    fn losses(&self, id: &StreamId) -> Losses {
        let notes = self.0.lock().unwrap();
        notes.losses.get(id).copied().unwrap_or_default()
    }

    fn set_losses(&self, id: &StreamId, losses: &Losses) {
        let mut notes = self.0.lock().unwrap();
        notes.losses.insert(id.clone(), *losses);
    }
}

pub struct Rig {
    pub dir: TempDir,
    pub folder: Folder,
    pub record: Record,
    /// What holds for every stream.
    pub rules: Arc<Rules>,
    pub staging_read: OwnedFd,
    pub staging_write: OwnedFd,
    pub events: Receiver<Event>,
    told: Sender<Event>,
    pump: Option<Pump>,
}

impl Rig {
    pub fn new() -> Rig {
        Rig::over(tempfile::tempdir().unwrap())
    }

    /// With the logs in `dir/logs`, and nothing dropped.
    pub fn over(dir: TempDir) -> Rig {
        Rig::with(
            dir,
            Rules {
                on_full: OnFull::Block,
                ..Rules::default()
            },
        )
    }

    /// With these rules for every stream.
    pub fn with(dir: TempDir, rules: Rules) -> Rig {
        let mut rig = Rig::stopped(dir);
        rig.rules = Arc::new(rules);
        rig.start();
        rig
    }

    /// Without a pump yet.
    pub fn stopped(dir: TempDir) -> Rig {
        let (staging_read, staging_write) = pipe2(OFlag::O_CLOEXEC).unwrap();
        let (told, events) = channel();
        let folder = Folder::new(dir.path().join("logs"));
        Rig {
            dir,
            folder,
            record: Record::default(),
            rules: Arc::new(Rules {
                on_full: OnFull::Block,
                ..Rules::default()
            }),
            staging_read,
            staging_write,
            events,
            told,
            pump: None,
        }
    }

    pub fn start(&mut self) {
        let told = Mutex::new(self.told.clone());
        let rules = Arc::clone(&self.rules);
        let ends = (
            self.staging_read.try_clone().unwrap(),
            self.staging_write.try_clone().unwrap(),
        );
        let pump = Pump::start(
            self.folder.clone(),
            Arc::new(self.record.clone()),
            vec![(0, ends.0, ends.1)],
            move |id| Some(target(id, &rules)),
            move |event| {
                // The test may be over before the pump is.
                let _ = told.lock().unwrap().send(event);
            },
        );
        self.pump = Some(pump.unwrap());
    }

    pub fn attach(&self, key: u64, id: &StreamId, pipe: OwnedFd, fresh: bool) {
        self.pump()
            .attach(key, target(id, &self.rules), pipe, fresh);
    }

    pub fn stop(&mut self) {
        self.pump = None;
    }

    pub fn pump(&self) -> &Pump {
        self.pump.as_ref().unwrap()
    }

    /// Attaches a new pipe and gives the app's end of it.
    pub fn run(&self, key: u64, id: &StreamId) -> File {
        let (read, write) = pipe();
        self.attach(key, id, read, true);
        write
    }

    pub fn finish(&self, key: u64) -> bool {
        self.pump().finish(key);
        self.finished(key)
    }

    /// Waits for the answer to `finish`, skipping everything else; whether the pipe was kept.
    pub fn finished(&self, key: u64) -> bool {
        loop {
            match self.next_event() {
                Event::Finished {
                    key: told, kept, ..
                } if told == key => return kept,
                Event::Finished { .. }
                | Event::Ended { .. }
                | Event::Released { .. }
                | Event::Trouble { .. }
                | Event::Recovered { .. }
                | Event::Notice { .. }
                | Event::Dropped { .. } => {}
            }
        }
    }

    /// The next one but for [`Event::Ended`], which comes whenever an app's last writer goes, and for
    /// [`Event::Notice`], which comes with full disks.
    pub fn next_event(&self) -> Event {
        loop {
            match self.any_event() {
                Event::Ended { .. } | Event::Notice { .. } => {}
                event => return event,
            }
        }
    }

    pub fn any_event(&self) -> Event {
        self.events
            .recv_timeout(PATIENCE)
            .expect("the pump said nothing")
    }

    pub fn path(&self, id: &StreamId) -> PathBuf {
        self.folder.path(id)
    }

    pub fn content(&self, id: &StreamId) -> Vec<u8> {
        std::fs::read(self.path(id)).unwrap_or_default()
    }

    /// Waits until the log is exactly this.
    pub fn expect_content(&self, id: &StreamId, wanted: &[u8]) {
        wait_until(|| self.content(id).len() >= wanted.len());
        let content = self.content(id);
        assert!(
            content == wanted,
            "{} bytes instead of {}: {:?}…",
            content.len(),
            wanted.len(),
            String::from_utf8_lossy(&content[..content.len().min(200)])
        );
    }
}

pub fn pipe() -> (OwnedFd, File) {
    let (read, write) = pipe2(OFlag::O_CLOEXEC).unwrap();
    (read, File::from(write))
}

pub fn out(app: &str) -> StreamId {
    StreamId {
        app: app.to_owned(),
        instance: 0,
        stream: Stream::Out,
    }
}

pub fn wait_until(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "the condition did not come true");
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub fn target(id: &StreamId, rules: &Arc<Rules>) -> Target {
    Target {
        id: id.clone(),
        path: None,
        rules: Arc::clone(rules),
    }
}
