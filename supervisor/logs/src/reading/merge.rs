//! Several streams as one, in the order of time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::sync::Arc;
use std::thread;

use super::last;
use super::part::Text;
use super::plan::{Bounds, Plan};
use super::pool::{Pending, Pool};
use super::sieve::{Found, Sieve};
use super::{Line, Query, Report, Sink, StreamLog, Trouble};

/// Hands over the lines that are asked for, those of several streams in the order of their times;
/// those of the same time in the order of the streams; those without a time after the line of their
/// stream that they follow.
///
/// # Errors
/// When a file cannot be read, and what the sink says.
pub fn read(streams: &[StreamLog], query: &Query<'_>, sink: Sink<'_>) -> io::Result<Report> {
    let sieve = Sieve::new(query);
    let mut feeds = Vec::with_capacity(streams.len());
    for (number, stream) in streams.iter().enumerate() {
        let feed = Feed::new(number, stream, query, &sieve)?;
        feeds.push(if streams.len() > MANY {
            feed.small()
        } else {
            feed
        });
    }
    // The last lines are read sooner than threads are made.
    let long = query.last.is_none() || !sieve.is_open();
    thread::scope(|scope| {
        let mut pool = Pool::start(scope, &sieve, long);
        merge(&mut feeds, &mut pool, sink)
    })?;
    let mut report = Report::default();
    for feed in feeds {
        feed.tell(&mut report);
    }
    Ok(report)
}

/// With more streams than this, less of each is read ahead.
const MANY: usize = 32;

fn merge(feeds: &mut [Feed], pool: &mut Pool<'_>, sink: Sink<'_>) -> io::Result<()> {
    let window = pool.window(feeds.len());
    let mut heads = BinaryHeap::new();
    // All of them begin before one of them is waited for.
    for feed in feeds.iter_mut() {
        feed.read_ahead(pool, window)?;
    }
    for (number, feed) in feeds.iter_mut().enumerate() {
        if feed.fetch(pool, window)? {
            heads.push(Reverse((feed.time, number)));
        }
    }
    while let Some(Reverse((_, number))) = heads.pop() {
        let feed = &mut feeds[number];
        let next = heads.peek();
        loop {
            feed.hand_over(sink)?;
            if !feed.fetch(pool, window)? {
                break;
            }
            let head = Reverse((feed.time, number));
            if next.is_some_and(|next| head < *next) {
                heads.push(head);
                break;
            }
        }
    }
    Ok(())
}

/// One stream's lines.
struct Feed {
    stream: usize,
    texts: Vec<Arc<Text>>,
    plan: Plan,
    /// There is nothing more in the plan.
    planned: bool,
    /// Chunks that are under way.
    ahead: VecDeque<Pending>,
    /// How many lines are not to be handed over.
    surplus: usize,
    found: Found,
    next: usize,
    /// The last time that was known.
    time: Option<i64>,
}

impl Feed {
    fn new(
        stream: usize,
        log: &StreamLog,
        query: &Query<'_>,
        sieve: &Sieve<'_>,
    ) -> io::Result<Feed> {
        let texts = Text::of_stream(log)?;
        let found = Bounds::of_query(&texts, query)?;
        let mut bounds = found.unwrap_or_default();
        let mut surplus = 0;
        if let (Some(found), Some(wanted)) = (found, query.last) {
            let mut counted = found;
            if query.complete_only && found.until.is_none() {
                counted.until = Some(last::last_line_end(&texts)?);
            }
            let last = last::find(&texts, counted, sieve, wanted)?;
            (bounds.start, surplus) = (last.start, last.surplus);
        }
        Ok(Feed {
            stream,
            plan: Plan::new(texts.clone(), bounds, query.complete_only),
            texts,
            planned: found.is_none(),
            ahead: VecDeque::new(),
            surplus,
            found: Found::default(),
            next: 0,
            time: None,
        })
    }

    fn small(mut self) -> Feed {
        self.plan = self.plan.in_small_chunks();
        self
    }

    fn read_ahead(&mut self, pool: &mut Pool<'_>, window: usize) -> io::Result<()> {
        while !self.planned && self.ahead.len() < window {
            match self.plan.next()? {
                Some(chunk) => self.ahead.push_back(pool.sift(chunk)),
                None => self.planned = true,
            }
        }
        Ok(())
    }

    /// Has a line at hand, if there is one.
    fn fetch(&mut self, pool: &mut Pool<'_>, window: usize) -> io::Result<bool> {
        loop {
            let skipped = self.surplus.min(self.found.len() - self.next);
            self.next += skipped;
            self.surplus -= skipped;
            if let Some((time, _, _)) = self.found.get(self.next) {
                self.time = time.or(self.time);
                return Ok(true);
            }
            self.read_ahead(pool, window)?;
            let Some(pending) = self.ahead.pop_front() else {
                return Ok(false);
            };
            self.found = pending.wait()?;
            self.next = 0;
        }
    }

    fn hand_over(&mut self, sink: Sink<'_>) -> io::Result<()> {
        if let Some((time, text, continued)) = self.found.get(self.next) {
            sink(Line {
                stream: self.stream,
                time,
                text,
                continued,
            })?;
        }
        self.next += 1;
        Ok(())
    }

    fn tell(&self, report: &mut Report) {
        let indexes = self
            .texts
            .iter()
            .filter_map(|text| Some((text.number, text.harm()?)));
        let harms = self.plan.harms.iter().cloned();
        report
            .troubles
            .extend(indexes.chain(harms).map(|(number, what)| Trouble {
                stream: self.stream,
                number,
                what,
            }));
        report.places.push(self.plan.place());
    }
}
