//! Who waits for an outcome, and when it is reached: judged from the service alone, after each turn.

use std::collections::{BTreeMap, BTreeSet};

use supervisor_core::{Phase, Policy, RunId, Service, ServiceId, Span, State, Time, Wait, Want};
use supervisor_protocol::{Done, Outcome, Reply};

use super::inbox::Replies;
use super::record::LastExit;
use super::{Engine, explain, now};

/// A start is watched for so long for an early exit, and a wait for dependencies is told after it.
const WATCH: Span = Span(1000);
/// What is late at its place (a database at boot) is given so long before a wait for it is told.
const PATIENCE: Span = Span(10_000);

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// It runs, and goes on running for a moment.
    Started,
    /// Another run than before has exec'd, and is ready where readiness is set.
    Restarted,
    /// Nothing of it runs.
    Stopped,
    /// It is forgotten.
    Deleted,
}

/// One wait.
#[derive(Debug)]
pub struct Waiter {
    /// For whom.
    pub id: ServiceId,
    /// For what.
    pub goal: Goal,
    /// When it was asked.
    pub since: Time,
    /// The newest run when it was asked.
    pub run: RunId,
    /// The process when it was asked.
    pub old_pid: Option<i32>,
    /// To whom.
    pub ticket: u64,
}

/// All waits.
#[derive(Debug, Default)]
pub struct Waiters {
    list: Vec<Waiter>,
    tickets: BTreeMap<u64, Ticket>,
    next: u64,
    touched: bool,
}

#[derive(Debug)]
struct Ticket {
    replies: Replies,
    open: usize,
}

impl Waiters {
    /// A request with this many waits; its last answer ends it.
    pub fn ticket(&mut self, replies: Replies, open: usize) -> u64 {
        self.next += 1;
        if open == 0 {
            replies.end();
        } else {
            self.tickets.insert(self.next, Ticket { replies, open });
        }
        self.next
    }

    /// Waits.
    pub fn add(&mut self, waiter: Waiter) {
        self.list.push(waiter);
        self.touched = true;
    }

    /// A service has changed: the waits are worth a look.
    pub fn touch(&mut self) {
        self.touched = true;
    }

    /// Answers one wait of a request.
    pub fn answer(&mut self, ticket: u64, outcome: Outcome) {
        let Some(found) = self.tickets.get_mut(&ticket) else {
            return;
        };
        found.replies.send(Reply::Outcome(outcome));
        found.open -= 1;
        if found.open == 0
            && let Some(found) = self.tickets.remove(&ticket)
        {
            found.replies.end();
        }
    }

    /// When a wait may be over by time alone.
    pub fn next_deadline(&self) -> Option<Time> {
        let ours = |w: &&Waiter| matches!(w.goal, Goal::Started | Goal::Restarted);
        let now = now();
        // From the request or from the exec, whichever is later: looked at again until it fits, ever
        // more seldom.
        let again = |w: &Waiter| Time(now.0 + now.since(w.since).0 / 50);
        let ahead = |w: &Waiter| w.since.after(WATCH).max(again(w));
        self.list.iter().filter(ours).map(ahead).min()
    }
}

/// What a wait has come to.
enum Verdict {
    Not,
    Reached(Done, Option<String>),
    Failed(String),
}

impl Engine {
    /// Answers every wait that is over.
    pub(super) fn answer_waiters(&mut self) {
        let now = now();
        if self.waiters.list.is_empty()
            || !self.waiters.touched && self.waiters.list.iter().all(|w| now < w.since.after(WATCH))
        {
            return;
        }
        self.waiters.touched = false;
        let list = std::mem::take(&mut self.waiters.list);
        self.waiters
            .tickets
            .retain(|_, ticket| !ticket.replies.is_gone());
        for waiter in list {
            if !self.waiters.tickets.contains_key(&waiter.ticket) {
                continue;
            }
            let verdict = self.judge(&waiter, now);
            let (ok, done, message, tail) = match verdict {
                Verdict::Not => {
                    self.waiters.list.push(waiter);
                    continue;
                }
                Verdict::Reached(done, message) => {
                    let starts = matches!(waiter.goal, Goal::Started | Goal::Restarted);
                    let note = || self.log_note(&waiter.id).filter(|_| starts);
                    let message = message.or_else(note);
                    (true, done, message, Vec::new())
                }
                Verdict::Failed(message) => (
                    false,
                    Done::Failed,
                    Some(message),
                    self.stderr_tail(&waiter.id, 10),
                ),
            };
            let outcome = Outcome {
                name: waiter.id.app.to_string(),
                instance: waiter.id.instance,
                ok,
                done,
                old_pid: waiter.old_pid,
                new_pid: self.pid_of(&waiter.id),
                ms: now.since(waiter.since).0,
                message,
                stderr_tail: tail,
            };
            self.waiters.answer(waiter.ticket, outcome);
        }
    }

