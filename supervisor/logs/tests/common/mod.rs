//! What the pump's tests share: a log folder, a staging pipe, and a pump on them that can be
//! replaced by another one as a killed engine is.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use supervisor_logs::{Event, Folder, Pump, Staging, Stream, StreamId};
use tempfile::TempDir;

/// How long a condition may take to come true.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The staging record in plain memory, with the `begun` keys in the order they came.
#[derive(Clone, Default)]
pub struct Record(Arc<Mutex<(Option<StreamId>, Vec<u64>)>>);

impl Record {
    pub fn begun_keys(&self) -> Vec<u64> {
        self.0.lock().unwrap().1.clone()
    }
}

impl Staging for Record {
    fn owner(&self) -> Option<StreamId> {
        self.0.lock().unwrap().0.clone()
    }

    fn set_owner(&mut self, owner: &StreamId) {
        self.0.lock().unwrap().0 = Some(owner.clone());
    }

    fn begun(&mut self, key: u64) {
        self.0.lock().unwrap().1.push(key);
    }
}

pub struct Rig {
    pub dir: TempDir,
    pub folder: Folder,
    pub record: Record,
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

    /// With the logs in `dir/logs`.
    pub fn over(dir: TempDir) -> Rig {
        let mut rig = Rig::stopped(dir);
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
            staging_read,
            staging_write,
            events,
            told,
            pump: None,
        }
    }

    pub fn start(&mut self) {
        let told = self.told.clone();
        let pump = Pump::start(
            self.folder.clone(),
            self.staging_read.try_clone().unwrap(),
            self.staging_write.try_clone().unwrap(),
            Box::new(self.record.clone()),
            move |event| {
                // The test may be over before the pump is.
                let _ = told.send(event);
            },
        );
        self.pump = Some(pump.unwrap());
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
        self.pump().attach(key, id.clone(), read, true);
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
                Event::Finished { key: told, kept } if told == key => return kept,
                Event::Finished { .. }
                | Event::Ended { .. }
                | Event::Released { .. }
                | Event::Trouble { .. }
                | Event::Recovered { .. }
                | Event::Dropped { .. } => {}
            }
        }
    }

    /// The next one but for [`Event::Ended`], which comes whenever an app's last writer goes.
    pub fn next_event(&self) -> Event {
        loop {
            match self.any_event() {
                Event::Ended { .. } => {}
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
