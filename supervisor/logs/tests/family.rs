//! The files of a stream, with real files: what is opened, rotated, read and refused.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use supervisor_logs::{Family, Folder, LogError, Member, Rules, Stream, StreamId, Target};

fn target(path: Option<PathBuf>) -> Target {
    Target {
        id: StreamId {
            app: "shop".to_owned(),
            instance: 3,
            stream: Stream::Err,
        },
        path,
        rules: Arc::new(Rules::default()),
    }
}

fn usual(dir: &Path) -> Family {
    Family::new(&Folder::new(dir.join("logs")), &target(None))
}

fn chosen(path: PathBuf) -> Family {
    Family::new(&Folder::new("/nowhere".into()), &target(Some(path)))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn put(family: &Family, text: &str) {
    family
        .open_live()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    family
        .open_index()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
}

fn text(file: &File) -> String {
    let mut text = String::new();
    (&mut &*file).read_to_string(&mut text).unwrap();
    text
}

fn numbers(family: &Family) -> Vec<u32> {
    family.members().unwrap().iter().map(|m| m.number).collect()
}

#[test]
fn a_new_family_touches_nothing_and_has_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let family = usual(dir.path());
    assert_eq!(family.live(), dir.path().join("logs/shop/3.err.log"));
    assert!(family.members().unwrap().is_empty());
    family.heal().unwrap();
    assert!(family.rotate(3).unwrap().is_empty());
    assert!(family.remove_archives().unwrap().is_empty());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn live_files_are_made_with_their_modes_and_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let family = usual(dir.path());
    put(&family, "one");
    assert_eq!(mode(family.live()), 0o640);
    assert_eq!(mode(&family.live().with_file_name("3.err.log.idx")), 0o640);
    let live = family.open_live().unwrap();
    assert_eq!(text(&live), "one");
    assert!(family.is_current(&live));
    drop(family.rotate(3).unwrap());
    assert!(!family.is_current(&live));
    assert!(!family.live().exists());
    assert_eq!(numbers(&family), [1]);
    drop(family.open_live().unwrap());
    assert_eq!(numbers(&family), [0, 1]);
}

#[test]
fn keep_is_kept_and_the_victims_are_the_files_that_went() {
    let dir = tempfile::tempdir().unwrap();
    let family = usual(dir.path());
    for number in 0..5 {
        put(&family, &format!("log {number}"));
        let victims = family.rotate(3).unwrap();
        assert_eq!(victims.is_empty(), number < 3);
    }
    put(&family, "live");
    let read: Vec<_> = family
        .members()
        .unwrap()
        .iter()
        .map(|member| {
            let opened = family.open_for_reading(member).unwrap().unwrap();
            let log = text(&opened.log);
            assert_eq!(text(&opened.index.unwrap()), log);
            assert_eq!(member.size, log.len() as u64);
            assert_eq!(member.index_size, log.len() as u64);
            log
        })
        .collect();
    assert_eq!(read, ["live", "log 4", "log 3", "log 2"]);

    // Keep nothing: the live file goes, too.
    assert!(!family.rotate(0).unwrap().is_empty());
    let folder = family.live().parent().unwrap();
    assert_eq!(fs::read_dir(folder).unwrap().count(), 0);
}

#[test]
fn flush_removes_what_is_rotated_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let family = usual(dir.path());
    for number in 0..3 {
        put(&family, &format!("log {number}"));
        family.rotate(9).unwrap();
    }
    put(&family, "live");
    let folder = family.live().parent().unwrap();
    fs::write(folder.join("3.err.log.1.gz"), "somebody else's").unwrap();
    fs::write(folder.join("13.err.log.1"), "another instance's").unwrap();
    drop(family.remove_archives().unwrap());
    assert_eq!(numbers(&family), [0]);
    assert_eq!(fs::read_dir(folder).unwrap().count(), 4);
}

#[test]
fn a_member_is_found_by_its_inode_whatever_its_number() {
    let dir = tempfile::tempdir().unwrap();
    let family = usual(dir.path());
    put(&family, "first");
    let member = family.members().unwrap().remove(0);
    family.rotate(9).unwrap();
    put(&family, "second");
    family.rotate(9).unwrap();
    let opened = family.open_for_reading(&member).unwrap().unwrap();
    assert_eq!(text(&opened.log), "first");
    assert_eq!(text(&opened.index.unwrap()), "first");
    drop(opened.log);
    // The inode of a file that is gone is soon another's: what differs tells.
    let others = [
        Member {
            number: 3,
            ..member.clone()
        },
        Member {
            number: 1,
            size: 4,
            ..member.clone()
        },
        Member {
            size: 6,
            ..member.clone()
        },
    ];
    for other in others {
        assert!(
            family.open_for_reading(&other).unwrap().is_none(),
            "{other:?}"
        );
    }
    fs::remove_file(family.live().with_file_name("3.err.log.2")).unwrap();
    assert!(family.open_for_reading(&member).unwrap().is_none());
}

#[test]
fn an_index_that_is_no_file_costs_the_index_only() {
    let dir = tempfile::tempdir().unwrap();
    let family = usual(dir.path());
    drop(family.open_live().unwrap());
    let index = family.live().with_file_name("3.err.log.idx");
    symlink("/etc/passwd", index).unwrap();
    let member = family.members().unwrap().remove(0);
    assert!(
        family
            .open_for_reading(&member)
            .unwrap()
            .unwrap()
            .index
            .is_none()
    );
    assert!(matches!(family.open_index(), Err(LogError::Refused { .. })));
}

