//! Who asked for what: worked into what is wanted, and told in the daemon's log.

use supervisor_config::App;
use supervisor_core::{RunId, ServiceId, Want};

use super::changes::Change;
use super::ending::wall_ms;
use super::inbox::Replies;
use super::mutate::Move;
use crate::persist::desired::{Asked as By, Desired, What};

impl Move {
    /// As what it is remembered.
    pub(super) fn what(self) -> What {
        match self {
            Move::Start => What::Started,
            Move::Stop => What::Stopped,
            Move::Restart => What::Restarted,
            // Nothing remembers what is deleted.
            Move::Delete => What::Changed,
        }
    }
}

/// Works an operator's wish into the desired state. True: something else is wanted than before.
pub(super) fn wish(
    desired: &mut Desired,
    act: Move,
    on: &[(ServiceId, RunId)],
    asked: &By,
) -> bool {
    let mut changes = false;
    for (id, _) in on {
        changes |= match act {
            Move::Start | Move::Restart => desired.ask(id, Want::Up, asked),
            Move::Stop => desired.ask(id, Want::Down, asked),
            Move::Delete => match desired.wish_mut(id) {
                Some(wish) => !std::mem::replace(&mut wish.remove, true),
                None => false,
            },
        };
    }
    changes
}

/// What is remembered of who asked.
pub(super) fn asked_by(replies: &Replies, what: What) -> By {
    let asker = replies.asker();
    By {
        what,
        uid: asker.uid,
        user: asker.name.clone(),
        at_ms: wall_ms(),
    }
}

/// Writes into the daemon's log what a file or a command line changes, and who gave it.
pub(super) fn tell_change(change: &Change, replies: &Replies) {
    let name = |app: &App| app.name.to_string();
    let put: Vec<String> = change.put.iter().map(name).collect();
    let removed: Vec<String> = change.remove.iter().map(ToString::to_string).collect();
    for (what, apps) in [("defined", put), ("removed", removed)] {
        if !apps.is_empty() {
            let (apps, asker) = (apps.join(", "), replies.asker());
            tracing::info!("{what}, as {asker} asked: {apps}");
        }
    }
}
