//! Bytes in, bytes out: exactness, order, and where newlines are added.

mod common;

use std::fs;
use std::io::Write;
use std::os::fd::AsFd;

use common::{Rig, out, pipe, wait_until};
use nix::fcntl::{FcntlArg, fcntl};
use supervisor_logs::{Event, Losses, Stream, StreamId};

#[test]
fn bytes_are_exact() {
    let rig = Rig::new();
    let id = out("app");
    let mut wanted = Vec::new();
    let mut app = rig.run(1, &id);
    for byte in 0..=255u8 {
        // One write for each: zeros, newlines, invalid UTF-8, carriage returns.
        app.write_all(&[byte]).unwrap();
        wanted.push(byte);
    }
    let line: Vec<u8> = (0..1_000_000u32).map(|i| b'a' + (i % 23) as u8).collect();
    for part in [&line[..], &[0; 70_000], b"\n\n\nno newline at the end"] {
        app.write_all(part).unwrap();
        wanted.extend_from_slice(part);
    }
    drop(app);
    assert!(!rig.finish(1));
    rig.expect_content(&id, &wanted);
}

#[test]
fn a_line_that_comes_after_silence_is_written_at_once() {
    let rig = Rig::new();
    let id = out("app");
    let mut app = rig.run(1, &id);
    wait_until(|| rig.path(&id).exists());
    app.write_all(b"one\n").unwrap();
    rig.expect_content(&id, b"one\n");
    app.write_all(b"two\n").unwrap();
    rig.expect_content(&id, b"one\ntwo\n");
}

#[test]
fn streams_and_instances_stay_apart() {
    let rig = Rig::new();
    let ids: Vec<StreamId> = (0..40)
        .flat_map(|instance| [Stream::Out, Stream::Err].map(|s| (instance, s)))
        .map(|(instance, stream)| StreamId {
            app: "many".to_owned(),
            instance,
            stream,
        })
        .collect();
    let mut apps: Vec<_> = ids
        .iter()
        .zip(0..)
        .map(|(id, key)| rig.run(key, id))
        .collect();
    for turn in 0..50 {
        for (app, id) in apps.iter_mut().zip(&ids) {
            writeln!(app, "{id} {turn}").unwrap();
        }
    }
    drop(apps);
    for (id, key) in ids.iter().zip(0..) {
        assert!(!rig.finish(key));
        let wanted: String = (0..50).map(|turn| format!("{id} {turn}\n")).collect();
        assert_eq!(String::from_utf8(rig.content(id)).unwrap(), wanted);
    }
}

#[test]
fn a_newline_is_added_between_runs_only() {
    let mut rig = Rig::new();
    let id = out("app");
    rig.run(1, &id).write_all(b"first, half").unwrap();
    rig.finish(1);
    rig.expect_content(&id, b"first, half");
    rig.run(2, &id).write_all(b"second\n").unwrap();
    rig.finish(2);
    rig.expect_content(&id, b"first, half\nsecond\n");
    // Nothing to end: nothing added. And one that says nothing adds nothing.
    drop(rig.run(3, &id));
    rig.finish(3);
    let mut app = rig.run(4, &id);
    app.write_all(b"fourth, ").unwrap();
    rig.expect_content(&id, b"first, half\nsecond\nfourth, ");
    // Another pump goes on with the same run in the middle of its line.
    let (read, mut second_app) = pipe();
    rig.stop();
    rig.start();
    rig.attach(5, &id, read, false);
    second_app.write_all(b"whole\n").unwrap();
    rig.finish(5);
    rig.expect_content(&id, b"first, half\nsecond\nfourth, whole\n");
    assert_eq!(
        rig.record.begun_keys(),
        [1, 2, 3, 4],
        "once for each fresh pipe"
    );
}

#[test]
fn a_half_line_is_ended_when_the_next_run_is_attached_not_when_it_speaks() {
    let mut rig = Rig::new();
    let id = out("app");
    rig.run(1, &id).write_all(b"half").unwrap();
    rig.finish(1);
    let (read, mut app) = pipe();
    rig.attach(2, &id, read.try_clone().unwrap(), true);
    rig.expect_content(&id, b"half\n");
    // Killed here: the next one is told that the pipe is not fresh, and adds nothing.
    rig.stop();
    rig.start();
    rig.attach(2, &id, read, false);
    app.write_all(b"next\n").unwrap();
    rig.finish(2);
    rig.expect_content(&id, b"half\nnext\n");
}

#[test]
fn two_live_runs_of_one_stream_do_not_share_a_line() {
    let rig = Rig::new();
    let id = out("app");
    let mut old = rig.run(1, &id);
    old.write_all(b"old, half").unwrap();
    rig.expect_content(&id, b"old, half");
    let mut new = rig.run(2, &id);
    new.write_all(b"new\n").unwrap();
    rig.expect_content(&id, b"old, half\nnew\n");
    old.write_all(b"old again\n").unwrap();
    rig.expect_content(&id, b"old, half\nnew\nold again\n");
}

#[test]
fn finish_writes_what_is_in_the_pipe_before_it_answers() {
    let rig = Rig::new();
    let id = out("app");
    for key in 0..200 {
        let mut app = rig.run(key, &id);
        writeln!(app, "run {key}").unwrap();
        drop(app);
        assert!(!rig.finish(key));
        // Read at once: the answer is the promise.
        let content = String::from_utf8(rig.content(&id)).unwrap();
        assert!(
            content.ends_with(&format!("run {key}\n")),
            "run {key} is not in the file"
        );
        assert_eq!(content.lines().count() as u64, key + 1);
    }
}

