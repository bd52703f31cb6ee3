//! What goes wrong while something else is wrong already: exact and quiet all the same.

#[expect(dead_code, reason = "only a part of it is used here")]
mod common;

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use common::{Rig, out, pipe, target, wait_until};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use supervisor_logs::index::Index;
use supervisor_logs::{Event, Ledger, Losses, OnFull, Pump, Rules, STAGES, Step, StreamId};

fn drops() -> Rules {
    Rules {
        on_full: OnFull::Drop,
        ..Rules::default()
    }
}

fn rig(rules: Rules) -> Rig {
    Rig::with(tempfile::tempdir().unwrap(), rules)
}

/// Logs on a disk of one megabyte, seen by this thread and those it makes. `None` without the right
/// to have one.
fn small(rules: Rules) -> Option<Rig> {
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().join("logs");
    fs::create_dir(&logs).unwrap();
    if unshare(CloneFlags::CLONE_NEWNS).is_err() {
        eprintln!("skipped: mounting a small file system takes root");
        return None;
    }
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    let options = Some("size=1m,mode=700");
    mount(
        Some("none"),
        &logs,
        Some("tmpfs"),
        MsFlags::empty(),
        options,
    )
    .unwrap();
    let mut rig = Rig::stopped(dir);
    rig.rules = rules.into();
    Some(rig)
}

fn fill(rig: &Rig) {
    let mut file = File::create(rig.dir.path().join("logs/filler")).unwrap();
    let mut size = 65_536;
    while size > 0 {
        if file.write(&vec![b'f'; size]).is_err() {
            size /= 2;
        }
    }
}

/// What there is to be read at the place of a log is a folder.
fn obstruct(rig: &Rig, id: &StreamId) {
    fs::create_dir_all(rig.path(id)).unwrap();
}

fn wait<F: FnOnce(Box<dyn FnOnce(bool) + Send>)>(order: F) {
    let (tell, told) = channel();
    order(Box::new(move |done| tell.send(done).unwrap()));
    assert!(told.recv_timeout(common::PATIENCE).unwrap());
}

fn sync(rig: &Rig, id: &StreamId) {
    let ids = [id.clone()];
    wait(|done| rig.pump().sync(&ids, |result| done(result.is_ok())));
}

fn index(live: &Path) -> Index {
    Index::read(&File::open(format!("{}.idx", live.display())).unwrap()).unwrap()
}

#[test]
fn a_full_disk_is_told_once_while_an_app_waits_for_it() {
    let Some(mut rig) = small(Rules {
        on_full: OnFull::Block,
        ..Rules::default()
    }) else {
        return;
    };
    rig.start();
    let id = out("app");
    let mut app = rig.run(1, &id);
    app.write_all(b"begin\n").unwrap();
    rig.expect_content(&id, b"begin\n");
    fill(&rig);
    app.write_all(&[b'x'; 65_536]).unwrap();
    assert!(matches!(rig.next_event(), Event::Trouble { .. }));
    let more = rig.events.recv_timeout(Duration::from_millis(1500));
    assert!(more.is_err(), "{more:?}");
}

#[test]
fn what_is_reserved_in_a_file_that_was_emptied_does_not_count() {
    let Some(mut rig) = small(Rules {
        on_full: OnFull::Block,
        ..Rules::default()
    }) else {
        return;
    };
    rig.start();
    let (id, other) = (out("app"), out("other"));
    let mut app = rig.run(1, &id);
    app.write_all(b"begin\n").unwrap();
    rig.expect_content(&id, b"begin\n");
    let live = File::options().write(true).open(rig.path(&id)).unwrap();
    live.set_len(0).unwrap();
    fill(&rig);
    app.write_all(&[b'x'; 10_000]).unwrap();
    let Event::Trouble { error, .. } = rig.next_event() else {
        panic!("no trouble told")
    };
    assert!(error.contains("its output waits"), "{error}");
    // Nothing is in the staging pipe: others' lines come through, or are dropped.
    let mut quick = drops();
    quick.max_total = None;
    let (read, mut writer) = pipe();
    rig.pump()
        .attach(2, target(&other, &quick.into()), read, true);
    writer.write_all(b"lost\n").unwrap();
    wait_until(|| rig.record.losses(&other).bytes == 5 || rig.content(&other) == b"lost\n");
}

