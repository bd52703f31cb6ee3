//! Waiting for a descriptor to become readable, in the engine's runtime.
#![expect(
    unsafe_code,
    reason = "the runtime wants a promise about who closes the descriptor"
)]

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers a descriptor for reading.
///
/// # Errors
/// The descriptor cannot be polled.
pub fn readable(fd: Arc<OwnedFd>) -> io::Result<AsyncFd<Arc<OwnedFd>>> {
    // SAFETY: the registration owns a share of the descriptor, so that it stays open and its number
    // means the same until the registration is dropped.
    unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }.map_err(Into::into)
}
