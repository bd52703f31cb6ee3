//! An engine that does not answer is replaced; one that is only busy, or that somebody looks into, is
//! not.

use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use supervisor_tests::{Home, proc, testapp, wait_until};

/// After so long an engine that does nothing at all would have been replaced.
const LONG: Duration = Duration::from_secs(8);

fn running() -> (Home, i32) {
    let home = Home::new();
    home.up(&testapp("app", &["sleep"], "")).ok();
    let app = home.pid("app");
    (home, app)
}

#[test]
fn a_stopped_engine_is_replaced_within_6_s() {
    let (home, app) = running();
    let daemon = home.daemon();
    let stopped = Instant::now();
    proc::kill(daemon.engine, Signal::SIGSTOP);
    // It waits for the next engine, which is what a person would see.
    let new = home.daemon();
    let took = stopped.elapsed();
    assert!(took < Duration::from_secs(6), "replaced after {took:?}");
    assert!(took > Duration::from_secs(4), "patience for only {took:?}");
    assert_eq!(new.keeper, daemon.keeper);
    assert_ne!(new.engine, daemon.engine);
    assert!(!proc::alive(daemon.engine));
    assert_eq!(home.pid("app"), app);
    wait_until("its log says so", Duration::from_secs(5), || {
        let said = "the engine before did not answer for 5 s and was killed";
        home.daemon_log().contains(said).then_some(())
    });
    // The next one is as good as the first.
    home.ctl(&["restart", "app"]).ok();
    assert_eq!(home.daemon(), new);
}

#[test]
fn an_engine_that_is_traced_is_spared() {
    let (home, app) = running();
    let daemon = home.daemon();
    let engine = Pid::from_raw(daemon.engine);
    ptrace::seize(engine, ptrace::Options::empty()).unwrap_or_else(|error| {
        panic!("this test traces another process, which is refused ({error}): run it as root, or set kernel.yama.ptrace_scope to 0")
    });
    ptrace::interrupt(engine).expect("it is traced");
    waitpid(engine, Some(WaitPidFlag::__WALL)).expect("it stops");
    let until = Instant::now() + LONG;
    while Instant::now() < until {
        assert!(
            proc::alive(daemon.engine),
            "it was killed under the debugger"
        );
        thread::sleep(Duration::from_millis(50));
    }
    ptrace::detach(engine, None).expect("it is traced");
    assert_eq!(home.daemon(), daemon);
    assert_eq!(home.pid("app"), app);
}

/// A processor that is busy until this is dropped.
struct Spins(Child);

impl Spins {
    fn begin() -> Spins {
        let spin = Command::new("sh")
            .args(["-c", "while :; do :; done"])
            .spawn();
        Spins(spin.expect("sh runs"))
    }
}

impl Drop for Spins {
    fn drop(&mut self) {
        self.0.kill().expect("it is our child");
        self.0.wait().expect("it is our child");
    }
}

/// Work for it without end: commands, exits, lines, and processors that it must share.
#[test]
fn an_engine_that_is_busy_is_spared() {
    const CLIENTS: usize = 4;
    let home = Home::new();
    let apps = (0..CLIENTS).map(|n| {
        let (app, quick) = (format!("app{n}"), format!("quick{n}"));
        let at_once = format!("[app.{quick}.restart]\ndelay = \"1ms\"\nmax_delay = \"1ms\"\n");
        testapp(&app, &["sleep"], "") + &testapp(&quick, &["exit", "1"], &at_once)
    });
    // Some fail at once, and the command says so.
    home.up(&apps.collect::<String>()).exits(1);
    let daemon = home.daemon();
    let spinning = [(); 4].map(|()| Spins::begin());
    let until = Instant::now() + LONG;
    thread::scope(|scope| {
        for n in 0..CLIENTS {
            let home = &home;
            scope.spawn(move || {
                while Instant::now() < until {
                    home.ctl(&["restart", &format!("app{n}")]).ok();
                    home.ctl(&["status"]).ok();
                }
            });
        }
        while Instant::now() < until {
            // Now and then it gets nothing done at all, but never for 5 s.
            proc::kill(daemon.engine, Signal::SIGSTOP);
            thread::sleep(Duration::from_millis(1500));
            proc::kill(daemon.engine, Signal::SIGCONT);
            thread::sleep(Duration::from_millis(1000));
        }
    });
    drop(spinning);
    assert_eq!(home.daemon(), daemon);
}
