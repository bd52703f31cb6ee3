//! What somebody finds who looks for a way in: no socket but the one in its folder, no file that is
//! more open than it must be, no link or FIFO that is followed, no bytes that hold up the others.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use supervisor_tests::{Home, Output, is_root, proc, programs, testapp, wait_until};

/// `DaemonStatus`, as it goes over the wire.
const ASK: &[u8] = br#"{"v":1,"request":"daemon_status"}"#;

fn socket_of(home: &Home) -> PathBuf {
    home.path().join("run/supervisor.sock")
}

/// The inodes of the sockets that a process has open.
fn sockets(pid: i32) -> BTreeSet<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs");
    let links = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let inode = |link: PathBuf| {
        let text = link.to_str()?.strip_prefix("socket:[")?;
        Some(text.strip_suffix(']')?.to_owned())
    };
    links.filter_map(inode).collect()
}

/// The rows of a table of `/proc/net` that are one of these sockets', by the column of their inodes.
fn rows(table: &str, column: usize, inodes: &BTreeSet<String>) -> Vec<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default();
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect();
    let rows = text.lines().skip(1).map(words);
    rows.filter(|row: &Vec<String>| row.get(column).is_some_and(|inode| inodes.contains(inode)))
        .collect()
}

#[test]
fn nothing_listens_but_the_socket_in_its_folder() {
    let home = Home::new();
    home.up(&testapp("app", &["sleep"], "")).ok();
    let daemon = home.daemon();
    let (keeper, engine) = (sockets(daemon.keeper), sockets(daemon.engine));
    let inodes: BTreeSet<String> = keeper.union(&engine).cloned().collect();
    assert!(!inodes.is_empty());
    for table in ["tcp", "tcp6", "udp", "udp6", "raw", "raw6"] {
        let rows = rows(table, 9, &inodes);
        assert!(rows.is_empty(), "{table}: {rows:?}");
    }
    let unix = rows("unix", 6, &inodes);
    let named: BTreeSet<&String> = unix.iter().filter_map(|row| row.get(7)).collect();
    let own = socket_of(&home).display().to_string();
    assert_eq!(named, BTreeSet::from([&own]), "{unix:?}");
}

/// Every file below a folder with its mode; numbers in names (days, pids) are left out.
fn modes(folder: &Path, below: &str, found: &mut BTreeMap<String, u32>) {
    for entry in fs::read_dir(folder).expect("our own folder") {
        let entry = entry.expect("an entry");
        let file = fs::symlink_metadata(entry.path()).expect("it is there");
        let name = format!("{below}/{}", entry.file_name().to_string_lossy());
        if file.is_dir() {
            modes(&entry.path(), &name, found);
        }
        if !file.is_symlink() {
            found.insert(name, file.mode() & 0o7777);
        }
    }
}

#[test]
fn modes_do_not_depend_on_the_umask_of_whoever_starts_it() {
    let look = |umask: &str| {
        let home = Home::new();
        home.write(
            "supervisor.toml",
            &testapp("app", &["write", "5000", "50"], ""),
        );
        let mut shell = home.command(Path::new("sh"));
        let line = format!("umask {umask} && exec \"$0\" up");
        Output::of(shell.args(["-c", &line]).arg(programs::supervisorctl())).ok();
        wait_until("its lines", Duration::from_secs(10), || {
            (home.log("app", "out").len() >= 5000).then_some(())
        });
        home.ctl(&["stop", "app"]).ok();
        home.kill_engine();
        home.ctl(&["start", "app"]).ok();
        let mut found = BTreeMap::new();
        modes(&home.path(), "", &mut found);
        found
    };
    let open = look("000");
    for (name, mode) in &open {
        assert_eq!(mode & 0o027, 0, "{name} has mode {mode:o}");
        if !name.starts_with("/logs") {
            assert_eq!(mode & 0o077, 0, "{name} has mode {mode:o}");
        }
    }
    let expected = [
        ("/run", 0o700),
        ("/run/runtime.state", 0o600),
        ("/run/supervisor.sock", 0o600),
        ("/state", 0o700),
        ("/state/desired.json", 0o600),
        ("/state/desired.json.1", 0o600),
        ("/state/lock", 0o600),
        ("/logs", 0o750),
        ("/logs/app", 0o750),
        ("/logs/app/0.out.log", 0o640),
    ];
    for (name, mode) in expected {
        assert_eq!(open.get(name), Some(&mode), "{name} in {open:?}");
    }
    assert_eq!(look("077"), open);
}

