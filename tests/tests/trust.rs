//! Another user of the machine gets nothing: no answer, no file, no secret; and a root daemon
//! believes no file that somebody else may write.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, UnixAddr};
use supervisor_tests::{Home, Output, Rng, is_root, proc, programs, testapp, wait_until};

/// `nobody`, who owns nothing here.
const NOBODY: u32 = 65534;
/// Somebody else, who need not have an account.
const STRANGER: u32 = 54321;
const SECRET: &str = "hunter2-is-my-secret";

fn socket_of(home: &Home) -> PathBuf {
    home.path().join("run/supervisor.sock")
}

fn as_nobody(command: &mut Command) -> Output {
    Output::of(command.uid(NOBODY).gid(NOBODY))
}

fn needs_root(what: &str) -> bool {
    if !is_root() {
        println!("skipped: {what} needs root");
    }
    is_root()
}

#[test]
fn another_user_gets_nothing() {
    if !needs_root("to become another user") {
        return;
    }
    let home = Home::new();
    let secret = format!("env = {{ PASSWORD = {SECRET:?} }}");
    home.up(&testapp("private", &["sleep"], &secret)).ok();
    let pid = home.pid("private");
    let ctl = home.copy(&programs::supervisorctl(), "ctl");
    let app = home.copy(&programs::testapp(), "testapp");

    for words in [
        &["status", "--json"][..],
        &["stop", "all"],
        &["show", "private"],
        &["logs"],
    ] {
        let output = as_nobody(home.command(&ctl).args(words));
        assert_ne!(output.code, 0, "{output}");
        output.hides("private:0").hides(SECRET);
    }
    for path in ["run", "state", "logs", "logs/private"] {
        let folder = home.path().join(path);
        assert_ne!(
            as_nobody(Command::new("ls").arg(&folder)).code,
            0,
            "{}",
            folder.display()
        );
    }
    let files = [
        "logs/private/0.out.log",
        "logs/supervisor.log",
        "state/desired.json",
        "run/runtime.state",
    ];
    for file in files.map(|file| home.path().join(file)) {
        assert_ne!(
            as_nobody(Command::new("cat").arg(&file)).code,
            0,
            "{}",
            file.display()
        );
    }
    let connect = || as_nobody(home.command(&app).arg("connect").arg(socket_of(&home)));
    connect().ok().says("PermissionDenied");

    // Even where the folder no longer keeps others out, the daemon asks the kernel who they are.
    let open = |path: &Path| fs::set_permissions(path, Permissions::from_mode(0o777));
    open(&home.path().join("run")).expect("our own folder");
    open(&socket_of(&home)).expect("our own socket");
    connect().ok().hides("PermissionDenied").hides("private");
    let output = as_nobody(home.command(&ctl).args(["stop", "private"]));
    assert_ne!(output.code, 0, "{output}");
    assert_eq!(home.running("private", 0), [pid]);
}

#[test]
fn a_root_daemon_believes_no_file_that_others_may_write() {
    if !needs_root("a root daemon") {
        return;
    }
    let home = Home::new();
    let file = home.write("supervisor.toml", &testapp("app", &["sleep"], ""));
    let up = || home.ctl(&["up"]);
    for mode in [0o666, 0o664, 0o646] {
        fs::set_permissions(&file, Permissions::from_mode(mode)).expect("our own file");
        up().exits(1).says("supervisor.toml").says("write");
    }
    fs::set_permissions(&file, Permissions::from_mode(0o644)).expect("our own file");
    chown(&file, Some(STRANGER), None).expect("root may");
    up().exits(1)
        .says("supervisor.toml")
        .says(&STRANGER.to_string());
    assert_eq!(home.running("app", 0), [0; 0]);
    chown(&file, Some(0), None).expect("root may");
    up().ok();

    let secrets = home.write("app.env", &format!("PASSWORD={SECRET}\n"));
    let user = "env_file = [\"app.env\"]\nuser = \"nobody\"";
    home.copy(&programs::testapp(), "testapp");
    let text = supervisor_tests::app("app", &["./testapp", "sleep"], user);
    let restarted = |owner: u32, mode: u32| {
        chown(&secrets, Some(owner), None).expect("root may");
        fs::set_permissions(&secrets, Permissions::from_mode(mode)).expect("root may");
        home.ctl(&["delete", "app"]);
        home.up(&text)
    };
    restarted(STRANGER, 0o600)
        .exits(1)
        .says("app.env")
        .hides(SECRET);
    restarted(0, 0o666).exits(1).says("app.env").hides(SECRET);
    restarted(0, 0o600).ok();
    restarted(NOBODY, 0o600).ok();
    assert_eq!(
        proc::variable(home.pid("app"), "PASSWORD").as_deref(),
        Some(SECRET)
    );
}

