//! The system calls of the test app that need `unsafe`.
#![expect(unsafe_code, reason = "signal handlers, fork and posix_spawn")]

use std::ffi::{CString, c_char, c_int};
use std::iter;
use std::os::unix::ffi::OsStrExt;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use nix::sys::signal::{self, SaFlags, SigAction, SigHandler, SigSet, Signal};
use nix::sys::wait;
use nix::unistd::{self, ForkResult};

static EXIT_CODE: AtomicI32 = AtomicI32::new(0);
static TERM_CAME: AtomicBool = AtomicBool::new(false);

extern "C" fn exit_now(_signal: c_int) {
    // SAFETY: `_exit` may be called in a signal handler.
    unsafe { libc::_exit(EXIT_CODE.load(Ordering::Relaxed)) }
}

extern "C" fn note_term(_signal: c_int) {
    TERM_CAME.store(true, Ordering::Relaxed);
}

fn handle(signal: Signal, handler: SigHandler) {
    let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handlers above do only what a signal handler may.
    unsafe { signal::sigaction(signal, &action) }.expect("a signal that can be handled");
}

/// From now on SIGUSR1 ends this process with `code`.
pub fn exit_at_usr1(code: i32) {
    EXIT_CODE.store(code, Ordering::Relaxed);
    handle(Signal::SIGUSR1, SigHandler::Handler(exit_now));
}

/// From now on SIGTERM is only noted; the answer says whether it has come.
pub fn watch_for_term() -> impl Fn() -> bool {
    handle(Signal::SIGTERM, SigHandler::Handler(note_term));
    || TERM_CAME.load(Ordering::Relaxed)
}

/// From now on these do nothing.
pub fn ignore(signals: &[Signal]) {
    for &signal in signals {
        handle(signal, SigHandler::SigIgn);
    }
}

/// Kills this process with a signal's default action.
pub fn raise(signal: Signal) {
    signal::raise(signal).expect("a signal can be sent to oneself");
}

/// A child of nobody's: forked twice, in a session of its own, ignoring every signal. `begin`
/// runs in it; then it sleeps for ever.
pub fn fork_away(begin: impl FnOnce()) {
    // SAFETY: this program has one thread, so a forked child may do what the parent may.
    match unsafe { unistd::fork() }.expect("fork") {
        ForkResult::Parent { child } => {
            wait::waitpid(child, None).expect("the child in between is ours");
        }
        ForkResult::Child => {
            unistd::setsid().expect("a forked child leads no group");
            // SAFETY: as above.
            if let ForkResult::Parent { .. } = unsafe { unistd::fork() }.expect("fork") {
                // SAFETY: ends this copy without running the original's exit handlers.
                unsafe { libc::_exit(0) }
            }
            let deaf = |&signal: &Signal| !matches!(signal, Signal::SIGKILL | Signal::SIGSTOP);
            ignore(&Signal::iterator().filter(deaf).collect::<Vec<_>>());
            begin();
            loop {
                unistd::pause();
            }
        }
    }
}

/// Keeps `count` of `testapp WORD…` running, with nothing but posix_spawn and waitpid.
pub fn respawn_for_ever(stamps: &str, count: usize, words: &[&str]) -> ! {
    let text = |bytes: &[u8]| CString::new(bytes).expect("a path or word has no NUL");
    let program = std::env::current_exe().expect("/proc/self/exe");
    let program = text(program.as_os_str().as_bytes());
    let words: Vec<CString> = words.iter().map(|word| text(word.as_bytes())).collect();
    let argv: Vec<*mut c_char> = iter::once(&program)
        .chain(&words)
        .map(|word| word.as_ptr().cast_mut())
        .chain([ptr::null_mut()])
        .collect();
    let stamps = text(format!("STAMPS={stamps}").as_bytes());
    let envp = [stamps.as_ptr().cast_mut(), ptr::null_mut()];
    let spawn = || {
        let mut pid = 0;
        // SAFETY: every pointer is to a NUL-terminated string or a null-terminated list that
        // outlives the call; null means default actions and attributes.
        let error = unsafe {
            libc::posix_spawn(
                &raw mut pid,
                program.as_ptr(),
                ptr::null(),
                ptr::null(),
                argv.as_ptr(),
                envp.as_ptr(),
            )
        };
        assert_eq!(error, 0, "posix_spawn");
    };
    (0..count).for_each(|_| spawn());
    loop {
        wait::wait().expect("a child is there");
        spawn();
    }
}
