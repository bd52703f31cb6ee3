//! The steps of real renames cut off one by one, and what a compression makes of changes under
//! its hands.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::{Rules, Stream};

fn family(root: &Path) -> Family {
    let target = Target {
        id: StreamId {
            app: "shop".to_owned(),
            instance: 0,
            stream: Stream::Out,
        },
        path: None,
        rules: Arc::new(Rules::default()),
    };
    Family::new(&Folder::new(root.to_owned()), &target)
}

/// Logs `a` (the oldest) and so on, with their indexes; the last one is live.
fn write_logs(family: &Family, contents: &[&str]) {
    for content in contents {
        family.rotate(10).unwrap();
        family
            .open_live()
            .unwrap()
            .write_all(content.as_bytes())
            .unwrap();
        family
            .open_index()
            .unwrap()
            .write_all(content.as_bytes())
            .unwrap();
    }
}

/// Content and index of each, oldest first.
fn read_logs(family: &Family) -> Vec<(String, Option<String>)> {
    let read = |file| std::io::read_to_string(file).unwrap();
    let mut members = family.members().unwrap();
    members.reverse();
    members
        .iter()
        .map(|member| {
            let opened = family.open_for_reading(member).unwrap().unwrap();
            (read(opened.log), opened.index.map(read))
        })
        .collect()
}

fn with_indexes(contents: &[&str]) -> Vec<(String, Option<String>)> {
    contents
        .iter()
        .map(|content| ((*content).to_owned(), Some((*content).to_owned())))
        .collect()
}

#[test]
fn a_real_rotation_cut_off_anywhere_is_mended() {
    for kill in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let family = family(dir.path());
        write_logs(&family, &["a", "b", "c", "d"]);
        let folder = family.place.open().unwrap().unwrap();
        let mut plan = Plan::over(family.list(&folder).unwrap().into_keys());
        plan.rotate(10);
        assert_eq!(plan.steps.len(), 8);
        for step in plan.steps.iter().take(kill) {
            family.take(&folder, *step).unwrap();
        }
        family.heal().unwrap();
        assert_eq!(
            read_logs(&family),
            with_indexes(&["a", "b", "c", "d"]),
            "{kill}"
        );
        write_logs(&family, &["e"]);
        assert_eq!(
            read_logs(&family),
            with_indexes(&["a", "b", "c", "d", "e"]),
            "{kill}"
        );
        if kill == plan.steps.len() {
            break;
        }
    }
}

fn compressing(family: &Family, number: u32) -> Compressing<'_> {
    let member = family
        .members()
        .unwrap()
        .into_iter()
        .find(|member| member.number == number)
        .unwrap();
    let mut compressing = family.compress(&member).unwrap().unwrap();
    compressing.part.write_all(b"compressed").unwrap();
    compressing
}

fn names(family: &Family) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(family.live().parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_compressed_file_finds_its_original_after_rotations() {
    let dir = tempfile::tempdir().unwrap();
    let family = family(dir.path());
    write_logs(&family, &["a", "b", "c"]);
    let time = family.members().unwrap()[1].modified;
    let under_way = compressing(&family, 1);
    write_logs(&family, &["d"]);
    assert!(under_way.commit().unwrap());
    let members = family.members().unwrap();
    assert!(members[2].compressed && members[2].number == 2);
    assert_eq!(members[2].modified, time);
    let logs = read_logs(&family);
    assert_eq!(logs[1], ("compressed".to_owned(), Some("b".to_owned())));
    assert_eq!(
        names(&family),
        [
            "0.out.log",
            "0.out.log.1",
            "0.out.log.1.idx",
            "0.out.log.2.idx",
            "0.out.log.2.zst",
            "0.out.log.3",
            "0.out.log.3.idx",
            "0.out.log.idx"
        ]
    );
}

#[test]
fn a_commit_cut_off_between_its_steps_is_finished() {
    let dir = tempfile::tempdir().unwrap();
    let family = family(dir.path());
    write_logs(&family, &["a", "b"]);
    let mut under_way = compressing(&family, 1);
    under_way.part.flush().unwrap();
    let folder = family.place.open().unwrap().unwrap();
    family
        .take(&folder, Step::Rename(Name::Unfinished, Name::Compressed(1)))
        .unwrap();
    // Readers use the one of the two that stays.
    assert_eq!(read_logs(&family)[0].0, "compressed");
    family.heal().unwrap();
    assert_eq!(
        names(&family),
        [
            "0.out.log",
            "0.out.log.1.idx",
            "0.out.log.1.zst",
            "0.out.log.idx"
        ]
    );
}

#[test]
fn a_compression_that_is_overtaken_by_events_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let family = family(dir.path());
    write_logs(&family, &["a", "b"]);
    let whole = names(&family);

    // Written to by somebody who still had it open.
    let under_way = compressing(&family, 1);
    let path = family.live().with_file_name("0.out.log.1");
    let mut late = fs::OpenOptions::new().append(true).open(&path).unwrap();
    late.write_all(b"late").unwrap();
    assert!(!under_way.commit().unwrap());
    assert_eq!(names(&family), whole);

    // Given up.
    drop(compressing(&family, 1));
    assert_eq!(names(&family), whole);

    // Healed away, and another one began.
    let first = compressing(&family, 1);
    family.heal().unwrap();
    let second = compressing(&family, 1);
    assert!(!first.commit().unwrap());
    assert!(second.commit().unwrap());

    // Deleted.
    write_logs(&family, &["c"]);
    let under_way = compressing(&family, 1);
    assert!(!family.remove_archives().unwrap().is_empty());
    assert!(!under_way.commit().unwrap());
    assert_eq!(names(&family), ["0.out.log", "0.out.log.idx"]);
}

#[test]
fn what_a_killed_compression_left_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let family = family(dir.path());
    write_logs(&family, &["a", "b"]);
    let whole = names(&family);
    let part = family.live().with_file_name("0.out.log.zst.part");
    fs::write(&part, "half").unwrap();
    family.heal().unwrap();
    assert_eq!(names(&family), whole);
    fs::write(&part, "half").unwrap();
    drop(compressing(&family, 1));
    assert_eq!(names(&family), whole);
}

#[test]
fn a_compressed_file_opens_to_nobody_who_could_not_read_the_original() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let family = family(dir.path());
    write_logs(&family, &["a", "b"]);
    let original = family.live().with_file_name("0.out.log.1");
    fs::set_permissions(&original, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(compressing(&family, 1).commit().unwrap());
    let compressed = fs::metadata(family.live().with_file_name("0.out.log.1.zst")).unwrap();
    assert_eq!(compressed.permissions().mode() & 0o777, 0o600);
}
