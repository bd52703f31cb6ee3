//! What an app waits for before it starts: ports, sockets, files and servers that are late, while
//! daemons die and operators change their minds.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use supervisor_tests::http::free_port;
use supervisor_tests::{Home, Output, monotonic_ns, proc, testapp, wait_until};

/// A sleeper that notes its starts in a file of its name, and waits.
fn waiting(home: &Home, name: &str, waits: &str, rest: &str) -> String {
    stamped(
        home,
        name,
        &["sleep"],
        &format!("wait_for = [{waits:?}]\n{rest}"),
    )
}

fn stamped(home: &Home, name: &str, words: &[&str], rest: &str) -> String {
    let stamps = home.text_of(name);
    testapp(
        name,
        words,
        &format!("env = {{ STAMPS = {stamps:?} }}\n{rest}"),
    )
}

fn note(row: &Value) -> &str {
    row["note"].as_str().unwrap_or_default()
}

/// Waits until an app waits for this, and says so.
#[track_caller]
fn waits(home: &Home, name: &str, for_what: &str) -> Value {
    home.wait_row(name, for_what, |row| {
        row["state"] == "waiting" && note(row).contains(for_what)
    })
}

/// Waits until it runs; nothing was counted on the way, and it was started once.
#[track_caller]
fn runs(home: &Home, name: &str) {
    let row = home.wait_row(name, "runs", |row| row["state"] == "running");
    assert_eq!(row["restarts"], 0, "{row}");
    assert_eq!(row["failures"], 0, "{row}");
    // It notes that a moment after it has begun.
    let starts = home.wait_stamps(name, 1);
    assert_eq!(starts.len(), 1, "{name} was started once");
}

fn listen(port: u16) -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("it was free a moment ago")
}

/// A server that answers with whatever status it is told, until the test is over.
fn server(status: u16) -> (u16, Arc<AtomicU16>) {
    let listener = listen(0);
    let port = listener.local_addr().expect("it is bound").port();
    let status = Arc::new(AtomicU16::new(status));
    let now = Arc::clone(&status);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let status = now.load(Ordering::Relaxed);
            // One that goes away is no failure of the server.
            let _ = stream.read(&mut [0; 1024]);
            let _ = write!(stream, "HTTP/1.1 {status} So\r\ncontent-length: 0\r\n\r\n");
        }
    });
    (port, status)
}

#[test]
fn each_kind_is_waited_for_while_engines_die() {
    let home = Home::new();
    let tcp = free_port();
    let (http, status) = server(503);
    let apps = [
        waiting(&home, "tcp", &format!("tcp:127.0.0.1:{tcp}"), ""),
        waiting(&home, "named", &format!("tcp:localhost:{tcp}"), ""),
        waiting(&home, "nobody", "tcp:nobody.invalid:80", ""),
        // Relative to where it runs.
        waiting(&home, "unix", "unix:x.sock", ""),
        waiting(&home, "file", "file:there", ""),
        waiting(
            &home,
            "http",
            &format!("http://127.0.0.1:{http}/health"),
            "",
        ),
    ];
    let file = home.write("supervisor.toml", &apps.concat());
    let file = file.to_str().expect("a plain name");
    home.ctl(&["up", file, "--no-wait"]).ok();
    let look = || {
        waits(
            &home,
            "tcp",
            &format!("waits for tcp:127.0.0.1:{tcp} (connection refused, "),
        );
        waits(&home, "named", "connection refused, ");
        waits(&home, "nobody", "waits for tcp:nobody.invalid:80 (");
        waits(
            &home,
            "unix",
            &format!(
                "waits for unix:{} (it is not there, ",
                home.text_of("x.sock")
            ),
        );
        waits(&home, "file", "(it is not there, ");
        waits(&home, "http", "(it answers 503, ");
    };
    look();
    let seconds = |row: &Value| {
        let (_, time) = note(row).rsplit_once(", ").expect("how long");
        let number = time.split(' ').next().expect("a number").parse::<f64>();
        number.expect("a number") * if time.contains("ms") { 0.001 } else { 1.0 }
    };
    let before = home.wait_row("tcp", "waits for a second", |row| seconds(row) > 1.0);
    home.kill_engine();
    look();
    let after = waits(&home, "tcp", "connection refused, ");
    assert!(
        seconds(&after) >= seconds(&before),
        "{after} after {before}"
    );
    home.ctl(&["show", "tcp"]).ok().says("connection refused");

    let _listener = listen(tcp);
    let _socket = UnixListener::bind(home.file("x.sock")).expect("a socket");
    fs::write(home.file("there"), "").expect("the work folder can be written");
    for name in ["tcp", "named", "unix", "file"] {
        runs(&home, name);
    }
    waits(&home, "http", "(it answers 503, ");
    status.store(204, Ordering::Relaxed);
    runs(&home, "http");
    // What runs is not looked after: it is a condition of the start.
    drop(_listener);
    home.kill_engine();
    runs(&home, "tcp");
    waits(&home, "nobody", "nobody.invalid");
    assert_eq!(home.stamps("nobody"), []);
}

