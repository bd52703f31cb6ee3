//! Two programs of different age: how each side says so.
//!
//! Owns the reading and writing of [`Envelope`]s. Promises that a request of another version of
//! the wire is told from a faulty one, even where its words are unknown here, and that an upgrade is
//! understood all the same.

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
        let envelope = serde_json::from_slice::<Envelope>(frame);
        match envelope {
            // What helps against another version is understood in each: its words are frozen.
            Ok(Envelope {
                request: upgrade @ Request::Upgrade { .. },
                ..
            }) => Ok(upgrade),
            _ if v != VERSION => Err(Failure::other_version(v)),
            Ok(envelope) => Ok(envelope.request),
            Err(error) => Err(unreadable(&error)),
        }
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
                "`supervisorctl daemon upgrade` replaces it by the installed program; the apps run on",
            )
        };
        Failure::new(FailureKind::Version, message).hint(hint)
    }
}