#[test]
fn what_is_in_the_way_of_a_rotation_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let family = usual(dir.path());
    put(&family, "kept");
    let in_the_way = family.live().with_file_name("3.err.log.1");
    fs::create_dir(&in_the_way).unwrap();
    let error = family.rotate(3).unwrap_err().to_string();
    assert!(error.contains("3.err.log"), "{error}");
    assert_eq!(text(&family.open_live().unwrap()), "kept");
    fs::remove_dir(&in_the_way).unwrap();
    family.rotate(3).unwrap();
    let opened = family
        .open_for_reading(&family.members().unwrap()[0])
        .unwrap()
        .unwrap();
    assert_eq!(text(&opened.index.unwrap()), "kept");
}

#[test]
fn readers_beside_a_writer_that_rotates_see_all_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(dir.path().join("logs"));
    let family = Family::new(&folder, &target(None));
    put(&family, "0");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1..200 {
                drop(family.rotate(5).unwrap());
                put(&family, &number.to_string());
            }
            done.store(true, Ordering::Relaxed);
        });
        // Another one over the same folder: it shares the lock.
        let reader = Family::new(&folder, &target(None));
        while !done.load(Ordering::Relaxed) {
            let members = reader.open_members(3).unwrap();
            assert!(members.is_sorted_by(|(a, _), (b, _)| a.number < b.number));
            assert!(members.len() <= 4);
            let read: Vec<u32> = members
                .iter()
                .filter_map(|(_, opened)| text(&opened.log).parse().ok())
                .collect();
            assert!(read.is_sorted_by(|a, b| *a == b + 1), "{read:?}");
        }
    });
}

#[test]
fn a_chosen_path_has_its_family_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mine/app.txt");
    let family = chosen(path.clone());
    put(&family, "one");
    assert_eq!(mode(&dir.path().join("mine")), 0o750);
    assert_eq!(mode(&path), 0o640);
    drop(family.rotate(3).unwrap());
    put(&family, "two");
    assert_eq!(numbers(&family), [0, 1]);
    assert_eq!(
        fs::read_to_string(dir.path().join("mine/app.txt.1.idx")).unwrap(),
        "one"
    );
}

#[test]
fn only_the_last_folder_of_a_chosen_path_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let family = chosen(dir.path().join("a/b/app.log"));
    assert!(family.members().unwrap().is_empty());
    let error = family.open_live().unwrap_err();
    assert!(
        matches!(&error, LogError::NoFolder { path } if path.ends_with("a")),
        "{error}"
    );
    assert!(error.to_string().contains("make it"), "{error}");
    assert!(!dir.path().join("a").exists());
}

#[test]
fn chosen_paths_that_lead_nowhere_are_refused() {
    for path in ["app.log", "./x/app.log", "/", "/tmp/.."] {
        let error = chosen(path.into()).open_live().unwrap_err();
        assert!(matches!(error, LogError::Path { .. }), "{path}: {error}");
    }
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let error = chosen(dir.path().join("file/app.log"))
        .open_live()
        .unwrap_err();
    assert!(error.to_string().contains("not a folder"), "{error}");
    symlink("/etc/passwd", dir.path().join("link.log")).unwrap();
    let error = chosen(dir.path().join("link.log")).open_live().unwrap_err();
    assert!(error.to_string().contains("a symbolic link"), "{error}");
    let error = chosen("/dev/null".into()).open_live().unwrap_err();
    assert!(matches!(error, LogError::Refused { .. }), "{error}");
}

#[test]
fn links_on_the_way_are_followed_if_the_right_one_owns_them() {
    let dir = tempfile::tempdir().unwrap();
    let real = dir.path().join("real");
    fs::create_dir_all(real.join("deep")).unwrap();
    symlink("real/deep", dir.path().join("relative")).unwrap();
    symlink(&real, dir.path().join("absolute")).unwrap();
    symlink("loop", dir.path().join("loop")).unwrap();
    put(&chosen(dir.path().join("relative/../one.log")), "one");
    assert_eq!(fs::read_to_string(real.join("one.log")).unwrap(), "one");
    put(&chosen(dir.path().join("absolute/deep/two.log")), "two");
    assert_eq!(
        fs::read_to_string(real.join("deep/two.log")).unwrap(),
        "two"
    );
    let error = chosen(dir.path().join("loop/app.log"))
        .open_live()
        .unwrap_err();
    assert!(matches!(error, LogError::Io { .. }), "{error}");

    // Somebody else's.
    let link = dir.path().join("absolute");
    if std::os::unix::fs::lchown(&link, Some(65534), None).is_err() {
        eprintln!("skipped: giving a link away takes root");
        return;
    }
    let family = chosen(link.join("deep/two.log"));
    for error in [
        family.open_live().unwrap_err(),
        family.members().unwrap_err(),
    ] {
        assert!(
            matches!(&error, LogError::Link { owner: 65534, .. }),
            "{error}"
        );
        assert!(error.to_string().contains("absolute"), "{error}");
    }
    // A folder of somebody else is fine.
    chown(real.join("deep"), Some(65534), None).unwrap();
    put(&chosen(real.join("deep/three.log")), "three");
}

/// Whether this process has the file open, and it has no name.
fn is_held(member: &Member) -> bool {
    fs::read_dir("/proc/self/fd").unwrap().any(|entry| {
        let path = entry.unwrap().path();
        fs::metadata(path).is_ok_and(|meta| meta.ino() == member.inode && meta.nlink() == 0)
    })
}

#[test]
fn victims_hold_their_blocks_until_they_are_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let family = usual(dir.path());
    put(&family, "text");
    let member = family.members().unwrap().remove(0);
    let victims = family.rotate(0).unwrap();
    assert!(is_held(&member));
    drop(victims);
    assert!(family.open_for_reading(&member).unwrap().is_none());
    assert!(!is_held(&member));
}
