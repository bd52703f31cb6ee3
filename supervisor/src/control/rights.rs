//! Who may ask what: judged for each request, by what the kernel says of whoever connected and by the
//! groups that the daemon's settings name at that moment.

use std::fmt;
use std::os::fd::AsFd;
use std::sync::{Arc, PoisonError, RwLock};

use nix::unistd::Uid;
use supervisor_protocol::{Failure, FailureKind, Request};
use tokio::net::UnixStream;

use crate::os::peer;

/// Whoever connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its effective user.
    pub uid: u32,
    /// Its effective group and the supplementary ones.
    groups: Vec<u32>,
}

impl Peer {
    /// Asks the kernel; `None`: it does not say.
    pub fn of(stream: &UnixStream) -> Option<Peer> {
        let who = stream.peer_cred().ok()?;
        // A kernel that does not tell them leaves the effective one.
        let mut groups = peer::groups(stream.as_fd()).unwrap_or_default();
        groups.push(who.gid());
        Some(Peer {
            uid: who.uid(),
            groups,
        })
    }
}

/// What somebody may do, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Nothing.
    None,
    /// Look.
    Look,
    /// The same, and change things.
    Control,
    /// The same, and see what is secret.
    Own,
}

impl Right {
    fn needed(request: &Request) -> Right {
        match request {
            Request::Show { show_env: true, .. } => Right::Own,
            other if other.looks_only() => Right::Look,
            _ => Right::Control,
        }
    }
}

/// The groups that may do something here, by their numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    /// May do all but see secrets.
    pub control: Option<u32>,
    /// May look.
    pub viewers: Option<u32>,
}

/// What holds now; the engine changes it, every connection asks it.
#[derive(Clone, Debug, Default)]
pub struct Rights(Arc<RwLock<Groups>>);

impl Rights {
    /// From now on these.
    pub fn set(&self, groups: Groups) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = groups;
    }

    /// What this one may do.
    pub fn of(&self, peer: &Peer) -> Right {
        let groups = *self.0.read().unwrap_or_else(PoisonError::into_inner);
        right(peer, groups, Uid::effective().as_raw())
    }

    /// Whether this one may ask that.
    ///
    /// # Errors
    /// One clear line for whoever may not.
    pub fn check(&self, peer: &Peer, request: &Request) -> Result<(), Failure> {
        let (has, needs) = (self.of(peer), Right::needed(request));
        if has >= needs {
            return Ok(());
        }
        Err(refusal(has, needs))
    }
}

fn right(peer: &Peer, groups: Groups, own: u32) -> Right {
    let is_in = |group: Option<u32>| group.is_some_and(|group| peer.groups.contains(&group));
    if peer.uid == own || peer.uid == 0 {
        Right::Own
    } else if is_in(groups.control) {
        Right::Control
    } else if is_in(groups.viewers) {
        Right::Look
    } else {
        Right::None
    }
}

/// What is said to somebody who may not.
pub fn refusal(has: Right, needs: Right) -> Failure {
    let denied = |message| Failure::new(FailureKind::Denied, message);
    match (has, needs) {
        (Right::None, _) => denied("you may not use this supervisor: it belongs to another user")
            .hint("its `[daemon] group` and `viewers` say who else may; `id` shows your groups"),
        (_, Right::Own) => denied(
            "the values of the environment are shown to the supervisor's owner and root only",
        )
        .hint("`supervisorctl show` without `--show-env` has their names"),
        (Right::Look | Right::Control | Right::Own, _) => {
            denied("you may look at this supervisor, and change nothing")
                .hint("the members of its `[daemon] group` may; `id` shows yours")
        }
    }
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The user's number.
    pub uid: u32,
    /// The user's name, where there is one.
    pub name: Option<String>,
}

impl fmt::Display for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} (uid {})", self.uid),
            None => write!(f, "uid {}", self.uid),
        }
    }
}

#[cfg(test)]
mod tests {
    use supervisor_protocol::Act;

    use super::*;

    const OPS: u32 = 50;
    const STAFF: u32 = 60;
    const BOTH: Groups = Groups {
        control: Some(OPS),
        viewers: Some(STAFF),
    };

    fn peer(uid: u32, groups: &[u32]) -> Peer {
        let groups = groups.to_vec();
        Peer { uid, groups }
    }

    #[test]
    fn rights_come_from_the_user_and_then_from_the_groups() {
        let of = |uid, groups: &[u32], known| right(&peer(uid, groups), known, 1000);
        for known in [BOTH, Groups::default()] {
            assert_eq!(of(0, &[], known), Right::Own);
            assert_eq!(of(1000, &[], known), Right::Own);
            // The number of a user is not the number of a group.
            assert_eq!(of(OPS, &[7], known), Right::None);
        }
        assert_eq!(of(7, &[1, OPS], BOTH), Right::Control);
        assert_eq!(of(7, &[STAFF, OPS], BOTH), Right::Control);
        assert_eq!(of(7, &[STAFF], BOTH), Right::Look);
        assert_eq!(of(7, &[0, 1000], BOTH), Right::None);
        assert_eq!(of(7, &[OPS, STAFF], Groups::default()), Right::None);
    }

    #[test]
    fn each_right_has_its_requests() {
        let show = |show_env| Request::Show {
            target: "api".into(),
            show_env,
        };
        let stop = Request::Act {
            act: Act::Stop,
            on: Vec::new(),
            wait: true,
        };
        let rights = Rights::default();
        rights.set(BOTH);
        let may = |groups: &[u32], request: &Request| rights.check(&peer(7, groups), request);
        for request in [show(false), Request::DaemonStatus] {
            assert!(may(&[STAFF], &request).is_ok() && may(&[OPS], &request).is_ok());
            assert!(may(&[], &request).is_err());
        }
        for request in [stop, Request::DaemonStop, Request::ReopenLogs] {
            assert!(may(&[OPS], &request).is_ok());
            assert!(may(&[STAFF], &request).is_err() && may(&[], &request).is_err());
        }
        for groups in [&[OPS][..], &[STAFF], &[]] {
            let refused = may(groups, &show(true)).expect_err("a secret");
            assert_eq!(refused.kind, FailureKind::Denied);
        }
        // What is taken away is gone at once.
        rights.set(Groups::default());
        assert!(may(&[OPS], &Request::DaemonStatus).is_err());
    }

    #[test]
    fn an_asker_is_named_with_the_number() {
        let asker = |name: Option<&str>| Asker {
            uid: 7,
            name: name.map(str::to_owned),
        };
        assert_eq!(asker(Some("alice")).to_string(), "alice (uid 7)");
        assert_eq!(asker(None).to_string(), "uid 7");
    }
}
