//! Tidying and compressing with real files: what the tests share.

mod compressing;
mod kill;
mod totals;

use std::fs::FileTimes;
use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use supervisor_logs::{
    Family, Folder, Janitor, LogError, Member, Registry, Rules, Stream, StreamId, Target,
};

struct Rig {
    dir: tempfile::TempDir,
    folder: Folder,
    registry: Arc<Registry>,
    janitor: Janitor,
    troubles: Arc<Mutex<Vec<String>>>,
}

impl Rig {
    fn new() -> Rig {
        Rig::over(tempfile::tempdir().unwrap())
    }

    fn over(dir: tempfile::TempDir) -> Rig {
        let folder = Folder::new(dir.path().join("logs"));
        let registry = Arc::new(Registry::default());
        let troubles = Arc::new(Mutex::new(Vec::new()));
        let tell = Arc::clone(&troubles);
        let trouble = move |id: &StreamId, error: LogError| {
            tell.lock().unwrap().push(format!("{id}: {error}"));
        };
        Rig {
            janitor: Janitor::new(folder.clone(), Arc::clone(&registry), trouble),
            dir,
            folder,
            registry,
            troubles,
        }
    }

    fn family(&self, target: &Target) -> Arc<Family> {
        Arc::new(Family::new(&self.folder, target))
    }

    fn no_trouble(&self) {
        assert_eq!(*self.troubles.lock().unwrap(), Vec::<String>::new());
    }
}

fn target(app: &str, instance: u32, stream: Stream, rules: &Rules) -> Target {
    Target {
        id: StreamId {
            app: app.to_owned(),
            instance,
            stream,
        },
        path: None,
        rules: Arc::new(rules.clone()),
    }
}

fn out(app: &str, rules: &Rules) -> Target {
    target(app, 0, Stream::Out, rules)
}

fn plain() -> Rules {
    Rules {
        compress: false,
        ..Rules::default()
    }
}

fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < end, "waited for {what} in vain");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A rotated file, written at this second of a long past day.
fn archive(family: &Family, content: &[u8], second: u64) {
    let mut live = family.open_live().unwrap();
    live.write_all(content).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + second);
    live.set_times(FileTimes::new().set_modified(time)).unwrap();
    drop(family.rotate(99).unwrap());
}

/// The seconds of the archives that are there, oldest first.
fn seconds(families: &[&Family]) -> Vec<u64> {
    let members = families.iter().flat_map(|f| f.members().unwrap());
    let mut seconds: Vec<u64> = members
        .filter(|member| member.number > 0)
        .map(|member| {
            let since = member.modified.duration_since(SystemTime::UNIX_EPOCH);
            since.unwrap().as_secs() - 1_000_000
        })
        .collect();
    seconds.sort_unstable();
    seconds
}

fn content(family: &Family, member: &Member) -> Vec<u8> {
    let mut log = family.open_for_reading(member).unwrap().unwrap().log;
    let mut bytes = Vec::new();
    if member.compressed {
        zstd::stream::copy_decode(&mut log, &mut bytes).unwrap();
    } else {
        log.read_to_end(&mut bytes).unwrap();
    }
    bytes
}

/// Bytes that nothing makes shorter.
fn noise(size: usize, mut seed: u64) -> Vec<u8> {
    let next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 24) as u8
    };
    std::iter::repeat_with(next).take(size).collect()
}

fn is_all_compressed(family: &Family) -> bool {
    let members = family.members().unwrap();
    members.iter().all(|m| m.compressed || m.number == 0)
}