#[test]
fn up_waits_for_what_is_late_and_so_do_those_that_come_after_it() {
    let home = Home::new();
    let port = free_port();
    let database = thread::spawn(move || {
        // The test is about time: it comes late.
        thread::sleep(Duration::from_millis(2500));
        let listener = listen(port);
        (listener, monotonic_ns())
    });
    let apps = [
        stamped(&home, "front", &["sleep"], "after = [\"web\"]"),
        waiting(&home, "web", &format!("tcp:127.0.0.1:{port}"), ""),
    ];
    home.up(&apps.concat())
        .ok()
        .says("web  started")
        .says("front  started");
    let (_listener, there) = database.join().expect("it listens");
    runs(&home, "front");
    runs(&home, "web");
    let (web, front) = (home.stamps("web")[0].0, home.stamps("front")[0].0);
    assert!(there < web && web < front, "{there} {web} {front}");
    let late = Duration::from_nanos(web - there);
    assert!(
        late < Duration::from_secs(1),
        "started {late:?} after it was there"
    );
}

#[test]
fn up_says_what_is_still_waited_for() {
    let home = Home::new();
    let port = free_port();
    let since = Instant::now();
    let app = waiting(&home, "web", &format!("tcp:127.0.0.1:{port}"), "");
    let up = home.up(&app).ok();
    up.says("web  waiting").says(&format!(
        "waits for tcp:127.0.0.1:{port} (connection refused, 10 s)"
    ));
    let took = since.elapsed();
    assert!((10..20).contains(&took.as_secs()), "{took:?}");
    home.ctl(&["status", "web"]).exits(3);
    // A mistake in the file is mended, and `up` tells how that goes.
    fs::write(home.file("there"), "").expect("the work folder can be written");
    let there = waiting(&home, "web", "file:there", "");
    home.up(&there).ok().says("wait_for").says("web  started");
    let pid = home.pid("web");
    home.up(&app).ok();
    assert_eq!(home.pid("web"), pid, "what runs is left alone");
}

#[test]
fn an_operator_ends_the_waiting_and_begins_it_again() {
    let home = Home::new();
    let file = "file:there";
    home.write("supervisor.toml", &waiting(&home, "web", file, ""));
    home.ctl(&["up", "--no-wait"]).ok();
    waits(&home, "web", file_missing());
    home.ctl(&["stop", "web"]).ok().says("stopped");
    home.kill_engine();
    fs::write(home.file("there"), "").expect("the work folder can be written");
    let row = home.wait_row("web", "stays stopped", |row| row["state"] == "stopped");
    assert_eq!(row["note"], Value::Null, "{row}");
    fs::remove_file(home.file("there")).expect("it was there");
    home.ctl(&["start", "web", "--no-wait"]).ok();
    waits(&home, "web", file_missing());
    home.ctl(&["restart", "web", "--no-wait"]).ok();
    waits(&home, "web", file_missing());
    assert_eq!(home.stamps("web"), [], "it was never started");
    fs::write(home.file("there"), "").expect("the work folder can be written");
    runs(&home, "web");
    fs::remove_file(home.file("there")).expect("it was there");
    home.ctl(&["restart", "web", "--no-wait"]).ok();
    waits(&home, "web", file_missing());
    home.ctl(&["delete", "web"]).ok();
    assert_eq!(home.status(), [] as [Value; 0]);
}

fn file_missing() -> &'static str {
    "(it is not there, "
}

