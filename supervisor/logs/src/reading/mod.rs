//! Reading the logs of several streams: the last lines, those of some time, those with a pattern,
//! in the order in which they arrived; and following them over rotations.
//!
//! Works only on descriptors that somebody else opened, and never moves their offsets, which may be
//! shared. Promises that no line is lost over a damaged index or a damaged compressed file (what
//! can be decompressed of it is given; the report says what was met), and that memory is bounded by
//! the number of streams and processors, whatever is in the files. Leaves to others finding the
//! files, when to look again, and cleaning the bytes before a terminal sees them.
//!
//! What the files of a stream hold is one text, also where a line goes from one file to the next.
//! A line has the time at which its first byte arrived. Times take for granted that the clock was
//! not set back; where it was, `since` and `until` mean one of the places that fit.

mod chunk;
mod flow;
mod follow;
mod last;
mod lines;
mod merge;
mod part;
mod pattern;
mod plan;
mod pool;
mod sieve;
mod span;
mod walk;

use std::fmt;
use std::fs::File;
use std::io;

pub use follow::{Follower, Lost, Progress};
pub use merge::read;
pub use pattern::Pattern;

/// The longest text that is handed over at once; longer lines come in pieces.
pub const LONGEST: usize = 64 << 10;

/// One file of a stream, as it was opened.
#[derive(Debug)]
pub struct Part {
    /// The file itself.
    pub log: File,
    /// Its time index.
    pub index: Option<File>,
    /// 0: the live file; 1: the newest rotated one.
    pub number: u32,
    /// It holds a zstd frame.
    pub compressed: bool,
}

/// The files of one stream.
#[derive(Debug, Default)]
pub struct StreamLog {
    /// In any order; a number at most once. The live one may be missing: it was just rotated.
    pub parts: Vec<Part>,
}

/// Which lines are asked for. The default: all.
#[derive(Default)]
pub struct Query<'q> {
    /// Those that arrived then or later (Unix time in milliseconds), or may have.
    pub since: Option<i64>,
    /// Those that arrived then or earlier, or may have.
    pub until: Option<i64>,
    /// The last ones, so many of each stream, of those that pass everything else. A line longer
    /// than [`LONGEST`] counts by its pieces.
    pub last: Option<usize>,
    /// Those with a match in them; each piece of a long line by itself.
    pub pattern: Option<Pattern>,
    /// Those that this says yes to; called from several threads.
    pub keep: Option<Keep<'q>>,
    /// Without the line at the end of the newest file that has no newline yet. A follower goes on
    /// at its beginning.
    pub complete_only: bool,
}

/// Says whether a line is wanted.
pub type Keep<'q> = &'q (dyn Fn(&[u8]) -> bool + Sync);

/// A line, or a piece of a long one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// Which of the streams.
    pub stream: usize,
    /// When it began to arrive: Unix time in milliseconds. With a damaged index a time in between
    /// that of the neighbours, or `None`.
    pub time: Option<i64>,
    /// Without its newline; at most [`LONGEST`] bytes.
    pub text: &'a [u8],
    /// This goes on with the line before it.
    pub continued: bool,
}

/// How the reading went.
#[derive(Debug, Default)]
pub struct Report {
    /// What was wrong with some files, as far as they were looked at.
    pub troubles: Vec<Trouble>,
    /// For each stream, where a follower goes on.
    pub places: Vec<Place>,
}

/// Something is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Of which stream.
    pub stream: usize,
    /// Which of its files: [`Part::number`].
    pub number: u32,
    /// What.
    pub what: Harm,
}

/// What can be wrong with a file that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Harm {
    /// It has no index.
    NoIndex,
    /// Its index is damaged, or of another file.
    BadIndex,
    /// It cannot be decompressed beyond so many bytes of its text.
    BadFrame {
        /// What could be given of it.
        given: u64,
        /// The decompressor's words.
        why: String,
    },
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Harm::NoIndex => f.write_str("its time index is missing: times are estimated"),
            Harm::BadIndex => f.write_str("its time index is damaged: some times are estimated"),
            Harm::BadFrame { given, why } => {
                write!(
                    f,
                    "it is cut or damaged: only its first {given} bytes are shown ({why})"
                )
            }
        }
    }
}

/// Where in a stream somebody has arrived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// The inode of the newest file; `None`: there was none.
    pub inode: Option<u64>,
    /// How much of it was read.
    pub offset: u64,
    /// The stream's position there, if its index tells.
    pub position: Option<u64>,
}

/// Hands over what can be read, a line at a time.
pub type Sink<'s> = &'s mut dyn FnMut(Line<'_>) -> io::Result<()>;