    fn judge(&self, waiter: &Waiter, now: Time) -> Verdict {
        let Some(service) = self.fleet.get(&waiter.id) else {
            return match waiter.goal {
                Goal::Deleted => Verdict::Reached(Done::Deleted, None),
                Goal::Stopped => Verdict::Reached(Done::Stopped, None),
                Goal::Started | Goal::Restarted => {
                    Verdict::Failed("it was deleted meanwhile".to_owned())
                }
            };
        };
        let exit = self
            .instances
            .get(&waiter.id)
            .and_then(|i| i.last_exit.as_ref());
        match waiter.goal {
            Goal::Deleted if !service.remove => {
                Verdict::Failed("it was defined again meanwhile".to_owned())
            }
            Goal::Deleted => Verdict::Not,
            Goal::Stopped if service.is_alive() && service.want == Want::Up => {
                Verdict::Failed("it was started again meanwhile".to_owned())
            }
            Goal::Stopped if service.is_alive() => Verdict::Not,
            // Only what an operator would want to know: that it had to be killed.
            Goal::Stopped => Verdict::Reached(
                Done::Stopped,
                exit.filter(|exit| exit.run == waiter.run && exit.reason.contains("SIGKILL"))
                    .map(|exit| exit.reason.clone()),
            ),
            Goal::Started | Goal::Restarted => {
                let policy = self.fleet.policy(&waiter.id);
                self.judge_start(waiter, service, policy, exit, now)
            }
        }
    }

    fn judge_start(
        &self,
        waiter: &Waiter,
        service: &Service,
        policy: Option<&Policy>,
        exit: Option<&LastExit>,
        now: Time,
    ) -> Verdict {
        // An exit of a run that began after the request.
        let early = exit.filter(|exit| exit.run > waiter.run);
        if service.want == Want::Down && service.state() != State::Completed {
            return Verdict::Failed("it was stopped meanwhile".to_owned());
        }
        let done = match waiter.goal {
            Goal::Restarted => Done::Restarted,
            Goal::Started | Goal::Stopped | Goal::Deleted => Done::Started,
        };
        let waited = now >= waiter.since.after(WATCH);
        match (service.state(), early) {
            (State::Completed, early) => {
                Verdict::Reached(done, early.map(|exit| exit.reason.clone()))
            }
            (State::Errored, _) => Verdict::Failed(self.note(&waiter.id).unwrap_or_default()),
            (_, Some(exit)) => {
                let next = self.next_step(service);
                Verdict::Failed(format!("{}{next}", exit.reason))
            }
            (State::Running, None) if service.last_run > waiter.run => {
                let ready = policy.is_some_and(|policy| policy.ready.is_some());
                let seen = now.since(service.since()) >= WATCH;
                if waiter.goal == Goal::Restarted || ready || seen {
                    Verdict::Reached(done, None)
                } else {
                    Verdict::Not
                }
            }
            (State::Waiting, None) if waited => match service.phase {
                Phase::Waiting(Wait::Shortage { .. }) => {
                    Verdict::Failed(self.note(&waiter.id).unwrap_or_default())
                }
                _ if self.is_on_its_way(&waiter.id, now < waiter.since.after(PATIENCE)) => {
                    Verdict::Not
                }
                _ => Verdict::Reached(Done::Waiting, self.note(&waiter.id)),
            },
            _ => Verdict::Not,
        }
    }

    /// Whether something that it waits for, or that this waits for, comes up by itself: it is starting,
    /// or stopping to be started again, or, with patience, it waits for its conditions.
    fn is_on_its_way(&self, id: &ServiceId, patience: bool) -> bool {
        let mut seen = BTreeSet::new();
        let mut next = vec![id.clone()];
        while let Some(id) = next.pop() {
            let Some(service) = self.fleet.get(&id).filter(|_| !seen.contains(&id)) else {
                continue;
            };
            let moves = matches!(service.state(), State::Starting | State::Stopping);
            if moves && service.want == Want::Up && !service.remove
                || patience && service.awaits_conditions()
            {
                return true;
            }
            next.extend(self.fleet.blockers(&id));
            seen.insert(id);
        }
        false
    }

    /// Last lines of standard error of the last run that ended. An engine knows those that ended in
    /// its time.
    pub(super) fn stderr_tail(&self, id: &ServiceId, lines: usize) -> Vec<String> {
        let tail = self.instances.get(id).map(|instance| &instance.tail);
        let first = |tail: &Vec<String>| tail.len().saturating_sub(lines);
        tail.map_or_else(Vec::new, |tail| tail[first(tail)..].to_vec())
    }

    /// What happens next, as the end of a sentence.
    pub(super) fn next_step(&self, service: &Service) -> String {
        match service.next_start() {
            Some(at) if service.state() == State::Backoff => {
                format!("; next try in {}", explain::seconds(at.since(now())))
            }
            _ if service.state() == State::Errored => "; given up".to_owned(),
            _ if service.phase.run().is_some() => "; started again".to_owned(),
            _ => String::new(),
        }
    }
}
