//! Ctrl-C: a flag that everything that waits looks at, so that a run which is broken off goes
//! through the same guards as one that fails.
#![expect(unsafe_code, reason = "a signal handler")]

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{self, SaFlags, SigAction, SigHandler, SigSet, Signal};

use crate::{Error, Outcome};

static CAME: AtomicBool = AtomicBool::new(false);

extern "C" fn note(_signal: c_int) {
    CAME.store(true, Ordering::Relaxed);
}

/// From now on SIGINT, SIGTERM and SIGHUP are only noted.
pub fn watch() {
    let action = SigAction::new(
        SigHandler::Handler(note),
        SaFlags::SA_RESTART,
        SigSet::empty(),
    );
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the handler only stores to an atomic.
        unsafe { signal::sigaction(signal, &action) }.expect("a signal that can be handled");
    }
}

/// Fails as soon as one of them has come.
pub fn check() -> Outcome<()> {
    if CAME.load(Ordering::Relaxed) {
        return Err(Error::Interrupted);
    }
    Ok(())
}
