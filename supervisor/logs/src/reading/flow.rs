//! The wanted lines of a stretch of a stream, sifted ahead of whoever takes them.

use std::collections::VecDeque;
use std::io;

use super::plan::Plan;
use super::pool::{Pending, Pool};
use super::sieve::Found;

pub(super) struct Flow {
    pub plan: Plan,
    /// There is nothing more in the plan.
    planned: bool,
    /// Chunks that are under way.
    ahead: VecDeque<Pending>,
    /// How many streams are read at once.
    pub streams: usize,
}

impl Flow {
    pub fn new(plan: Plan, streams: usize) -> Flow {
        Flow {
            plan,
            planned: false,
            ahead: VecDeque::new(),
            streams,
        }
    }

    /// Of which nothing is wanted.
    pub fn nothing(plan: Plan) -> Flow {
        Flow {
            planned: true,
            ..Flow::new(plan, 1)
        }
    }

    pub fn read_ahead(&mut self, pool: &mut Pool<'_, '_>) -> io::Result<()> {
        while !self.planned && pool.wants_more(self.ahead.len(), self.streams) {
            match self.plan.next()? {
                // Whoever waits for it can as well do it. A few lines take no threads.
                Some(chunk) if self.ahead.is_empty() => self.ahead.push_back(Pending::Here(chunk)),
                Some(chunk) => self.ahead.push_back(pool.begin(chunk)),
                None => self.planned = true,
            }
        }
        Ok(())
    }

    /// What is wanted of the next chunk.
    pub fn next(&mut self, pool: &mut Pool<'_, '_>) -> io::Result<Option<Found>> {
        self.read_ahead(pool)?;
        match self.ahead.pop_front() {
            Some(pending) => pool.finish(pending).map(Some),
            None => Ok(None),
        }
    }
}