#[test]
fn finish_does_not_wait_for_a_grandchild_that_holds_the_pipe() {
    let rig = Rig::new();
    let id = out("app");
    let app = rig.run(1, &id);
    let mut grandchild = app.try_clone().unwrap();
    let flood = std::thread::spawn(move || {
        // Until the pump has closed its end, which Rust reports as an error.
        while grandchild.write_all(&[b'x'; 4096]).is_ok() {}
    });
    wait_until(|| !rig.content(&id).is_empty());
    assert!(!rig.finish(1));
    let size = rig.content(&id).len();
    flood.join().unwrap();
    drop(app);
    assert_eq!(rig.content(&id).len(), size, "nothing after the answer");
}

#[test]
fn finish_of_an_unknown_key_is_answered() {
    let rig = Rig::new();
    rig.pump().finish(77);
    assert_eq!(
        rig.next_event(),
        Event::Finished {
            key: 77,
            kept: false,
            tail: Vec::new()
        }
    );
}

#[test]
fn what_is_in_the_staging_pipe_goes_to_its_owner_first() {
    let mut rig = Rig::stopped(tempfile::tempdir().unwrap());
    let (mine, other) = (out("mine"), out("other"));
    rig.record.own(&mine);
    nix::unistd::write(&rig.staging_write, b"left behind, ").unwrap();
    rig.start();
    let (read, mut app) = pipe();
    rig.attach(1, &mine, read, false);
    app.write_all(b"went on\n").unwrap();
    rig.run(2, &other).write_all(b"not mine\n").unwrap();
    rig.finish(1);
    rig.finish(2);
    rig.expect_content(&mine, b"left behind, went on\n");
    rig.expect_content(&other, b"not mine\n");
}

#[test]
fn staged_bytes_without_an_owner_are_given_up_and_counted() {
    let mut rig = Rig::stopped(tempfile::tempdir().unwrap());
    nix::unistd::write(&rig.staging_write, b"whose?").unwrap();
    rig.start();
    let losses = Losses {
        bytes: 6,
        ..Losses::default()
    };
    assert_eq!(rig.next_event(), Event::Dropped { id: None, losses });
    let id = out("app");
    rig.run(1, &id).write_all(b"mine\n").unwrap();
    rig.finish(1);
    rig.expect_content(&id, b"mine\n");
}

#[test]
fn an_emptied_file_is_written_from_its_beginning() {
    let rig = Rig::new();
    let id = out("app");
    let mut app = rig.run(1, &id);
    app.write_all(&[b'x'; 100_000]).unwrap();
    wait_until(|| rig.content(&id).len() == 100_000);
    fs::File::create(rig.path(&id)).unwrap();
    app.write_all(b"after\n").unwrap();
    rig.expect_content(&id, b"after\n");
}

#[test]
fn a_deleted_or_moved_file_is_begun_anew_while_its_app_writes_on() {
    let rig = Rig::new();
    let id = out("app");
    let mut app = rig.run(1, &id);
    app.write_all(b"before\n").unwrap();
    rig.expect_content(&id, b"before\n");
    fs::remove_file(rig.path(&id)).unwrap();
    wait_until(|| {
        app.write_all(b"after\n").unwrap();
        rig.content(&id).starts_with(b"after\n")
    });
    let moved = rig.dir.path().join("moved");
    fs::rename(rig.path(&id), &moved).unwrap();
    wait_until(|| {
        app.write_all(b"again\n").unwrap();
        rig.content(&id).starts_with(b"again\n")
    });
}

#[test]
fn an_app_that_closes_or_shrinks_its_pipe_disturbs_nobody() {
    let rig = Rig::new();
    let (closed, shrunk) = (out("closed"), out("shrunk"));
    drop(rig.run(1, &closed));
    let mut app = rig.run(2, &shrunk);
    fcntl(app.as_fd(), FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
    let wanted = "x".repeat(99) + "\n";
    for _ in 0..3_000 {
        app.write_all(wanted.as_bytes()).unwrap();
    }
    drop(app);
    assert!(!rig.finish(2));
    assert!(!rig.finish(1));
    assert_eq!(rig.content(&shrunk), wanted.repeat(3_000).as_bytes());
}

#[test]
fn forgetting_an_app_writes_the_rest_and_closes_everything() {
    let rig = Rig::new();
    let (gone, stays) = (out("gone"), out("stays"));
    let mut app = rig.run(1, &gone);
    let mut other = rig.run(2, &stays);
    app.write_all(b"last words\n").unwrap();
    rig.pump().forget("gone");
    assert!(!rig.finished(1));
    rig.expect_content(&gone, b"last words\n");
    assert!(
        app.write_all(b"nobody reads\n").is_err(),
        "the pipe is closed"
    );
    other.write_all(b"still here\n").unwrap();
    rig.expect_content(&stays, b"still here\n");
}

#[test]
fn a_pipe_that_is_none_is_said_so() {
    let rig = Rig::new();
    let id = out("app");
    let file = tempfile::tempfile().unwrap();
    rig.attach(1, &id, file.into(), true);
    assert!(matches!(rig.next_event(), Event::Trouble { id: told, .. } if told == id));
    rig.pump().finish(1);
    assert_eq!(rig.next_event(), Event::Recovered { id });
    assert_eq!(
        rig.next_event(),
        Event::Finished {
            key: 1,
            kept: false,
            tail: Vec::new()
        }
    );
}

#[test]
fn the_end_of_a_pipe_is_told_when_all_of_it_is_in_the_log() {
    let rig = Rig::new();
    let id = out("app");
    let mut app = rig.run(7, &id);
    app.write_all(b"one\ntwo").unwrap();
    drop(app);
    let Event::Ended { key: 7, tail } = rig.any_event() else {
        panic!("not the end")
    };
    assert_eq!(tail, b"one\ntwo");
    assert_eq!(rig.content(&id), b"one\ntwo");
    assert!(!rig.finish(7));
}
