//! Two programs of different age: how each side says so.
//!
//! Owns the reading and writing of [`Envelope`]s. Promises that a request of another version of
//! the wire is told from a faulty one, even where its words are unknown here.

use serde::Deserialize;

use crate::{Envelope, Failure, FailureKind, Request, VERSION};

impl Envelope {
    /// `request` in this version of the wire.
    #[must_use]
    pub fn new(request: Request) -> Envelope {
        Envelope {
            v: VERSION,
            request,
        }
    }

    /// Reads one frame as the daemon does: the version first, and the request only if it is ours.
    ///
    /// # Errors
    /// [`FailureKind::Version`] or [`FailureKind::Usage`], ready to be sent back.
    pub fn read(frame: &[u8]) -> Result<Request, Failure> {
        #[derive(Deserialize)]
        struct OnlyVersion {
            v: u32,
        }
        let OnlyVersion { v } = serde_json::from_slice(frame).map_err(|e| unreadable(&e))?;
        if v != VERSION {
            return Err(Failure::other_version(v));
        }
        let envelope: Envelope = serde_json::from_slice(frame).map_err(|e| unreadable(&e))?;
        Ok(envelope.request)
    }
}

fn unreadable(error: &serde_json::Error) -> Failure {
    Failure::new(
        FailureKind::Usage,
        "the daemon does not understand the request",
    )
    .cause(error.to_string())
    .hint(
        "`supervisorctl --version` and `supervisorctl daemon status` say which versions speak here",
    )
}

impl Failure {
    /// The daemon's answer to a client that speaks version `client` of the wire.
    #[must_use]
    pub fn other_version(client: u32) -> Failure {
        let (message, hint) = if client < VERSION {
            (
                format!(
                    "this supervisorctl is older than the daemon: it speaks version {client} of the protocol, the daemon version {VERSION}"
                ),
                "use the supervisorctl that was installed together with the daemon",
            )
        } else {
            (
                format!(
                    "the daemon is older than this supervisorctl: it speaks version {VERSION} of the protocol, supervisorctl version {client}"
                ),
                "restart the daemon, so that the installed program runs; what runs now runs again then",
            )
        };
        Failure::new(FailureKind::Version, message).hint(hint)
    }
}
