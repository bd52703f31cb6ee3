//! Upgrades under load: an HTTP app does not notice.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use supervisor_tests::{Home, app, http, programs, wait_until};

use super::{Installed, runs};

const RATE: u64 = 500;
const CLIENTS: u64 = 4;

/// Answers each request.
const SERVER: &str = "require('http').createServer((_, answer) => answer.end('{}'))\
                      .listen(Number(process.argv[2]), '127.0.0.1');";

fn start_server(home: &Home) -> u16 {
    let port = http::free_port();
    let script = home.write("server.js", SERVER);
    let script = script.to_str().expect("test folders have plain names");
    home.up(&app("web", &["node", script, &port.to_string()], ""))
        .ok();
    wait_until("it answers", Duration::from_secs(10), || {
        http::get(port, "/").ok()
    });
    port
}

/// Asks `RATE / CLIENTS` times a second until it is over; gives how often, and the first failure.
fn ask(port: u16, over: &AtomicBool, failed: &AtomicU64) -> u64 {
    let (began, mut asked) = (Instant::now(), 0);
    while !over.load(Ordering::Relaxed) {
        let due = u64::try_from(began.elapsed().as_millis()).expect("a short test") * RATE
            / CLIENTS
            / 1000;
        while asked < due {
            asked += 1;
            match http::get(port, "/") {
                Ok((200, _)) => {}
                other => {
                    eprintln!("request {asked}: {other:?}");
                    failed.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        thread::sleep(Duration::from_millis(2));
    }
    asked
}

#[test]
fn a_hundred_upgrades_and_no_request_fails() {
    const UPGRADES: u32 = 100;
    let installed = Installed::new();
    let home = &installed.home;
    let port = start_server(home);
    let (pid, keeper) = (home.pid("web"), installed.daemon().keeper);
    let (over, failed) = (AtomicBool::new(false), AtomicU64::new(0));
    let began = Instant::now();
    let asked: u64 = thread::scope(|scope| {
        let clients = [(); CLIENTS as usize].map(|()| scope.spawn(|| ask(port, &over, &failed)));
        for round in 0..UPGRADES {
            let program = match round % 2 {
                0 => programs::other_supervisor(),
                _ => programs::supervisor(),
            };
            installed.install(&program);
            let words: &[&str] = if round % 10 == 9 { &["--keeper"] } else { &[] };
            installed.upgrade(words).ok();
            let daemon = installed.daemon();
            assert_eq!(
                (daemon.keeper, runs(daemon.engine)),
                (keeper, installed.file())
            );
        }
        over.store(true, Ordering::Relaxed);
        clients
            .map(|client| client.join().expect("it does not panic"))
            .iter()
            .sum()
    });
    let took = began.elapsed();
    println!("{UPGRADES} upgrades in {took:?}, {asked} requests");
    assert_eq!(failed.load(Ordering::Relaxed), 0, "of {asked}");
    assert!(
        asked >= u64::try_from(took.as_millis()).expect("short") * RATE / 1000 * 8 / 10,
        "only {asked} requests in {took:?}"
    );
    assert_eq!(home.pid("web"), pid);
    let row = home.row("web");
    assert_eq!(row["restarts"], 0, "{row}");
}
