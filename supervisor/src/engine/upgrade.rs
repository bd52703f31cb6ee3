//! Upgrades, the engine's part: it looks at the program on disk, hands it to the keeper, which kills this
//! engine and starts the next one from it, and tells whoever asked how that went.
//!
//! Promises: a program that cannot be executed is refused before anything happens; the same request,
//! sent again to the next engine, does nothing twice and gets the answer; an engine of a program on trial
//! ends the trial when it has lived for a minute, and until then writes nothing that the program before
//! could not read. Left to others: the trial itself ([`crate::keeper::care`]), the exchange of the keeper
//! ([`crate::keeper`]).

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use supervisor_protocol::{FailureKind, Upgrade, UpgradeState};
use tokio::time::Instant;

use super::birth::{Given, keep};
use super::estate::Estate;
use super::inbox::{Inbox, Message, Replies};
use super::{Engine, explain};
use crate::keeper::fate::{Fate, News};
use crate::keeper::link::{Kind, Tag};
use crate::launch;
use crate::os::{pidfd, program};

/// An engine of a program on trial that has lived for so long ends the trial.
const PROVEN: Duration = Duration::from_secs(60);
/// A keeper that was given a program ends this engine, or its own rehearsal, long before this.
const KEEPER_PATIENCE: Duration = Duration::from_secs(15);

/// What is known of upgrades.
#[derive(Debug)]
pub struct Upgrades {
    news: News,
    /// The program of this engine, while it is on trial.
    trial: Option<(Tag, OwnedFd)>,
    /// The one that is under way, and until when it is waited for.
    under_way: Option<(u32, Instant)>,
}

/// A program that was looked at.
#[derive(Debug)]
pub struct Candidate {
    program: Result<OwnedFd, String>,
    as_keeper: bool,
    number: u32,
    replies: Replies,
}

impl Upgrades {
    /// At the beginning of an engine: writes down what the keeper told, and sees to it that a trial ends.
    pub fn begin(news: News, given: &mut Given, inbox: &Inbox) -> Upgrades {
        match failure(&news) {
            Some(why) if news.before == news.trial => {
                tracing::error!("the upgrade failed: {why}; the program before goes on");
            }
            Some(_) | None => {}
        }
        if news.before == Fate::Hung {
            tracing::error!("the engine before did not answer for 5 s and was killed");
        }
        let tag = given.keys().find(|tag| tag.kind == Kind::TRIAL).copied();
        let trial = tag.and_then(|tag| Some((tag, given.remove(&tag)?)));
        if trial.is_some() {
            tracing::info!("this program is on trial for {} s", PROVEN.as_secs());
            let inbox = inbox.clone();
            tokio::spawn(async move {
                tokio::time::sleep(PROVEN).await;
                // It fails only while the engine is leaving.
                let _ = inbox.send(Message::Proven).await;
            });
        }
        Upgrades {
            news,
            trial,
            under_way: None,
        }
    }

    /// For `daemon status`.
    pub fn told(&self) -> Option<Upgrade> {
        let reason = failure(&self.news);
        let state = match (self.news.trial, &self.trial) {
            (Fate::Nothing | Fate::Hung, _) => return None,
            (Fate::Trial, Some(_)) => UpgradeState::OnTrial,
            (Fate::Trial, None) => UpgradeState::Done,
            (
                Fate::EndedEarly
                | Fate::NotReady
                | Fate::DiedAgain
                | Fate::RehearsalFailed
                | Fate::RehearsalHung,
                _,
            ) => UpgradeState::Failed,
        };
        Some(Upgrade {
            number: self.news.number,
            state,
            reason,
        })
    }

    /// This program has shown that it is good.
    pub fn end_trial(&mut self, estate: &Estate) {
        if let Some((tag, program)) = self.trial.take() {
            estate.hold(Tag::single(Kind::PROGRAM), &program);
            // Listed for the next keeper under the other name.
            keep(program);
            estate.drop_held(tag);
            estate.let_go();
            tracing::info!("this program is good; the one before is let go");
        }
    }

    fn is_under_way(&self) -> Option<u32> {
        let (number, until) = self.under_way?;
        (Instant::now() < until).then_some(number)
    }
}

