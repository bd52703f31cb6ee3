//! Bytes of the runtime state are changed under a daemon, and its engine is killed: the next one signals
//! nobody who is not its own, lets no instance run twice, and the daemon answers.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use supervisor_tests::{Home, proc, testapp, wait_until};

// As the layout of the file has them.
const HEADER: u64 = 4096;
const CELL: u64 = 128;
const PATIENCE: Duration = Duration::from_secs(20);

/// Somebody else's process, which leads a session of its own.
struct Stranger(Child);

impl Stranger {
    fn new() -> Stranger {
        let mut command = Command::new("setsid");
        let child = command.args(["sleep", "600"]).stdin(Stdio::null()).spawn();
        Stranger(child.expect("setsid is there"))
    }

    fn pid(&self) -> i32 {
        self.0.id().cast_signed()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        // It is ours, and may be gone where the test has failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn state(home: &Home) -> File {
    let path = home.path().join("run/runtime.state");
    File::options()
        .read(true)
        .write(true)
        .open(path)
        .expect("it is there")
}

fn answers(home: &Home) -> bool {
    home.ctl(&["status", "--json"]).code == 0
}

/// One process of each app, and it is the one that the daemon knows.
fn settle(home: &Home, what: &str) {
    wait_until(&format!("{what}: each app runs once"), PATIENCE, || {
        let once = |name: &str| {
            let row = home.row(name);
            let running = home.running(name, 0);
            row["state"] == "running" && running.len() == 1 && row["pid"] == running[0]
        };
        (once("one") && once("two")).then_some(())
    });
}

fn start(home: &Home) {
    home.up(&(testapp("one", &["sleep"], "") + &testapp("two", &["sleep"], "")))
        .ok();
}

#[test]
fn a_wrong_pid_is_never_signalled() {
    let home = Home::new();
    start(&home);
    let stranger = Stranger::new();
    let two = home.pid("two");
    let daemon = home.daemon();
    let wrong = [
        ("a stranger", stranger.pid()),
        ("another app", two),
        ("the keeper", daemon.keeper),
        ("init", 1),
        ("everybody", -1),
        ("nobody", 0),
        ("a group", -stranger.pid()),
        ("none", i32::MAX),
    ];
    for (what, pid) in wrong {
        let file = state(&home);
        let at = (HEADER + CELL, home.pid("one"));
        let mut was = [0; 4];
        file.read_exact_at(&mut was, at.0).expect("reads");
        assert_eq!(i32::from_le_bytes(was), at.1, "the layout has changed");
        file.write_all_at(&pid.to_le_bytes(), at.0).expect("writes");
        home.kill_engine();
        settle(&home, what);
        home.ctl(&["restart", "one"]).ok();
        home.ctl(&["stop", "one"]).ok();
        assert_eq!(home.running("one", 0), [0; 0], "{what}");
        home.ctl(&["start", "one"]).ok();
        assert!(proc::alive(stranger.pid()), "{what}: the stranger is gone");
        assert_eq!(home.running("two", 0), [two], "{what}");
        assert!(proc::alive(daemon.keeper), "{what}: the keeper is gone");
        // The cell that is used next is the first one again, after a start from nothing.
        home.ctl(&["restart", "one"]).ok();
        let words = |cell: u64| {
            let mut pid = [0; 4];
            let file = state(&home);
            file.read_exact_at(&mut pid, HEADER + CELL + cell * 64)
                .expect("reads");
            i32::from_le_bytes(pid)
        };
        if words(0) != home.pid("one") {
            home.ctl(&["restart", "one"]).ok();
        }
    }
}

#[test]
fn changed_bytes_of_the_runtime_state_are_survived() {
    let home = Home::new();
    start(&home);
    let stranger = Stranger::new();
    let keeper = home.daemon().keeper;
    // Magic, boot id, token, engines, stopping; a slot's use, instance and name; a cell's stage, errno,
    // run, birth, spec and flags; both copies of a record.
    let header = [0, 3, 16, 40, 64, 70, 72, 80, 81];
    let slot = [
        0, 4, 8, 16, 18, 128, 129, 132, 136, 144, 152, 160, 168, 172, 512, 520, 540, 1300, 1330,
    ];
    let all = header.into_iter().chain(slot.map(|at| HEADER + at));
    for at in all {
        let file = state(&home);
        let mut was = [0];
        file.read_exact_at(&mut was, at).expect("reads");
        file.write_all_at(&[was[0] ^ 0x01], at).expect("writes");
        home.kill_engine_of(keeper);
        let what = format!("byte {at}");
        wait_until(&what, PATIENCE, || answers(&home).then_some(()));
        settle(&home, &what);
        assert!(proc::alive(stranger.pid()), "{what}: the stranger is gone");
        assert_eq!(home.daemon().keeper, keeper, "{what}");
    }
}

#[test]
fn another_layout_is_refused_and_nothing_is_touched() {
    let home = Home::new();
    start(&home);
    let pids = ["one", "two"].map(|name| home.pid(name));
    let keeper = home.daemon().keeper;
    let file = state(&home);
    let mut was = [0];
    file.read_exact_at(&mut was, 8).expect("reads");
    file.write_all_at(&[99], 8).expect("writes");
    home.kill_engine_of(keeper);
    wait_until("that it is told", PATIENCE, || {
        home.daemon_log().contains("layout 99").then_some(())
    });
    assert!(pids.iter().all(|&pid| proc::alive(pid)));
    file.write_all_at(&was, 8).expect("writes");
    wait_until("that it answers again", PATIENCE, || {
        answers(&home).then_some(())
    });
    assert_eq!(["one", "two"].map(|name| home.pid(name)), pids);
}

#[test]
fn a_damaged_desired_state_falls_back_and_says_so() {
    let home = Home::new();
    start(&home);
    home.ctl(&["stop", "two"]).ok();
    let path = home.path().join("state/desired.json");
    let whole = fs::read(&path).expect("reads");
    for at in [0, whole.len() / 3, whole.len() - 3] {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x01;
        fs::write(&path, &bytes).expect("writes");
        let pid = home.pid("one");
        home.kill_engine();
        wait_until("an answer", PATIENCE, || answers(&home).then_some(()));
        assert_eq!(home.pid("one"), pid);
        assert!(home.daemon_log().contains("the state before is used"));
        home.ctl(&["start", "two"]).ok();
        home.ctl(&["stop", "two"]).ok();
    }
}