#[test]
fn an_app_whose_lines_may_be_dropped_does_not_wait_for_a_log_that_cannot_be_opened() {
    let rig = rig(drops());
    let id = out("app");
    obstruct(&rig, &id);
    let mut app = rig.run(1, &id);
    assert!(matches!(rig.next_event(), Event::Trouble { .. }));
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for number in 0..40_000 {
            writeln!(app, "{number:0>99}").unwrap();
        }
        app.write_all(&[b'x'; 100_000]).unwrap();
        tell.send(app).unwrap();
    });
    let mut app = told.recv_timeout(common::PATIENCE).unwrap();
    wait_until(|| rig.record.losses(&id).inside_line);
    fs::remove_dir(rig.path(&id)).unwrap();
    // Until then the pipe may yet be full, and all of it be dropped.
    wait_until(|| rig.path(&id).is_file());
    app.write_all(b"the rest\nnext\n").unwrap();
    wait_until(|| rig.content(&id).ends_with(b"next\n"));
    let content = String::from_utf8(rig.content(&id)).unwrap();
    let lines: Vec<&str> = content.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    let losses = rig.record.losses(&id);
    assert_eq!((losses.lines, losses.bytes), (40_001, 4_100_009));
    assert!(lines[0].starts_with("[supervisor] 40001 lines (4100009 bytes)"));
}

#[test]
fn what_was_dropped_is_told_when_the_log_is_back_though_its_app_is_silent() {
    let rig = rig(drops());
    let id = out("app");
    obstruct(&rig, &id);
    let mut app = rig.run(1, &id);
    app.write_all("a line\n".repeat(6_000).as_bytes()).unwrap();
    wait_until(|| rig.record.losses(&id).lines > 0);
    fs::remove_dir(rig.path(&id)).unwrap();
    wait_until(|| matches!(rig.next_event(), Event::Recovered { .. }));
    assert!(rig.content(&id).starts_with(b"[supervisor] 6000 lines"));
}

#[test]
fn emptying_a_log_is_the_end_of_its_trouble() {
    let Some(mut rig) = small(drops()) else {
        return;
    };
    rig.start();
    let id = out("app");
    let mut app = rig.run(1, &id);
    app.write_all(b"begin\n").unwrap();
    rig.expect_content(&id, b"begin\n");
    fill(&rig);
    app.write_all(&[b'x'; 20_000]).unwrap();
    wait_until(|| matches!(rig.next_event(), Event::Trouble { .. }));
    let target = target(&id, &rig.rules);
    wait(|done| {
        rig.pump()
            .empty(vec![target], |result| done(result.is_ok()));
    });
    wait_until(|| matches!(rig.next_event(), Event::Recovered { .. }));
}

#[test]
fn a_new_index_goes_on_at_the_streams_position() {
    let rig = rig(Rules {
        max_size: Some(1_000),
        ..Rules::default()
    });
    let id = out("app");
    let mut app = rig.run(1, &id);
    for _ in 0..11 {
        writeln!(app, "{:0>99}", "").unwrap();
    }
    let live = rig.path(&id);
    wait_until(|| Path::new(&format!("{}.1.zst", live.display())).exists());
    rig.expect_content(&id, &rig.content(&id));
    wait_until(|| rig.content(&id).len() == 100);
    fs::remove_file(format!("{}.idx", live.display())).unwrap();
    wait(|done| rig.pump().reopen(|result| done(result.is_ok())));
    app.write_all(b"more\n").unwrap();
    wait_until(|| rig.content(&id).len() == 105);
    sync(&rig, &id);
    let base = index(&live).base();
    assert!(base.is_some_and(|base| base >= 1_000), "{base:?}");
}

#[test]
fn undoing_what_was_begun_costs_no_times() {
    let mut rig = rig(Rules::default());
    let id = out("app");
    let (read, mut app) = pipe();
    rig.attach(1, &id, read.try_clone().unwrap(), true);
    app.write_all(b"one\n").unwrap();
    rig.expect_content(&id, b"one\n");
    sync(&rig, &id);
    let begun = index(&rig.path(&id)).begun_ms();
    rig.stop();
    let mut file = File::options().append(true).open(rig.path(&id)).unwrap();
    file.write_all(b"[supervisor] a marker that was beg")
        .unwrap();
    let meta = file.metadata().unwrap();
    let step = Step::Writing {
        offset: 4,
        file: (meta.dev(), meta.ino()),
    };
    rig.record.set_step(0, &step);
    rig.start();
    rig.attach(1, &id, read, false);
    app.write_all(b"two\n").unwrap();
    wait_until(|| rig.content(&id) == b"one\ntwo\n");
    sync(&rig, &id);
    let index = index(&rig.path(&id));
    assert_eq!((index.base(), index.begun_ms()), (Some(0), begun));
}

