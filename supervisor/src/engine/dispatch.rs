//! Where a request goes: what only looks is answered, what only does is done, and what changes what
//! is wanted waits for its turn.

use std::collections::{BTreeMap, BTreeSet};

use supervisor_config::App;
use supervisor_core::{Name, RunId, ServiceId};
use supervisor_protocol::{Act, Failure, FailureKind, Reply, Request, Selected};

use super::Engine;
use super::deeds::Deed;
use super::inbox::{Ask, Message, Replies, What};
use super::mutate::{Asked, Move, Mutation};
use super::prepare;

impl Engine {
    /// A client asks.
    pub(super) fn asked(&mut self, ask: Ask) {
        let Ask { what, replies } = ask;
        let request = match what {
            What::Define(read) => {
                return self.mutations.wait(Mutation::Define { read, replies });
            }
            What::Request(request) => request,
        };
        match request {
            Request::Status { targets, usage } => self.answer_status(&targets, usage, &replies),
            Request::Show { target, show_env } => self.answer_show(&target, show_env, &replies),
            Request::Logs {
                targets,
                follow,
                archives,
            } => self.answer_logs(&targets, follow, archives, replies),
            Request::ReopenLogs => self.reopen_logs(Some(replies)),
            Request::DaemonStatus => self.answer_daemon_status(&replies),
            Request::Upgrade { keeper, number } => self.upgrade(keeper, number, replies),
            Request::DaemonStop => self.shut_down(Some(replies)),
            Request::Act { act, on, wait } => self.asked_to(act, &on, wait, replies),
            Request::Scale {
                name,
                instances,
                wait,
            } => self.mutations.wait(Mutation::Scale {
                name,
                instances,
                wait,
                replies,
            }),
            Request::Up { .. } | Request::Add { .. } => {
                replies.refuse(FailureKind::Failed, "files are read before this", None);
            }
        }
    }

    fn asked_to(&mut self, act: Act, on: &[Selected], wait: bool, replies: Replies) {
        let act = match act {
            Act::Start => Move::Start,
            Act::Stop => Move::Stop,
            Act::Restart => Move::Restart,
            Act::Delete => Move::Delete,
            Act::Signal(signal) => return self.deed(&Deed::Signal(signal), on, &replies),
            Act::Send(line) => return self.deed(&Deed::Send(line), on, &replies),
            Act::Reset => return self.deed(&Deed::Reset, on, &replies),
            Act::Flush => return self.deed(&Deed::Flush, on, &replies),
        };
        match self.known(on, act == Move::Delete) {
            Ok(on) => {
                let asked = Asked {
                    act,
                    on,
                    obstacles: BTreeMap::new(),
                    wait,
                    replies,
                };
                match act {
                    Move::Restart => self.check(asked),
                    Move::Start | Move::Stop | Move::Delete => {
                        self.mutations.wait(Mutation::Act(asked));
                    }
                }
            }
            Err(failure) => replies.send(Reply::Error(failure)),
        }
    }

    /// Looks whether what is to be started again could be; a disk takes its time.
    fn check(&self, mut asked: Asked) {
        let names: BTreeSet<&Name> = asked.on.iter().map(|(id, _)| &id.app).collect();
        let apps = names
            .into_iter()
            .filter_map(|name| self.desired.apps.get(name));
        let apps: Vec<App> = apps.map(|entry| entry.app.clone()).collect();
        let inbox = self.inbox.clone();
        tokio::task::spawn_blocking(move || {
            for app in apps {
                let found = prepare::obstacles(&app);
                let reasons: Vec<String> = found.into_iter().map(|(_, why)| why.message).collect();
                if !reasons.is_empty() {
                    asked.obstacles.insert(app.name, reasons.join("; "));
                }
            }
            // It fails only while the engine is leaving.
            let _ = inbox.blocking_send(Message::Checked(asked));
        });
    }

    /// The instances that a client has seen. To delete what is gone is done already.
    pub(super) fn known(
        &self,
        on: &[Selected],
        gone_is_fine: bool,
    ) -> Result<Vec<(ServiceId, RunId)>, Failure> {
        let mut found = Vec::new();
        for selected in on {
            let id = Name::new(&selected.name)
                .ok()
                .map(|app| ServiceId {
                    app,
                    instance: selected.instance,
                })
                .filter(|id| self.desired.wish(id).is_some());
            match id {
                Some(id) => found.push((id, RunId(selected.run))),
                None if gone_is_fine => {}
                None => return Err(super::targets::no_such_app(&selected.name)),
            }
        }
        Ok(found)
    }

    pub(super) fn instances_of(&self, name: &Name) -> Vec<(ServiceId, RunId)> {
        let ours = self.fleet.iter().filter(|(id, _)| id.app == *name);
        ours.map(|(id, service)| (id.clone(), service.last_run))
            .collect()
    }
}