#[test]
fn a_crash_waits_again_and_keeps_its_count() {
    let home = Home::new();
    fs::write(home.file("there"), "").expect("the work folder can be written");
    let app = stamped(
        &home,
        "web",
        &["exit", "3", "1500"],
        "wait_for = [\"file:there\"]",
    );
    home.up(&app).ok();
    fs::remove_file(home.file("there")).expect("it was there");
    let row = waits(&home, "web", file_missing());
    assert_eq!(row["failures"], 1, "{row}");
    assert_eq!(row["restarts"], 1, "{row}");
    assert_eq!(row["last_exit"]["code"], 3, "{row}");
    fs::write(home.file("there"), "").expect("the work folder can be written");
    home.wait_stamps("web", 2);
}

#[test]
fn keeper_and_engine_are_killed_and_it_goes_on_waiting() {
    let home = Home::new();
    home.write("supervisor.toml", &waiting(&home, "web", "file:there", ""));
    home.ctl(&["up", "--no-wait"]).ok();
    waits(&home, "web", file_missing());
    let old = home.daemon();
    proc::kill(old.keeper, Signal::SIGKILL);
    home.wait_gone(old.keeper);
    wait_until("an engine is back", Duration::from_secs(10), || {
        (home.ctl(&["daemon", "status"]).code == 0).then_some(())
    });
    waits(&home, "web", file_missing());
    let new = home.daemon();
    proc::kill(new.keeper, Signal::SIGSTOP);
    proc::kill(new.engine, Signal::SIGKILL);
    proc::kill(new.keeper, Signal::SIGKILL);
    home.wait_gone(new.keeper);
    home.start_daemon();
    waits(&home, "web", file_missing());
    fs::write(home.file("there"), "").expect("the work folder can be written");
    runs(&home, "web");
}

#[test]
fn what_is_late_at_boot_is_waited_for() {
    let home = Home::new();
    let port = free_port();
    let listener = listen(port);
    let apps = [
        stamped(&home, "front", &["sleep"], "after = [\"web\"]"),
        waiting(&home, "web", &format!("tcp:127.0.0.1:{port}"), ""),
    ];
    home.up(&apps.concat()).ok();
    drop(listener);
    home.power_cut();
    for name in ["web", "front"] {
        fs::remove_file(home.file(name)).expect("it has started");
    }
    home.start_daemon();
    waits(&home, "web", "connection refused, 2");
    waits(&home, "front", "waits for web (waiting)");
    let _listener = listen(port);
    runs(&home, "web");
    runs(&home, "front");
}

#[test]
fn those_that_wait_cost_next_to_nothing() {
    const APPS: usize = 200;
    let home = Home::new();
    let port = free_port();
    let rest = format!("instances = {APPS}\nwait_for = [\"tcp:127.0.0.1:{port}\"]");
    home.write("supervisor.toml", &testapp("web", &["sleep"], &rest));
    home.ctl(&["up", "--no-wait"]).ok();
    let refused = |row: &Value| note(row).contains("refused");
    wait_until("all wait", Duration::from_secs(20), || {
        let rows = home.status();
        (rows.len() == APPS && rows.iter().all(refused)).then_some(())
    });
    let engine = home.daemon().engine;
    let used = || proc::cpu_ns(engine).expect("it runs");
    let (before, since) = (used(), Instant::now());
    // The test is about time: so long it is measured.
    thread::sleep(Duration::from_secs(3));
    let per_second = (used() - before) as f64 / since.elapsed().as_secs_f64() / 1e6;
    println!("{per_second:.1} ms of CPU in each second for {APPS} that wait");
    // Twice a second each of them, as a program that is not optimised; all of a CPU is 1000.
    assert!(per_second < 50.0, "{per_second} ms of CPU in each second");
    home.ctl(&["stop", "web"]).ok();
    let (before, since) = (used(), Instant::now());
    thread::sleep(Duration::from_secs(2));
    let per_second = (used() - before) as f64 / since.elapsed().as_secs_f64() / 1e6;
    assert!(per_second < 5.0, "{per_second} ms while nobody waits");
}

#[test]
fn start_takes_it_as_an_option() {
    let home = Home::new();
    let words = ["start", "sleep 1000", "--name", "web", "--wait-for"];
    let start = |what: &str| -> Output { home.ctl(&[&words[..], &[what, "--no-wait"]].concat()) };
    start("5432").exits(1).says("wait_for");
    start("file:there").ok();
    waits(&home, "web", file_missing());
}