/// What may stand in the place of a file.
#[derive(Clone, Copy, Debug)]
enum Planted {
    Symlink,
    HardLink,
    Fifo,
}

impl Planted {
    fn at(self, path: &Path, victim: &Path) {
        // It is what stands there, not what stood there.
        let _ = fs::remove_file(path);
        match self {
            Planted::Symlink => symlink(victim, path).expect("a link"),
            Planted::HardLink => fs::hard_link(victim, path).expect("a link"),
            Planted::Fifo => mkfifo(path, Mode::from_bits_truncate(0o666)).expect("a FIFO"),
        }
    }
}

#[test]
fn what_is_planted_in_its_folders_is_not_followed_and_holds_up_nobody() {
    let places = [
        "run/runtime.state",
        "run/supervisor.sock",
        "state/desired.json.new",
        "state/lock",
        "logs/supervisor.log",
        "logs/app/0.out.log",
        "logs/app/0.out.log.idx",
        "logs/app/0.err.log",
    ];
    for planted in [Planted::Symlink, Planted::HardLink, Planted::Fifo] {
        for place in places {
            let home = Home::new();
            let victim = home.write("victim", "untouched\n");
            fs::set_permissions(&victim, Permissions::from_mode(0o604)).expect("our own file");
            let path = home.path().join(place);
            fs::create_dir_all(path.parent().expect("a folder")).expect("our own folder");
            planted.at(&path, &victim);
            let started = Instant::now();
            let output = home.up(&testapp("app", &["lines", "100", &home.text_of("")], ""));
            let took = started.elapsed();
            let what = format!("{planted:?} at {place}: {output}");
            assert!(took < Duration::from_secs(30), "{what}");
            // It goes on, or says what is in its way.
            assert!(
                output.code == 0 || output.text().contains(&place[..3]),
                "{what}"
            );
            let found = fs::metadata(&victim).expect("it is there");
            assert_eq!(found.mode() & 0o7777, 0o604, "{what}");
            let text = fs::read_to_string(&victim).expect("it is there");
            assert_eq!(text, "untouched\n", "{what}");
            if output.code == 0 {
                home.ctl(&["stop", "app"]).ok();
                let text = fs::read_to_string(&victim).expect("it is there");
                assert_eq!(text, "untouched\n", "after the stop, {what}");
            }
        }
    }
}

#[test]
fn a_user_that_is_none_is_never_root() {
    let home = Home::new();
    for user in [
        "0day",
        "-1",
        "4294967296",
        "4294967295",
        "",
        "no-such-user-here",
        "root ",
    ] {
        let config = testapp("app", &["sleep"], &format!("user = {user:?}"));
        home.up(&config).exits(1).says("user");
        assert_eq!(home.running("app", 0), [0; 0], "{user:?}");
    }
}

fn frame(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("a short one");
    [&length.to_le_bytes(), bytes].concat()
}

