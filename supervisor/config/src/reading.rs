//! What goes along while a text is read: where relative paths start, and every fault so far.
//! Owns the way from a byte offset to line and column, and the order and number of the faults.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::units::Problem;
use crate::{Fault, Faults, Origin};

/// So many faults are told; a file with more of them is not a config file.
const MOST: usize = 200;

/// One reading of one text.
pub(crate) struct Reading<'t> {
    folder: PathBuf,
    file: Option<&'t Path>,
    text: &'t str,
    line_starts: Vec<usize>,
    found: Vec<(usize, Fault)>,
    untold: usize,
    muted: bool,
    /// Faults from this byte on are not noted.
    judged: usize,
}

impl<'t> Reading<'t> {
    pub(crate) fn new(text: &'t str, origin: &'t Origin) -> Reading<'t> {
        let line_ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Reading {
            folder: origin.folder(),
            file: origin.file(),
            text,
            line_starts: std::iter::once(0)
                .chain(line_ends.map(|(at, _)| at + 1))
                .collect(),
            found: Vec::new(),
            untold: 0,
            muted: false,
            judged: usize::MAX,
        }
    }

    /// What a relative `directory` is relative to.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Notes that the value of `key` at `span` is wrong.
    pub(crate) fn fault(&mut self, key: &str, span: &Range<usize>, problem: Problem) {
        if self.muted || span.start >= self.judged {
            return;
        }
        if self.found.len() == MOST {
            self.untold += 1;
            return;
        }
        let (line, column) = self.position(span.start);
        let located = self.file.is_some();
        let fault = Fault {
            file: self.file.map(Path::to_owned),
            line: located.then_some(line),
            column: located.then_some(column),
            key: (!key.is_empty()).then(|| key.to_owned()),
            message: problem.message,
            hint: problem.hint,
        };
        if self.found.iter().all(|(_, known)| *known != fault) {
            self.found.push((span.start, fault));
        }
    }

    /// Does `work` without noting its faults: they were noted when the same text was read before.
    pub(crate) fn muted(&mut self, work: impl FnOnce(&mut Reading<'t>)) {
        let before = std::mem::replace(&mut self.muted, true);
        work(self);
        self.muted = before;
    }

    /// Says that the text is broken from the line of `offset` on: from there on nothing is judged.
    pub(crate) fn broken_from(&mut self, offset: usize) {
        let (line, _) = self.position(offset);
        self.judged = self.line_starts[line - 1];
    }

    /// Whether all of it could be read, so that it can be said what is missing.
    pub(crate) fn is_whole(&self) -> bool {
        self.judged == usize::MAX
    }

    /// Notes that the text itself is broken there.
    pub(crate) fn broken(&mut self, span: &Range<usize>, problem: Problem) {
        // One slip can make the parser stumble several times in a line; the first is what counts.
        let (line, _) = self.position(span.start);
        let mut places = self.found.iter().map(|(at, _)| *at);
        if self.found.len() < MOST && places.any(|at| self.position(at).0 == line) {
            return;
        }
        let judged = std::mem::replace(&mut self.judged, usize::MAX);
        self.fault("", span, problem);
        self.judged = judged;
    }

    /// Whether nothing was wrong.
    pub(crate) fn is_clean(&self) -> bool {
        self.found.is_empty()
    }

    /// All faults in the order of the text.
    pub(crate) fn into_faults(mut self) -> Faults {
        self.found.sort_by_key(|(at, _)| *at);
        let mut list: Vec<Fault> = self.found.into_iter().map(|(_, fault)| fault).collect();
        if self.untold > 0 {
            list.push(Fault {
                file: self.file.map(Path::to_owned),
                message: format!("and {} more faults", self.untold),
                ..Fault::default()
            });
        }
        Faults { list }
    }

    /// Line and column, both from 1, the column in characters.
    fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let before = self
            .text
            .get(self.line_starts[line - 1]..offset)
            .unwrap_or("");
        (line, before.chars().count() + 1)
    }
}
