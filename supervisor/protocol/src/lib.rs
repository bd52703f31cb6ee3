//! What a client sees of the daemon: where it lives, how bytes are framed, and the requests and
//! replies. Nothing in here is shared with the daemon's inner types, so that an inner change
//! cannot alter the wire by accident.
//!
//! A connection carries one request at a time: the client sends one [`Request`], the daemon
//! answers with any number of [`Reply`] frames, the last of which is [`Reply::End`] or
//! [`Reply::Error`]; then the client may send the next.

pub mod client;
mod failure;
pub mod frame;
mod paths;
mod reply;
mod request;
mod service;
mod version;

pub use failure::*;
pub use paths::{Paths, PathsError};
pub use reply::*;
pub use request::*;
pub use service::*;

/// The version of the wire. A daemon answers another one with [`FailureKind::Version`].
pub const VERSION: u32 = 1;