#[test]
fn what_was_begun_in_a_log_that_must_not_be_written_holds_up_nobody() {
    let mut rig = Rig::stopped(tempfile::tempdir().unwrap());
    let (bad, good) = (out("bad"), out("good"));
    obstruct(&rig, &bad);
    rig.record.own(&bad);
    nix::unistd::write(&rig.staging_write, b"seven b").unwrap();
    let step = Step::Writing {
        offset: 4,
        file: (1, 2),
    };
    rig.record.set_step(0, &step);
    rig.start();
    rig.run(1, &good).write_all(b"fine\n").unwrap();
    rig.finish(1);
    rig.expect_content(&good, b"fine\n");
    assert_eq!(rig.record.losses(&bad).bytes, 7);
}

#[test]
fn pipes_that_are_given_up_are_counted_while_the_staging_pipe_is_full() {
    let Some(mut rig) = small(Rules {
        on_full: OnFull::Block,
        ..Rules::default()
    }) else {
        return;
    };
    let (greedy, id) = (out("greedy"), out("app"));
    fs::create_dir_all(rig.path(&greedy).parent().unwrap()).unwrap();
    fill(&rig);
    rig.record.own(&greedy);
    nix::unistd::write(&rig.staging_write, b"staged\n").unwrap();
    rig.start();
    for key in 0..66 {
        rig.run(key, &id).write_all(b"a line\nhalf").unwrap();
        assert!(rig.finish(key));
    }
    wait_until(|| rig.record.losses(&id).bytes == 22);
    let Losses { lines, .. } = rig.record.losses(&id);
    assert_eq!(lines, 4);
}

#[test]
fn a_file_that_was_emptied_is_young() {
    let rig = rig(Rules {
        max_age: Some(Duration::from_millis(300)),
        ..Rules::default()
    });
    let id = out("app");
    let mut app = rig.run(1, &id);
    app.write_all(b"one\n").unwrap();
    rig.expect_content(&id, b"one\n");
    std::thread::sleep(Duration::from_millis(400));
    let target = target(&id, &rig.rules);
    wait(|done| {
        rig.pump()
            .empty(vec![target], |result| done(result.is_ok()));
    });
    app.write_all(b"two\n").unwrap();
    rig.expect_content(&id, b"two\n");
    app.write_all(b"three\n").unwrap();
    rig.expect_content(&id, b"two\nthree\n");
}

#[test]
fn a_log_on_one_disk_too_many_is_written_by_the_thread_of_another() {
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else {
        eprintln!("skipped: there is no second file system");
        return;
    };
    let rig = Rig::stopped(tempfile::tempdir().unwrap());
    let ends = (
        rig.staging_read.try_clone().unwrap(),
        rig.staging_write.try_clone().unwrap(),
    );
    let (tell, told) = channel();
    // All that there may be are there, and one of them is free.
    let pump = Pump::start(
        rig.folder.clone(),
        Arc::new(rig.record.clone()),
        vec![(STAGES - 1, ends.0, ends.1)],
        |_| None,
        move |event| {
            // The test may be over before the pump is.
            let _ = tell.send(event);
        },
    )
    .unwrap();
    let mut logs = [
        target(&out("here"), &rig.rules),
        target(&out("there"), &rig.rules),
    ];
    logs[1].path = Some(elsewhere.path().join("log"));
    for (target, key) in logs.iter().zip(1..) {
        let (read, mut app) = pipe();
        pump.attach(key, target.clone(), read, true);
        app.write_all(b"a line\n").unwrap();
        pump.finish(key);
        let finished =
            |event| matches!(event, Event::Finished { key: of, kept: false, .. } if of == key);
        while !finished(told.recv_timeout(common::PATIENCE).unwrap()) {}
        let live = rig.folder.live_path(&target.id, target.path.as_deref());
        assert_eq!(fs::read(live).unwrap(), b"a line\n");
    }
}

#[test]
fn a_stream_whose_files_are_all_deleted_goes_on_at_its_position() {
    let rig = rig(Rules::default());
    let id = out("app");
    let mut app = rig.run(1, &id);
    app.write_all(b"one line\n").unwrap();
    rig.expect_content(&id, b"one line\n");
    fs::remove_dir_all(rig.path(&id).parent().unwrap()).unwrap();
    wait(|done| rig.pump().reopen(|result| done(result.is_ok())));
    app.write_all(b"two\n").unwrap();
    rig.expect_content(&id, b"two\n");
    sync(&rig, &id);
    assert_eq!(index(&rig.path(&id)).base(), Some(9));
}
