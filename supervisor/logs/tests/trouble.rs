//! Logs that cannot be written: who is held up, who is not, and that nothing is lost.

#[expect(dead_code, reason = "only a part of it is used here")]
mod common;

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::symlink;
use std::path::Path;

use common::{Rig, out, pipe, wait_until};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use supervisor_logs::{Event, Losses, StreamId};

#[test]
fn one_bad_log_holds_up_only_its_own_stream() {
    let rig = Rig::new();
    let (bad, good) = (out("bad"), out("good"));
    fs::create_dir_all(rig.path(&bad).parent().unwrap()).unwrap();
    let secret = rig.dir.path().join("secret");
    fs::write(&secret, "").unwrap();
    symlink(&secret, rig.path(&bad)).unwrap();

    let mut first = rig.run(1, &bad);
    let Event::Trouble { id, error } = rig.next_event() else {
        panic!("no trouble told")
    };
    assert_eq!(id, bad);
    assert!(error.contains("a symbolic link"), "{error}");
    first.write_all(b"one, half").unwrap();
    rig.run(2, &good).write_all(b"fine\n").unwrap();
    assert!(!rig.finish(2));
    rig.expect_content(&good, b"fine\n");

    // The run ends, the next one starts: both wait, the first comes first.
    drop(first);
    rig.pump().finish(1);
    assert_eq!(rig.next_event(), finished(1, true));
    rig.run(3, &bad).write_all(b"two\n").unwrap();
    rig.pump().finish(3);
    assert_eq!(rig.next_event(), finished(3, true));
    drop(rig.run(4, &bad));
    rig.pump().finish(4);
    assert_eq!(rig.next_event(), finished(4, false), "nothing in it");

    fs::remove_file(rig.path(&bad)).unwrap();
    assert_eq!(rig.next_event(), Event::Released { key: 1 });
    assert_eq!(rig.next_event(), Event::Released { key: 3 });
    assert_eq!(rig.next_event(), Event::Recovered { id: bad.clone() });
    rig.expect_content(&bad, b"one, half\ntwo\n");
    assert_eq!(fs::read(&secret).unwrap(), b"");
}

#[test]
fn a_live_app_goes_on_when_its_log_is_repaired() {
    let rig = Rig::new();
    let id = out("app");
    fs::create_dir_all(rig.path(&id)).unwrap();
    let mut app = rig.run(1, &id);
    assert!(matches!(rig.next_event(), Event::Trouble { .. }));
    app.write_all(b"kept\n").unwrap();
    fs::remove_dir(rig.path(&id)).unwrap();
    assert_eq!(rig.next_event(), Event::Recovered { id: id.clone() });
    rig.expect_content(&id, b"kept\n");
    app.write_all(b"more\n").unwrap();
    rig.expect_content(&id, b"kept\nmore\n");
}

#[test]
fn at_most_64_ended_runs_are_kept_and_what_is_dropped_is_counted() {
    let rig = Rig::new();
    let id = out("app");
    fs::create_dir_all(rig.path(&id)).unwrap();
    for key in 0..66 {
        rig.run(key, &id)
            .write_all(format!("run {key}\n").as_bytes())
            .unwrap();
        assert!(rig.finish(key));
    }
    // The answer to the 66th came before its consequence; the 65th's consequence was skipped.
    assert_eq!(rig.next_event(), dropped(&id, 2, 12));
    assert_eq!(rig.next_event(), Event::Released { key: 1 });
    fs::remove_dir(rig.path(&id)).unwrap();
    let told = "[supervisor] 2 lines (12 bytes) dropped here: ";
    let wanted: String = (2..66).map(|key| format!("run {key}\n")).collect();
    wait_until(|| {
        let content = String::from_utf8(rig.content(&id)).unwrap();
        content.starts_with(told) && content.ends_with(&format!(" it away\n{wanted}"))
    });
}

#[test]
fn staged_bytes_of_a_log_that_must_not_be_written_hold_up_nobody() {
    let mut rig = Rig::stopped(tempfile::tempdir().unwrap());
    let (bad, good) = (out("bad"), out("good"));
    fs::create_dir_all(rig.path(&bad)).unwrap();
    rig.record.own(&bad);
    nix::unistd::write(&rig.staging_write, b"seven b").unwrap();
    rig.start();
    rig.run(1, &good).write_all(b"fine\n").unwrap();
    let Event::Dropped { id, losses } = rig.next_event() else {
        panic!("nothing dropped")
    };
    assert_eq!((id, losses.bytes), (Some(bad.clone()), 7));
    assert!(matches!(rig.next_event(), Event::Trouble { id, .. } if id == bad));
    rig.finish(1);
    rig.expect_content(&good, b"fine\n");
    // As soon as that can be, the log tells of it.
    fs::remove_dir(rig.path(&bad)).unwrap();
    rig.expect_content(
        &bad,
        format!("[supervisor] 1 line (7 bytes) dropped here: {} is a folder; logs are only kept in regular files with one name, in real folders: move it away\n", rig.path(&bad).display()).as_bytes(),
    );
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
    mount(
        Some("none"),
        path,
        Some("tmpfs"),
        MsFlags::empty(),
        Some("size=1m,mode=700"),
    )
    .unwrap();
    true
}

