//! What can only be seen from inside: what happens between two pieces, and that nobody stays.

use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

use super::*;
use crate::{Rules, Stream};

struct Rig {
    _dir: tempfile::TempDir,
    target: Target,
    family: Arc<Family>,
    janitor: Janitor,
}

impl Rig {
    fn new(rules: Rules) -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path().join("logs"));
        let target = Target {
            id: StreamId {
                app: "shop".to_owned(),
                instance: 0,
                stream: Stream::Out,
            },
            path: None,
            rules: Arc::new(rules),
        };
        Rig {
            family: Arc::new(Family::new(&folder, &target)),
            janitor: Janitor::new(folder, Arc::default(), |id, error| panic!("{id}: {error}")),
            target,
            _dir: dir,
        }
    }

    /// Rotated files with so many bytes each, no live one.
    fn rotate(&self, count: usize, size: usize) {
        for _ in 0..count {
            let mut live = self.family.open_live().unwrap();
            live.write_all(&vec![b'x'; size]).unwrap();
            self.family.rotate(99).unwrap();
        }
    }

    /// No thread is there, and none has anything to do.
    fn wait_until_idle(&self) {
        let end = Instant::now() + Duration::from_secs(20);
        while Arc::strong_count(&self.janitor.0) > 1 || self.janitor.0.lock().any() {
            assert!(Instant::now() < end, "still busy");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn the_thread_is_gone_when_there_is_nothing_to_do_and_comes_back() {
    let rig = Rig::new(Rules::default());
    rig.janitor.adopted(&rig.family, &rig.target);
    assert!(!rig.janitor.0.lock().running, "nothing to do");
    for _ in 0..3 {
        rig.rotate(1, 1000);
        rig.janitor
            .rotated(&rig.family, &rig.target, Victims::default());
        rig.wait_until_idle();
        let members = rig.family.members().unwrap();
        assert!(members.iter().all(|member| member.compressed));
    }
}

#[test]
fn a_deletion_does_not_wait_for_a_compression() {
    let rig = Rig::new(Rules::default());
    rig.rotate(4, 1_000_000);
    let shared = &rig.janitor.0;
    let newest = rig.family.members().unwrap().remove(0);
    let mut pieces = 0;
    let mut go_on = || {
        pieces += 1;
        if pieces == 1 {
            let mut wishes = shared.lock();
            wishes.running = true;
            wishes.know(&rig.family, &rig.target);
            wishes.crowded.insert("shop".to_owned(), 2_000_000);
        }
        shared.interlude()
    };
    let mut left = 0;
    let mut look = || {
        let on = go_on();
        left = rig.family.members().unwrap().len();
        on
    };
    assert!(compress::compress(&rig.family, &newest, &mut look).unwrap());
    assert_eq!(left, 2, "the two oldest went meanwhile");
    assert!(pieces > 10);
    assert!(rig.family.members().unwrap()[0].compressed);
}

#[test]
fn a_compression_ends_when_its_file_is_deleted_or_the_janitor_goes() {
    let rig = Rig::new(Rules::default());
    rig.rotate(2, 1_000_000);
    let shared = &rig.janitor.0;
    let newest = rig.family.members().unwrap().remove(0);
    let mut pieces = 0;
    let mut delete = || {
        pieces += 1;
        if pieces == 3 {
            rig.family.remove(&newest).unwrap().unwrap();
        }
        shared.interlude()
    };
    assert!(!compress::compress(&rig.family, &newest, &mut delete).unwrap());
    assert_eq!(pieces, 3);

    let oldest = rig.family.members().unwrap().remove(0);
    pieces = 0;
    let mut go = || {
        pieces += 1;
        shared.lock().over = true;
        shared.interlude()
    };
    assert!(!compress::compress(&rig.family, &oldest, &mut go).unwrap());
    assert_eq!(pieces, 1);
    let folder = rig.family.live().parent().unwrap();
    assert_eq!(
        fs::read_dir(folder).unwrap().count(),
        1,
        "and its part with it"
    );
}

#[test]
fn the_thread_gives_way_to_everybody() {
    let rig = Rig::new(Rules::default());
    let nice = std::thread::spawn({
        let shared = Arc::clone(&rig.janitor.0);
        move || {
            shared.work();
            let stat = fs::read_to_string("/proc/thread-self/stat").unwrap();
            let (_, rest) = stat.rsplit_once(')').unwrap();
            rest.split_whitespace().nth(16).unwrap().to_owned()
        }
    });
    assert_eq!(nice.join().unwrap(), "19");
}
