//! The app that the tests let run: exact, quick, and as bad as it is asked to be.
//!
//! ```text
//! testapp sleep                        until a signal ends it
//! testapp exit CODE [MS]               ends with CODE, after MS
//! testapp on-usr1 CODE                 ends with CODE at SIGUSR1
//! testapp raise SIGNAL                 kills itself
//! testapp ignore-term                  SIGTERM and SIGINT do nothing
//! testapp lines RATE FOLDER            numbered lines; at SIGTERM notes their count in
//!                                      FOLDER/APP.INSTANCE.count and ends with 0
//! testapp lines RATE FOLDER both       the same, odd numbers to stdout and even ones to stderr
//! testapp burst COUNT FOLDER           COUNT numbered lines as fast as it can, their count noted
//!                                      as above; then sleeps
//! testapp burst COUNT FOLDER FILE      the same, after a line that says it is ready, when FILE is
//!                                      there
//! testapp long BYTES                   a line of BYTES, as fast as it can; then sleeps
//! testapp emit FILE WIDTH              what is in FILE, WIDTH bytes at a time; ends with 0
//! testapp tree N FILE ignore           N double-forked children in sessions of their own that
//! testapp tree N FILE exit CODE MS     ignore every signal, their pids in FILE; then ignores
//!                                      SIGTERM, or ends with CODE after MS
//! testapp report FILE MS               appends what it found at its start to FILE, as a line of
//!                                      JSON; ends with 0 after MS
//! testapp connect SOCKET               sends SOCKET a line and prints what comes back
//! testapp write BYTES WIDTH            writes BYTES in lines of 100, WIDTH bytes at a time, as
//!                                      fast as it can, then sleeps
//! testapp splice FILE                  moves what comes on standard input to FILE with splice(2) and
//!                                      nothing else: what moving costs at least; then sleeps
//! testapp respawner STAMPS             keeps one `testapp sleep` running with posix_spawn and
//!                                      waitpid and nothing else: what respawning costs at least
//! testapp respawner STAMPS N WORD…     the same with N of `testapp WORD…`
//! testapp engine                       what the daemon's program is called as: does what stands in a
//! testapp keeper …                     file `fault` beside the program: `exit CODE`, `segv`, `hang`
//! ```
//! With `STAMPS=FILE` in its environment each notes its start there, monotonic nanoseconds and
//! pid, as soon as it is set up.
//!
//! There is no Rust runtime before `main`: that would ignore SIGPIPE and open descriptors that
//! are closed, and the report would be about the runtime instead of the supervisor.
#![no_main]

mod report;
mod sys;
mod work;

use std::env;
use std::ffi::{c_char, c_int};
use std::process;
use std::str::FromStr;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;

#[expect(unsafe_code, reason = "`main` has to have this name for the C library")]
// SAFETY: no other symbol of this name exists in a program with `no_main`.
#[unsafe(no_mangle)]
extern "C" fn main(_argc: c_int, _argv: *const *const c_char) -> c_int {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    run(&words)
}

fn run(words: &[&str]) -> c_int {
    match words {
        ["sleep"] => {}
        ["exit", code] => {
            work::stamp();
            return number(code);
        }
        ["exit", code, ms] => {
            work::stamp();
            nap(ms);
            return number(code);
        }
        ["on-usr1", code] => sys::exit_at_usr1(number(code)),
        ["raise", signal] => {
            work::stamp();
            sys::raise(Signal::from_str(signal).expect("a signal's name"));
        }
        ["ignore-term"] => sys::ignore(&[Signal::SIGTERM, Signal::SIGINT]),
        ["lines", rate, folder] => return work::lines(number(rate), folder.as_ref(), false),
        ["lines", rate, folder, "both"] => {
            return work::lines(number(rate), folder.as_ref(), true);
        }
        ["burst", count, folder] => work::burst(number(count), folder.as_ref()),
        ["burst", count, folder, file] => {
            work::wait_for(file.as_ref());
            work::burst(number(count), folder.as_ref());
        }
        ["long", bytes] => work::long(number(bytes)),
        ["emit", file, width] => {
            work::stamp();
            work::emit(file.as_ref(), number(width));
            return 0;
        }
        ["tree", count, file, "ignore"] => {
            sys::ignore(&[Signal::SIGTERM, Signal::SIGINT]);
            work::tree(number(count), file.as_ref());
        }
        ["tree", count, file, "exit", code, ms] => {
            work::tree(number(count), file.as_ref());
            work::stamp();
            nap(ms);
            return number(code);
        }
        ["lost", count, file, words @ ..] => {
            work::lost(number(count), file.as_ref());
            return run(words);
        }
        // One of those: what is ignored stays so.
        ["deaf", file] => work::append(file.as_ref(), &format!("{}\n", process::id())),
        ["report", file, ms] => {
            report::append_to(file.as_ref());
            work::stamp();
            nap(ms);
            return 0;
        }
        ["connect", socket] => return work::connect(socket.as_ref()),
        ["write", bytes, width] => {
            work::stamp();
            work::write(number(bytes), number(width));
            sleep();
        }
        ["splice", file] => {
            work::splice(file.as_ref());
            sleep();
        }
        ["respawner", stamps] => sys::respawn_for_ever(stamps, 1, &["sleep"]),
        ["respawner", stamps, count, words @ ..] => {
            sys::respawn_for_ever(stamps, number(count), words);
        }
        ["engine"] | ["keeper", ..] => {
            let fault = work::fault();
            match fault.split_whitespace().collect::<Vec<_>>()[..] {
                ["exit", code] => return number(code),
                ["segv"] => sys::raise(Signal::SIGSEGV),
                _ => sleep(),
            }
        }
        other => {
            eprintln!("testapp: what is {other:?}?");
            return 2;
        }
    }
    work::stamp();
    sleep()
}

fn sleep() -> ! {
    loop {
        thread::sleep(Duration::from_secs(3600));
    }
}

fn number<T: FromStr>(word: &str) -> T {
    word.parse().unwrap_or_else(|_| {
        eprintln!("testapp: {word:?} is not a number that fits here");
        process::exit(2)
    })
}

fn nap(ms: &str) {
    thread::sleep(Duration::from_millis(number(ms)));
}
