//! What lines come from: a stream of an app, and what stands before its lines.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use supervisor_logs::reading::Line;
use supervisor_protocol::{LogFormat, Stream};

use crate::output::Style;
use crate::render::color::{APPS, Colour, paint};
use crate::render::sanitize;
use crate::render::text::{cut, width};

/// A stream of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Id {
    /// The app.
    pub name: String,
    /// Its instance.
    pub instance: u32,
    /// Which of its streams.
    pub stream: Stream,
}

impl Id {
    /// Standard output comes before standard error.
    fn key(&self) -> (&str, u32, bool) {
        (&self.name, self.instance, self.stream == Stream::Err)
    }
}

impl Ord for Id {
    fn cmp(&self, other: &Id) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Id {
    fn partial_cmp(&self, other: &Id) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The word for a stream in options and JSON.
pub fn word(stream: Stream) -> &'static str {
    match stream {
        Stream::Out => "out",
        Stream::Err => "err",
    }
}

/// A stream with what must be known to read its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Which.
    pub id: Id,
    /// What stands in its files.
    pub format: LogFormat,
}

/// A line, or a piece of one that is very long.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// Which source, by its number.
    pub source: usize,
    /// When it arrived, in milliseconds of Unix time, where that is known.
    pub time: Option<i64>,
    /// The bytes, without the newline.
    pub text: &'a [u8],
    /// Whether a line begins here; else it goes on with the piece before.
    pub begins: bool,
}

impl<'a> From<Line<'a>> for Piece<'a> {
    fn from(line: Line<'a>) -> Piece<'a> {
        Piece {
            source: line.stream,
            time: line.time,
            text: line.text,
            begins: !line.continued,
        }
    }
}

/// The length of the time that stands in a file before a line, with the blank after it.
const STAMP: usize = "2026-11-22T14:45:00.072Z ".len();

impl Source {
    /// The line as the app wrote it: where the file has its time, that is taken off and believed.
    pub fn unstamped<'a>(&self, piece: &Piece<'a>) -> Piece<'a> {
        match self.format {
            LogFormat::Raw => *piece,
            LogFormat::Timestamp => {
                split_stamp(piece.text)
                    .filter(|_| piece.begins)
                    .map_or(*piece, |(time, text)| Piece {
                        time: Some(time),
                        text,
                        ..*piece
                    })
            }
        }
    }
}

fn split_stamp(text: &[u8]) -> Option<(i64, &[u8])> {
    let (stamp, text) = text.split_at_checked(STAMP)?;
    let stamp = std::str::from_utf8(stamp).ok()?.strip_suffix(' ')?;
    let time: Timestamp = stamp.parse().ok()?;
    Some((time.as_millisecond(), text))
}

/// What stands before the lines of each source: `name | ` for standard output, `name ! ` for standard
/// error, all of one width and at most a third of the terminal's; nothing for a single source.
pub fn prefixes(sources: &[Source], style: Style, columns: Option<usize>) -> Vec<String> {
    if let [_] = sources {
        return vec![String::new()];
    }
    let most = columns.map_or(usize::MAX, |columns| columns / 3);
    let labels: Vec<_> = labels(sources)
        .iter()
        .map(|label| cut(&sanitize::cell(label), most).into_owned())
        .collect();
    let widest = labels.iter().map(|label| width(label)).max().unwrap_or(0);
    let colours = colours(sources);
    sources
        .iter()
        .zip(&labels)
        .map(|(source, label)| {
            let colour = colours[source.id.name.as_str()];
            let padding = " ".repeat(widest - width(label));
            let (mark, of_mark) = match source.id.stream {
                Stream::Out => ("|", colour),
                Stream::Err => ("!", Colour::Red),
            };
            let label = paint(style, colour, &format!("{label}{padding}"));
            format!("{label} {} ", paint(style, of_mark, mark))
        })
        .collect()
}