fn finished(key: u64, kept: bool) -> Event {
    let tail = Vec::new();
    Event::Finished { key, kept, tail }
}

/// So many bytes of `lines` lines that the log does not tell of.
fn dropped(id: &StreamId, lines: u64, bytes: u64) -> Event {
    let losses = Losses {
        lines,
        bytes,
        untold_lines: lines,
        untold_bytes: bytes,
        inside_line: false,
    };
    Event::Dropped {
        id: Some(id.clone()),
        losses,
    }
}

fn fill(path: &Path) {
    let mut file = fs::File::create(path).unwrap();
    let mut size = 65_536;
    while size > 0 {
        match file.write(&vec![b'f'; size]) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::StorageFull => size /= 2,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_full_disk_loses_nothing_and_orders_are_answered() {
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().join("logs");
    fs::create_dir(&logs).unwrap();
    if !mount_small(&logs) {
        return;
    }
    let rig = Rig::over(dir);
    let (a, b) = (out("a"), out("b"));
    let line = "x".repeat(99) + "\n";
    let mut app = rig.run(1, &a);
    let mut other = rig.run(2, &b);
    app.write_all(b"begin\n").unwrap();
    other.write_all(b"begin\n").unwrap();
    rig.expect_content(&a, b"begin\n");
    rig.expect_content(&b, b"begin\n");
    fill(&logs.join("filler"));

    // More than the little that is reserved for the file.
    app.write_all(line.repeat(655).as_bytes()).unwrap();
    let Event::Trouble { id, error } = rig.next_event() else {
        panic!("no trouble told")
    };
    assert_eq!(id, a);
    assert!(
        error.contains("No space left") && error.contains("its output waits"),
        "{error}"
    );
    other.write_all(line.repeat(655).as_bytes()).unwrap();
    drop(app);
    // That the other waits, too, is told before or after this.
    assert!(rig.finish(1));
    assert!(rig.finish(2));
    let mut next = rig.run(3, &a);
    next.write_all(b"next\n").unwrap();
    rig.pump().finish(99);
    assert_eq!(rig.next_event(), finished(99, false), "told once only");

    fs::remove_file(logs.join("filler")).unwrap();
    rig.finish(3);
    rig.expect_content(&a, format!("begin\n{}next\n", line.repeat(655)).as_bytes());
    rig.expect_content(&b, format!("begin\n{}", line.repeat(655)).as_bytes());
    drop(rig);
    umount2(&logs, MntFlags::MNT_DETACH).unwrap();
}

#[test]
fn a_full_disk_outlives_the_pump_and_deleting_the_log_itself_frees_it() {
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().join("logs");
    fs::create_dir(&logs).unwrap();
    if !mount_small(&logs) {
        return;
    }
    let mut rig = Rig::over(dir);
    let id = out("greedy");
    let (read, mut app) = pipe();
    rig.attach(1, &id, read.try_clone().unwrap(), true);
    let writer = std::thread::spawn(move || {
        for number in 0..15_000 {
            writeln!(app, "{number:0>99}").unwrap();
        }
    });
    assert!(matches!(rig.next_event(), Event::Trouble { .. }));
    // The pump goes while the staging pipe is full; the next one finds the disk full again.
    rig.stop();
    rig.start();
    rig.attach(1, &id, read, false);
    assert!(matches!(rig.next_event(), Event::Trouble { .. }));
    let before = rig.content(&id);
    fs::remove_file(rig.path(&id)).unwrap();
    assert!(matches!(rig.next_event(), Event::Recovered { .. }));
    writer.join().unwrap();
    rig.finish(1);
    let after = rig.content(&id);
    let all = [before, after].concat();
    assert_eq!(all.len(), 1_500_000);
    for (line, number) in all.chunks(100).zip(0u32..) {
        assert_eq!(
            std::str::from_utf8(line).unwrap().trim_end().parse(),
            Ok(number)
        );
    }
    drop(rig);
    umount2(&logs, MntFlags::MNT_DETACH).unwrap();
}