/// One frame of an answer; `None`: the connection is at its end.
fn read_frame(stream: &mut UnixStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
    stream.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

fn ask(socket: &Path) -> Duration {
    let started = Instant::now();
    let mut stream = UnixStream::connect(socket).expect("the daemon listens");
    stream.write_all(&frame(ASK)).expect("it reads");
    let answer = read_frame(&mut stream).expect("an answer");
    assert!(
        answer.starts_with(b"{\"daemon\""),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    assert_eq!(read_frame(&mut stream).as_deref(), Some(&b"\"end\""[..]));
    started.elapsed()
}

#[test]
fn a_thousand_half_open_connections_slow_nobody_down() {
    let home = Home::new();
    home.up(&testapp("app", &["sleep"], "")).ok();
    let socket = socket_of(&home);
    let beginnings = [&b""[..], b"\x20", b"\x20\0\0\0", b"\x20\0\0\0{\"v\":1,"];
    let mut held = Vec::new();
    for index in 0..1000 {
        let mut stream = UnixStream::connect(&socket).expect("it takes them");
        // The daemon may have hung up already.
        let _ = stream.write(beginnings[index % beginnings.len()]);
        held.push(stream);
    }
    // Whatever else the machine does in one round, it hardly does in all of them.
    let mut rounds = (0..5).map(|_| {
        let mut took: Vec<Duration> = (0..100).map(|_| ask(&socket)).collect();
        took.sort_unstable();
        took[98]
    });
    let quick = |took: &Duration| *took < Duration::from_millis(50);
    let best = rounds.find(quick).expect("99 of 100 commands within 50 ms");
    println!("p99 {best:?} beside {} connections", held.len());
    // Of one user, so many are kept.
    let open = sockets(home.daemon().engine).len();
    assert!(open < 64 + 20, "{open} sockets are open");
}

#[test]
fn a_request_has_to_be_there_in_time_and_in_bounds() {
    let home = Home::new();
    home.up(&testapp("app", &["sleep"], "")).ok();
    let connect = || {
        let stream = UnixStream::connect(socket_of(&home)).expect("it listens");
        let limit = Some(Duration::from_secs(20));
        stream.set_read_timeout(limit).expect("a time");
        stream
    };
    let silent = [&b""[..], b"\x20\0", b"\x20\0\0\0{\"v\":"].map(|beginning| {
        let mut stream = connect();
        stream.write_all(beginning).expect("it listens");
        (Instant::now(), stream)
    });
    for (since, mut stream) in silent {
        assert_eq!(read_frame(&mut stream), None);
        let took = since.elapsed();
        let expected = Duration::from_millis(4500)..Duration::from_secs(9);
        assert!(expected.contains(&took), "hung up after {took:?}");
    }
    let said = |bytes: &[u8]| {
        let mut stream = connect();
        stream.write_all(bytes).expect("it listens");
        let answer = read_frame(&mut stream).expect("an answer");
        assert_eq!(read_frame(&mut stream), None, "it hangs up");
        String::from_utf8(answer).expect("JSON")
    };
    let gigabyte = (1_u32 << 30).to_le_bytes();
    assert!(said(&gigabyte).contains("1073741824 bytes"));
    assert!(said(&frame(b"not JSON")).contains("usage"));
    assert!(said(&frame(br#"{"v":99,"request":"x"}"#)).contains("version"));
    ask(&socket_of(&home));
}

#[test]
fn an_app_cannot_speak_to_systemd() {
    let home = Home::new();
    let path = home.file("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_nonblocking(true).expect("our own");
    let mut start = home.command(&programs::supervisor());
    start
        .arg("--daemonize")
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "30000000");
    Output::of(&mut start).ok();
    home.up(&testapp("app", &["sleep"], "")).ok();
    let pid = home.pid("app");
    for name in [
        "NOTIFY_SOCKET",
        "WATCHDOG_USEC",
        "WATCHDOG_PID",
        "LISTEN_FDS",
    ] {
        assert_eq!(proc::variable(pid, name), None, "{name}");
    }
    assert!(
        socket.recv(&mut [0; 64]).is_err(),
        "nobody has said anything"
    );
}

#[test]
fn the_daemon_does_not_run_in_a_folder_of_somebody_else() {
    if !is_root() {
        println!("skipped: to give a folder away needs root");
        return;
    }
    let home = Home::new();
    let run = home.path().join("run");
    fs::create_dir(&run).expect("our own folder");
    Output::of(Command::new("chown").arg("65534").arg(&run)).ok();
    home.up(&testapp("app", &["sleep"], "")).exits(1);
    Output::of(home.command(&programs::supervisor()).arg("--daemonize"))
        .exits(1)
        .says("belongs to uid 65534");
}