impl Engine {
    /// A client asks for the program on disk.
    pub(super) fn upgrade(&mut self, as_keeper: bool, number: u32, replies: Replies) {
        if self.upgrades.news.number == number {
            return match failure(&self.upgrades.news) {
                Some(why) => refuse(&replies, &why),
                None => replies.end(),
            };
        }
        if self.stopping.is_some() {
            return replies.refuse(
                FailureKind::ShuttingDown,
                "the daemon is shutting down",
                None,
            );
        }
        match self.upgrades.is_under_way() {
            // Answered by the engine that comes of it.
            Some(other) if other == number => return wait_for_keeper(replies),
            Some(_) => {
                let message = "another upgrade is under way";
                return replies.refuse(FailureKind::Conflict, message, None);
            }
            None => {}
        }
        let what = if as_keeper {
            "keeper and engine"
        } else {
            "the engine"
        };
        tracing::info!("the program on disk is to replace {what}, as asked");
        self.upgrades.under_way = Some((number, Instant::now() + KEEPER_PATIENCE));
        let inbox = self.inbox.clone();
        tokio::task::spawn_blocking(move || {
            // The own log's thread ends with this engine: a moment for its last line.
            std::thread::sleep(Duration::from_millis(5));
            let candidate = Candidate {
                program: own_path().and_then(|path| program::open(&path)),
                as_keeper,
                number,
                replies,
            };
            // It fails only while the engine is leaving.
            let _ = inbox.blocking_send(Message::Candidate(candidate));
        });
    }

    /// It was looked at.
    pub(super) fn try_out(&mut self, candidate: Candidate) {
        let program = match candidate.program {
            Ok(program) => program,
            Err(why) => {
                self.upgrades.under_way = None;
                tracing::error!("no upgrade: {why}");
                let message = format!("{why}; nothing was done");
                return candidate
                    .replies
                    .refuse(FailureKind::Invalid, message, None);
            }
        };
        let kind = match candidate.as_keeper {
            true => Kind::NEW_KEEPER,
            false => Kind::TRIAL,
        };
        let tag = Tag {
            slot: candidate.number,
            ..Tag::single(kind)
        };
        self.estate.hold(tag, &program);
        // Listed for the next keeper, if this one should die now.
        keep(program);
        wait_for_keeper(candidate.replies);
    }
}

/// The keeper ends this engine, and with it the connection: the client asks the next one.
fn wait_for_keeper(replies: Replies) {
    tokio::spawn(async move {
        tokio::time::sleep(KEEPER_PATIENCE).await;
        let message = "the keeper does not try the new program out";
        let hint = "`supervisorctl daemon status` names the daemon's own log, which may say why";
        replies.refuse(FailureKind::Failed, message, Some(hint));
    });
}

fn refuse(replies: &Replies, why: &str) {
    let message = format!("{why}; the program before goes on");
    let hint = "put the program before back in its place: after a reboot, what stands there is started; the \
                daemon's own log (`supervisorctl daemon status`) may say more";
    replies.refuse(FailureKind::Failed, message, Some(hint));
}

/// The path that the daemon was started by, which by now may lead to another program.
fn own_path() -> Result<PathBuf, String> {
    let noted = std::env::var_os(launch::PROGRAM).map(PathBuf::from);
    noted.ok_or_else(|| "it is not known which path this daemon was started by".to_owned())
}

/// Why the program that was tried last does not run; `None`: it does, or there was none.
fn failure(news: &News) -> Option<String> {
    let how = || explain::exit(pidfd::from_status(news.status), None, None, None, &[]);
    Some(match news.trial {
        Fate::Nothing | Fate::Trial | Fate::Hung => return None,
        Fate::EndedEarly => format!("the new engine {} before it was ready", how()),
        Fate::NotReady => "the new engine was not ready within 5 s".to_owned(),
        Fate::DiedAgain => format!(
            "the new engine died three times within a minute of its start: at last it {}",
            how()
        ),
        Fate::RehearsalFailed => format!(
            "the new program cannot take over as keeper: its rehearsal {}",
            how()
        ),
        Fate::RehearsalHung => {
            "the new program cannot take over as keeper: its rehearsal did not end within 5 s"
                .to_owned()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_is_a_sentence() {
        let news = |trial, status| News {
            trial,
            status,
            ..News::default()
        };
        let said = [
            (Fate::EndedEarly, 1 << 8),
            (Fate::EndedEarly, libc::SIGSEGV | 0x80),
            (Fate::NotReady, libc::SIGKILL),
            (Fate::DiedAgain, libc::SIGABRT),
            (Fate::RehearsalFailed, 0),
            (Fate::RehearsalHung, libc::SIGKILL),
        ];
        let said = said.map(|(fate, status)| failure(&news(fate, status)).expect("a failure"));
        assert_eq!(
            said,
            [
                "the new engine exited with code 1 before it was ready",
                "the new engine was killed by SIGSEGV before it was ready",
                "the new engine was not ready within 5 s",
                "the new engine died three times within a minute of its start: at last it was killed by SIGABRT",
                "the new program cannot take over as keeper: its rehearsal exited with code 0",
                "the new program cannot take over as keeper: its rehearsal did not end within 5 s",
            ]
        );
        assert_eq!(failure(&news(Fate::Trial, 0)), None);
    }
}
