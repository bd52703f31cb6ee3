//! Several streams as one, in the order of time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::sync::Arc;
use std::thread;

use super::flow::Flow;
use super::last::{Last, Search, Sizes};
use super::part::Text;
use super::plan::{Bounds, Plan};
use super::pool::Pool;
use super::sieve::{Found, Sieve};
use super::{LONGEST, Line, Query, Report, Sink, StreamLog, Trouble};

/// Hands over the lines that are asked for, those of several streams in the order of their times;
/// those of the same time in the order of the streams; those without a time after the line of their
/// stream that they follow.
///
/// # Errors
/// When a file cannot be read, and what the sink says.
pub fn read(streams: &[StreamLog], query: &Query<'_>, sink: Sink<'_>) -> io::Result<Report> {
    let feeds = thread::scope(|scope| -> io::Result<Vec<Feed>> {
        let mut pool = Pool::new(scope, Sieve::new(query));
        let mut feeds = Vec::with_capacity(streams.len());
        for number in 0..streams.len() {
            feeds.push(Feed::new(streams, number, query, &mut pool)?);
        }
        merge(&mut feeds, &mut pool, sink)?;
        Ok(feeds)
    })?;
    let mut report = Report::default();
    for feed in feeds {
        feed.tell(&mut report);
    }
    Ok(report)
}

/// With more streams than this, less of each is read ahead.
const MANY: usize = 32;

/// How many bytes of lines that were found may wait for being handed over, of all streams.
const ROOM: usize = 16 << 20;

fn merge(feeds: &mut [Feed], pool: &mut Pool<'_, '_>, sink: Sink<'_>) -> io::Result<()> {
    let mut heads = BinaryHeap::new();
    // All of them begin before one of them is waited for.
    for feed in feeds.iter_mut() {
        feed.flow.read_ahead(pool)?;
    }
    for (number, feed) in feeds.iter_mut().enumerate() {
        if feed.fetch(pool)? {
            heads.push(Reverse((feed.time, number)));
        }
    }
    while let Some(Reverse((_, number))) = heads.pop() {
        let feed = &mut feeds[number];
        let next = heads.peek();
        loop {
            feed.hand_over(sink)?;
            if !feed.fetch(pool)? {
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
    /// Lines that come first.
    kept: VecDeque<Found>,
    flow: Flow,
    /// How many lines are not to be handed over.
    surplus: usize,
    found: Found,
    next: usize,
    /// The last time that was known.
    time: Option<i64>,
}

impl Feed {
    fn new(
        streams: &[StreamLog],
        number: usize,
        query: &Query<'_>,
        pool: &mut Pool<'_, '_>,
    ) -> io::Result<Feed> {
        let texts = Text::of_stream(&streams[number])?;
        let plan = |bounds| {
            let plan = Plan::new(texts.clone(), bounds, query.complete_only);
            if streams.len() > MANY {
                plan.in_small_chunks()
            } else {
                plan
            }
        };
        let all = |flow| Last {
            kept: VecDeque::new(),
            flow,
            surplus: 0,
        };
        let last = match (Bounds::of_query(&texts, query)?, query.last) {
            (None, _) => all(Flow::nothing(plan(Bounds::default()))),
            (Some(bounds), None) => all(Flow::new(plan(bounds), streams.len())),
            (Some(bounds), Some(wanted)) => {
                // One stream is searched after the other.
                let search = Search {
                    texts: &texts,
                    bounds,
                    wanted,
                    sizes: Sizes::new(ROOM / streams.len() + 2 * LONGEST),
                    flow: &|bounds| Flow::new(plan(bounds), 1),
                };
                let mut last = search.find(pool)?;
                last.flow.streams = streams.len();
                last
            }
        };
        Ok(Feed {
            stream: number,
            kept: last.kept,
            flow: last.flow,
            surplus: last.surplus,
            texts,
            found: Found::default(),
            next: 0,
            time: None,
        })
    }

    /// Has a line at hand, if there is one.
    fn fetch(&mut self, pool: &mut Pool<'_, '_>) -> io::Result<bool> {
        loop {
            let skipped = self.surplus.min(self.found.len() - self.next);
            self.next += skipped;
            self.surplus -= skipped;
            if let Some((time, _, _)) = self.found.get(self.next) {
                self.time = time.or(self.time);
                return Ok(true);
            }
            self.found = match self.kept.pop_front() {
                Some(found) => found,
                None => match self.flow.next(pool)? {
                    Some(found) => found,
                    None => return Ok(false),
                },
            };
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
        let harms = self.flow.plan.harms.iter().cloned();
        report
            .troubles
            .extend(indexes.chain(harms).map(|(number, what)| Trouble {
                stream: self.stream,
                number,
                what,
            }));
        report.places.push(self.flow.plan.place());
    }
}
