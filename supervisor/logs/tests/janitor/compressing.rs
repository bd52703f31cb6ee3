//! What is compressed, what is closed, what is told.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use supervisor_logs::{Rules, Victims};

use crate::{Rig, archive, content, is_all_compressed, noise, out, plain, seconds, wait};

#[test]
fn what_is_compressed_is_the_same() {
    let rig = Rig::new();
    let target = out("shop", &Rules::default());
    let family = rig.family(&target);
    let contents = [
        b"a line like any other\n".repeat(20_000),
        noise(300_000, 7),
        Vec::new(),
        vec![0; 1 << 20],
    ];
    for (second, content) in (0..).zip(&contents) {
        family.open_index().unwrap().write_all(b"index").unwrap();
        archive(&family, content, second);
    }
    family.open_live().unwrap().write_all(b"live").unwrap();
    rig.janitor.rotated(&family, &target, Victims::default());
    wait("compression", || is_all_compressed(&family));
    let members = family.members().unwrap();
    assert!(members[0].number == 0 && !members[0].compressed);
    assert_eq!(seconds(&[&family]), [0, 1, 2, 3], "their times are kept");
    for (member, wanted) in members[1..].iter().rev().zip(&contents) {
        assert_eq!(content(&family, member), *wanted);
        assert_eq!(member.index_size, 5);
        let path = family
            .live()
            .with_file_name(format!("0.out.log.{}.zst", member.number));
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o640
        );
        let header = fs::read(&path).unwrap();
        let size = zstd::zstd_safe::get_frame_content_size(&header).unwrap();
        assert_eq!(size, Some(wanted.len() as u64));
        assert_ne!(header[4] & 0b100, 0, "the frame has a checksum");
    }
    // Live, four compressed, four indexes: nothing else.
    wait("order", || {
        fs::read_dir(family.live().parent().unwrap())
            .unwrap()
            .count()
            == 9
    });
    rig.no_trouble();
}

#[test]
fn rotations_while_it_compresses_lose_nothing() {
    let rig = Rig::new();
    let target = out("shop", &Rules::default());
    let family = rig.family(&target);
    let mut wanted = Vec::new();
    for round in 0..60u32 {
        let piece = format!("round {round}\n").repeat(10_000).into_bytes();
        family.open_live().unwrap().write_all(&piece).unwrap();
        wanted.extend(piece);
        let victims = family.rotate(99).unwrap();
        rig.janitor.rotated(&family, &target, victims);
    }
    wait("compression", || is_all_compressed(&family));
    let members = family.members().unwrap();
    let read: Vec<u8> = members
        .iter()
        .rev()
        .flat_map(|m| content(&family, m))
        .collect();
    assert!(read == wanted);
    rig.no_trouble();
}

#[test]
fn what_an_earlier_process_left_is_compressed() {
    let rig = Rig::new();
    let target = out("shop", &Rules::default());
    let family = rig.family(&target);
    archive(&family, &noise(1000, 1), 0);
    fs::write(family.live().with_file_name("0.out.log.zst.part"), "half").unwrap();
    rig.janitor.adopted(&family, &target);
    wait("compression", || is_all_compressed(&family));
    assert_eq!(
        content(&family, &family.members().unwrap()[0]),
        noise(1000, 1)
    );

    let off = out("raw", &plain());
    let family = rig.family(&off);
    archive(&family, b"x", 0);
    rig.janitor.rotated(&family, &off, Victims::default());
    assert!(!family.members().unwrap()[0].compressed);
}

#[test]
fn what_cannot_be_done_is_told() {
    let rig = Rig::new();
    let target = out("shop", &Rules::default());
    let family = rig.family(&target);
    archive(&family, b"kept", 0);
    fs::create_dir(family.live().with_file_name("0.out.log.zst.part")).unwrap();
    rig.janitor.rotated(&family, &target, Victims::default());
    wait("trouble", || !rig.troubles.lock().unwrap().is_empty());
    let trouble = rig.troubles.lock().unwrap().remove(0);
    assert!(
        trouble.starts_with("shop:0 out: ") && trouble.contains(".zst.part"),
        "{trouble}"
    );
    assert_eq!(content(&family, &family.members().unwrap()[0]), b"kept");
}

#[test]
fn victims_are_closed_by_somebody_else() {
    let rig = Rig::new();
    let target = out("shop", &plain());
    let family = rig.family(&target);
    family.open_live().unwrap().write_all(b"x").unwrap();
    let live = fs::metadata(family.live()).unwrap();
    let is_open = || {
        fs::read_dir("/proc/self/fd").unwrap().any(|entry| {
            fs::metadata(entry.unwrap().path()).is_ok_and(|meta| {
                (meta.dev(), meta.ino(), meta.nlink()) == (live.dev(), live.ino(), 0)
            })
        })
    };
    let victims = family.rotate(0).unwrap();
    assert!(is_open());
    rig.janitor.close(victims);
    wait("closing", || !is_open());
}

/// Puts a file system of one megabyte over `path`, seen by this thread and the threads it makes
/// from now on only. False without the right to do that.
fn mount_small(path: &Path) -> bool {
    if unshare(CloneFlags::CLONE_NEWNS).is_err() {
        eprintln!("skipped: mounting a small file system takes root");
        return false;
    }
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    let options = Some("size=1m,mode=700");
    mount(Some("none"), path, Some("tmpfs"), MsFlags::empty(), options).unwrap();
    true
}

#[test]
fn without_room_for_the_compressed_file_the_original_stays() {
    let dir = tempfile::tempdir().unwrap();
    let logs: PathBuf = dir.path().join("logs");
    fs::create_dir(&logs).unwrap();
    if !mount_small(&logs) {
        return;
    }
    let rig = Rig::over(dir);
    let target = out("shop", &Rules::default());
    let family = rig.family(&target);
    archive(&family, &noise(600_000, 3), 0);
    rig.janitor.rotated(&family, &target, Victims::default());
    // Done after the attempt.
    let next = out("small", &Rules::default());
    let next_family = rig.family(&next);
    archive(&next_family, b"small", 0);
    rig.janitor.rotated(&next_family, &next, Victims::default());
    wait("the attempt", || is_all_compressed(&next_family));
    let folder = family.live().parent().unwrap();
    assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
    assert!(!is_all_compressed(&family));
    // It fits by now; the next rotation tries again.
    drop(family.remove_archives().unwrap());
    archive(&family, &noise(400_000, 3), 1);
    rig.janitor.rotated(&family, &target, Victims::default());
    wait("compression", || is_all_compressed(&family));
    assert_eq!(
        content(&family, &family.members().unwrap()[0]),
        noise(400_000, 3)
    );
    rig.no_trouble();
    drop(rig);
    umount2(&logs, MntFlags::MNT_DETACH).unwrap();
}
