//! States that another version of the program wrote: left alone, and told.

use std::fs;
use std::path::Path;
use std::time::Duration;

use supervisor_tests::{Home, proc, testapp, wait_until};

/// The daemon with an app that runs.
fn running() -> (Home, i32) {
    let home = Home::new();
    home.up(&testapp("app", &["sleep"], "")).ok();
    let app = home.pid("app");
    (home, app)
}

/// Kills the engine, waits until its successors have said `why`, and looks that nothing was done.
fn is_refused(home: &Home, app: i32, file: &Path, why: &str) {
    let before = fs::read(file).expect("it is there");
    let engine = home.daemon().engine;
    let foreign = doctor(file, &before);
    proc::kill(engine, nix::sys::signal::Signal::SIGKILL);
    home.wait_gone(engine);
    wait_until(
        "an engine says why it cannot start",
        Duration::from_secs(10),
        || home.daemon_log().contains(why).then_some(()),
    );
    assert_eq!(home.running("app", 0), [app]);
    assert!(
        fs::read(file).expect("it is there") == foreign,
        "it is not touched"
    );
    restore(file, &before);
    assert_eq!(home.pid("app"), app);
    home.ctl(&["restart", "app"]).ok();
}

fn is_json(file: &Path) -> bool {
    file.extension()
        .is_some_and(|extension| extension == "json")
}

/// Makes it one of version 99.
fn doctor(file: &Path, before: &[u8]) -> Vec<u8> {
    let after = if is_json(file) {
        let text = String::from_utf8(before.to_vec()).expect("text");
        let (document, _) = text.trim_end().rsplit_once('\n').expect("two lines");
        let document = document.replacen("\"version\":1", "\"version\":99", 1);
        let sum = crc32fast::hash(document.as_bytes());
        format!("{document}\ncrc32 {sum:08x}\n").into_bytes()
    } else {
        let mut bytes = before.to_vec();
        bytes[8..12].copy_from_slice(&99u32.to_le_bytes());
        bytes
    };
    restore(file, &after);
    after
}

/// In the same file: it may be mapped.
fn restore(file: &Path, bytes: &[u8]) {
    use std::os::unix::fs::FileExt;
    let open = fs::OpenOptions::new()
        .write(true)
        .open(file)
        .expect("own file");
    open.write_all_at(bytes, 0).expect("it can be written");
    open.set_len(bytes.len() as u64).expect("it can be cut");
}

#[test]
fn a_desired_state_of_another_version() {
    let (home, app) = running();
    let file = home.path().join("state/desired.json");
    is_refused(
        &home,
        app,
        &file,
        "written by another version of this program",
    );
}

#[test]
fn a_runtime_state_of_another_layout() {
    let (home, app) = running();
    let file = home.path().join("run/runtime.state");
    is_refused(&home, app, &file, "the runtime state has layout 99");
}