#[test]
fn secrets_are_shown_to_nobody_who_did_not_ask() {
    let home = Home::new();
    home.write("app.env", &format!("FROM_FILE={SECRET}\n"));
    let text = format!("env_file = [\"app.env\"]\nenv = {{ PASSWORD = {SECRET:?} }}");
    let config = testapp("app", &["sleep"], &text);
    home.up(&config).ok().hides(SECRET);
    let changed = config.replace("PASSWORD", "OTHER");
    home.write("supervisor.toml", &changed);
    home.ctl(&["up", "--dry-run"]).ok().hides(SECRET);
    home.up(&changed).ok().hides(SECRET);
    for words in [
        &["status"][..],
        &["status", "--json"],
        &["show", "app"],
        &["show", "app", "--json"],
        &["restart", "app"],
        &["logs", "app", "--no-follow"],
    ] {
        home.ctl(words).ok().hides(SECRET);
    }
    home.ctl(&["show", "app"]).ok().says("OTHER");
    home.ctl(&["show", "app", "--show-env"]).ok().says(SECRET);
    // Nor do errors and the daemon's log repeat them.
    home.up(&changed.replace("[app.app]", "[app.app]\nnonsense = 1"))
        .exits(1)
        .hides(SECRET);
    home.ctl(&["start", "./missing", "--env", &format!("P={SECRET}")])
        .exits(1)
        .hides(SECRET);
    assert!(!home.daemon_log().contains(SECRET));
    let desired = home.path().join("state/desired.json");
    let mode = fs::metadata(&desired)
        .expect("the desired state")
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o600);
}

#[test]
fn links_in_the_log_folder_lead_nowhere() {
    let home = Home::new();
    home.up(&testapp("first", &["sleep"], "")).ok();
    let victim = home.write("victim", "untouched\n");
    let folder = home.path().join("logs/app");
    fs::create_dir(&folder).expect("our own folder");
    std::os::unix::fs::symlink(&victim, folder.join("0.out.log")).expect("a link");
    fs::hard_link(&victim, folder.join("0.err.log")).expect("a link");
    // The app runs, since its log may be repaired while it does; its output waits, and that is told.
    let output = home.up(&testapp("app", &["sleep"], ""));
    wait_until("that the trouble is told", Duration::from_secs(10), || {
        let shown = home.ctl(&["show", "app"]).stdout;
        (shown.contains("symbolic link") || shown.contains("hard links")).then_some(())
    });
    assert_eq!(
        fs::read_to_string(&victim).expect("it is there"),
        "untouched\n",
        "{output}"
    );
}

/// Connects without ever waiting: `None` when the daemon's backlog is full.
fn connect(path: &Path) -> Option<OwnedFd> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let stream =
        socket::socket(AddressFamily::Unix, SockType::Stream, flags, None).expect("a socket");
    let address = UnixAddr::new(path).expect("a short path");
    socket::connect(stream.as_raw_fd(), &address)
        .ok()
        .map(|()| stream)
}

#[test]
fn silent_and_babbling_clients_hold_up_nobody() {
    let home = Home::new();
    home.up(&testapp("app", &["sleep"], "")).ok();
    let pid = home.pid("app");
    let socket = socket_of(&home);
    let mut rng = Rng::new(3);
    let mut held: Vec<UnixStream> = Vec::new();
    let mut slowest = Duration::ZERO;
    for round in 0..10 {
        for index in 0..100 {
            let Some(stream) = connect(&socket) else {
                continue;
            };
            let mut stream = UnixStream::from(stream);
            let garbage: Vec<u8> = match index % 4 {
                0 => Vec::new(),
                1 => vec![0, 0, 0, 0x40],
                2 => b"\x20\0\0\0{\"v\":1,".to_vec(),
                _ => (0..64).map(|_| rng.within(0..256) as u8).collect(),
            };
            // The daemon may have hung up already.
            let _ = stream.write(&garbage);
            held.push(stream);
        }
        let status = home.ctl(&["status", "--json"]).ok();
        assert_eq!(status.json()[0]["pid"], pid, "{status}");
        slowest = slowest.max(status.took);
        assert!(
            slowest < Duration::from_secs(2),
            "round {round}: a status took {slowest:?}"
        );
    }
    println!(
        "{} connections; the slowest of 10 × status took {slowest:?}",
        held.len()
    );
    assert!(
        held.len() > 200,
        "only {} connections came about",
        held.len()
    );
    let daemon = home.daemon();
    assert!(
        proc::descriptors(daemon.engine) < 500,
        "connections are bounded"
    );
    drop(held);
    home.ctl(&["restart", "app"]).ok();
}
