//! What goes along while a text is read: where relative paths start, and every fault so far.
//! Owns the order and number of the faults.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::source::{Place, Source};
use crate::units::Problem;
use crate::{Fault, Faults, Origin};

/// So many faults are told; a file with more of them is not a config file.
pub(crate) const MOST: usize = 200;

/// One reading of one text.
pub(crate) struct Reading {
    folder: PathBuf,
    source: Source,
    found: Vec<(Place, Problem)>,
    secrets: Vec<Range<usize>>,
    untold: usize,
    muted: bool,
    /// Faults from this byte on are not noted.
    judged: usize,
}

impl Reading {
    pub(crate) fn new(text: &str, origin: &Origin) -> Reading {
        Reading {
            folder: origin.folder(),
            source: Source::new(text, origin.file().map(Path::to_owned)),
            found: Vec::new(),
            secrets: Vec::new(),
            untold: 0,
            muted: false,
            judged: usize::MAX,
        }
    }

    /// What a relative `directory` is relative to.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Says what must not be shown with a fault.
    pub(crate) fn hide(&mut self, secrets: Vec<Range<usize>>) {
        self.secrets.extend(secrets);
    }

    /// Whether further faults are only counted, so that nobody needs to find words for them.
    pub(crate) fn is_full(&self) -> bool {
        self.found.len() == MOST
    }

    /// Notes that the value of `key` at `span` is wrong.
    pub(crate) fn fault(&mut self, key: &str, span: &Range<usize>, problem: Problem) {
        if self.muted || span.start >= self.judged {
            return;
        }
        if self.is_full() {
            self.untold += 1;
            return;
        }
        let place = Place {
            key: key.to_owned(),
            span: span.clone(),
        };
        let found = (place, problem);
        if !self.found.contains(&found) {
            self.found.push(found);
        }
    }

    /// Does `work` without noting its faults: they were noted when the same text was read before.
    pub(crate) fn muted(&mut self, work: impl FnOnce(&mut Reading)) {
        let before = std::mem::replace(&mut self.muted, true);
        work(self);
        self.muted = before;
    }

    /// Says that the text is broken from the line of `offset` on: from there on nothing is judged.
    pub(crate) fn broken_from(&mut self, offset: usize) {
        self.judged = self.source.line_start(offset);
    }

    /// Whether all of it could be read, so that it can be said what is missing.
    pub(crate) fn is_whole(&self) -> bool {
        self.judged == usize::MAX
    }

    /// Notes that the text itself is broken there.
    pub(crate) fn broken(&mut self, span: &Range<usize>, problem: Problem) {
        // One slip can make the parser stumble several times in a line; the first is what counts.
        let line = self.source.line(span.start);
        let mut places = self.found.iter().map(|(place, _)| place.span.start);
        if !self.is_full() && places.any(|at| self.source.line(at) == line) {
            return;
        }
        let judged = std::mem::replace(&mut self.judged, usize::MAX);
        self.fault("", span, problem);
        self.judged = judged;
    }

    /// The text, if nothing was wrong with it; otherwise all faults in its order.
    pub(crate) fn finish(mut self) -> Result<Source, Faults> {
        self.source.hide(self.secrets);
        if self.found.is_empty() {
            return Ok(self.source);
        }
        self.found.sort_by_key(|(place, _)| place.span.start);
        let located = |(place, problem): (Place, Problem)| match place.key.as_str() {
            "" => self.source.broken(&place.span, problem),
            _ => self.source.fault(&place, problem),
        };
        let mut list: Vec<Fault> = self.found.into_iter().map(located).collect();
        if self.untold > 0 {
            list.push(Fault {
                file: self.source.file.clone(),
                message: format!("and {} more faults", self.untold),
                ..Fault::default()
            });
        }
        Err(Faults { list })
    }
}