/// The app, with its instance where there are several.
fn labels(sources: &[Source]) -> Vec<String> {
    let mut highest: BTreeMap<&str, u32> = BTreeMap::new();
    for Source { id, .. } in sources {
        let instance = highest.entry(&id.name).or_default();
        *instance = id.instance.max(*instance);
    }
    let label = |id: &Id| match highest.get(id.name.as_str()) {
        Some(1..) => format!("{}:{}", id.name, id.instance),
        Some(0) | None => id.name.clone(),
    };
    sources.iter().map(|source| label(&source.id)).collect()
}

/// Each app has the colour that its name says, so that it is the same every day; where another app
/// has that one already, the next.
fn colours(sources: &[Source]) -> BTreeMap<&str, Colour> {
    let names: BTreeSet<_> = sources.iter().map(|s| s.id.name.as_str()).collect();
    let mut taken = [false; APPS.len()];
    let mut colours = BTreeMap::new();
    for name in names {
        let sum = |sum: usize, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte));
        let first = name.bytes().fold(0, sum) % APPS.len();
        let free = (0..APPS.len())
            .map(|step| (first + step) % APPS.len())
            .find(|&at| !taken[at])
            .unwrap_or(first);
        taken[free] = true;
        colours.insert(name, APPS[free]);
    }
    colours
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A source of raw lines.
    pub fn source(name: &str, instance: u32, stream: Stream) -> Source {
        let id = Id {
            name: name.into(),
            instance,
            stream,
        };
        let format = LogFormat::Raw;
        Source { id, format }
    }

    /// A whole line without a time.
    pub fn whole(source: usize, text: &[u8]) -> Piece<'_> {
        Piece {
            source,
            time: None,
            text,
            begins: true,
        }
    }

    #[test]
    fn names_are_aligned_and_streams_told_apart() {
        let sources = [
            source("api", 0, Stream::Out),
            source("api", 1, Stream::Err),
            source("worker", 0, Stream::Err),
            source("日本", 0, Stream::Out),
        ];
        let plain = prefixes(&sources, Style::Plain, None);
        assert_eq!(plain, ["api:0  | ", "api:1  ! ", "worker ! ", "日本   | "]);
        assert_eq!(prefixes(&sources[..1], Style::Plain, None), [""]);
        let narrow = prefixes(&sources, Style::Plain, Some(12));
        assert_eq!(narrow, ["api… | ", "api… ! ", "wor… ! ", "日本 | "]);
        let nasty = source("a\x1b[2J\u{202e}", 0, Stream::Out);
        let shown = prefixes(&[nasty, sources[0].clone()], Style::Plain, None);
        assert_eq!(shown[0], "a\\x1b[2J\\u{202e} | ");
    }

    #[test]
    fn each_app_has_a_colour_of_its_own_that_stays() {
        let names = ["api", "worker", "mail", "web", "db", "cron"];
        let sources = names.map(|name| source(name, 0, Stream::Out));
        let all = colours(&sources);
        let different: BTreeSet<_> = all.values().map(|colour| format!("{colour:?}")).collect();
        assert_eq!(different.len(), names.len());
        // With others or alone: written down, so that a new release keeps it.
        assert_eq!(colours(&sources[..1])["api"], all["api"]);
        let many: Vec<_> = (0..50)
            .map(|n| source(&format!("app{n}"), 0, Stream::Out))
            .collect();
        assert_eq!(colours(&many).len(), 50);
    }

    #[test]
    fn a_time_in_the_file_is_the_line_s() {
        let mut source = source("api", 0, Stream::Out);
        let text = b"2026-11-22T14:45:00.072Z hello";
        assert_eq!(source.unstamped(&whole(0, text)).text, text);
        source.format = LogFormat::Timestamp;
        let piece = source.unstamped(&whole(0, text));
        assert_eq!(
            (piece.text, piece.time),
            (&b"hello"[..], Some(1_795_358_700_072))
        );
        for text in [
            &b""[..],
            b"hello",
            b"2026-11-22T14:45:00.072Z",
            b"2026-11-22T14:45:00.07zZ x",
        ] {
            let piece = source.unstamped(&whole(0, text));
            assert_eq!((piece.text, piece.time), (text, None));
        }
        let mut inside = whole(0, text);
        inside.begins = false;
        assert_eq!(source.unstamped(&inside).text, text);
    }
}
